"""Denoisers: one form for all of them, how they are loaded, the samplers, this project's network, and the oracles."""

from core.denoisers.loading.spec import load

__all__ = ["load"]
