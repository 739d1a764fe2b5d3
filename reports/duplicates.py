"""The closest pairs as pictures, in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from core.dedup.confirmed import Names, Seen, bands_above, told
from core.dedup.pairs import Pairs

SHOWN = 24  # pairs in each list
EACH = 8  # pairs of a band on either side of the second look's threshold, those nearest to it
MEANS = (
    "Confirmed means one photograph, encoded, lit, cut or turned anew. Shots of one person a moment apart before one "
    "background can pass as well, most of all where pictures are small: look at the pairs nearest to the threshold."
)
_SIDE = 96  # pixels of a picture on the page

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Near-duplicates</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}}
ul{{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:1.2rem;list-style:none;padding:0}}
img{{width:96px;height:96px;object-fit:contain;image-rendering:pixelated;background:#eee;margin-right:4px}}
li{{overflow-wrap:anywhere;font-size:.85rem}} b{{font-variant-numeric:tabular-nums}}
@media (prefers-color-scheme:dark){{body{{color:#ddd;background:#181818}} img{{background:#333}}}}
</style></head><body>
<h1>Near-duplicates</h1><p>{summary}</p>
{sections}
</body></html>
"""


def png(image: np.ndarray) -> str:
    """Data URI of a (c, h, w) image: values in [0, 1] and 8-bit ones as they are, any others stretched."""
    pixels = image.astype(np.float64)
    if image.dtype != np.uint8:
        low, high = (0.0, 1.0) if pixels.min() >= 0 and pixels.max() <= 1 else (pixels.min(), pixels.max())
        pixels = (pixels - low) / ((high - low) or 1.0) * 255
    bits = np.round(pixels).astype(np.uint8)
    picture = Image.fromarray(bits.transpose(1, 2, 0)) if len(bits) == 3 else Image.fromarray(bits[0])
    if max(picture.size) > 2 * _SIDE:
        picture.thumbnail((2 * _SIDE, 2 * _SIDE))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def duplicates_page(
    pairs: Pairs,
    names: Names,
    picture: tuple[Callable[[int], np.ndarray], Callable[[int], np.ndarray]],
    summary: str,
    seen: Seen | None = None,
) -> str:
    """The page: pairs of the highest correlation, those nearest to the threshold, and full-size ones by band.

    Args:
        pairs: of one set, or across two.
        names: of the images that i and j count.
        picture: number -> (c, h, w) image, for i and for j.
        summary: one sentence of plain text.
        seen: a second look at the pairs of the rule, where there was one.
    """

    def item(p: int) -> str:
        i, j = int(pairs.i[p]), int(pairs.j[p])
        pictures = "".join(f'<img alt="" src="{png(get(k))}">' for get, k in zip(picture, (i, j), strict=True))
        caption = f"{html.escape(str(names[0][i]))} &middot; {html.escape(str(names[1][j]))}"
        return f"<li>{pictures}<br><b>{pairs.correlation[p]:+.6f}</b><br>{caption}</li>"

    strength = np.abs(pairs.correlation)
    closest = np.argsort(-strength, kind="stable")[:SHOWN]
    weakest = [p for p in np.argsort(strength, kind="stable")[:SHOWN] if p not in set(closest.tolist())]
    sections = ""
    for title, chosen in (("The closest pairs", closest), ("The pairs nearest to the threshold", weakest)):
        if len(chosen):
            sections += f"<h2>{title}</h2><ul>{''.join(item(int(p)) for p in chosen)}</ul>\n"
    sections += _bands(seen, names) if seen is not None and len(seen.look.index) else ""
    return _PAGE.format(summary=html.escape(summary), sections=sections or "<p>No pair is above the threshold.</p>")


def _bands(seen: Seen, names: Names) -> str:
    """What the second look says, and pictures of each band."""
    lines = "<br>".join(html.escape(line) for line in told(seen.look.counts(seen.pairs)))
    text = f"<h2>The second look, at full size and in colour</h2><p>{lines}<br>{MEANS}</p>\n"
    return text + band_pictures(seen, names)


def band_pictures(seen: Seen, names: Names) -> str:
    """HTML: of each band of correlation the pairs nearest to the second look's threshold, at full size, by kind.

    Args:
        seen: the second look and what reads the pictures; without these the HTML is empty.
        names: of the images that i and j of its pairs count.
    """
    if seen.pictures is None:
        return ""
    text = ""
    for low, high in reversed(bands_above(seen.pairs.threshold)):
        for word, confirmed in (("confirmed", True), ("not confirmed", False)):
            nearest, count = seen.nearest((low, high), confirmed, EACH)
            if not count:
                continue
            items = []
            for q in nearest.tolist():
                p = int(seen.look.index[q])
                ends = (int(seen.pairs.i[p]), int(seen.pairs.j[p]))
                shown = "".join(f'<img alt="" src="{png(get(k))}">' for get, k in zip(seen.pictures, ends, strict=True))
                called = " &middot; ".join(html.escape(str(own[k])) for own, k in zip(names, ends, strict=True))
                value = f"{seen.pairs.correlation[p]:+.4f}, second look {seen.look.value[q]:.3f}"
                items.append(f"<li>{shown}<br><b>{value}</b><br>{called}</li>")
            title = f"{low:g} to {high:g}: {word} ({count:,} pairs)"
            text += f'<h3>{title}</h3><ul class="pairs">{"".join(items)}</ul>\n'
    return text
