#!/usr/bin/env bash
# Pillow 13.0.0: a gray uncompressed TIFF that says it is turned (EXIF orientation 5 to 8) and is not square gives other
# pixels when it is opened by name than when the same bytes are opened as a stream.
#
# Pillow turns such a picture while it loads it and swaps width and height for that. Opened by name, the pixels are
# mapped from the file and laid out with the swapped width: rows are cut at the wrong places, and nothing is turned right.
# Opened as a stream the picture is right. Both calls succeed without a word.
#
# Seen with Pillow 13.0.0 on Linux (6 rows of 4, value 10 * row + column, orientation 6: the right picture has 4 rows of 6):
#   by name:   (6, 4) [42, 30, 12, 0] first row, pixels as they should be: False
#   as stream: (4, 6) [50, 40, 30, 20, 10, 0] first row, pixels as they should be: True
#
# What follows: a duplicate search that opens files by name does not recognise a scan and its turned copy. Open a stream.
# Exits with 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

levels = (10 * np.arange(6)[:, None] + np.arange(4)).astype(np.uint8)
right = np.rot90(levels, -1)  # what orientation 6 asks for
tags = Image.Exif()
tags[0x0112] = 6
Image.fromarray(levels).save("turned.tif", exif=tags)

same = {}
for how, source in (("by name", "turned.tif"), ("as stream", io.BytesIO(Path("turned.tif").read_bytes()))):
    with Image.open(source) as picture:
        pixels = np.asarray(picture)
    same[how] = pixels.shape == right.shape and bool((pixels == right).all())
    print(f"{how}: {pixels.shape} {pixels[0].tolist()} first row, pixels as they should be: {same[how]}")
print("Pillow", PIL.__version__)
sys.exit(same != {"by name": False, "as stream": True})
PYTHON
