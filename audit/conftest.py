"""Fixtures that controls share with tests of the measures behind them, and the pair that a user brings."""

from pathlib import Path

import pytest
from torch import Tensor

from audit.measures.made_up import STRANGERS
from audit.measures.rules import RESIDUAL_WITHIN, SAME_WITHIN, STRONG
from core.compare.options import Options
from core.compare.run import Comparison, Pair, compare
from core.copies.options import Options as CopiesOptions
from core.denoisers import load
from core.errors import InputError
from fixtures.experiments.desk import Cell, TrainedExperiment
from fixtures.experiments.workers import Report
from fixtures.plugin import store


@pytest.fixture(scope="module")
def faces(desk: TrainedExperiment) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, a training set of other images, and images held out from both."""
    halves = [desk.images(Cell("random", desk.sizes[-2], group)) for group in "AB"]
    return halves[0], halves[1], desk.held_out.images[:STRANGERS]


@pytest.fixture(scope="session")
def own_or_none(
    request: pytest.FixtureRequest, report: Report, tmp_path_factory: pytest.TempPathFactory
) -> Comparison | None:
    """The comparison of the pair that `--models-a` and `--models-b` bring; None where none is brought."""
    config = request.config
    if not config.getoption("--models-a"):
        return None
    options = {"A": "--models-a", "B": "--models-b", "ceiling": "--ceiling"}
    named = {name: str(config.getoption(option)) for name, option in options.items() if config.getoption(option)}
    device = config.getoption("--device")
    denoisers = {name: load(spec, device=device, runs=store(config)) for name, spec in named.items()}
    pair = Pair(denoisers, named, {name: Path(config.getoption(f"--train-{name.lower()}")) for name in ("A", "B")})
    asked = Options(STRONG, SAME_WITHIN, RESIDUAL_WITHIN, device=device, copies=CopiesOptions(lpips="off"))
    found = compare(pair, asked, tmp_path_factory.mktemp("own"), report)
    if found.result["not_admitted"]:
        raise InputError("; ".join(found.result["not_admitted"]))
    return found
