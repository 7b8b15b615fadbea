"""Trains a ResNet-8 (leaky ReLU 0.1) from scratch on Fashion-MNIST classes 0-4 and writes graph JSON + safetensors,
and the images of classes 5-9 as a small transfer set in IDX files.

    python3 fashion_resnet8.py OUT EPOCHS SECONDS [DATA]      (the shipped network: 468 steps of 128)

DATA is where Debian's package dataset-fashion-mnist (MIT) puts its files. The learning rate follows the slower of the
step count and the clock (SECONDS). Kept as provenance, as it ran (reformatted only).
"""

import gzip
import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "goldens"))
import safetensors_file

torch.set_num_threads(1)
torch.manual_seed(0)
g = np.random.default_rng(0)
SL = 0.1
out = sys.argv[1]
epochs = float(sys.argv[2])
limit = float(sys.argv[3])
D = sys.argv[4] if len(sys.argv) > 4 else "/usr/share/datasets/fashion-mnist/"
rd = lambda f, o: np.frombuffer(gzip.open(os.path.join(D, f)).read(), np.uint8, offset=o)
X = rd("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
Y = rd("train-labels-idx1-ubyte.gz", 8)
XT = rd("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
YT = rd("t10k-labels-idx1-ubyte.gz", 8)
MEAN, STD = 0.2860, 0.3530
norm = lambda a: torch.from_numpy((a.astype(np.float32) / 255 - MEAN) / STD)[:, None]
nodes = []
P = {}


def node(nm, op, i, **k):
    nodes.append(dict(name=nm, op=op, inputs=i, **k))
    return nm


def cb(nm, prev, ci, co, s):
    P[nm + ".weight"] = torch.randn(co, ci, 3, 3) * (2 / (ci * 9)) ** 0.5
    node(
        nm,
        "conv2d",
        [prev],
        in_channels=ci,
        out_channels=co,
        kernel=3,
        stride=s,
        padding=1,
        bias=False,
    )
    b = nm.replace("conv", "bn")
    P[b + ".weight"] = torch.ones(co)
    P[b + ".bias"] = torch.zeros(co)
    P[b + ".running_mean"] = torch.zeros(co)
    P[b + ".running_var"] = torch.ones(co)
    return node(b, "batchnorm2d", [nm], channels=co, eps=1e-5)


prev = node("act0", "leaky_relu", [cb("conv0", "input", 1, 16, 1)], negative_slope=SL)
ci = 16
for k, c in ((1, 16), (2, 32), (3, 64)):
    q = f"stage{k}.block0."
    s = 1 if k == 1 else 2
    x = node(q + "act1", "leaky_relu", [cb(q + "conv1", prev, ci, c, s)], negative_slope=SL)
    y = cb(q + "conv2", x, c, c, 1)
    sc = (
        prev
        if ci == c
        else node(
            q + "shortcut",
            "subsample_pad_channels",
            [prev],
            stride=2,
            pad_before=(c - ci) // 2,
            pad_after=(c - ci) // 2,
        )
    )
    prev = node(q + "act2", "leaky_relu", [node(q + "add", "add", [y, sc])], negative_slope=SL)
    ci = c
feat = prev
node("gap", "global_avgpool", [prev])
node("fc", "linear", ["gap"], in_features=64, out_features=5, bias=True)
P["fc.weight"] = torch.randn(5, 64) * 0.05
P["fc.bias"] = torch.zeros(5)
for k in P:
    if "running" not in k:
        P[k].requires_grad_(True)


def fwd(x, train):
    v = {"input": x}
    for n in nodes:
        i = [v[k] for k in n["inputs"]]
        op, nm = n["op"], n["name"]
        if op == "conv2d":
            y = F.conv2d(i[0], P[nm + ".weight"], None, n["stride"], 1)
        elif op == "batchnorm2d":
            y = F.batch_norm(
                i[0],
                P[nm + ".running_mean"],
                P[nm + ".running_var"],
                P[nm + ".weight"],
                P[nm + ".bias"],
                train,
                0.1,
                1e-5,
            )
        elif op == "leaky_relu":
            y = F.leaky_relu(i[0], SL)
        elif op == "add":
            y = i[0] + i[1]
        elif op == "subsample_pad_channels":
            y = F.pad(i[0][:, :, ::2, ::2], (0, 0, 0, 0, n["pad_before"], n["pad_after"]))
        elif op == "global_avgpool":
            y = i[0].mean((2, 3))
        else:
            y = F.linear(i[0], P[nm + ".weight"], P[nm + ".bias"])
        v[nm] = y
    return y


A = Y < 5
Xa, Ya = X[A], torch.from_numpy(Y[A].astype(np.int64))
xt, yt = norm(XT[YT < 5]), YT[YT < 5]
opt = torch.optim.SGD(
    [p for p in P.values() if p.requires_grad],
    lr=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    nesterov=True,
)
B = 128
steps = int(epochs * len(Xa) / B)
t0 = time.time()
perm = []
it = 0
while it < steps and time.time() - t0 < limit:
    fr = max(it / steps, (time.time() - t0) / limit)
    for q in opt.param_groups:
        q["lr"] = 0.1 * min(1, (it + 1) / 40) * 0.5 * (1 + np.cos(np.pi * fr))
    if len(perm) < B:
        perm = list(g.permutation(len(Xa)))
    idx, perm = perm[:B], perm[B:]
    x = Xa[idx].copy()
    f = g.random(B) < 0.5
    x[f] = x[f, :, ::-1]
    l = F.cross_entropy(fwd(norm(x), True), Ya[idx])
    opt.zero_grad()
    l.backward()
    opt.step()
    it += 1
    if it % 50 == 0:
        print(it, steps, "%.3f %.0fs" % (l.item(), time.time() - t0), flush=True)
with torch.no_grad():
    acc = (
        torch.cat([fwd(xt[b : b + 500], False) for b in range(0, len(xt), 500)]).argmax(1).numpy()
        == yt
    ).mean()
name = "resnet8-fashion5-leaky0.1"
spec = {
    "format": "lqf-backbone-graph/1",
    "name": name,
    "weights": name + ".safetensors",
    "layout": "NCHW, conv weights OIHW, linear [out,in]",
    "output": "fc",
    "input": {
        "channels": 1,
        "height": 28,
        "width": 28,
        "color": "gray",
        "scale": "(x/255 - mean)/std",
        "mean": [MEAN],
        "std": [STD],
    },
    "classes": 5,
    "class_names": ["t-shirt/top", "trouser", "pullover", "dress", "coat"],
    "feature_node": feat,
    "feature_channels": 64,
    "feature_stride": 4,
    "negative_slope": SL,
    "source": {
        "training": "from scratch by fashion_resnet8.py, %d SGD steps of %d" % (it, B),
        "data": "Fashion-MNIST classes 0-4 train (30000), Debian package dataset-fashion-mnist 0.0~git20200523",
        "licence": "data MIT (c) 2017 Zalando SE; weights: our own",
    },
    "test_accuracy_classes_0_4": float(acc),
    "nodes": nodes,
}
spec["parameters"] = int(sum(v.numel() for k, v in P.items() if "running" not in k))
os.makedirs(out, exist_ok=True)
safetensors_file.save(f"{out}/{name}.safetensors", {k: v.detach().numpy() for k, v in P.items()}, {"name": name})
json.dump(spec, open(f"{out}/{name}.json", "w"), indent=1)


def idx(fn, a):
    open(fn, "wb").write(
        bytes([0, 0, 8, a.ndim])
        + b"".join(int(d).to_bytes(4, "big") for d in a.shape)
        + np.ascontiguousarray(a).tobytes()
    )


for s, (x, y, n) in {"train": (X, Y, 40), "test": (XT, YT, 60)}.items():
    j = np.concatenate([np.where(y == c)[0][:n] for c in range(5, 10)])
    j = j[g.permutation(len(j))]
    idx(f"{out}/fashion5to9-{s}-images.idx3-ubyte", x[j])
    idx(f"{out}/fashion5to9-{s}-labels.idx1-ubyte", (y[j] - 5).astype(np.uint8))
print(
    name,
    "params",
    spec["parameters"],
    "acc on classes 0-4 test",
    acc,
    "steps",
    it,
    "%.0fs" % (time.time() - t0),
)
