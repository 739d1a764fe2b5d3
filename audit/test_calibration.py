"""Controls of the calibration: a criterion that cannot see copies must not seem to."""

import numpy as np
import pytest
import torch
from torch import Tensor

from audit.measures.calibration import DISTINCT, PUBLISHED, TWINS, calibrate_criteria, scores
from audit.measures.replication import replication_rows
from core.errors import InputError
from core.metrics.calibration import calibrate
from core.metrics.known_copies import perturb
from fixtures.experiments.desk import Cell, Desk

COPIES, OTHERS = 64, 300


@pytest.fixture(scope="module")
def faces(desk: Desk) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, a training set of other images, and images held out from both."""
    halves = [desk.images(Cell("random", desk.sizes[-2], group)) for group in "AB"]
    return halves[0], halves[1], desk.held_out.images[:OTHERS]


@pytest.mark.control("B-memorised-fraction", "positive")
def test_every_criterion_finds_nearly_exact_copies(faces: tuple[Tensor, Tensor, Tensor]) -> None:
    train, _, others = faces
    copies = scores(perturb(train[:COPIES], "noise", 0.01, seed=0), train, None)
    for criterion, miss in scores(others, train, None).items():
        assert calibrate(copies[criterion], miss, seed=0).detected_interval.low > 0.9, criterion


@pytest.mark.control("B-memorised-fraction", "negative")
@pytest.mark.parametrize("defect", ["another training set", "a random score"])
def test_a_broken_criterion_finds_copies_no_more_often_than_strangers(
    faces: tuple[Tensor, Tensor, Tensor], defect: str
) -> None:
    """One in a hundred of the copies is called one by chance: the interval of the detection rate holds that rate."""
    train, other, others = faces
    copies, source = train[:COPIES], np.random.default_rng(0)
    hit, miss = scores(copies, other, None), scores(others, other, None)
    if defect == "a random score":
        hit, miss = ({name: source.random(len(x)) for name, x in found.items()} for found in (hit, miss))
    for criterion in PUBLISHED:
        found = calibrate(hit[criterion], miss[criterion], seed=0)
        assert found.detected_interval.contains(0.01) and found.detected < 0.1, criterion
        # four standard errors of the area of a useless score: (m + n + 1) / (12 m n) is its variance
        assert abs(found.area - 0.5) < 4 * ((COPIES + OTHERS + 1) / (12 * COPIES * OTHERS)) ** 0.5, criterion


@pytest.mark.control("B-memorised-fraction", "negative")
def test_near_duplicates_hide_copies_from_the_gap_ratio_until_they_are_joined(
    faces: tuple[Tensor, Tensor, Tensor],
) -> None:
    train, _, others = faces
    rows, curves = calibrate_criteria(train, others, None, seed=0)
    plain, joined = "gap ratio", "gap ratio, near-duplicates joined"
    assert curves[DISTINCT][plain].detected == curves[DISTINCT][joined].detected
    assert curves[TWINS][plain].detected_interval.high < 0.1
    assert curves[TWINS][joined].detected_interval.low > 0.8
    pooled = next(row for row in rows if row["criterion"] == plain and row["copies"] == "all of these")
    assert pooled["n"] == 4 * pooled["originals"]  # four copies of one image are one original


def test_the_table_of_samples_tells_copiers_from_others(faces: tuple[Tensor, Tensor, Tensor]) -> None:
    """A copier, a sampler of unseen images, and the copier where the training set holds twins of what it copies."""
    train, _, others = faces
    copies = perturb(train[:COPIES], "noise", 0.01, seed=0)
    doubled = torch.cat([train, perturb(train, "noise", 0.01, seed=1)])
    found = {
        name: {row["criterion"].split(",")[-1].split(" below")[0]: row for row in replication_rows(images, known, {})}
        for name, images, known in (("copier", copies, train), ("fresh", others, train), ("twins", copies, doubled))
    }
    for criterion in ("gap ratio", " near-duplicates joined", "L2", "correlation above 0.95"):
        assert found["copier"][criterion]["from"] > 0.9, criterion
        assert found["copier"][criterion]["training images called copies of another"] < 0.1, criterion
        assert found["fresh"][criterion]["to"] < 0.1, criterion
    assert found["twins"]["gap ratio"]["to"] < 0.1 < 0.9 < found["twins"][" near-duplicates joined"]["from"]
    # every image of the doubled set is a copy of another by correlation, none once twins are joined
    assert found["twins"]["correlation above 0.95"]["background from"] > 0.9
    assert found["twins"][" near-duplicates joined"]["background to"] < 0.1


def test_images_that_are_not_held_out_are_refused(faces: tuple[Tensor, Tensor, Tensor]) -> None:
    train, _, others = faces
    with pytest.raises(InputError, match=f"image {OTHERS} is training image 7"):
        calibrate_criteria(train, torch.cat([others, train[7:8]]), None, seed=0)
