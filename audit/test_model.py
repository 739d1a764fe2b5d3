"""The network and its training, as Topeza (2025), section 4, describes them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audit.measures.made_up_trainer import LOOP, MAIN, changed_script
from audit.measures.model import (
    described_parameters,
    in_double,
    network_structure,
    random_network,
    rounding_bound,
    scaling_errors,
)
from audit.measures.networks import LEVELS
from audit.measures.published_trainer import EPOCHS, monitoring_measures, optimiser_measures, record_trainer
from audit.measures.training import (
    distance_from_uniform,
    noise_differences,
    quadratic_job,
    record_noise_law,
)
from core.denoisers.unet import UNet, parameter_count
from core.errors import Missing
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------- the network


@pytest.mark.claim("T-unet-parameters")
def test_parameters(evidence: ClaimRecord) -> None:
    for name, value in network_structure(UNet()).items():
        evidence.add(name, value, kind="arithmetic")
    note = "counted by hand: kernels of every layer, one factor a channel of every normalisation that the code has"
    evidence.add("parameters_by_hand", described_parameters(), kind="arithmetic", note=note)


@pytest.mark.control("T-unet-parameters", "positive")
def test_networks_of_other_sizes_are_counted_alike(judge: Judge) -> None:
    for size in ((16, 2), (8, 1), (4, 4)):
        assert described_parameters(*size) == parameter_count(UNet(*size))
    found = {**network_structure(UNet()), "parameters_by_hand": 7_659_264}
    assert judge("T-unet-parameters", found) == "reproduced"


@pytest.mark.control("T-unet-parameters", "negative")
@pytest.mark.parametrize("defect", ["one bias", "narrower", "fewer blocks", "a second factor"])
def test_another_network_is_noticed(judge: Judge, defect: str) -> None:
    model = UNet(63 if defect == "narrower" else 64, 2 if defect == "fewer blocks" else 3)
    if defect == "one bias":
        model.mid_block.register_parameter("bias", nn.Parameter(torch.zeros(1)))
    if defect == "a second factor":
        model.mid_block.register_parameter("scale", nn.Parameter(torch.ones(512)))
    assert judge("T-unet-parameters", {**network_structure(model), "parameters_by_hand": 7_659_264}) == "refuted"


# -------------------------------------------------------------------------------------------------------- homogeneity


@pytest.mark.claim("T-unet-bias-free")
def test_nothing_is_added(evidence: ClaimRecord) -> None:
    notes = {
        "additive_constants": "bias parameters, and outputs that are not zero for an input of zeros",
        "error_for_powers_of_two": "largest |f(a y) - a f(y)| for a = 2^-12, 2^-3, 2, 2^10",
        "error_over_rounding_bound": "largest |f(a y) - a f(y)| for a = 1e-4 to 1e4, in units of the proven bound",
    }
    for name, value in scaling_errors(random_network).items():
        evidence.add(name, value, kind="property", n=5, seeds="0:5", varies="weights and inputs", note=notes[name])


@pytest.mark.control("T-unet-bias-free", "positive")
def test_float32_stays_within_the_proven_bound_of_float64(judge: Judge) -> None:
    for seed in range(3):
        model, y = random_network(seed), torch.randn(2, 1, 20, 20, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            error = (model(y).double() - in_double(seed)(y.double())).abs()
        assert (error <= rounding_bound(model, y, 0.0)).all() and error.max() > 0
    assert judge("T-unet-bias-free", scaling_errors(random_network, 1)) == "reproduced"


@pytest.mark.control("T-unet-bias-free", "negative")
@pytest.mark.parametrize("defect", ["a bias", "an offset", "a mean subtracted"])
def test_an_additive_constant_is_noticed(judge: Judge, defect: str) -> None:
    def spoiled(seed: int) -> UNet:
        model = random_network(seed)
        modules = dict(model.named_modules())
        if defect == "a bias":
            modules["decoder.0.3"].bias = nn.Parameter(torch.full((1,), 1e-3))
        elif defect == "an offset":
            modules["decoder.0.3"].register_forward_hook(lambda module, inputs, output: output + 1e-3)
        else:
            modules["mid_block.1"].register_forward_hook(lambda module, inputs, output: output - 0.01)
        return model

    assert judge("T-unet-bias-free", scaling_errors(spoiled, 1)) == "refuted"


# -------------------------------------------------------------------------------------------------------------- noise


@pytest.mark.claim("T-noise-uniform")
@pytest.mark.trains(jobs=lambda desk: [quadratic_job(desk)], brief=True)
def test_the_noise_law(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_noise_law(evidence, desk)


@pytest.mark.control("T-noise-uniform", "positive")
def test_a_uniform_law_and_equal_models_pass(judge: Judge) -> None:
    found = distance_from_uniform(lambda u: u)
    assert judge("T-noise-uniform", {"distance_of_distribution_functions": found}, "arithmetic") == "reproduced"
    curve = np.random.default_rng(0).normal(20, 2, (len(LEVELS), 200))
    other = curve + np.random.default_rng(1).normal(0, 0.2, curve.shape)
    assert judge("T-noise-uniform", noise_differences(curve, other), "synthetic") == "reproduced"


@pytest.mark.control("T-noise-uniform", "negative")
def test_another_law_and_a_worse_model_are_noticed(judge: Judge) -> None:
    found = distance_from_uniform(lambda u: u**1.01)
    assert judge("T-noise-uniform", {"distance_of_distribution_functions": found}, "arithmetic") == "refuted"
    curve = np.random.default_rng(0).normal(20, 2, (len(LEVELS), 200))
    worse = curve + np.random.default_rng(1).normal(0, 0.2, curve.shape)
    worse[3] -= 0.5
    assert judge("T-noise-uniform", noise_differences(curve, worse), "synthetic") == "refuted"


# ---------------------------------------------------------------------------------------------------------- optimiser


@pytest.mark.claim("T-optimiser")
def test_the_optimiser_of_the_published_script(evidence: ClaimRecord, published: Published, tmp_path: Path) -> None:
    record_trainer(evidence, published, tmp_path, optimiser_measures, 1000)


@pytest.mark.control("T-optimiser", "positive")
def test_a_script_after_the_document_is_recognised(judge: Judge, tmp_path: Path) -> None:
    assert judge("T-optimiser", optimiser_measures((MAIN, LOOP), tmp_path)) == "reproduced"


@pytest.mark.control("T-optimiser", "negative")
@pytest.mark.parametrize(
    "change",
    [
        ("optimizer = Adam", "optimizer = SGD"),
        ("default=0.001", "default=0.002"),
        ("default=512", "default=256"),
        ("default=1000", "default=999"),
        ("default=100)", "default=99)"),
        ("0.5 **", "0.6 **"),
    ],
    ids=lambda change: change[1],
)
def test_a_script_that_trains_otherwise_is_caught(judge: Judge, tmp_path: Path, change: tuple[str, str]) -> None:
    assert judge("T-optimiser", optimiser_measures(changed_script(*change), tmp_path)) == "refuted"


@pytest.mark.control("T-optimiser", "negative")
@pytest.mark.parametrize("change", [(" = Adam(", " = SGD("), ("default=512", "default=64"), ("args.lr/2", "args.lr/3")])
def test_defects_in_the_published_script_are_caught(
    judge: Judge, published: Published, tmp_path: Path, change: tuple[str, str]
) -> None:
    try:
        before = published.scripts
    except Missing as missing:
        pytest.skip(str(missing))
    main, loop = (script.replace(*change) for script in before)
    assert (main, loop) != before
    assert judge("T-optimiser", optimiser_measures((main, loop), tmp_path)) == "refuted"


# --------------------------------------------------------------------------------------------------------- monitoring


@pytest.mark.claim("T-monitoring")
def test_what_the_published_script_keeps(evidence: ClaimRecord, published: Published, tmp_path: Path) -> None:
    record_trainer(evidence, published, tmp_path, monitoring_measures, EPOCHS)


@pytest.mark.control("T-monitoring", "positive")
def test_a_script_that_keeps_everything_is_recognised(judge: Judge, tmp_path: Path) -> None:
    assert judge("T-monitoring", monitoring_measures((MAIN, LOOP), tmp_path)) == "reproduced"


@pytest.mark.control("T-monitoring", "negative")
@pytest.mark.parametrize(
    "change",
    [
        ("str(epoch)", "'last'"),
        ("        torch.save(", "        epoch % 2 or torch.save("),
        ("'Loss/' + name, value, global_step=epoch", "'Loss/' + name, value, global_step=0"),
        ("('Train', psnr), ('Test', test_psnr)", "('Train', psnr),"),
    ],
    ids=["one file overwritten", "every other epoch", "losses of one epoch", "no PSNR of the test"],
)
def test_a_script_that_keeps_less_is_caught(judge: Judge, tmp_path: Path, change: tuple[str, str]) -> None:
    assert judge("T-monitoring", monitoring_measures(changed_script(*change), tmp_path)) == "refuted"
