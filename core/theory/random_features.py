"""Random-features denoiser in closed form: the law of training times (Bonnaire et al. 2025, section 3).

Data x ~ N(0, I_d), noisy points z = sqrt(1 - h) x + sqrt(h) noise at one noise level. The model predicts the noise as
A phi(z), phi_j(z) = sqrt(2 / p) cos(w_j z + b_j), with only A trained by gradient flow on the loss over n points, its
average over the noise taken exactly (cosines of Gaussians are known). So A(tau) = B U^-1 (1 - exp(-tau U)), with U
and B the features' and the target's moments, and both losses at any time follow from one eigendecomposition.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import InputError
from core.seeds import generator


@dataclass(frozen=True)
class RandomFeatures:
    """Losses of one model over training time, per dimension, and the spectrum of its training kernel.

    Attributes:
        eigenvalues: (p,) of U, ascending; 1 over one is the time its direction takes to be learnt.
        train, test: (t,) expected squared error over the training points' noise, and over fresh points.
    """

    eigenvalues: Tensor
    train: Tensor
    test: Tensor


def learn(d: int, p: int, n: int, times: Tensor, *, h: float, scale: float = 1.0, seed: int = 0) -> RandomFeatures:
    """Losses at `times` of gradient flow on n training points in d dimensions with p features; h in (0, 1).

    Raises:
        InputError: for h outside (0, 1), a count or scale that is not positive, or times that are negative.
    """
    _check_noise(h)
    for name, value in (("d", d), ("p", p), ("n", n), ("scale", scale)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}: found {value}; expected a positive number")
    if times.ndim != 1 or not bool((torch.isfinite(times) & (times >= 0)).all()):
        raise InputError(f"times: found {times.tolist()}; expected a vector of numbers from 0 upwards")
    source = generator("cpu", seed, "random features", d, p)
    w = torch.randn(p, d, dtype=torch.float64, generator=source) * scale / math.sqrt(d)
    b = 2 * math.pi * torch.rand(p, dtype=torch.float64, generator=source)
    x = torch.randn(n, d, dtype=torch.float64, generator=generator("cpu", seed, "training points", d, n))
    empirical, population = _moments(w, b, h, x), _moments(w, b, h, None)
    values, vectors = torch.linalg.eigh(empirical[0])
    values = values.clamp_min(0)
    target = empirical[1] @ vectors  # (d, p)
    gains = -torch.expm1(-times.double()[:, None] * values) / values.clamp_min(1e-300)
    gains = torch.where(values > 1e-14 * values[-1], gains, times.double()[:, None])
    rotated = vectors.T @ population[0] @ vectors
    fresh = population[1] @ vectors
    train, test = [], []
    for gain in gains:
        weights = target * gain
        train.append(1 + ((weights.square() * values).sum() - 2 * (weights * target).sum()) / d)
        test.append(1 + (((weights @ rotated) * weights).sum() - 2 * (weights * fresh).sum()) / d)
    return RandomFeatures(values, torch.stack(train), torch.stack(test))


def _moments(w: Tensor, b: Tensor, h: float, x: Tensor | None) -> tuple[Tensor, Tensor]:
    """E[phi phi^T] (p, p) and E[noise phi^T] (d, p), over the noise and the points x (n, d), or x ~ N(0, I) if None."""
    p = len(w)
    squares = w.square().sum(1)
    gram = w @ w.T
    plus, minus = (squares[:, None] + squares + 2 * s * gram for s in (1, -1))
    if x is None:
        mean_plus = (b[:, None] + b).cos() * (-0.5 * (1 - h) * plus).exp()
        mean_minus = (b[:, None] - b).cos() * (-0.5 * (1 - h) * minus).exp()
        slope = b.sin() * (-0.5 * (1 - h) * squares).exp()
    else:
        phase = math.sqrt(1 - h) * x @ w.T + b
        c, s = phase.cos(), phase.sin()
        cc, ss = c.T @ c / len(x), s.T @ s / len(x)
        mean_plus, mean_minus, slope = cc - ss, cc + ss, s.mean(0)
    second = ((-0.5 * h * plus).exp() * mean_plus + (-0.5 * h * minus).exp() * mean_minus) / p
    # Stein: E[noise cos(theta + sqrt(h) w noise)] = -sqrt(h) w exp(-h |w|^2 / 2) sin(theta)
    cross = -math.sqrt(2 * h / p) * (w * (slope * (-0.5 * h * squares).exp())[:, None]).T
    return second, cross


def levels(h: float) -> tuple[float, float]:
    """v^2 and s^2, variances of features of unit weights (scale 1, d large) that are not linear in the data.

    Over random phases the features' kernel is E cos(difference of the phases), so that for one noisy point it is 1,
    for two noises of one clean point exp(-h), and for two clean points exp(-1). What a clean point adds, less its
    linear part (1 - h) / e, is v^2: directions learnt for single points. What the noise adds, less its linear
    part h exp(-h), is s^2.
    """
    _check_noise(h)
    own, other = math.exp(-h), math.exp(-1)
    return own - other - (1 - h) * other, 1 - own - h * own


def bulk(p: int, n: int, h: float) -> tuple[float, float]:
    """Edges of the eigenvalues of U that belong to single training points: s^2 + v^2 (1 -+ sqrt(p / n))^2 over p.

    Marchenko and Pastur (1967) for n points and p > n features, as in Theorem 3.2 of Bonnaire et al. (2025). One over
    an edge is a training time: p / (v^2 p / n) = n / v^2 in the middle, in proportion to n.
    """
    v2, s2 = levels(h)
    if not p > n >= 1:
        raise InputError(f"n: found {n} points and {p} features; expected more features than points, at least one")
    low, high = (s2 + v2 * (1 + sign * math.sqrt(p / n)) ** 2 for sign in (-1, 1))
    return low / p, high / p


def _check_noise(h: float) -> None:
    if not 0 < h < 1:
        raise InputError(f"h: found {h}; expected the share of noise, between 0 and 1")
