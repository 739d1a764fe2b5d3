"""Where a network denoises as well as anything can, and where it does not (Kadkhodaie et al. 2024, section 3)."""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.denoising import (
    DISKS,
    SHUFFLED,
    alpha_name,
    alphas,
    denoiser_jobs,
    denoisers,
    error_table,
    optimal_slope,
    over_variance,
    plot_errors,
    plot_slopes,
    slope,
    useful_levels,
)
from audit.measures.networks import JUDGED_LEVELS, full_elsewhere
from audit.measures.record import SEED, Measures
from audit.plots.shared import draw_with_intervals, plot_rows
from core.metrics.psnr import denoiser_psnr
from core.stats import bootstrap_mean
from fixtures.experiments.desk import GROUPS, Cell, Desk
from fixtures.experiments.geometric import c_alpha, disk_parameters, draw_disks, shuffle_pixels, textures
from reports.judge import Judge
from reports.record import ClaimRecord

SMOOTHNESS = (1, 2, 3, 4, 5)  # that of the images shown; trained on are those of the scale
JUDGED_ALPHAS = (2, 4)  # the document's alphas, the ledger's checks
CURVE = (32.0, 28.0, 24.0, 20.0, 16.0, 12.0, 8.0, 4.0, 0.0)  # of the picture
SLOPE_SIGMAS = tuple(np.geomspace(0.03, 0.3, 7).tolist())  # a decade of noise, its ends away from white and from pixels


# --- K-geometric-optimal ---------------------------------------------------------------------------------


def geometric_images(faces: Tensor) -> dict[str, Tensor]:
    """Every kind of geometric image by name, (12, 1, size, size), whether or not a network is trained on it."""
    size, faces = faces.shape[-1], faces[:12]
    rows = {alpha_name(a): c_alpha(12, alpha=a, size=size, seed=SEED, strict=True) for a in SMOOTHNESS}
    rows[DISKS] = draw_disks(disk_parameters(12, seed=SEED), size)
    return {**rows, "faces": faces, SHUFFLED: shuffle_pixels(faces), "textures": textures(12, size=size, seed=SEED)}


def record_floor(evidence: ClaimRecord, alpha: int, errors: np.ndarray, about: dict[str, Any]) -> None:
    """Whether the network improves on the noisy image at every fitted level, and the slope where it does.

    A network that makes images worse has an error of its own there, and its exponent is not that of the images.
    """
    useful = useful_levels(errors, SLOPE_SIGMAS)
    value, interval = over_variance(errors, SLOPE_SIGMAS)[0]
    evidence.add(
        f"error over the noise's own variance at the lowest noise, alpha = {alpha}",
        value,
        interval=interval,
        note="above 1 the network makes these images worse: its floor, not the images, sets the slope there",
        **about,
    )
    evidence.add(
        f"fitted noise levels at which the network improves on the noisy image, alpha = {alpha}",
        len(useful),
        note=f"of {len(SLOPE_SIGMAS)}, by the whole interval",
        **about,
    )
    if 3 <= len(useful) < len(SLOPE_SIGMAS):
        sigmas = [SLOPE_SIGMAS[k] for k in useful]
        value, interval = slope(errors[useful], sigmas)
        note = f"sigma = {', '.join(f'{s:.2g}' for s in sigmas)}"
        evidence.add(f"slope over those levels alone, alpha = {alpha}", value, interval=interval, note=note, **about)


@pytest.mark.claim("K-geometric-optimal")
@pytest.mark.trains(jobs=denoiser_jobs)
def test_error_on_geometric_images_falls_at_the_best_rate(evidence: ClaimRecord, desk: Desk) -> None:
    full_elsewhere(evidence, desk, "test_geometric.py")
    trained = denoisers(desk)
    tables = {a: error_table(*trained[alpha_name(a)], SLOPE_SIGMAS) for a in alphas(desk)}
    slopes = {a: slope(errors, SLOPE_SIGMAS) for a, errors in tables.items()}
    curves = {alpha_name(a): (errors, optimal_slope(a)) for a, errors in tables.items()}
    figures = [
        evidence.figure("geometric-images", plot_rows(list(geometric_images(desk.held_out.images).items()))),
        evidence.figure("errors", plot_errors(curves, SLOPE_SIGMAS)),
        evidence.figure("slopes", plot_slopes(slopes)),
    ]
    about: dict[str, Any] = {"kind": desk.kind, "n": desk.preset.theory.tested}
    for alpha, (value, interval) in slopes.items():
        evidence.add(
            f"slope, alpha = {alpha}",
            value,
            interval=interval,
            varies="image and noise level",
            note=f"optimal: {optimal_slope(alpha):.3g}{'' if alpha in JUDGED_ALPHAS else '; not judged'}",
            figures=figures,
            **about,
        )
        record_floor(evidence, alpha, tables[alpha], {**about, "varies": "image"})


@pytest.mark.control("K-geometric-optimal", "positive")
def test_every_kind_of_image_is_shown() -> None:
    """Five smoothnesses, disks, faces and the same shuffled, textures: all different, none blank."""
    rows = geometric_images(torch.rand(20, 1, 20, 20, generator=torch.Generator().manual_seed(SEED)))
    assert list(rows) == [*map(alpha_name, SMOOTHNESS), DISKS, "faces", SHUFFLED, "textures"]
    assert {tuple(images.shape) for images in rows.values()} == {(12, 1, 20, 20)}
    assert all(float(images.flatten(1).std(1).min()) > 0.01 for images in rows.values())
    flat = [images.flatten() for images in rows.values()]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(flat, 2))


