"""Numbers, intervals, names and links as the page shows them."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FEW_COPIES = "at which fewer than half of the samples are copies"
MEASURED = {"smallest N without copies": f"smallest N {FEW_COPIES}"}  # what short names of evidence stand for
COUNTED = {
    "corpus": "corpora",
    "denoiser": "denoisers",
    "face": "faces",
    "face, left out": "faces",
    "generated sample": "generated samples",
    "image": "images",
    "model": "models",
    "network": "networks",
    "noise and image": "noisy images",
    "noise level": "noise levels",
    "noisy point": "noisy points",
    "original": "originals",
    "pair": "pairs",
    "point": "points",
    "sample": "samples",
    "sample, in clusters of one seed": "samples",
    "sample of A": "samples of A",
    "sampling seed": "sampling seeds",
    "seed": "seeds",
    "simulated noisy image": "simulated noisy images",
    "timing": "timings",
    "training set and features": "trainings",
    "training set and weights": "trainings",
}  # what varies -> several of it
GREEK = {"sigma": "σ", "alpha": "α"}


def number(value: Any, interval: Sequence[float] | None = None) -> str:
    """A value as text; where it has an interval, to two significant digits of that interval's half width."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        return _real(value, _decimals(interval) if interval else None)
    if isinstance(value, Mapping):
        return "; ".join(f"{words(key)}: {number(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        shown = [number(item) for item in value[:24]]
        return ", ".join(shown) + (f", … ({len(value)} values, all in audit.json)" if len(value) > 24 else "")
    return str(value)


def unit_of_n(item: Mapping[str, Any]) -> str:
    """What the n of some evidence counts: as recorded, or else what varies where that is one thing; else nothing."""
    if item["n"] is None or item.get("counted"):
        return item.get("counted") or ""
    one = re.split(r"[;(]", item["varies"] or "")[0].strip()
    return "" if one not in COUNTED else one if item["n"] == 1 else COUNTED[one]


def bounds(interval: Sequence[float]) -> str:
    """An interval as text, its ends to the precision that `number` gives the value."""
    decimals = _decimals(interval)
    return f"[{_real(float(interval[0]), decimals)}, {_real(float(interval[1]), decimals)}]"


def pvalue(p: float) -> str:
    """A p-value to two significant digits, or as below 0.0001."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def duration(seconds: float | None) -> str:
    """Seconds in the units that a reader would use."""
    if seconds is None:
        return "not timed"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def day(created: str) -> str:
    """ISO time as `23 November 2026, 06:55 UTC`; what is no ISO time stays as it is."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".strip()


def words(name: Any) -> str:
    """An identifier as words, which say what was measured where its name is shorter than that."""
    text = str(name).replace("_", " ")
    for short, meant in MEASURED.items():
        text = text.replace(short, meant)
    return text


def expected(text: str) -> str:
    """What a check expects, as `audit.json` words it, with its numbers written as the page writes them."""
    text = re.sub(r"(?<![\w.])(\d{4,})(?![\w.])", lambda found: f"{int(found[1]):,}", text)
    text = re.sub(r"\b(\d+)\.0\b", r"\1", text)
    text = re.sub(r"\b\d+\.\d{5,}\b", lambda found: f"{float(found[0]):.4g}", text)
    text = re.sub(r"\b1e-0*(\d+)\b", lambda found: f"10⁻{found[1].translate(SUPERSCRIPTS)}", text)
    return re.sub(r"(?<![\w)])-(?=\d)", "−", text)


def signs(text: str) -> str:
    """Text with the signs of formulas that plain text has: `sigma^2` as a Greek letter and a raised two."""
    return re.sub(r"\^(-?\d+)\b", lambda power: power[1].translate(SUPERSCRIPTS), _greek(text))


def maths(text: Any) -> Markup:
    """Escaped text with the signs of formulas: `sigma^2` as a Greek letter and a raised two, `20 x 20` with a cross."""
    found = _greek(str(escape(text)))
    found = re.sub(r"\b\d+(?: ?x ?\d+)+\b", lambda sizes: sizes[0].replace("x", "×"), found)
    found = re.sub(r"\^\(((?:[^()]|\([^()]*\))*)\)", r"<sup>\1</sup>", found)
    return Markup(re.sub(r"\^(-?\w+)", r"<sup>\1</sup>", found))


def _greek(text: str) -> str:
    return re.sub(r"\b(sigma|alpha)\b", lambda name: GREEK[name[0]], text)


def slug(text: Any) -> str:
    """Text as a fragment that a link can name."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", str(text))


def web(link: Any) -> str | None:
    """The link if a browser may follow it: `https` or `http`, nothing else."""
    return str(link) if re.match(r"https?://", str(link)) else None


def _decimals(interval: Sequence[float]) -> int | None:
    """Decimals at which the half width of the interval keeps two significant digits."""
    half = abs(interval[1] - interval[0]) / 2
    return 1 - math.floor(math.log10(half)) if half > 0 and math.isfinite(half) else None


def _real(value: float, decimals: int | None) -> str:
    """A float at so many decimals; without them to four significant digits, trailing zeros left off."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}".replace("-", "−")
    power = math.floor(math.log10(abs(value)))
    exact = decimals is None
    decimals = max(0, 3 - power) if decimals is None else decimals
    tail = ""
    if (decimals > 7 and power < -4) or (power > 6 and exact) or power > 14:
        text, exponent = f"{value:.{max(0, min(decimals + power, 6))}e}".split("e")
        tail = f" × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    else:
        text = f"{round(value, decimals) + 0.0:,.{max(0, decimals)}f}"  # + 0.0: no minus before nothing
    if exact and "." in text:
        text = text.rstrip("0").rstrip(".")
    return (text + tail).replace("-", "−")
