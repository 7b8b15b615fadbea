"""Kronecker factors of the Gauss-Newton matrix and preconditioning with them.

Sources: Martens & Grosse 2015 (factored damping with π), Grosse & Martens 2016 (convolutions), Eschenhagen et al. 2023
(expand, reduce). The output-space Hessian of ½‖·‖² is the identity, so labels and residuals do not enter.
"""
import torch
import torch.nn.functional as F


def kronecker_factors(net, x, sharing):
    """Node → (A [in+1,in+1], Γ [out,out]); Γ exact, one reverse pass per class; sharing: expand or reduce."""
    w0 = net.w0.clone().requires_grad_()
    values = net.values(w0, x)
    names = [name for name, _, _ in net.blocks]
    f, layers = values[net.folded_output], {n["name"]: n for n in net.folded_nodes}
    classes = f.shape[1]
    wanted = [w0] + [values[k] for k in names]
    grads = [torch.autograd.grad(f[:, c].sum(), wanted, retain_graph=True) for c in range(classes)]
    factors = {}
    for index, (name, shape, _) in enumerate(net.blocks):
        h = values[layers[name]["inputs"][0]].detach()
        g = torch.stack([grads[c][1 + index].reshape(len(x), shape[0], -1) for c in range(classes)], 1)  # [n,C,out,T]
        if layers[name]["op"] == "conv2d":
            patches = F.unfold(h, shape[2:], padding=layers[name]["padding"], stride=layers[name]["stride"])  # [n,in,T]
        else:
            patches = h.unsqueeze(2)
        patches = torch.cat([patches, torch.ones(len(x), 1, patches.shape[2])], 1)  # the bias is the last coordinate
        rows = torch.einsum("ncot,nit->coi", g, patches)  # ∇W|∇b = Σ_t g patchᵀ: the same as autograd's?
        assert close(rows, torch.stack([as_block(net, name, grads[c][0]) for c in range(classes)]), 1e-12)
        positions = patches.shape[2]
        if sharing == "expand":
            a, gamma = torch.einsum("nit,njt->ij", patches, patches), torch.einsum("ncot,ncpt->op", g, g) / positions
        else:
            mean, total = patches.mean(2), g.sum(3)
            a, gamma = mean.T @ mean, torch.einsum("nco,ncp->op", total, total)
        factors[name] = (a / len(x), gamma / len(x))
    return factors


def precondition(net, factors, gradient, damping, form):
    """(Γ⊗A + damping)⁻¹ gradient [P] block by block: form factored (with π) or exact (by eigenvalues)."""
    steps = []
    for name, _, _ in net.blocks:
        a, gamma = factors[name]
        g = as_block(net, name, gradient)
        if form == "factored":
            pi = torch.sqrt((a.trace() / len(a)) / (gamma.trace() / len(gamma)))
            left = gamma + damping**0.5 / pi * torch.eye(len(gamma))
            right = a + pi * damping**0.5 * torch.eye(len(a))
            v = torch.linalg.solve(right, torch.linalg.solve(left, g).T).T
        else:
            (la, ua), (lg, ug) = torch.linalg.eigh(a), torch.linalg.eigh(gamma)
            v = ug @ ((ug.T @ g @ ua) / (lg[:, None] * la[None] + damping)) @ ua.T
            assert close(gamma @ v @ a + damping * v, g, 1e-9)
        steps += [v[:, :-1].reshape(-1), v[:, -1]]
    return torch.cat(steps)


def as_block(net, name, flat):
    """A node's part of a flat vector [P] as the matrix [out,in+1] = [W | b]."""
    part = net.unflatten(flat)
    return torch.cat([part[name + ".weight"].flatten(1), part[name + ".bias"][:, None]], 1)


def close(a, b, tolerance):
    """Whether the relative error of a is at most the tolerance."""
    return (a - b).norm() <= tolerance * b.norm()
