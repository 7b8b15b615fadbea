"""Writes pretrain5.safetensors: python3 pretrain.py (PyTorch; some seconds, one core).

Training of the network kinds with its batch norms in training mode, by torch.optim.SGD, in float64 from numbers that
float32 holds exactly. README.md lists every tensor.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

import safetensors_file
from backbone import Backbone, run
from kinds import CLASSES, normal

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES, STEPS = 6, 5
RATE, MOMENTUM, WEIGHT_DECAY = 0.02, 0.9, 5e-4
MARGIN = 1e-5  # float32 must not flip a mask or an argmax


class Training:
    """The network with flat parameters: per conv2d, linear and batch norm, in node order, weight and then bias."""

    def __init__(self):
        self.net = Backbone(os.path.join(HERE, "kinds.json"))
        self.slices, self.norms, flat, offset = [], [], [], 0
        for node in self.net.nodes:
            name = node["name"]
            if name + ".weight" not in self.net.weights:
                continue
            weight = self.net.weights[name + ".weight"]
            bias = self.net.weights.get(name + ".bias", torch.zeros(len(weight)))
            self.slices.append((name, weight.shape, offset))
            flat += [weight.reshape(-1), bias]
            offset += weight.numel() + bias.numel()
            if node["op"] == "batchnorm2d":
                self.norms.append(name)
        self.parameters = torch.cat(flat).requires_grad_()

    def values(self, images):
        """Every value of the network; moves the running statistics."""
        weights = {k: t for k, t in self.net.weights.items() if ".running_" in k}
        for name, shape, offset in self.slices:
            end = offset + shape.numel()
            weights[name + ".weight"] = self.parameters[offset:end].reshape(shape)
            weights[name + ".bias"] = self.parameters[end : end + shape[0]]
        return run(self.net.nodes, weights, images, training=True)

    def statistics(self):
        """Running mean and variance of each batch norm, in node order."""
        w = self.net.weights
        return torch.cat([torch.cat([w[n + ".running_mean"], w[n + ".running_var"]]) for n in self.norms]).clone()

    def distance_to_kink(self, values):
        """The least |pre-activation| and lead of a maximum over the runner-up of its window."""
        least = torch.inf
        for node in self.net.nodes:
            z = values[node["inputs"][0]].detach()
            if node["op"] == "leaky_relu":
                least = min(least, z.abs().min().item())
            if node["op"] == "maxpool2d":
                k, p = node["kernel"], node["padding"]
                z = F.pad(z, (p, p, p, p), value=-torch.inf).unfold(2, k, node["stride"]).unfold(3, k, node["stride"])
                first, second = z.flatten(4).topk(2).values.unbind(-1)
                least = min(least, (first - second).min().item())
        return least


def train(seed):
    """The tensors of the file, or None if a step comes too near a kink."""
    torch.manual_seed(seed)
    images, labels = normal(IMAGES, 3, 13, 11), torch.arange(IMAGES) % CLASSES
    training = Training()
    out = {"images": images.float(), "labels": labels, "initial": training.parameters.detach().float()}
    out["statistics.initial"] = training.statistics().float()
    optimiser = torch.optim.SGD(
        [training.parameters], lr=RATE, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    losses = []
    for step in range(STEPS):
        values = training.values(images)
        if training.distance_to_kink(values) < MARGIN:
            return None
        outputs = values[training.net.output]
        loss = F.cross_entropy(outputs, labels)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            out |= {"outputs": outputs.detach(), "gradient": training.parameters.grad.clone()}
        optimiser.step()
    print("seed", seed, "losses", losses)
    assert losses[-1] < losses[0]
    out |= {"losses": torch.tensor(losses), "final": training.parameters.detach()}
    return out | {"statistics.final": training.statistics()}


def main():
    out, seed = None, -1
    while out is None:
        seed += 1
        out = train(seed)
    settings = {"rate": RATE, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY, "steps": STEPS, "seed": seed}
    arrays = {k: np.asarray(t) for k, t in out.items()}
    safetensors_file.save(os.path.join(HERE, "pretrain5.safetensors"), arrays, {k: repr(v) for k, v in settings.items()})


if __name__ == "__main__":
    main()
