# SPDX-License-Identifier: MIT
"""Reads a QR code that was drawn with half blocks (ISO/IEC 18004; byte mode, one block, no errors): enough for a short text."""
import re

MASKS = [lambda y, x: (y + x) % 2, lambda y, x: y % 2, lambda y, x: x % 3, lambda y, x: (y + x) % 3, lambda y, x: (y // 2 + x // 3) % 2,
         lambda y, x: y * x % 2 + y * x % 3, lambda y, x: (y * x % 2 + y * x % 3) % 2, lambda y, x: ((y + x) % 2 + y * x % 3) % 2]


def modules(text):
    """The square of dark (True) modules in what a terminal was sent; light ones are drawn."""
    rows = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").split("\n"):
        cells = line[4:]
        if len(cells) > 20 and set(cells) <= set(" \u2580\u2584\u2588"):
            rows.append([cell in " \u2584" for cell in cells])
            rows.append([cell in " \u2580" for cell in cells])
    size = len(rows[0]) - 4  # two modules of quiet zone on each side
    assert (size - 17) % 4 == 0 and not any(rows[0]) and not any(rows[1])
    return [row[2:2 + size] for row in rows[2:2 + size]]


def is_data(y, x, size):
    finder = (y < 9 and (x < 9 or x >= size - 8)) or (y >= size - 8 and x < 9)
    alignment = size > 21 and abs(y - (size - 7)) <= 2 and abs(x - (size - 7)) <= 2
    return not finder and not alignment and y != 6 and x != 6


def read(text):
    square = modules(text)
    size = len(square)
    mask = MASKS[sum(square[8][2 + i] << (2 - i) for i in range(3)) ^ 0b101]
    bits, x, up = [], size - 1, True
    while x > 0:
        x -= x == 6
        for y in range(size - 1, -1, -1) if up else range(size):
            bits += [square[y][c] ^ (mask(y, c) == 0) for c in (x, x - 1) if is_data(y, c, size)]
        x, up = x - 2, not up

    def number(at, n):
        return int("".join("01"[bit] for bit in bits[at:at + n]), 2)
    assert number(0, 4) == 4, "byte mode"
    return bytes(number(12 + 8 * i, 8) for i in range(number(4, 8))).decode()
