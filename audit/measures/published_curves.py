"""Where the published curves of Verkhovensky end, beside the README's words and this project's own run."""

from audit.plots.published_figures import plot_endings
from core.stats import Interval
from fixtures.published.verkhovensky import Ending, read_endings
from reports.ledger import Claim
from reports.record import ClaimRecord

NAMES = {"to_centre": "distance to the nearest centre", "to_point": "distance to the nearest training point"}


def published_levels(png: bytes) -> dict[str, tuple[float, Interval]]:
    """Where the published lines end, by the names of V-levels."""
    endings = read_endings(png, "results/final_result.png")
    return {name: (endings[line].value, endings[line].interval) for line, name in NAMES.items()}


def recorded_ends(levels: Claim) -> dict[str, tuple[float, float]]:
    """Where the project's own run ends: the windows recorded with V-levels, by the name of the line."""
    windows = {check.evidence: check.window["synthetic"] for check in levels.checks if "synthetic" in check.window}
    return {line: windows[name] for line, name in NAMES.items()}


def beyond(ending: Ending, window: tuple[float, float]) -> tuple[float, Interval]:
    """How far a line ends outside a window, 0 inside it, with the range that the reading error leaves."""
    low, high = window

    def outside(value: float) -> float:
        return max(low - value, value - high, 0.0)

    ends = [outside(value) for value in (ending.interval.low, ending.interval.high)]
    at_least = 0.0 if ending.interval.low <= high and ending.interval.high >= low else min(ends)
    method = ending.interval.method + ("; all that it leaves lies in the run's window" if max(ends) == 0 else "")
    return outside(ending.value), Interval(at_least, max(ends), method, level=1.0)


def curve_measures(png: bytes, windows: dict[str, tuple[float, float]]) -> dict[str, tuple[float, Interval]]:
    """What V-figure is judged by: how far each published line ends outside the window of the project's own run."""
    endings = read_endings(png, "results/final_result.png")
    return {f"{NAMES[line]}, beyond this project's run": beyond(endings[line], windows[line]) for line in NAMES}


def record_published_curves(evidence: ClaimRecord, png: bytes, levels: Claim) -> None:
    """Both ends as read, what the README says of them, and how far they are from the project's run (V-figure)."""
    windows, endings = recorded_ends(levels), read_endings(png, "results/final_result.png")
    words = dict(zip(NAMES, (float(item["value"]) for item in levels.reported), strict=True))
    figures = [evidence.figure("ends", plot_endings(NAMES, endings, words, windows))]
    for line, name in NAMES.items():
        ending = endings[line]
        note = f"the README says {words[line]:g} of the same figure; its last point is at epoch {ending.epoch:.0f}"
        evidence.add(name, ending.value, interval=ending.interval, kind="published", note=note, figures=figures)
    for name, (value, interval) in curve_measures(png, windows).items():
        evidence.add(name, value, interval=interval, kind="published")
