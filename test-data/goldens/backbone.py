"""Runs a backbone (graph JSON + safetensors) in float64, as it stands or with its batch norms folded.

Independent of the Java and C++ code on purpose: this is what they are compared with. The folded network has one flat
parameter vector: per conv2d and linear node, in node order, the weights row-major ([oc,ic,kh,kw] or [out,in]), then
the bias. A node without bias has zeros there.
"""
import json
import os

import numpy as np
import torch
import torch.nn.functional as F

import safetensors_file

torch.set_num_threads(1)  # one order of summation: a second run gives the same bytes
torch.set_default_dtype(torch.float64)


def as_float32(tensor):
    """Rounds to what a float32 engine can be given, kept in double."""
    return tensor.to(torch.float32).to(torch.float64)


def run(nodes, weights, x, training=False):
    """Every value of the graph for images x [n,c,h,w], by node name; weights: tensor name → tensor.

    Training: batch norm takes the statistics of x and moves the running ones in weights by a tenth towards them.
    """
    values = {"input": x}
    for node in nodes:
        name, op = node["name"], node["op"]
        i = [values[k] for k in node["inputs"]]
        w, b = weights.get(name + ".weight"), weights.get(name + ".bias")
        if op == "conv2d":
            y = F.conv2d(i[0], w, b, node["stride"], node["padding"])
        elif op == "batchnorm2d":
            mean, var = weights[name + ".running_mean"], weights[name + ".running_var"]
            y = F.batch_norm(i[0], mean, var, w, b, training, 0.1, node["eps"])
        elif op == "leaky_relu":
            # the slope is a float32 in every engine
            y = F.leaky_relu(i[0], float(np.float32(node["negative_slope"])))
        elif op == "maxpool2d":
            y = F.max_pool2d(i[0], node["kernel"], node["stride"], node["padding"])
        elif op == "avgpool2d":
            y = F.avg_pool2d(i[0], node["kernel"], node["stride"], node["padding"], count_include_pad=True)
        elif op == "add":
            y = i[0] + i[1]
        elif op == "subsample_pad_channels":
            s = node["stride"]
            y = F.pad(i[0][:, :, ::s, ::s], (0, 0, 0, 0, node["pad_before"], node["pad_after"]))
        elif op == "global_avgpool":
            y = i[0].mean(dim=(2, 3))
        elif op == "linear":
            y = F.linear(i[0], w, b)
        else:
            raise ValueError(f"{op} {name!r}: not an operation of the format")
        values[name] = y
    return values


class Backbone:
    """A network as its files give it (nodes, weights) and folded (folded_nodes, blocks, folded_parameters)."""

    def __init__(self, json_path):
        with open(json_path, encoding="utf-8") as f:
            spec = json.load(f)
        tensors, _ = safetensors_file.load(os.path.join(os.path.dirname(json_path), spec["weights"]))
        self.input, self.output, self.nodes = spec["input"], spec["output"], spec["nodes"]
        self.weights = {k: torch.from_numpy(t).double() for k, t in tensors.items()}
        self._fold()
        self.w0 = as_float32(self.folded_parameters)  # the point of linearisation: what an engine holds

    def unfolded(self, x):
        """Outputs [n,C] of the network as its files give it."""
        return run(self.nodes, self.weights, x)[self.output]

    def values(self, parameters, x):
        """Every value of the folded network at the flat parameters [P]."""
        return run(self.folded_nodes, self.unflatten(parameters), x)

    def f(self, parameters, x):
        """Outputs [n,C] of the folded network at the flat parameters [P]."""
        return self.values(parameters, x)[self.folded_output]

    def unflatten(self, parameters):
        """Tensor name → its part of the flat vector [P], as a view."""
        weights = {}
        for name, shape, offset in self.blocks:
            size = int(np.prod(shape))
            weights[name + ".weight"] = parameters[offset : offset + size].reshape(shape)
            weights[name + ".bias"] = parameters[offset + size : offset + size + shape[0]]
        return weights

    def _fold(self):
        """Folds each batch norm into the convolution before it: W' = γW/σ, b' = β + γ(b − m)/σ, in double."""
        norm_of = {n["inputs"][0]: n for n in self.nodes if n["op"] == "batchnorm2d"}
        renamed = {norm["name"]: conv for conv, norm in norm_of.items()}  # a folded norm's value is its convolution's
        self.folded_nodes, self.blocks, flat, offset = [], [], [], 0
        for node in self.nodes:
            if node["op"] == "batchnorm2d":
                continue
            self.folded_nodes.append({**node, "inputs": [renamed.get(k, k) for k in node["inputs"]]})
            if node["op"] not in ("conv2d", "linear"):
                continue
            name = node["name"]
            w = self.weights[name + ".weight"]
            b = self.weights.get(name + ".bias", torch.zeros(w.shape[0]))
            if name in norm_of:
                norm = norm_of[name]
                suffixes = (".weight", ".bias", ".running_mean", ".running_var")
                gamma, beta, mean, var = (self.weights[norm["name"] + suffix] for suffix in suffixes)
                scale = gamma / torch.sqrt(var + norm["eps"])
                w, b = w * scale.view(-1, 1, 1, 1), beta + scale * (b - mean)
            self.blocks.append((name, tuple(w.shape), offset))
            flat += [w.reshape(-1), b]
            offset += w.numel() + b.numel()
        self.folded_output = renamed.get(self.output, self.output)
        self.folded_parameters = torch.cat(flat)
