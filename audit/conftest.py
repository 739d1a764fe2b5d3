"""Fixtures that controls share with tests of the measures behind them."""

import pytest
from torch import Tensor

from audit.measures.made_up import STRANGERS
from fixtures.experiments.desk import Cell, TrainedExperiment


@pytest.fixture(scope="module")
def faces(desk: TrainedExperiment) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, a training set of other images, and images held out from both."""
    halves = [desk.images(Cell("random", desk.sizes[-2], group)) for group in "AB"]
    return halves[0], halves[1], desk.held_out.images[:STRANGERS]
