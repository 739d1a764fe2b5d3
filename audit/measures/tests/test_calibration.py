"""Calibration refuses what is not held out, and the table of samples tells copiers from others."""

import pytest
import torch
from torch import Tensor

from audit.measures.calibration import calibrate_criteria
from audit.measures.made_up import COPIED, STRANGERS
from audit.measures.replication import replication_rows
from core.errors import InputError
from core.metrics.known_copies import perturb


def test_the_table_of_samples_tells_copiers_from_others(faces: tuple[Tensor, Tensor, Tensor]) -> None:
    """A copier, a sampler of unseen images, and the copier where the training set holds twins of what it copies."""
    train, _, others = faces
    copies = perturb(train[:COPIED], "noise", 0.01, seed=0)
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
    with pytest.raises(InputError, match=f"image {STRANGERS} is training image 7"):
        calibrate_criteria(train, torch.cat([others, train[7:8]]), None, seed=0)
