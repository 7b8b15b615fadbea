"""The network "kinds" (random weights, every kind of layer) and images for it that lie away from every kink."""
import json
import os

import torch
import torch.nn.functional as F

import safetensors_file
from backbone import as_float32

CLASSES = 4
KINK_MARGIN = 1e-3  # least |pre-activation|, and least lead of a maximum: rounding cannot flip a mask or an argmax


def normal(*shape, scale=1.0):
    """Seeded normal numbers that float32 holds exactly."""
    return as_float32(torch.randn(*shape) * scale)


def write_kinds(json_path):
    """Writes the graph and, beside it, the weights: every kind of layer, awkward channel counts."""
    nodes, tensors = [], {}

    def node(name, op, *inputs, **attributes):
        nodes.append({"name": name, "op": op, "inputs": list(inputs), **attributes})
        return name

    def conv(name, x, ic, oc, kernel, stride=1, padding=0, bias=False, norm=False):
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        tensors[name + ".weight"] = normal(oc, ic, kh, kw, scale=(2 / (ic * kh * kw)) ** 0.5)
        if bias:
            tensors[name + ".bias"] = normal(oc, scale=0.5)
        attributes = {"kernel": kernel, "stride": stride, "padding": padding, "bias": bias}
        node(name, "conv2d", x, in_channels=ic, out_channels=oc, **attributes)
        if not norm:
            return name
        gamma = 0.5 + torch.rand(oc)
        gamma[0] *= -1  # a negative scale is legal
        tensors[name + ".bn.weight"] = as_float32(gamma)
        tensors[name + ".bn.bias"] = normal(oc, scale=0.3)
        tensors[name + ".bn.running_mean"] = normal(oc, scale=0.5)
        tensors[name + ".bn.running_var"] = as_float32(0.5 + 1.5 * torch.rand(oc))
        return node(name + ".bn", "batchnorm2d", name, channels=oc, eps=1e-5)

    def act(name, x, slope=0.1):
        return node(name, "leaky_relu", x, negative_slope=slope)

    x = act("stem.act1", conv("stem.conv1", "input", 3, 5, 3, padding=1, bias=True, norm=True))  # [5,13,11]
    x = conv("stem.conv2", x, 5, 16, [3, 5], stride=2, padding=2, norm=True)
    fork = act("stem.act2", x, 0.25)  # [16,8,6], feeds three consumers
    x = act("block1.act1", conv("block1.conv1", fork, 16, 7, 1, norm=True))
    x = conv("block1.conv2", x, 7, 16, 3, padding=1, bias=True, norm=True)
    block1 = act("block1.act2", node("block1.add", "add", x, fork))  # [16,8,6]
    x = act("block2.act1", conv("block2.conv1", block1, 16, 17, 3, stride=2, padding=1))
    x = conv("block2.conv2", x, 17, 20, 1, bias=True, norm=True)
    pad = {"stride": 2, "pad_before": 1, "pad_after": 3}
    x = node("block2.add", "add", x, node("block2.shortcut", "subsample_pad_channels", block1, **pad))
    pooled = node("side.pool", "maxpool2d", fork, kernel=3, stride=2, padding=1)
    x = node("side.add", "add", conv("side.conv", pooled, 16, 20, 1, bias=True), x)
    x = node("top.pool", "avgpool2d", act("side.act", x), kernel=2, stride=2, padding=1)  # [20,3,2]
    top = act("top.act", conv("top.conv", x, 20, 17, 3, padding=1, bias=True))
    node("fc", "linear", node("gap", "global_avgpool", top), in_features=17, out_features=CLASSES, bias=True)
    tensors["fc.weight"], tensors["fc.bias"] = normal(CLASSES, 17, scale=0.5), normal(CLASSES, scale=0.5)

    image = {"channels": 3, "height": 13, "width": 11, "color": "RGB"}
    image |= {"scale": "(x/255 - mean)/std", "mean": [0.0] * 3, "std": [1.0] * 3}
    spec = {"format": "lqf-backbone-graph/1", "name": "kinds", "weights": "kinds.safetensors", "output": "fc"}
    spec |= {"layout": "NCHW, conv weights OIHW, linear [out,in]", "input": image, "classes": CLASSES}
    spec |= {"feature_node": top, "source": {"made": "random weights, by kinds.py"}, "nodes": nodes}
    with open(json_path, "w", encoding="utf-8") as f:
        f.write(json.dumps(spec, indent=1) + "\n")
    arrays = {k: t.float().numpy() for k, t in tensors.items()}
    safetensors_file.save(os.path.join(os.path.dirname(json_path), spec["weights"]), arrays)


def distance_to_kink(net, parameters, x):
    """Per image: the least |pre-activation|, or lead of a maximum over the runner-up of its window, if less. [n]"""
    values = net.values(parameters, x)
    least = []
    for node in net.folded_nodes:
        z = values[node["inputs"][0]]
        if node["op"] == "leaky_relu":
            least.append(z.abs().flatten(1).amin(1))
        if node["op"] == "maxpool2d":
            k, p = node["kernel"], node["padding"]
            z = F.pad(z, (p, p, p, p), value=-torch.inf).unfold(2, k, node["stride"]).unfold(3, k, node["stride"])
            first, second = z.flatten(4).topk(2).values.unbind(-1)
            least.append((first - second).flatten(1).amin(1))
    return torch.stack(least).amin(0)


def draw_images(net, n):
    """The first n random images that lie away from every kink, [n,3,13,11]."""
    images = torch.empty(0, 3, 13, 11)
    while len(images) < n:
        x = normal(64, 3, 13, 11, scale=2.0)
        images = torch.cat([images, x[distance_to_kink(net, net.w0, x) > KINK_MARGIN]])
    return images[:n]
