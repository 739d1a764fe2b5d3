"""Pictures of a page: read from beside `audit.json` and from nowhere else, each inside the page once."""

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from reports.format import slug

PNG = b"\x89PNG\r\n\x1a\n"
SVG = (b"<?xml", b"<svg")
PLAIN = " !$'()*+,-./:;=?@_~"  # characters that stay as they are in the address of an SVG: none that HTML reads
WIDTH = re.compile(rb'<svg [^>]*?width="([\d.]+)pt"')
WIDE = 480  # points: whose letters cannot be read at the width of a telephone
TAG = re.compile(r"<[^<>']*>")


class Figures:
    """Pictures as data URIs, as long as they fit.

    Args:
        folder: where `audit.json` lies.
        limit: bytes that the page may have.
        budget: bytes that all pictures together may take of these; all of them, where nothing is said.
    """

    def __init__(self, folder: Path, limit: int, budget: int | None = None) -> None:
        self.folder = folder.resolve()
        self.limit = limit
        self.budget = limit if budget is None else budget
        self.used = 0
        self.shown: dict[str, str] = {}  # by hash of the bytes: the id on the page

    def embed(self, relative: str) -> dict[str, str]:
        """What to show of a picture.

        Returns:
            `uri`, `id` and `look` (`curves`, or `tiles` where pixels must keep their colours), `wide` where a narrow
            screen should scroll it; `again`, the id of the
            same picture further up; or `note`, why it cannot be shown.
        """
        path = (self.folder / relative).resolve()
        if not path.is_relative_to(self.folder):
            return {"note": "is not inside the report's folder and was not read"}
        try:
            data = path.read_bytes()
        except (OSError, ValueError):
            return {"note": "is missing"}
        if not data.startswith((PNG, *SVG)):
            return {"note": "is neither an SVG nor a PNG and is not shown"}
        key = hashlib.sha256(data).hexdigest()
        if key in self.shown:
            return {"again": self.shown[key]}
        uri = as_uri(data)
        if self.used + len(uri) > self.budget:
            return {"note": f"was left out to keep this page below {self.limit // 1_000_000} MB; it lies beside it"}
        self.used += len(uri)
        self.shown[key] = f"figure-{slug(relative)}"
        curves = data.startswith(SVG) and b"<image" not in data
        found = {"uri": uri, "id": self.shown[key], "look": "curves" if curves else "tiles"}
        width = WIDTH.search(data[:1000]) if curves else None
        return {**found, "wide": "yes"} if width and float(width[1]) > WIDE else found


def as_uri(data: bytes) -> str:
    """A PNG in base64, an SVG with its own letters, which is shorter."""
    if data.startswith(PNG):
        return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    text = TAG.sub(lambda tag: tag[0].replace('"', "'"), data.decode("utf-8", errors="replace"))
    return Markup("data:image/svg+xml," + quote(text.replace("\n", " "), safe=PLAIN))
