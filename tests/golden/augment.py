#!/usr/bin/python3
"""Independent reference for the random numbers of augmentation: Philox4x32-10 from its paper, in plain integers.

Run as  python3 augment.py  in this folder: writes augment.txt, one image a line:
    seed epoch image view shift affine  dx dy flip_h angle shear scale brightness contrast cut_x cut_y flip_v
drawn for images of 28 rows and 20 columns with rotate 0.35, shear 0.25, scale 0.8..1.2 (or all off where affine is 0),
brightness 0.2, contrast 0.4, both flips on.
"""
from numpy import float32 as f32

MASK = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def words(seed, epoch, tagged):
    block = 0
    while True:
        yield from philox([block, epoch, tagged & MASK, tagged >> 32], [seed & MASK, seed >> 32])
        block += 1


def draw(seed, epoch, image, view, shift, affine):
    w = words(seed, epoch, image | (view + 1) << 56)

    def unit():
        return f32(next(w) >> 8) * f32(2.0**-24)

    def uniform(low, high):
        return f32(low) + (f32(high) - f32(low)) * unit()

    def below(n):
        return (next(w) * n) >> 32

    move = [uniform(-shift, shift) if affine else f32(below(2 * shift + 1) - shift) for _ in range(2)]
    rotate, shear, low, high = (0.35, 0.25, 0.8, 1.2) if affine else (0, 0, 1, 1)
    flip = below(2)
    rest = [uniform(-rotate, rotate), uniform(-shear, shear), uniform(low, high), uniform(-0.2, 0.2),
            uniform(f32(1) - f32(0.4), f32(1) + f32(0.4))]
    return move + [flip] + rest + [below(20), below(28), below(2)]


with open("augment.txt", "w") as out:
    for seed, epoch, image, view, shift, affine in [
            (0, 0, 0, 0, 2, 0), (0, 0, 1, 0, 2, 0), (0, 1, 0, 0, 2, 0), (1, 0, 0, 0, 4, 0), (0, 0, 0, 1, 3, 1),
            (2**63 + 5, 2**31 + 3, 2**40 + 7, 1, 8, 1), (123456789, 17, 59999, 0, 0, 1), (7, 4000000000, 12, 254, 5, 0)]:
        values = draw(seed, epoch, image, view, shift, affine)
        print(seed, epoch, image, view, shift, affine, *(f"{float(v):.9g}" for v in values), file=out)
