"""What a change of brightness does to the correlation of an image with itself (Topeza 2025, section 5.4)."""

from collections.abc import Callable

import torch
from torch import Tensor

from audit.measures.rules import COPY_CORRELATION
from audit.plots.published_figures import plot_falls
from core.metrics.correlation import correlation
from core.stats import Interval, bootstrap_mean
from reports.record import ClaimRecord

Similarity = Callable[[Tensor, Tensor], Tensor]
FALL = "largest fall of correlation under an affine change without clipping"
GAINS, SHIFTS = (0.25, 0.8, 1.25, 4.0), (-0.5, -0.2, 0.1, 0.3, 1.0)  # changes of contrast and of brightness
CLIPPED = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # brightness added before values are cut at 1


def largest_fall(images: Tensor, similarity: Similarity = correlation) -> float:
    """One minus the smallest similarity of an image (n, c, h, w) to itself after gain and shift, unclipped."""
    x = images.double()
    return max(float((1 - similarity(x, gain * x + shift)).max()) for gain in GAINS for shift in SHIFTS)


def clipped_correlation(images: Tensor, shift: float) -> Tensor:
    """Correlation (n,) of images in [0, 1] with themselves after a shift, cut at 0 and 1 and rounded to 8 bits."""
    x = images.double()
    return correlation(x, ((x + shift).clamp(0, 1) * 255).round() / 255)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Normalised product of images whose mean was not removed: (n, ...), (n, ...) -> (n,)."""
    return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))


def record_brightness(evidence: ClaimRecord, images: Tensor) -> None:
    """The fall without clipping, which is judged, and beside it what clipping and a missing mean removal do."""
    means: list[tuple[float, Interval]] = []
    for shift in CLIPPED:
        values = clipped_correlation(images, shift).numpy()
        means.append((float(values.mean()), bootstrap_mean(values, seed=0, over="images")))
    x = images.double()
    falls = {
        "values clipped at 1": [mean for mean, _ in means],
        "nothing clipped": [float(correlation(x, x + shift).mean()) for shift in CLIPPED],
        "nothing clipped, mean not removed": [float(cosine(x, x + shift).mean()) for shift in CLIPPED],
    }
    figures = [evidence.figure("falls", plot_falls(CLIPPED, falls, COPY_CORRELATION))]
    n = len(images)
    evidence.add(FALL, largest_fall(images), kind="property", n=n, unit="correlation", figures=figures)
    for shift, (mean, interval) in zip(CLIPPED, means, strict=True):
        name = f"correlation after {shift:g} is added and values are clipped"
        evidence.add(name, mean, interval=interval, kind="property", n=n, varies="image", unit="correlation")
