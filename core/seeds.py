"""Seeds for one purpose each, derived from one seed, so that no purpose moves another's random numbers."""

import hashlib

import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """A seed for one purpose, independent of those for others."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(device: torch.device | str, seed: int, *purpose: object) -> torch.Generator:
    """A generator for one purpose."""
    return torch.Generator(device).manual_seed(derived_seed(seed, *purpose))
