"""Whether networks minimise their training loss, as the optimum over the training set does (Kadkhodaie et al. 2024)."""

import pytest
import torch
from torch import Tensor

from audit.measures.made_up_minimum import of_denoisers, optimum
from audit.measures.minimum import drawn_images, losses, minimum_measures, record_minimum
from audit.measures.networks import JUDGED_SIGMAS
from core.denoisers.oracles import Gaussian
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.faces.corpus import generate
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.fixture(scope="module")
def train() -> Tensor:
    return generate(48, size=12, seed=1).corpus.images


@pytest.mark.claim("K-not-minimised")
@pytest.mark.trains(jobs=random_pairs)
def test_networks_do_not_minimise_their_training_loss(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_minimum(evidence, desk)


@pytest.mark.control("K-not-minimised", "positive")
@pytest.mark.parametrize("network", ["a Wiener filter", "the optimum over half of the images"])
def test_what_does_not_minimise_is_recognised(judge: Judge, train: Tensor, network: str) -> None:
    wiener = Gaussian.from_images(train).blind(JUDGED_SIGMAS)
    assert (
        judge(
            "K-not-minimised",
            of_denoisers(train, wiener if network == "a Wiener filter" else optimum(train[24:])),
            "synthetic",
        )
        == "reproduced"
    )


@pytest.mark.control("K-not-minimised", "negative")
def test_the_optimum_itself_is_caught(judge: Judge, train: Tensor) -> None:
    """At every N, or at one of two, where the other does not minimise."""
    wiener = Gaussian.from_images(train).blind(JUDGED_SIGMAS)
    assert judge("K-not-minimised", of_denoisers(train, optimum(train)), "synthetic") == "refuted"
    assert judge("K-not-minimised", of_denoisers(train, wiener, optimum(train)), "synthetic") == "refuted"


@pytest.mark.control("K-not-minimised", "negative")
def test_the_optimum_of_other_images_is_told_from_the_least_loss(judge: Judge, train: Tensor) -> None:
    """The bound taken over half of the images that the network saw: on the other half the network lies below it."""
    found = {0: losses(optimum(train), train[:24], drawn_images(train[24:]))}
    assert judge("K-not-minimised", minimum_measures(found), "synthetic") == "refuted"


@pytest.mark.control("K-not-minimised", "negative")
def test_a_small_set_is_drawn_with_other_noise_each_time(train: Tensor) -> None:
    images = drawn_images(train[:3])
    assert len(images) == 256 and torch.equal(images[:3], images[3:6])
    network, best = losses(lambda y: y, train[:3], images)
    assert network[0][0] != network[0][3] and abs(network.mean() - 1) < 0.02 and best.mean() < 0.02
