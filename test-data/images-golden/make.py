#!/usr/bin/env python3
"""Draws small pictures in many file formats and records what Pillow makes of them.

    apt-get install -y python3-pil python3-numpy && python3 test-data/images-golden/make.py

    source/NAME                       the files, drawn here
    decoded/NAME.ppm                  ImageOps.exif_transpose(Image.open(NAME)).convert("RGB")
    prepared/NAME-CxHxW.pnm           the same in C channels, resized and cropped to H x W (see prepare)

The recorded files come from Pillow 9.4.0 with libjpeg-turbo 2.1.5 (Debian 12).
"""
import io
import pathlib
import shutil
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE / "source"


def picture(width, height, seed):
    """Gradients, a few shapes and noise, so that every filter and every colour conversion shows: [h, w, 4]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    ramps = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height), 255 - x * y * 255 // (width * height)]
    image = Image.fromarray(np.stack(ramps, -1).astype(np.uint8), "RGBA")
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        a, b = rng.integers(0, width, 2), rng.integers(0, height, 2)
        draw.rectangle([a.min(), b.min(), a.max(), b.max()], fill=tuple(int(v) for v in rng.integers(0, 256, 4)))
    noise = rng.integers(-20, 21, (height, width, 4))
    return np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8)


# --- files that Pillow does not write -------------------------------------------------------------------------------


def png(samples, bits, colour_type, palette=None, alpha=None, interlaced=False, exif=None):
    """samples: [h, w, bands] integers below 2**bits; rows are stored unfiltered."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def rows(part):
        out = b""
        for row in part.reshape(part.shape[0], -1):
            if bits == 16:
                out += b"\0" + row.astype(">u2").tobytes()
            elif bits == 8:
                out += b"\0" + row.astype(np.uint8).tobytes()
            else:
                binary = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
                out += b"\0" + np.packbits(binary.astype(np.uint8).reshape(-1)).tobytes()
        return out

    height, width = samples.shape[:2]
    if interlaced:  # Adam7: first row, first column, row step, column step
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        parts = [samples[a::c, b::d] for a, b, c, d in passes]
        data = b"".join(rows(part) for part in parts if part.size)
    else:
        data = rows(samples)
    out = b"\x89PNG\r\n\x1a\n"
    out += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced)))
    out += chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tEXt", b"Comment\0drawn")
    if palette is not None:
        out += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if alpha is not None:
        out += chunk(b"tRNS", alpha)
    if exif is not None:
        out += chunk(b"eXIf", exif)
    return out + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def bmp(width, height, bits, rows, palette=b"", masks=b"", os2=False):
    """rows: bytes of each stored row, unpadded; a negative height means top-down."""
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    if os2:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 3 if masks else 0, len(body), 0, 0, 0, 0)
    at = 14 + len(header) + len(masks) + len(palette)
    return struct.pack("<2sIHHI", b"BM", at + len(body), 0, 0, at) + header + masks + palette + body


def exif(orientation, order):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return bytearray(out.getvalue())


def without(file, marker):
    """A JPEG without its (only) segment of that marker, all before the first scan."""
    at = 2
    while file[at + 1] != marker:
        at += 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return file[:at] + file[at + 2 + int.from_bytes(file[at + 2 : at + 4], "big") :]


