"""Trains the shipped ResNet-20 (leaky ReLU 0.1, 1x1-convolution shortcuts) on CIFAR-10 from scratch, on one CPU core.

    python3 train_cifar_leaky.py SECONDS [WIDTH]      (the shipped network: WIDTH 16, 7830 steps of 128)

Reads cifar10_train.npz and cifar10_test.npz (x uint8 [n,32,32,3], y uint8 [n]) from the current folder and leaves
the state dict in final.pt. The learning rate follows the clock (warm-up over 10 % of SECONDS, then cosine), so a
second run gives another network of about the same accuracy. Kept as provenance, as it ran (reformatted only).
"""

import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(0)
SL = 0.1
limit = float(sys.argv[1])
W = int(sys.argv[2]) if len(sys.argv) > 2 else 16


class Block(nn.Module):
    def __init__(s, i, o, st):
        super().__init__()
        s.conv1 = nn.Conv2d(i, o, 3, st, 1, bias=False)
        s.bn1 = nn.BatchNorm2d(o)
        s.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        s.bn2 = nn.BatchNorm2d(o)
        s.downsample = (
            nn.Sequential(nn.Conv2d(i, o, 1, st, bias=False), nn.BatchNorm2d(o))
            if st != 1 or i != o
            else None
        )

    def forward(s, x):
        y = F.leaky_relu(s.bn1(s.conv1(x)), SL)
        y = s.bn2(s.conv2(y))
        r = x if s.downsample is None else s.downsample(x)
        return F.leaky_relu(y + r, SL)


class Net(nn.Module):
    def __init__(s, n=3, w=16, C=10):
        super().__init__()
        s.conv1 = nn.Conv2d(3, w, 3, 1, 1, bias=False)
        s.bn1 = nn.BatchNorm2d(w)
        c = w
        ls = []
        for k, (o, st) in enumerate(((w, 1), (2 * w, 2), (4 * w, 2))):
            ls.append(
                nn.Sequential(
                    *[Block(c if j == 0 else o, o, st if j == 0 else 1) for j in range(n)]
                )
            )
            c = o
        s.layer1, s.layer2, s.layer3 = ls
        s.fc = nn.Linear(c, C)
        for m in s.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, a=SL, mode="fan_out")

    def forward(s, x):
        x = F.leaky_relu(s.bn1(s.conv1(x)), SL)
        x = s.layer3(s.layer2(s.layer1(x)))
        return s.fc(x.mean((2, 3)))


MEAN = [0.4914, 0.4822, 0.4465]
STD = [0.2470, 0.2435, 0.2616]
m = torch.tensor(MEAN).view(1, 3, 1, 1)
sd = torch.tensor(STD).view(1, 3, 1, 1)


def norm(x):
    return (torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).float() / 255 - m) / sd


tr = np.load("cifar10_train.npz")
te = np.load("cifar10_test.npz")
X, Y = tr["x"], torch.from_numpy(tr["y"]).long()
XT, YT = norm(te["x"]), te["y"]
print(X.shape, len(YT), flush=True)
net = Net(3, W)
if W <= 16:
    net = net.to(memory_format=torch.channels_last)
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
B = 128
g = np.random.default_rng(0)
perm = []
it = 0
los = 0
t0 = time.time()
LR = 0.2


def test():
    net.eval()
    with torch.no_grad():
        a = (
            sum(
                (net(XT[b : b + 250]).argmax(1).numpy() == YT[b : b + 250]).sum()
                for b in range(0, 10000, 250)
            )
            / 10000
        )
    net.train()
    return a


net.train()
while True:
    p = (time.time() - t0) / limit
    if p >= 1:
        break
    lr = LR * (p / 0.1 if p < 0.1 else 0.5 * (1 + np.cos(np.pi * (p - 0.1) / 0.9)))
    for gr in opt.param_groups:
        gr["lr"] = lr
    if len(perm) < B:
        perm = list(g.permutation(len(X)))
    idx = perm[:B]
    perm = perm[B:]
    x = np.pad(X[idx], ((0, 0), (4, 4), (4, 4), (0, 0)))
    oy, ox = g.integers(0, 9, B), g.integers(0, 9, B)
    x = np.stack([x[j, oy[j] : oy[j] + 32, ox[j] : ox[j] + 32] for j in range(B)])
    f = g.random(B) < 0.5
    x[f] = x[f, :, ::-1]
    l = F.cross_entropy(net(norm(x)), Y[idx])
    opt.zero_grad()
    l.backward()
    opt.step()
    it += 1
    los += l.item()
    if it % 200 == 0:
        print(
            it,
            "epoch %.2f" % (it * B / len(X)),
            "loss %.4f" % (los / 200),
            "lr %.3f" % lr,
            "%.0fs" % (time.time() - t0),
            flush=True,
        )
        los = 0
    if it % 2000 == 0:
        torch.save(net.state_dict(), "ck.pt")
a = test()
print("final acc", a, "steps", it, "epochs", it * B / len(X), "sec", time.time() - t0, flush=True)
torch.save({"sd": net.state_dict(), "acc": a, "it": it}, "final.pt")
