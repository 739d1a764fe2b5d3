"""Replication criteria on known copiers and known non-copiers, their failure with twins and its correction."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics.known_copies import check_held_out, perturb
from core.metrics.neighbours import Neighbours, nearest, nearest_groups, nearest_l2, twin_groups, without_self
from core.metrics.replication import CARLINI_COUNT, GAP, carlini_ratio, flagged_share, gap_ratio


def _images(n: int, seed: int, size: int = 12) -> torch.Tensor:
    """Smooth images, like faces: neighbours at many distances."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.nn.functional.interpolate(torch.rand(n, 1, 4, 4, generator=g), (size, size), mode="bilinear")
    return (0.9 * coarse + 0.1 * torch.rand(n, 1, size, size, generator=g)).clamp(0, 1)


@pytest.fixture(scope="module")
def train() -> torch.Tensor:
    return _images(300, 0)


@pytest.mark.parametrize("tile", [1, 64, 1000])
def test_l2_equals_brute_force_and_copies_are_at_zero(train: torch.Tensor, tile: int) -> None:
    queries = torch.cat([_images(5, 1), train[17:18]])
    found = nearest_l2(queries, train, 10, tile=tile)
    matrix = torch.cdist(
        queries.reshape(6, -1).double(),
        train.reshape(300, -1).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    expected = matrix.sort(dim=1)
    np.testing.assert_array_equal(found.index, expected.indices[:, :10])
    np.testing.assert_allclose(found.value, expected.values[:, :10], atol=1e-12)
    assert found.value[5, 0] == 0.0 and found.index[5, 0] == 17


def test_criteria_by_hand() -> None:
    near = Neighbours(torch.tensor([[0, 1, 2]]), torch.tensor([[1.0, 4.0, 7.0]], dtype=torch.float64))
    assert gap_ratio(near) == pytest.approx(0.25)
    assert carlini_ratio(near, count=3) == pytest.approx(1 / (0.5 * 4))
    assert carlini_ratio(near, count=2, alpha=0.8) == pytest.approx(1 / (0.8 * 2.5))


def test_copies_are_found_and_strangers_are_not(train: torch.Tensor) -> None:
    copies, held_out = perturb(train[:100], "noise", 0.01, seed=0), _images(100, 5)
    for images, copied in ((copies, True), (held_out, False)):
        near = nearest_l2(images, train, CARLINI_COUNT)
        for flagged in (gap_ratio(near) < GAP, carlini_ratio(near) < 1):
            rate, interval = flagged_share(flagged)
            assert (interval.low > 0.9) if copied else (interval.high < 0.1), rate


def test_a_twin_hides_a_copy_until_twins_are_joined(train: torch.Tensor) -> None:
    """A perfect copier of a set of twins scores zero on the gap ratio as it is, and one in the corrected form."""
    doubled = torch.cat([train, (train + 0.004).clamp(0, 1)])
    copies = perturb(train[:80], "noise", 0.01, seed=1)
    plain = gap_ratio(nearest_l2(copies, doubled, 2)) < GAP
    assert flagged_share(plain)[1].high < 0.05
    groups = twin_groups([(i, i + 300) for i in range(300)], 600)
    joined = nearest_groups(lambda k: nearest_l2(copies, doubled, k), groups, 2)
    assert flagged_share(gap_ratio(joined) < GAP)[1].low > 0.95
    assert (joined.index[:, 0] % 300 == torch.arange(80)).all()


def test_exact_twins_of_a_copied_image_do_not_divide_by_zero(train: torch.Tensor) -> None:
    near = nearest_l2(train[:1], torch.cat([train, train]), 2)
    assert gap_ratio(near) == 1.0 and carlini_ratio(near, count=2) == 2.0


def test_join_counts_each_group_once_and_asks_for_more() -> None:
    asked: list[int] = []
    order = torch.tensor([[0, 1, 2, 3, 4, 5]])

    def search(k: int) -> Neighbours:
        asked.append(k)
        return Neighbours(order[:, :k], order[:, :k].double())

    found = nearest_groups(search, np.array([7, 7, 7, 7, 8, 9]), 3)
    assert found.index.tolist() == [[0, 4, 5]] and asked == [3, 6]
    with pytest.raises(InputError, match="found 3, expected at least k = 4"):
        nearest_groups(search, np.array([7, 7, 7, 7, 8, 9]), 4)


def test_groups_are_connected_components() -> None:
    groups = twin_groups([(0, 1), (1, 4)], 6)
    assert len(set(groups)) == 4 and groups[0] == groups[1] == groups[4]
    assert len(set(twin_groups([], 3))) == 3
    with pytest.raises(InputError, match="expected 0 to 2"):
        twin_groups([(0, 3)], 3)


def test_background_leaves_the_image_itself_out(train: torch.Tensor) -> None:
    found = without_self(nearest(train, train, 6), range(300))
    matrix = torch.corrcoef(train.reshape(300, -1).double()).fill_diagonal_(-2)
    np.testing.assert_array_equal(found.index, matrix.sort(dim=1, descending=True, stable=True).indices[:, :5])
    twins = torch.cat([train[:1]] * 4)  # more twins than neighbours: the image may not be among the first k + 1
    background = without_self(nearest_l2(twins, twins, 2), range(4))
    assert (background.index[:, 0] != torch.arange(4)).all() and background.index.shape == (4, 1)


def test_shares_are_exact() -> None:
    rate, interval = flagged_share(np.zeros(100, dtype=bool))
    assert rate == 0 and interval.low == 0 and interval.high == pytest.approx(1 - 0.025 ** (1 / 100))
    with pytest.raises(InputError, match="expected a vector of bool"):
        flagged_share([0.2, 0.3])


@pytest.mark.parametrize(
    ("value", "message"),
    [([[1.0]], "found 1 of each"), ([[2.0, 1.0]], "ascending"), ([[0.0, float("nan")]], "missing")],
)
def test_bad_neighbours(value: list, message: str) -> None:
    tensor = torch.tensor(value, dtype=torch.float64)
    with pytest.raises(InputError, match=message):
        gap_ratio(Neighbours(torch.zeros_like(tensor, dtype=torch.int64), tensor))


def test_missing_pixels_are_refused(train: torch.Tensor) -> None:
    broken = train[:3].clone()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="queries: found missing"):
        nearest_l2(broken, train, 2)


