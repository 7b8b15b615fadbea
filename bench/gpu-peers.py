#!/usr/bin/env python3
"""PyTorch on this GPU, the work of org.lqf.bench.NetworkOnDevice: medians in milliseconds.

    python3 bench/gpu-peers.py FILE.json [fp32|tf32|bf16 ...]

ResNet-18 at 224 px and ResNet-20 at 32 px, batch norm folded, leaky ReLU 0.1, 100 classes, random weights. A tangent goes through the network
by hand, conv(x, delta) + conv(x_dot, w), which is faster than forward-mode AD; the gradient is autograd's. Each row is timed eagerly and as a
CUDA graph, in NCHW and channels-last, cuDNN choosing its algorithms by trying (cudnn.benchmark); the fastest counts.
bf16: parameters and activations are bf16.
"""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

CLASSES = 100
SECONDS = 0.15


def resnet(widths, blocks, stem, pool):
    """Layers in order: (name, in, out, kernel, stride); a block is two of them and perhaps a shortcut."""
    convs, plan = [("stem", 3, widths[0], stem[0], stem[1])], []
    width = widths[0]
    for stage, out in enumerate(widths):
        for block in range(blocks[stage]):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"{stage}.{block}"
            convs.append((name + ".a", width, out, 3, stride))
            convs.append((name + ".b", out, out, 3, 1))
            short = None
            if stride != 1 and pool:
                short = name + ".s"
                convs.append((short, width, out, 1, stride))
            plan.append((name, stride, short, out))
            width = out
    return convs, plan, pool


NETWORKS = {
    "resnet18": (resnet([64, 128, 256, 512], [2, 2, 2, 2], (7, 2), True), 224, [1, 8, 32, 128]),
    "resnet20": (resnet([16, 32, 64], [3, 3, 3], (3, 1), False), 32, [64, 512]),
}


class Network:
    def __init__(self, spec, dtype, layout):
        self.convs, self.plan, self.pool = spec
        self.w, self.b, self.geometry = {}, {}, {}
        last = 0
        for name, cin, cout, k, stride in self.convs:
            w = torch.randn(cout, cin, k, k, device="cuda") * (2 / (cin * k * k)) ** 0.5
            self.w[name] = w.to(dtype).contiguous(memory_format=layout).requires_grad_()
            self.b[name] = torch.zeros(cout, device="cuda", dtype=dtype, requires_grad=True)
            self.geometry[name] = (stride, k // 2)
            last = cout if not name.endswith(".s") else last
        self.w["fc"] = (torch.randn(CLASSES, last, device="cuda") * last**-0.5).to(dtype).requires_grad_()
        self.b["fc"] = torch.zeros(CLASSES, device="cuda", dtype=dtype, requires_grad=True)
        self.parameters = list(self.w.values()) + list(self.b.values())
        self.dw = {k: (torch.randn_like(v) * 1e-3).detach() for k, v in self.w.items()}
        self.db = {k: (torch.randn_like(v) * 1e-3).detach() for k, v in self.b.items()}

    def conv(self, name, x):
        stride, pad = self.geometry[name]
        return F.conv2d(x, self.w[name], self.b[name], stride, pad)

    def conv_dot(self, name, x, x_dot):
        stride, pad = self.geometry[name]
        y_dot = F.conv2d(x, self.dw[name], self.db[name], stride, pad)
        return y_dot if x_dot is None else y_dot + F.conv2d(x_dot, self.w[name], None, stride, pad)

    @staticmethod
    def option_a(x, out):
        x = x[:, :, ::2, ::2]
        return F.pad(x, (0, 0, 0, 0, 0, out - x.shape[1]))

    def forward(self, x):
        x = F.leaky_relu(self.conv("stem", x), 0.1)
        if self.pool:
            x = F.max_pool2d(x, 3, 2, 1)
        for name, stride, short, out in self.plan:
            h = F.leaky_relu(self.conv(name + ".a", x), 0.1)
            h = self.conv(name + ".b", h)
            x = F.leaky_relu(h + (self.conv(short, x) if short else x if stride == 1 else self.option_a(x, out)), 0.1)
        return F.linear(x.mean((2, 3)), self.w["fc"], self.b["fc"])

    def dual(self, x):
        """f(x) and J.delta."""

        def slope(z, z_dot):
            return F.leaky_relu(z, 0.1), torch.where(z > 0, z_dot, 0.1 * z_dot)

        x, d = slope(self.conv("stem", x), self.conv_dot("stem", x, None))
        if self.pool:
            x, at = F.max_pool2d(x, 3, 2, 1, return_indices=True)
            d = d.flatten(2).gather(2, at.flatten(2)).view_as(x).contiguous(memory_format=torch.channels_last
                if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format)
        for name, stride, short, out in self.plan:
            h, hd = slope(self.conv(name + ".a", x), self.conv_dot(name + ".a", x, d))
            h, hd = self.conv(name + ".b", h), self.conv_dot(name + ".b", h, hd)
            if short:
                s, sd = self.conv(short, x), self.conv_dot(short, x, d)
            elif stride == 1:
                s, sd = x, d
            else:
                s, sd = self.option_a(x, out), self.option_a(d, out)
            x, d = slope(h + s, hd + sd)
        x, d = x.mean((2, 3)), d.mean((2, 3))
        return F.linear(x, self.w["fc"], self.b["fc"]), F.linear(x, self.dw["fc"], self.db["fc"]) + F.linear(d, self.w["fc"])


def median(work):
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - before) * 1e3)
    return statistics.median(times)


