"""From scores to counts: how many of each set every criterion calls copies, and what each can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.copies.criteria import FALSE_ALARMS, Criterion, Threshold, criteria, sees, threshold
from core.copies.scored import HELD_OUT, PLANTED, SAMPLES, TRAINING, Scored
from core.metrics.replication import flagged_share

ANY = "any"


@dataclass(frozen=True, eq=False)
class Judged:
    """What the criteria say.

    Attributes:
        rows: one a criterion, and last that of any criterion that judges; plain values, as JSON holds them.
        flagged: criterion that judges -> (n,) bool, the samples that it calls copies.
    """

    rows: list[dict[str, Any]]
    flagged: dict[str, np.ndarray]

    @property
    def any(self) -> dict[str, Any]:
        """The row of any criterion that judges."""
        return self.rows[-1]


def judge(scored: Scored, count: int, *, seed: int) -> Judged:
    """Hold every criterion's scores against its threshold.

    Non-copies are the held-out images where there are some, else training images beside those of other groups.
    """
    known, rows, masks = criteria(count), [], {}
    for key, scores in scored.scores.items():
        others = scores.get(HELD_OUT, scores.get(TRAINING))
        assert others is not None
        line = threshold(known[key].published, scores[PLANTED], scored.originals, others, seed=seed)
        if line is None:
            continue
        flagged = {name: values > line.used for name, values in scores.items()}
        rows.append(_row(key, known[key], line, scores, flagged, scored.planted))
        if known[key].judges:
            masks[key] = flagged
    names = list(next(iter(masks.values())))
    together = {name: np.logical_or.reduce([flagged[name] for flagged in masks.values()]) for name in names}
    judging = [known[key].name for key in masks]
    rows.append({"key": ANY, "name": "any of these", "of": judging, **_shares(together, scored.planted)})
    return Judged(rows, {key: flagged[SAMPLES] for key, flagged in masks.items()})


def _row(
    key: str,
    criterion: Criterion,
    line: Threshold,
    scores: Mapping[str, np.ndarray],
    flagged: Mapping[str, np.ndarray],
    planted: Mapping[str, slice],
) -> dict[str, Any]:
    """Everything that is known of one criterion; thresholds are in the figure that people know."""

    def figure(score: float | None) -> float | None:
        return None if score is None else criterion.sign * score + 0.0

    row: dict[str, Any] = {
        "key": key,
        "name": criterion.name,
        "rule": criterion.rule,
        "source": criterion.source,
        "judges": criterion.judges,
        "copies_are": "above" if criterion.sign > 0 else "below",
        "published": figure(line.published),
        "calibrated": figure(line.calibrated),
        "threshold": figure(line.used),
        "published_not_used": line.stricter,
        "one_in_twenty_training_images": figure(float(np.quantile(scores[TRAINING], 0.95)))
        if TRAINING in scores
        else None,
        **_shares(flagged, planted),
    }
    if line.calibrated is not None and line.calibration is not None:
        found, at = line.calibration, line.calibrated
        row |= {
            "false_alarms_of_calibration": FALSE_ALARMS,
            "samples_at_calibrated": _share(scores[SAMPLES] > at),
            "planted_at_calibrated": {kind: _share(scores[PLANTED][part] > at) for kind, part in planted.items()},
            "area": found.area,
            "area_interval": [found.area_interval.low, found.area_interval.high],
        }
    return row


def _shares(flagged: Mapping[str, np.ndarray], planted: Mapping[str, slice]) -> dict[str, Any]:
    by_kind = {kind: flagged[PLANTED][part] for kind, part in planted.items()}
    return {
        **{name: _share(flagged[name]) if name in flagged else None for name in (SAMPLES, TRAINING, HELD_OUT)},
        "planted": {kind: _share(found) for kind, found in by_kind.items()},
        "sees": [kind for kind, found in by_kind.items() if sees(found)],
        "does_not_see": [kind for kind, found in by_kind.items() if not sees(found)],
    }


def _share(flagged: np.ndarray) -> dict[str, Any]:
    value, interval = flagged_share(flagged)
    return {"copies": int(flagged.sum()), "n": len(flagged), "share": value, "low": interval.low, "high": interval.high}
