"""From scores to counts: how many of each set every criterion calls copies, and what each can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.copies.criteria import FALSE_ALARMS, Criterion, Threshold, criteria, sees, threshold
from core.copies.scored import HELD_OUT, PLANTED, SAMPLES, TRAINING, Scored
from core.metrics.replication import flagged_share


@dataclass(frozen=True, eq=False)
class Judged:
    """What the criteria say.

    Attributes:
        rows: one a criterion, plain values as JSON holds them.
        any: the same counts of what any criterion that judges calls a copy.
        flagged: criterion that judges -> (n,) bool, the samples that it calls copies.
    """

    rows: list[dict[str, Any]]
    any: dict[str, Any]
    flagged: dict[str, np.ndarray]


def judge(scored: Scored, count: int, *, seed: int, calibrated: bool = False) -> Judged:
    """Hold every criterion's scores against its threshold.

    That is the published one, unless it calls too many images copies that are none, or `calibrated` asks for the other.
    Non-copies are the held-out images where there are some, else training images beside those of other groups.
    """
    known, rows, masks = criteria(count), [], {}
    for key, scores in scored.scores.items():
        others = scores.get(HELD_OUT, scores.get(TRAINING))
        assert others is not None
        line = threshold(
            known[key].published, scores[PLANTED], scored.originals, others, seed=seed, calibrated=calibrated
        )
        if line is None:
            continue
        flagged = {name: values > line.used for name, values in scores.items()}
        rows.append(_row(key, known[key], line, flagged, scored))
        if known[key].judges:
            masks[key] = flagged
    names = list(next(iter(masks.values())))
    together = {name: np.logical_or.reduce([flagged[name] for flagged in masks.values()]) for name in names}
    judging = [known[key].name for key in masks]
    every = {"name": "any of these", "of": judging, **_shares(together, scored)}
    return Judged(rows, every, {key: flagged[SAMPLES] for key, flagged in masks.items()})


def _row(
    key: str,
    criterion: Criterion,
    line: Threshold,
    flagged: Mapping[str, np.ndarray],
    scored: Scored,
) -> dict[str, Any]:
    """Everything that is known of one criterion; thresholds are in the figure that people know."""

    scores = scored.scores[key]

    def figure(score: float | None) -> float | None:
        return None if score is None else criterion.unit * score + 0.0

    return {
        "key": key,
        "name": criterion.name,
        "rule": criterion.rule,
        "source": criterion.source,
        "judges": criterion.judges,
        "copies_are": "above" if criterion.unit > 0 else "below",
        "published": figure(line.published),
        "calibrated": figure(line.calibrated),
        "threshold": figure(line.used),
        "as_published": line.used == line.published,
        "one_in_twenty_training_images": figure(float(np.quantile(scores[TRAINING], 0.95)))
        if TRAINING in scores
        else None,
        **_shares(flagged, scored),
        **_calibrated(line, scores, scored.planted),
    }


def _calibrated(line: Threshold, scores: Mapping[str, np.ndarray], planted: Mapping[str, slice]) -> dict[str, Any]:
    """What the calibrated threshold finds, and how well the scores tell copies from others at any."""
    found, at = line.calibration, line.calibrated
    if found is None or at is None:
        return {}
    return {
        "false_alarms_of_calibration": FALSE_ALARMS,
        "samples_at_calibrated": _share(scores[SAMPLES] > at),
        "planted_at_calibrated": {kind: _share(scores[PLANTED][part] > at) for kind, part in planted.items()},
        "area": found.area,
        "area_interval": [found.area_interval.low, found.area_interval.high],
    }


def _shares(flagged: Mapping[str, np.ndarray], scored: Scored) -> dict[str, Any]:
    by_kind = {kind: flagged[PLANTED][part] for kind, part in scored.planted.items()}
    every = scored.every_planted
    return {
        **{name: _share(flagged[name]) if name in flagged else None for name in (SAMPLES, TRAINING, HELD_OUT)},
        "planted": {kind: _share(found) for kind, found in by_kind.items()},
        "sees": [kind for kind, found in by_kind.items() if sees(found, every=every)],
        "does_not_see": [kind for kind, found in by_kind.items() if not sees(found, every=every)],
    }


def _share(flagged: np.ndarray) -> dict[str, Any]:
    value, interval = flagged_share(flagged)
    return {"copies": int(flagged.sum()), "n": len(flagged), "share": value, "low": interval.low, "high": interval.high}