def graphed(work):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def main():
    out, precisions = sys.argv[1], sys.argv[2:] or ["fp32", "tf32", "bf16"]
    torch.backends.cudnn.benchmark = True
    best = {}
    print("PyTorch", torch.__version__, "cuDNN", torch.backends.cudnn.version(), torch.cuda.get_device_name())
    for precision in precisions:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        for network, (spec, side, batches) in NETWORKS.items():
            for n in batches:
                for layout in (torch.contiguous_format, torch.channels_last):
                    net = Network(spec, dtype, layout)
                    x = torch.randn(n, 3, side, side, device="cuda", dtype=dtype).contiguous(memory_format=layout)
                    u = torch.randn(n, CLASSES, device="cuda", dtype=dtype)

                    @torch.no_grad()
                    def inference():
                        net.forward(x)

                    @torch.no_grad()
                    def jvp():
                        net.dual(x)

                    def vjp():
                        torch.autograd.grad(net.forward(x), net.parameters, u)

                    def step():
                        with torch.enable_grad():
                            y = net.forward(x)
                        with torch.no_grad():
                            residual = (sum(net.dual(x)) - u) / n
                        torch.autograd.grad(y, net.parameters, residual)

                    for verb, work in (("inference", inference), ("jvp", jvp), ("vjp", vjp), ("lqf-step", step)):
                        key = (f"{verb}/{network}/b{n}", precision)
                        for kind in ("eager", "graph"):
                            try:
                                millis = median(work if kind == "eager" else graphed(work))
                            except RuntimeError as e:
                                print(key, kind, "failed:", str(e).splitlines()[0])
                                torch.cuda.synchronize()
                                continue
                            if key not in best or millis < best[key][0]:
                                best[key] = (millis, kind, "nhwc" if layout is torch.channels_last else "nchw")
                for verb in ("inference", "jvp", "vjp", "lqf-step"):
                    key = (f"{verb}/{network}/b{n}", precision)
                    print(f"{key[0]:32s} {precision} {best[key][0]:10.3f} ms {best[key][1]} {best[key][2]}", flush=True)
    with open(out, "w") as f:
        json.dump([{"name": k[0], "precision": k[1], "millis": v[0], "how": v[1] + " " + v[2]} for k, v in best.items()], f, indent=1)


main()
