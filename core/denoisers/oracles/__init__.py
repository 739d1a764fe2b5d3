"""Denoisers known in closed form: what a network is held against."""

from core.denoisers.oracles.base import Oracle
from core.denoisers.oracles.empirical import Empirical
from core.denoisers.oracles.gaussian import Gaussian, Mixture
from core.denoisers.oracles.sphere import Sphere

__all__ = ["Empirical", "Gaussian", "Mixture", "Oracle", "Sphere"]