# --- known copies


@pytest.mark.parametrize(("kind", "amount"), [("noise", 0.02), ("shift", 1), ("crop", 0.1), ("brightness", 0.1)])
def test_perturbed_copies_stay_images_near_their_originals(train: torch.Tensor, kind: str, amount: float) -> None:
    copies = perturb(train[:50], kind, amount, seed=0)  # type: ignore[arg-type]
    assert copies.shape == train[:50].shape and copies.min() >= 0 and copies.max() <= 1
    assert not torch.equal(copies, train[:50])
    assert torch.equal(copies, perturb(train[:50], kind, amount, seed=0))  # type: ignore[arg-type]
    assert (nearest(copies, train, 1).index[:, 0] == torch.arange(50)).float().mean() > 0.9


def test_a_shift_moves_the_picture(train: torch.Tensor) -> None:
    moved = perturb(train[:20], "shift", 2, seed=0)
    inner, shifts = moved[:, :, 2:-2, 2:-2], [(r, c) for r in (-2, 2) for c in (-2, 2)]
    for image, original in zip(inner, train[:20], strict=True):
        assert any(torch.equal(image, original.roll((r, c), (1, 2))[:, 2:-2, 2:-2]) for r, c in shifts)


def test_unknown_perturbation(train: torch.Tensor) -> None:
    with pytest.raises(InputError, match="found 'blur'"):
        perturb(train, "blur", 1, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda x: x * 255, r"images: found values from .* to .*, expected \[0, 1\] as declared"),
        (lambda x: 2 * x - 1, r"expected \[0, 1\] as declared"),
        (lambda x: x * torch.nan, "images: found missing values"),
        (lambda x: x[0], r"expected \(n, c, h, w\)"),
        (lambda x: x[:0], "n >= 1"),
    ],
)
def test_copies_are_made_of_images_in_range(train: torch.Tensor, images: Callable, message: str) -> None:
    with pytest.raises(InputError, match=message):
        perturb(images(train[:4]), "noise", 0.1, seed=0)


def test_distances_between_two_ranges_are_refused(train: torch.Tensor) -> None:
    """Queries in [-1, 1] against a set in [0, 1], or the reverse: every distance would be wrong, none would look it."""
    with pytest.raises(InputError, match=r"queries: found values from -.*, expected \[0, 1\] as declared"):
        nearest_l2(2 * train[:4] - 1, train, 2)
    with pytest.raises(InputError, match=r"train: found values from 0.* to 2"):
        nearest_l2(train[:4], 255 * train, 2)
    with pytest.raises(InputError, match=r"train: .* expected \[0, 0.5\]"):
        nearest(train[:4].clamp(max=0.5), train, 2, value_range=(0.0, 0.5))
    assert nearest_l2(2 * train[:4] - 1, 2 * train - 1, 2, value_range=None).value[0, 0] == 0


def test_held_out_images_must_be_held_out(train: torch.Tensor) -> None:
    check_held_out(_images(20, 9), train)
    with pytest.raises(InputError, match="image 1 is training image 40"):
        check_held_out(torch.cat([_images(1, 9), train[40:41]]), train)
