"""Denoisers known in closed form: what a network is held against."""

from core.oracles.base import Oracle
from core.oracles.empirical import Empirical
from core.oracles.gaussian import Gaussian, Mixture
from core.oracles.sphere import Sphere

__all__ = ["Empirical", "Gaussian", "Mixture", "Oracle", "Sphere"]
