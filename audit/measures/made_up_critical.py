"""Samples of networks whose critical set size is known, for controls: copies of training faces, and other faces."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from audit.measures.critical_settings import record_near
from audit.measures.made_up import Notebook
from audit.measures.networks import nearest_training
from fixtures.experiments.critical import NetworkSetting
from fixtures.faces.corpus import generate

SIZES = (1, 4, 16)
LOW, MIDDLE, HIGH = (0.9, 0.1, 0.0), (1.0, 0.6, 0.0), (1.0, 1.0, 0.3)  # shares of copies at those sizes
WIDTHS, SIDES = (4, 8, 16), (8, 12, 16)
SAMPLES = 64

Shares = tuple[float, ...]


def copying(shares: Shares) -> np.ndarray:
    """Correlation with the nearest training face, (sizes, samples), of samples of which these shares are copies."""
    faces = generate(SIZES[-1] + SAMPLES, size=12, seed=1).corpus.images
    rows = []
    for n, share in zip(SIZES, shares, strict=True):
        copies = round(share * SAMPLES)
        samples = torch.cat([faces[torch.arange(copies) % n], faces[SIZES[-1] + copies :]])
        rows.append(nearest_training(samples, faces[:n]))
    return np.stack(rows)


def dependence(by_width: Mapping[int, Shares], by_side: Mapping[int, Shares]) -> dict[str, Any]:
    """What the study records of networks that copy with these shares, by width and by image side."""
    groups = {
        "network width": {width: NetworkSetting(width, 1) for width in by_width},
        "image size": {side: NetworkSetting(1, side) for side in by_side},
    }
    shares = {groups["network width"][k]: v for k, v in by_width.items()}
    shares |= {groups["image size"][k]: v for k, v in by_side.items()}
    notebook: Any = Notebook()
    record_near(notebook, groups, SIZES, {setting: copying(v) for setting, v in shares.items()})
    return notebook.found  # type: ignore[no-any-return]
