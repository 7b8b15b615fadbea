"""Golden outputs in float64 of real networks on random images.

    python3 check_backbones.py                 networks that ship in test-data → networks.safetensors (images, f0)
    python3 check_backbones.py SHARED          those in SHARED/backbones, not ours to ship → shared-backbones.json

Images come from a generator that any language repeats exactly, so the second file holds outputs only. As everywhere in
this folder the networks are folded in double, then their parameters rounded to float32, then run in float64.
"""
import glob
import json
import os
import sys

import numpy as np
import torch

import safetensors_file
from backbone import Backbone

HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = {
    "resnet20-leaky0.1-own": "../resnet20-leaky0.1-own/resnet20-leaky0.1-own.json",
    "resnet8-fashion5-leaky0.1": "../tiny/resnet8-fashion5-leaky0.1.json",
}
SEED = 2012


def random_images(seed, *shape):
    """Uniform in [-2, 2), exact in float32, already normalised; filled in the order of a row-major [n,c,h,w].

    Knuth's MMIX generator on unsigned 64 bits: state ← 6364136223846793005·state + 1442695040888963407, first state =
    seed; each value is (the new state's upper 24 bits) / 2²⁴ · 4 − 2.
    """
    state, values = seed, np.empty(int(np.prod(shape)))
    for i in range(values.size):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        values[i] = (state >> 40) / 2**24 * 4 - 2
    return torch.from_numpy(values.reshape(shape))


def write_shipped():
    out = {}
    for name, json_path in SHIPPED.items():
        net = Backbone(os.path.join(HERE, json_path))
        x = random_images(SEED, 4, *(net.input[k] for k in ("channels", "height", "width")))
        out[name + ".images"] = x.float().numpy()
        out[name + ".f0"] = net.f(net.w0, x).numpy()
        print(name, net.w0.numel(), "parameters", out[name + ".f0"][0])
    safetensors_file.save(os.path.join(HERE, "networks.safetensors"), out, {"seed": SEED})


def write_shared(folder):
    out = {}
    for json_path in sorted(glob.glob(os.path.join(folder, "backbones", "*.json"))):
        net = Backbone(json_path)
        side = min(net.input["height"], 64)  # the larger networks take any size
        logits = net.f(net.w0, random_images(SEED, 1, net.input["channels"], side, side))[0]
        name = os.path.basename(json_path)[: -len(".json")]
        out[name] = {"inputSize": side, "seed": SEED, "parameters": net.w0.numel()}
        out[name]["logits"] = [float(f"{value:.10g}") for value in logits]
        print(name, net.w0.numel(), "parameters", out[name]["logits"][:5])
    lines = [f'  "{name}": {json.dumps(facts)}' for name, facts in out.items()]
    with open(os.path.join(HERE, "shared-backbones.json"), "w", encoding="utf-8") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write_shared(sys.argv[1]) if len(sys.argv) > 1 else write_shipped()
