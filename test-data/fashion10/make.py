#!/usr/bin/env python3
"""Writes train/ and test/ beside this file: the first COUNT images of each Fashion-MNIST class, in file order.

Needs Debian's packages dataset-fashion-mnist (the images) and python3-pil (to write PNG):
    apt-get install -y dataset-fashion-mnist python3-pil
    python3 test-data/fashion10/make.py
Another folder with the four idx.gz files can be given as the only argument.
"""
import gzip
import pathlib
import struct
import sys

from PIL import Image

COUNT = 100  # images per class in train/ and again in test/
# Labels 0 to 9 in the order of the data set's own table.
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]

source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist")
here = pathlib.Path(__file__).resolve().parent


def read_idx(name):
    """Payload and shape of an IDX file: magic 0,0,8 (unsigned byte), rank, then rank big-endian sizes."""
    data = gzip.decompress((source / name).read_bytes())
    rank = data[3]
    return data[4 + 4 * rank :], struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])


for split, prefix in (("train", "train"), ("test", "t10k")):
    pixels, (n, height, width) = read_idx(f"{prefix}-images-idx3-ubyte.gz")
    labels, (m,) = read_idx(f"{prefix}-labels-idx1-ubyte.gz")
    assert n == m and len(pixels) == n * height * width, (n, m, len(pixels))
    written = [0] * len(CLASSES)
    for i in range(n):
        label = labels[i]
        if written[label] == COUNT:
            continue
        written[label] += 1
        folder = here / split / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.frombytes("L", (width, height), pixels[i * height * width : (i + 1) * height * width])
        image.save(folder / f"{written[label]:04d}.png", optimize=True)
    assert written == [COUNT] * len(CLASSES), written