def inserted(file, marker, data):
    """A JPEG with one more segment, behind the first two bytes."""
    return file[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + file[2:]


def with_ids(file, ids):
    """A JPEG whose components are numbered so, in frame and scan."""
    file = bytearray(file)
    frame = file.index(b"\xff\xc0")
    scan = file.index(b"\xff\xda")
    for i, number in enumerate(ids):
        file[frame + 10 + 3 * i] = number
        file[scan + 5 + 2 * i] = number
    return file


# --- sources --------------------------------------------------------------------------------------------------------

for folder in ("source", "decoded", "prepared"):
    shutil.rmtree(HERE / folder, ignore_errors=True)
    (HERE / folder).mkdir()


def store(name, data):
    (SOURCE / name).write_bytes(data)


rgba = picture(37, 29, 1)
rgb = Image.fromarray(rgba[..., :3])
grey = Image.fromarray(rgba[..., 0])

rgb.save(SOURCE / "rgb.png")
grey.save(SOURCE / "grey.png")
Image.fromarray(rgba).save(SOURCE / "rgba.png")
Image.fromarray(rgba[..., [0, 3]].copy(), "LA").save(SOURCE / "grey-alpha.png")
Image.fromarray(picture(13, 71, 2)[..., :3]).save(SOURCE / "tall.png")
Image.fromarray(picture(101, 16, 3)[..., :3]).save(SOURCE / "wide.png")
Image.fromarray(picture(150, 113, 4)[..., :3]).save(SOURCE / "large.png")
Image.fromarray(picture(1, 1, 5)[..., :3]).save(SOURCE / "one.png")
deep = rgba.astype(int) * 256 + rgba[::-1].astype(int)
store("rgb16.png", png(deep[..., :3], 16, 2))
store("rgba16.png", png(deep, 16, 6))
store("grey16.png", png(deep[..., :1], 16, 0))
store("grey-alpha16.png", png(deep[..., [0, 3]], 16, 4))
store("rgb-transparent.png", png(rgba[..., :3], 8, 2, alpha=struct.pack(">HHH", *(int(v) for v in rgba[3, 4, :3]))))
store("rgb-interlaced.png", png(rgba[..., :3], 8, 2, interlaced=True))
store("rgb-exif6.png", png(rgba[..., :3], 8, 2, exif=exif(6, "<")))
for bits in (1, 2, 4, 8):
    index = rgba[..., :1].astype(int) >> (8 - bits)
    table = np.random.default_rng(bits).integers(0, 256, (2**bits, 3))
    store(f"palette{bits}.png", png(index, bits, 3, table, alpha=bytes(range(0, 2**bits))))
    store(f"palette{bits}-interlaced.png", png(index, bits, 3, table, interlaced=True))
    if bits < 8:
        store(f"grey{bits}.png", png(index, bits, 0))

for mode, name in ((0, "444"), (1, "422"), (2, "420")):
    store(f"rgb-{name}.jpg", jpeg(rgb, quality=90, subsampling=mode))
    store(f"rgb-{name}-progressive.jpg", jpeg(rgb, quality=75, subsampling=mode, progressive=True))
store("rgb-coarse.jpg", jpeg(rgb, quality=10))
store("large.jpg", jpeg(Image.open(SOURCE / "large.png"), quality=85))
store("one.jpg", jpeg(Image.open(SOURCE / "one.png")))
store("grey.jpg", jpeg(grey, quality=90))
ycc = jpeg(rgb, quality=95, subsampling=0)
bare = without(ycc, 0xE0)
adobe = b"Adobe\0d\0\0\0\0"
store("ids-123.jpg", bare)
store("ids-012.jpg", with_ids(bare, (0, 1, 2)))
store("ids-rgb.jpg", with_ids(bare, b"RGB"))
store("adobe-rgb.jpg", inserted(bare, 0xEE, adobe + b"\0"))
store("adobe-ycc.jpg", inserted(bare, 0xEE, adobe + b"\1"))
store("jfif-adobe-rgb.jpg", inserted(ycc, 0xEE, adobe + b"\0"))
store("broken-profile.jpg", inserted(ycc, 0xE2, b"ICC_PROFILE\0\1\1" + bytes(range(200))))
ink = jpeg(Image.fromarray(rgba, "CMYK"), quality=95)
store("cmyk.jpg", ink)
store("cmyk-bare.jpg", without(ink, 0xEE))
store("ycck.jpg", ink.replace(adobe + b"\0", adobe + b"\2"))
for orientation in range(1, 9):
    mark = b"Exif\0\0" + exif(orientation, "<>"[orientation % 2])
    store(f"exif{orientation}.jpg", inserted(jpeg(rgb, quality=60), 0xE1, mark))

quantised = rgb.quantize(31)
quantised.save(SOURCE / "palette.gif")
quantised.save(SOURCE / "interlaced.gif", interlace=1)
quantised.save(SOURCE / "transparent.gif", transparency=7)
quantised.save(SOURCE / "two-frames.gif", save_all=True, append_images=[quantised.transpose(Image.FLIP_LEFT_RIGHT)])
grey.save(SOURCE / "grey.gif")
noise = Image.fromarray(np.random.default_rng(6).integers(0, 256, (90, 90), dtype=np.uint8))
noise.save(SOURCE / "full-table.gif")  # more than 4096 codes
for name in ("palette", "transparent"):  # a frame that leaves a part of the screen free
    gif = bytearray((SOURCE / f"{name}.gif").read_bytes())
    gif[6:10] = struct.pack("<HH", 45, 40)
    frame = gif.index(b"\x2c\0\0\0\0" + struct.pack("<HH", 37, 29))
    gif[frame + 1 : frame + 5] = struct.pack("<HH", 5, 7)
    store(f"{name}-offset.gif", gif)

rgb.save(SOURCE / "rgb.bmp")
grey.save(SOURCE / "grey.bmp")
grey.convert("1").save(SOURCE / "bits1.bmp")
quantised.save(SOURCE / "palette.bmp")
bgr = rgba[..., 2::-1]
store("top-down.bmp", bmp(37, -29, 24, [row.tobytes() for row in bgr]))
store("os2.bmp", bmp(37, 29, 24, [row.tobytes() for row in bgr[::-1]], os2=True))
store("rgb32.bmp", bmp(37, 29, 32, [row.tobytes() for row in rgba[::-1, :, [2, 1, 0, 3]]]))
wide_rgb = rgba[::-1].astype(np.uint16)
r, g, b = wide_rgb[..., 0], wide_rgb[..., 1], wide_rgb[..., 2]
store("rgb555.bmp", bmp(37, 29, 16, [row.tobytes() for row in (r >> 3) << 10 | (g >> 3) << 5 | b >> 3]))
rows565 = [row.tobytes() for row in (r >> 3) << 11 | (g >> 2) << 5 | b >> 3]
store("rgb565.bmp", bmp(37, 29, 16, rows565, masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F)))
nibbles = [bytes(int(p) << 4 | int(q) for p, q in zip(row[0::2], np.append(row[1::2], 0))) for row in rgba[::-1, :, 0] >> 4]
store("palette4.bmp", bmp(37, 29, 4, nibbles, palette=np.random.default_rng(7).integers(0, 256, 64, dtype=np.uint8).tobytes()))


