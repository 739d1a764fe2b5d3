"""Error on geometric images and on shuffled faces (Kadkhodaie et al. 2024, section 3)."""

from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.denoising import (
    DISKS,
    SHUFFLED,
    alpha_name,
    alphas,
    denoisers,
    error_table,
    optimal_slope,
    over_variance,
    slope,
    useful_levels,
)
from audit.measures.networks import JUDGED_LEVELS
from audit.measures.record import SEED, Measures
from audit.plots.denoising import plot_errors, plot_shuffled_psnr, plot_slopes
from audit.plots.shared import plot_rows
from core.metrics.psnr import denoiser_psnr
from core.stats import bootstrap_mean
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from fixtures.experiments.geometric import c_alpha, disk_parameters, draw_disks, shuffle_pixels, textures
from reports.record import ClaimRecord

SMOOTHNESS = (1, 2, 3, 4, 5)  # that of the images shown; trained on are those of the scale
JUDGED_ALPHAS = (2, 4)  # the document's alphas, the ledger's checks
CURVE = (32.0, 28.0, 24.0, 20.0, 16.0, 12.0, 8.0, 4.0, 0.0)  # of the picture
SLOPE_SIGMAS = tuple(np.geomspace(0.03, 0.3, 7).tolist())  # a decade of noise, its ends away from white and from pixels


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


def shuffled_measures(faces: np.ndarray, shuffled: np.ndarray) -> Measures:
    """PSNR on faces minus that on the same faces shuffled, (levels, images) each."""
    return {
        f"PSNR on faces minus shuffled, input {level:g} dB": (
            float((a - b).mean()),
            bootstrap_mean(a - b, seed=SEED, over="images"),
        )
        for level, a, b in zip(JUDGED_LEVELS, faces, shuffled, strict=True)
    }


def record_slopes(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Slopes of the error on geometric images, beside the optimal ones (K-geometric-optimal)."""
    trained = denoisers(desk)
    tables = {a: error_table(*trained[alpha_name(a)], SLOPE_SIGMAS) for a in alphas(desk)}
    slopes = {a: slope(errors, SLOPE_SIGMAS) for a, errors in tables.items()}
    curves = {alpha_name(a): (errors, optimal_slope(a)) for a, errors in tables.items()}
    figures = [
        evidence.figure("errors", plot_errors(curves, SLOPE_SIGMAS)),
        evidence.figure("slopes", plot_slopes(slopes)),
        evidence.figure("geometric-images", plot_rows(list(geometric_images(desk.held_out.images).items()))),
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


def record_shuffled(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """PSNR on faces and on the same faces shuffled (K-shuffled-suboptimal)."""
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
        evidence.figure("psnr", plot_shuffled_psnr(output, CURVE)),
        evidence.figure("images", plot_rows([("faces", faces), ("shuffled", shuffled)])),
    ]
    judged = [CURVE.index(level) for level in JUDGED_LEVELS]
    for name, (value, interval) in shuffled_measures(*(rows[judged] for rows in output.values())).items():
        about: dict[str, Any] = {"n": len(faces), "varies": "image", "unit": "dB", "figures": figures}
        evidence.add(name, value, kind=desk.kind, interval=interval, **about)
