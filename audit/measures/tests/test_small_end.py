"""Means by person, orders by metric, and people planted where they can be found again or not."""

from pathlib import Path

import numpy as np
import torch

from audit.measures.perception import distances_by_metric, identity_rows
from audit.measures.small_end import by_person, inversion_rows, unknown_people


def known_faces(people: int = 12, each: int = 6) -> tuple[torch.Tensor, np.ndarray]:
    """Faces that are their person's pattern with a little noise, (people x each, 1, 12, 12)."""
    source = torch.Generator().manual_seed(0)
    own = torch.rand(people, 1, 12, 12, generator=source).repeat_interleave(each, 0)
    images = (own + 0.2 * torch.randn(own.shape, generator=source)).clamp(0, 1)
    return images, np.repeat(np.arange(people), each)


def test_means_by_person_count_every_person_alike() -> None:
    values = np.array([[1.0, 5.0, 3.0], [0.0, 2.0, 4.0]])
    np.testing.assert_allclose(by_person(values, np.array([7, 2, 7])), [[5.0, 2.0], [2.0, 2.0]])


def test_a_planted_loss_on_unknown_people_is_found() -> None:
    """Networks that lose a decibel on people they have not seen, two noisy trainings each."""
    rng = np.random.default_rng(0)
    overlap = 20 + rng.normal(0, 0.05, (3, 4, 15))
    found = unknown_people(overlap - 1 + rng.normal(0, 0.05, overlap.shape), overlap)
    assert all(interval.high < -0.8 and abs(value + 1) < 0.1 for value, interval in found.values())


def test_people_are_found_by_every_metric_and_at_chance_under_other_names(tmp_path: Path) -> None:
    images, who = known_faces()
    distances = distances_by_metric(tmp_path, images, {})
    named, _ = identity_rows(distances, who)
    dealt, _ = identity_rows(distances, np.random.default_rng(1).permutation(who))
    assert [row["metric"] for row in named] == ["correlation", "SSIM", "L2"]
    assert all(row["from"] > 0.5 for row in named)
    assert all(row["from"] <= row["by chance"] for row in dealt)


def test_an_order_that_is_correlation_changes_nothing_and_an_unrelated_one_almost_all() -> None:
    images, who = known_faces()
    n = len(images)
    flat = images.flatten(1).double().numpy()
    r = np.corrcoef(flat)
    unrelated = np.random.default_rng(0).random((n, n))
    same, other = inversion_rows({"correlation": 1 - r, "twice": 2 * (1 - r), "drawn": unrelated}, who)
    assert same["share whose nearest changes"] == 0 and same["tau from"] > 0.99
    assert other["from"] > 0.7 and other["tau from"] < 0 < other["tau to"]


def test_the_same_person_is_left_out_where_others_are_asked_for() -> None:
    """Numbers of people as a metric: near oneself it orders as correlation does, among others it says little."""
    images, who = known_faces()
    r = np.corrcoef(images.flatten(1).double().numpy())
    by_number = np.abs(who[:, None] - who).astype(float) + 1e-3 * np.random.default_rng(0).random((len(who), len(who)))
    distances = {"correlation": 1 - r, "number": by_number}
    (near,) = inversion_rows(distances, who)
    (apart,) = inversion_rows(distances, who, "other people", who[:, None] == who)
    assert apart["among"] == "other people" and near["among"] == "all others"
    assert apart["share whose nearest changes"] > near["share whose nearest changes"] - 0.1
    assert abs(apart["Kendall's tau with correlation"]) < 0.3 < near["Kendall's tau with correlation"]
