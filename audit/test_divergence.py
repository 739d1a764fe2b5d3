"""The denoiser's excess error bounds how far its density is from the data's (Kadkhodaie et al. 2024, section 2.1)."""

import numpy as np
import pytest

from audit.measures.divergence import BROKEN, NETWORK, NETWORKS, SIGMAS, Line, Sides, kl_measures, line, sides
from audit.measures.gaussian_divergence import RANGE, divergence_between, gaussian_pair, high_measures, shrunk_sides
from audit.measures.kl_bound import record_kl_bound
from audit.measures.made_up import normal_divergence, sound
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("K-kl-bound")
def test_excess_error_bounds_the_divergence(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_kl_bound(evidence, desk)


@pytest.mark.control("K-kl-bound", "positive")
def test_the_bound_is_tight_for_gaussians_by_hand(judge: Judge) -> None:
    """Denoisers true to a Gaussian on a Gaussian: both sides by hand, within the errors that they state.

    The generator with the other Gaussian's denoiser draws from that Gaussian's posterior, given a start from p.
    """
    p, found = Line([0.0], [1.0], [1.0]), {}
    low, high = (float(s) ** 2 for s in SIGMAS[[0, -1]])
    for name, mean, deviation in (
        ("another mixture's", 0.3, 0.8),
        ("a Gaussian's", -0.2, 1.1),
        (f"{NETWORK}0", 0.1, 1.2),
        (f"{NETWORK}1", 0.2, 0.9),
        (f"{NETWORK}2", -0.3, 1.0),
        (BROKEN, 2.0, 0.7),
    ):
        s = found[name] = sides(p, Line([mean], [deviation], [1.0]).denoise)
        q = deviation**2 + np.array([low, high])
        gain = q[0] / q[1]
        divergence = normal_divergence(1 + low, mean * (1 - gain), gain**2 * (1 + high) + q[0] * (1 - gain))
        integral = normal_divergence(1 + low, mean, q[0]) - normal_divergence(1 + high, mean, q[1])
        assert abs(s.divergence - divergence) <= s.divergence_error
        assert abs(s.integral - integral) <= s.integral_error
    assert judge("K-kl-bound", kl_measures(found) | high_measures()) == "reproduced"


@pytest.mark.control("K-kl-bound", "positive")
@pytest.mark.parametrize("kept", [0.8, 0.95, 1.1])
def test_what_a_shrunk_denoiser_generates_by_small_steps(kept: float) -> None:
    """The closed form against the sampler's own steps, on variances; both sides agree where nothing is shrunk."""
    v = gaussian_pair()[0].variances.numpy()
    sigmas, variance = np.geomspace(*RANGE, 20_001), v + RANGE[1] ** 2
    excess = []
    for sigma, low in zip(sigmas[:0:-1], sigmas[-2::-1], strict=True):
        ratio, gain = (low / sigma) ** 2, kept * v / (v + sigma**2)
        variance = (gain * (1 - ratio) + ratio) ** 2 * variance + low**2 * (1 - ratio)
        excess.append(((1 - kept) ** 2 * v**2 / (v + sigma**2)).sum() / sigma**2)
    closed = shrunk_sides(v, kept, RANGE)
    assert closed.divergence == pytest.approx(divergence_between(v + RANGE[0] ** 2, variance), rel=5e-3)
    assert closed.integral == pytest.approx(np.trapezoid(excess[::-1], np.log(sigmas[1:])), rel=5e-3)
    assert 0 < closed.ratio < 1
    assert shrunk_sides(v, 1.0, RANGE).divergence == pytest.approx(0, abs=1e-12)


@pytest.mark.control("K-kl-bound", "negative")
@pytest.mark.parametrize(
    "changes",
    [
        {"another mixture's": Sides(0.1, 0.05)},
        {"another mixture's": Sides(0.05, 0.1)},
        {f"{NETWORK}{seed}": Sides(0.2 + 0.002 * seed, 0.1) for seed in range(NETWORKS)},
        {BROKEN: Sides(0.1, 0.05)},
        {"a Gaussian's": Sides(0.1, 0.1, divergence_error=0.01)},
    ],
    ids=["bound too small", "not equal", "networks above", "broken is the smallest", "quadrature too coarse"],
)
def test_every_check_alone_catches_its_defect(judge: Judge, changes: dict[str, Sides]) -> None:
    high = high_measures()
    assert judge("K-kl-bound", kl_measures(sound()) | high) == "reproduced"
    assert judge("K-kl-bound", kl_measures(sound(**changes)) | high) == "refuted"


@pytest.mark.control("K-kl-bound", "negative")
def test_a_bound_without_its_power_of_sigma_is_caught(judge: Judge) -> None:
    assert judge("K-kl-bound", kl_measures(sound()) | high_measures(power=2)) == "refuted"


@pytest.mark.control("K-kl-bound", "negative")
def test_a_quadrature_too_coarse_says_so(judge: Judge) -> None:
    p = line()
    rough = sides(p, Line([0.1], [0.9], [1.0]).denoise, np.geomspace(*RANGE, 17))
    assert judge("K-kl-bound", kl_measures(sound(**{"a Gaussian's": rough})) | high_measures()) == "refuted"