# --- what Pillow makes of them --------------------------------------------------------------------------------------


def decode(name):
    image = Image.open(SOURCE / name)
    if name == "grey16.png":  # Pillow would clip at 255, which leaves a white picture; lqf keeps the upper byte
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return ImageOps.exif_transpose(image).convert("RGB")


def prepare(image, height, width):
    """Resized until it just covers height x width, then the centre."""
    w, h = image.size
    ratio = max(width / w, height / h)
    image = image.resize((max(width, round(w * ratio)), max(height, round(h * ratio))), Image.BILINEAR)
    left, top = (image.size[0] - width) // 2, (image.size[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


for path in sorted(SOURCE.iterdir()):
    decode(path.name).save(HERE / "decoded" / (path.name + ".ppm"))

SIZES = [(8, 8), (28, 28), (29, 37), (32, 32), (33, 20), (20, 47), (64, 64), (1, 1)]
for name in ("rgb.png", "tall.png", "wide.png", "large.png", "one.png", "rgb-420.jpg", "large.jpg", "exif6.jpg"):
    for height, width in SIZES:
        for mode, channels in (("RGB", 3), ("L", 1)):
            if channels == 1 and (height, width) not in ((28, 28), (20, 47)):
                continue
            out = prepare(decode(name).convert(mode), height, width)
            out.save(HERE / "prepared" / f"{name}-{channels}x{height}x{width}.pnm")
