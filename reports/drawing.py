"""How a figure is kept beside `audit.json`: curves as vectors, images pixel by pixel, the same bytes in every run."""

import base64
import io
import re
from itertools import pairwise
from typing import Any

from PIL import Image

from reports.format import signs

INLINE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
FONT = re.compile(r"font-family: [^;\"]*")
PLACES = re.compile(r' (?:d|x|y|points)="[^"]*"')
UNUSED = re.compile(
    r'<metadata>.*?</metadata>|<!--.*?-->| id="[A-Za-z0-9.]+_\d+"', re.DOTALL
)  # nothing refers to these
LONG = re.compile(r"(\.\d\d)\d+")
MOST = 60_000  # bytes of curves; above, pixels are kept where they are fewer bytes
PIXELS = 90  # dots an inch of these


def drawn(figure: Any) -> tuple[str, bytes]:
    """A matplotlib figure as a file: its suffix and its bytes, SVG or, for clouds of points, PNG.

    Images inside keep one pixel a value: nothing is smoothed between them.
    """
    from matplotlib import rc_context  # half a second that a run without figures need not wait for
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

    for image in figure.findobj(AxesImage):
        image.set_interpolation("none")
    for text in figure.findobj(Text):
        if "$" not in text.get_text():
            text.set_text(signs(text.get_text()))
    label_logarithms(figure)
    vector, raster = io.StringIO(), io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "samenoise"}):  # letters as text, ids by what they name
        figure.savefig(vector, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    curves = compact(vector.getvalue()).encode("utf-8")
    if len(curves) > MOST:
        figure.savefig(raster, format="png", dpi=PIXELS, bbox_inches="tight", metadata={"Software": None})
        pixels = smallest_png(raster.getvalue())
        if len(pixels) < len(curves):
            return ".png", pixels
    return ".svg", curves


def label_logarithms(figure: Any) -> None:
    """Label the powers of ten of every logarithmic axis, and of one that holds fewer than two, some steps between.

    What matplotlib writes beside the smaller ticks runs into itself on a short axis. Of the steps there are as many as
    stand apart. Ticks that were chosen stay.
    """
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, StrMethodFormatter

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if axis.get_scale() != "log" or not isinstance(axis.get_major_locator(), LogLocator):
            continue
        axis.set_minor_formatter(NullFormatter())
        low, high = sorted(axis.get_view_interval())
        if sum(low <= tick <= high for tick in axis.get_majorticklocs()) > 1:
            continue
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for each in ((1, 2, 5), (1, 3), (2,)):
            steps = [step * 10.0**power for power in range(-15, 15) for step in each]
            axis.set_major_locator(FixedLocator([step for step in steps if low <= step <= high]))
            if labels_stand_apart(axis):
                break


def labels_stand_apart(axis: Any) -> bool:
    """Whether no label of an axis of a figure runs into its neighbour's."""
    boxes = [label.get_window_extent() for label in axis.get_majorticklabels() if label.get_text()]
    wider = [box.padded(2) for box in boxes]  # pixels
    return not any(one.overlaps(other) for one, other in pairwise(wider))


def compact(svg: str) -> str:
    """An SVG with its paths to a hundredth of a point, its images as the smallest PNG, nothing that is not seen."""
    svg = UNUSED.sub("", svg)
    svg = FONT.sub("font-family: sans-serif", svg)
    svg = PLACES.sub(lambda found: LONG.sub(r"\1", " " + " ".join(found[0].split())), svg)
    svg = INLINE.sub(lambda found: _inline(smallest_png(base64.b64decode(found[1]))), svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def smallest_png(data: bytes) -> bytes:
    """The same pixels in fewer bytes: gray where all are, a palette where 256 colours suffice, alpha only if used."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
        red, green, blue = (image.getchannel(band).tobytes() for band in "RGB")
        if red == green == blue:
            image = image.convert("L")
        elif image.getcolors(256) is not None:
            palette = image.quantize(256, dither=Image.Dither.NONE)
            image = palette if palette.convert("RGB").tobytes() == image.tobytes() else image
    out = io.BytesIO()
    image.save(out, format="PNG", optimize=True)
    return out.getvalue()


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
