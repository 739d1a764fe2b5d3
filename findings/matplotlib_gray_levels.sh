#!/usr/bin/env bash
# matplotlib 3.11.2: an 8-bit gray image shown or saved with cmap="gray", vmin=0, vmax=255 does not keep its levels: 24 of
# the 256 come back one level darker, and two levels that were different become equal.
#
# The gray map has 256 colours k / 255 and level k is given colour k, so that nothing would have to change. The colours are
# stored as floating-point numbers and turned to 8 bits by cutting off, not by rounding: those whose product with 255 comes
# out a little below k lose a level. The same image saved by Pillow keeps all of them.
#
# Seen with matplotlib 3.11.2, numpy 2.4.6 and Pillow 12.3.0 on Linux:
#   imsave: 24 of 256 levels differ, all by one: 33 37 41 45 49 53 57 61 66 74 82 90 98 106 114 122 132 148 164 180 196 212 228 244
#   imshow: 24 of 256 levels differ, all by one: the same
#   Pillow: 0 of 256 levels differ
#
# What follows: tiles of samples that were drawn by a notebook with imshow cannot be compared level by level with the images
# they show; a correlation of 1 and equality of pixels part. Save tiles with Pillow, or allow for one level.
# Exits with 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet matplotlib==3.11.2 numpy==2.4.6 pillow==12.3.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
gray = {"cmap": "gray", "vmin": 0, "vmax": 255}


def gray_of_png(stream: io.BytesIO) -> np.ndarray:
    with Image.open(stream) as picture:
        return np.asarray(picture.convert("RGB"))[..., 0]


saved, by_pillow = io.BytesIO(), io.BytesIO()
plt.imsave(saved, levels, format="png", **gray)
Image.fromarray(levels).save(by_pillow, "png")
figure = plt.figure(figsize=(0.16, 0.16), dpi=100)  # one pixel a level
axes = figure.add_axes((0, 0, 1, 1))
axes.axis("off")
axes.imshow(levels, interpolation="none", **gray)
figure.canvas.draw()
shown = np.asarray(figure.canvas.buffer_rgba())[..., 0]

found = {}
for name, pixels in (("imsave", gray_of_png(saved)), ("imshow", shown), ("Pillow", gray_of_png(by_pillow))):
    difference = pixels.astype(int) - levels
    found[name] = (int((difference != 0).sum()), sorted(set(difference.ravel().tolist())))
    print(f"{name}: {found[name][0]} of 256 levels differ, by {found[name][1]}:", *levels[difference != 0])
print("matplotlib", matplotlib.__version__)
sys.exit(found != {"imsave": (24, [-1, 0]), "imshow": (24, [-1, 0]), "Pillow": (0, [0])})
PYTHON
