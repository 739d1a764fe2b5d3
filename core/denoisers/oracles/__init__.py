"""Denoisers known in closed form: what a network is held against."""

from core.denoisers.oracles.base import Oracle
from core.denoisers.oracles.empirical import Empirical
from core.denoisers.oracles.gaussian import Gaussian, Mixture
from core.denoisers.oracles.local import Composite, Local, WienerLocal
from core.denoisers.oracles.patches import Patchwise
from core.denoisers.oracles.sphere import Sphere

__all__ = ["Composite", "Empirical", "Gaussian", "Local", "Mixture", "Oracle", "Patchwise", "Sphere", "WienerLocal"]
