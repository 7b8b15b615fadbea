"""Writes the golden files of this folder: python3 make.py (PyTorch with forward-mode AD; a few seconds, one core).

Everything is computed in float64 from numbers that float32 holds exactly, so that an engine in single precision can
be given the very same problem. The model is that of Achille et al. 2021 (LQF). README.md lists every tensor.
"""
import os

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F

import safetensors_file
from backbone import Backbone
from curvature import close, kronecker_factors, precondition
from kinds import CLASSES, distance_to_kink, draw_images, normal, write_kinds
from ridge import RidgeProblem

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20121114
DAMPING = 1.0  # of the preconditioned gradients of kinds-golden
TARGET_SCALE, RIDGE, RIDGE_DAMPING = 15.0, 0.5, 10.0  # damping: of the K-FAC steps of ridge
MOMENTUM, STEPS = 0.9, 5
KFAC_RATE, SGD_RATE = 0.05, 1e-3
TUNE_RATE = {"cross_entropy": 5e-4, "squared_error": 5e-5}


def path(name):
    return os.path.join(HERE, name)


def jvp(net, x, v):
    """J v [n,C] by forward-mode AD."""
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(net.f(forward_ad.make_dual(net.w0, v), x)).tangent


def vjp(net, x, u):
    """Jᵀu [P] by reverse mode."""
    w = net.w0.clone().requires_grad_()
    return torch.autograd.grad(net.f(w, x), w, u)[0]


def jacobian(net, x):
    """All rows, [n,C,P], image by image."""
    unit = torch.eye(CLASSES)
    return torch.stack([torch.stack([vjp(net, image[None], e[None]) for e in unit]) for image in x])


def save(name, tensors, **metadata):
    arrays = {k: t.numpy() for k, t in tensors.items()}
    safetensors_file.save(path(name), arrays, {k: repr(v) for k, v in metadata.items()})


def write_kinds_golden(net, images):
    """The linear maps, factors and preconditioned gradients of the network kinds on a few images."""
    u, v = normal(len(images), CLASSES), normal(net.w0.numel())
    f0, jv, jtu, rows = net.f(net.w0, images), jvp(net, images, v), vjp(net, images, u), jacobian(net, images[:2])
    h = 1e-6
    assert close(net.unfolded(images), net.f(net.folded_parameters, images), 1e-13)
    assert close(jv, (net.f(net.w0 + h * v, images) - net.f(net.w0 - h * v, images)) / (2 * h), 1e-8)
    assert abs((u * jv).sum() - jtu @ v) <= 1e-12 * jtu.norm() * v.norm()
    assert close(rows @ v, jv[:2], 1e-12)
    out = {"images": images.float(), "f0": f0, "folded_parameters": net.folded_parameters, "w0": net.w0.float()}
    out |= {"v": v.float(), "Jv": jv, "u": u.float(), "JTu": jtu, "J": rows}
    for sharing in ("expand", "reduce"):
        factors = kronecker_factors(net, images, sharing)
        for name, (a, gamma) in factors.items():
            out |= {f"{sharing}.{name}.A": a, f"{sharing}.{name}.Gamma": gamma}
        for form in ("factored", "exact"):
            out[f"{sharing}.precondition.{form}"] = precondition(net, factors, jtu, DAMPING, form)
    assert close(out["expand.fc.Gamma"], torch.eye(CLASSES), 1e-12)  # the last layer's block is exactly I ⊗ A
    save("kinds-golden.safetensors", out, damping=DAMPING, seed=SEED)


def momentum_steps(start, rate, direction):
    """velocity ← momentum·velocity − rate·direction(w); w ← w + velocity, STEPS times from velocity 0."""
    w, velocity = start.clone(), torch.zeros_like(start)
    for _ in range(STEPS):
        velocity = MOMENTUM * velocity - rate * direction(w)
        w = w + velocity
    return w


def write_ridge(net, images, labels):
    """One whole LQF problem: the exact optimum, leave-one-out, and what K-FAC SGD and plain SGD reach in 5 steps."""
    targets = TARGET_SCALE * torch.eye(CLASSES)[labels]
    problem = RidgeProblem(jacobian(net, images), net.f(net.w0, images), targets, RIDGE)
    factors = kronecker_factors(net, images, "expand")

    def kfac_direction(delta):
        return precondition(net, factors, problem.gradient(delta), RIDGE_DAMPING, "factored")

    zero, optimum = torch.zeros_like(net.w0), problem.optimum()
    kfac, sgd = momentum_steps(zero, KFAC_RATE, kfac_direction), momentum_steps(zero, SGD_RATE, problem.gradient)
    losses = torch.stack([problem.loss(delta) for delta in (zero, optimum, kfac, sgd)])
    print("ridge: loss at 0, at the optimum, after K-FAC SGD, after SGD:", losses.tolist())
    assert problem.gradient(optimum).norm() <= 1e-10 * problem.gradient(zero).norm()
    assert losses[1] < losses[2] < losses[0] and losses[1] < losses[3] < losses[0]
    out = {"images": images.float(), "labels": labels, "targets": targets, "f0": problem.f0, "losses": losses}
    out |= {"optimum": optimum, "kfac_sgd": kfac, "sgd": sgd}
    for fixed, mu in {"mu": RIDGE * len(images), "lambda": RIDGE * (len(images) - 1)}.items():
        closed, retrained = problem.leave_one_out(mu)
        assert close(closed, retrained, 1e-9)
        out["leave_one_out.fixed_" + fixed] = closed
    settings = {"target_scale": TARGET_SCALE, "ridge": RIDGE, "damping": RIDGE_DAMPING, "momentum": MOMENTUM}
    save("ridge.safetensors", out, **settings, steps=STEPS, kfac_rate=KFAC_RATE, sgd_rate=SGD_RATE, seed=SEED)


def write_nlft(net, images, labels):
    """Ordinary fine-tuning of the folded network, 5 steps on all images (those of ridge) for each of two losses."""
    targets = TARGET_SCALE * torch.eye(CLASSES)[labels]
    loss_of = {
        "cross_entropy": lambda f: F.cross_entropy(f, labels),
        "squared_error": lambda f: ((f - targets) ** 2).sum() / (2 * len(f)),
    }
    out = {"initial": net.w0.float()}
    for name, loss in loss_of.items():
        losses = []

        def gradient(w):
            assert distance_to_kink(net, w, images).min() > 1e-5
            w = w.clone().requires_grad_()
            value = loss(net.f(w, images))
            losses.append(value.item())
            return torch.autograd.grad(value, w)[0]

        final = momentum_steps(net.w0, TUNE_RATE[name], gradient)
        losses.append(loss(net.f(final, images)).item())
        print(name, losses)
        assert losses[-1] < losses[0]
        out |= {name + ".final": final, name + ".losses": torch.tensor(losses)}
    rates = {name + "_rate": rate for name, rate in TUNE_RATE.items()}
    save("nlft5.safetensors", out, **rates, momentum=MOMENTUM, steps=STEPS, target_scale=TARGET_SCALE, seed=SEED)


def main():
    torch.manual_seed(SEED)
    write_kinds(path("kinds.json"))
    net = Backbone(path("kinds.json"))
    write_kinds_golden(net, draw_images(net, 5))
    images, labels = draw_images(net, 12), torch.arange(12) % CLASSES
    write_ridge(net, images, labels)
    write_nlft(net, images, labels)
    print(net.w0.numel(), "parameters; PyTorch", torch.__version__)


if __name__ == "__main__":
    main()