def made_up_errors(exponent: float, images: int = 256) -> np.ndarray:
    rng = np.random.default_rng(SEED)
    return (np.asarray(SLOPE_SIGMAS) ** exponent)[:, None] * rng.lognormal(0, 0.3, images)


@pytest.mark.control("K-geometric-optimal", "positive")
def test_the_optimal_power_law_is_recognised(judge: Judge) -> None:
    jitter = np.exp(np.random.default_rng(1).normal(0, 0.01, len(SLOPE_SIGMAS)))[:, None]
    found = {
        f"slope, alpha = {a}": slope(made_up_errors(optimal_slope(a)) * jitter, SLOPE_SIGMAS) for a in JUDGED_ALPHAS
    }
    assert judge("K-geometric-optimal", found, "synthetic") == "reproduced"


@pytest.mark.control("K-geometric-optimal", "negative")
def test_a_linear_smoother_s_slope_is_caught(judge: Judge) -> None:
    found = {f"slope, alpha = {a}": slope(made_up_errors(1.0), SLOPE_SIGMAS) for a in JUDGED_ALPHAS}
    assert judge("K-geometric-optimal", found, "synthetic") == "refuted"


@pytest.mark.control("K-geometric-optimal", "negative")
def test_an_error_of_the_network_s_own_is_told_from_the_images_rate(judge: Judge) -> None:
    """The optimal law with a floor added has a shallow slope; the levels below the floor are named, the rest fit."""
    floor = 0.01  # sigma^2 reaches it at 0.1
    tables = {a: 0.5 * made_up_errors(optimal_slope(a)) * 0.03 ** (2 - optimal_slope(a)) + floor for a in JUDGED_ALPHAS}
    found = {f"slope, alpha = {a}": slope(errors, SLOPE_SIGMAS) for a, errors in tables.items()}
    assert judge("K-geometric-optimal", found, "synthetic") == "refuted"
    for errors in tables.values():
        assert [s > 0.1 for s in SLOPE_SIGMAS] == [k in useful_levels(errors, SLOPE_SIGMAS) for k in range(7)]


# --- K-shuffled-suboptimal -------------------------------------------------------------------------------


def shuffled_measures(faces: np.ndarray, shuffled: np.ndarray) -> Measures:
    """PSNR on faces minus that on the same faces shuffled, (levels, images) each."""
    return {
        f"PSNR on faces minus shuffled, input {level:g} dB": (
            float((a - b).mean()),
            bootstrap_mean(a - b, seed=SEED, over="images"),
        )
        for level, a, b in zip(JUDGED_LEVELS, faces, shuffled, strict=True)
    }


def plot_shuffled_psnr(curves: dict[str, np.ndarray]) -> Figure:
    """Output PSNR (levels, images) by input PSNR, means with intervals over images."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for (name, output), style in zip(curves.items(), ("C0o-", "C3s-"), strict=True):
        found = [(float(row.mean()), bootstrap_mean(row, seed=SEED, over="images")) for row in output]
        draw_with_intervals(axes, CURVE, found, style, name)
    axes.plot(CURVE, CURVE, "0.6", lw=0.8, label="nothing done")
    axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)")
    axes.legend(frameon=False, fontsize=8)
    return figure


@pytest.mark.claim("K-shuffled-suboptimal")
@pytest.mark.trains(jobs=denoiser_jobs)
def test_shuffled_faces_are_denoised_worse(evidence: ClaimRecord, desk: Desk) -> None:
    full_elsewhere(evidence, desk, "test_geometric.py")
    denoiser, shuffled = denoisers(desk)[SHUFFLED]
    faces = desk.held_out.images[: len(shuffled)]
    sigmas = tuple(10 ** (-level / 20) for level in CURVE)
    output = {
        "faces": denoiser_psnr(
            desk.denoiser(Cell("random", desk.sizes[-1], GROUPS[0])), faces, sigmas, seed=SEED
        ).output,
        SHUFFLED: denoiser_psnr(denoiser, shuffled, sigmas, seed=SEED).output,
    }
    figures = [
        evidence.figure("psnr", plot_shuffled_psnr(output)),
        evidence.figure("images", plot_rows([("faces", faces), ("shuffled", shuffled)])),
    ]
    judged = [CURVE.index(level) for level in JUDGED_LEVELS]
    for name, (value, interval) in shuffled_measures(*(rows[judged] for rows in output.values())).items():
        about: dict[str, Any] = {"n": len(faces), "varies": "image", "unit": "dB", "figures": figures}
        evidence.add(name, value, kind=desk.kind, interval=interval, **about)


@pytest.mark.control("K-shuffled-suboptimal", "positive")
def test_a_worse_denoiser_is_recognised(judge: Judge) -> None:
    base = np.random.default_rng(0).normal(25, 1, (len(JUDGED_LEVELS), 100))
    worse = base - np.random.default_rng(1).normal(1, 0.5, base.shape)
    assert judge("K-shuffled-suboptimal", shuffled_measures(base, worse), "synthetic") == "reproduced"


@pytest.mark.control("K-shuffled-suboptimal", "negative")
def test_a_denoiser_blind_to_place_is_caught(judge: Judge, desk: Desk) -> None:
    """Shrinking pixels alone cannot tell faces from shuffled ones: measured by the same code, no difference."""
    faces = desk.held_out.images[:64]
    sigmas = tuple(10 ** (-level / 20) for level in JUDGED_LEVELS)
    shrink = [denoiser_psnr(lambda y: 0.9 * y, x, sigmas, seed=SEED).output for x in (faces, shuffle_pixels(faces))]
    assert judge("K-shuffled-suboptimal", shuffled_measures(*shrink), "synthetic") != "reproduced"
