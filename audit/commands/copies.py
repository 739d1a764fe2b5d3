"""`samenoise copies`: whether samples are copies of the training images."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from audit.commands.bars import Bars
from core.copies.options import LpipsSearch, Options, parse_range
from core.copies.run import Asked, find_copies
from core.copies.sentences import lines
from core.data.pictures import Fit
from core.errors import InputError
from core.files import check_outputs, write_atomic
from core.machine import keep_freed_memory
from reports.copies import copies_page
from reports.text import printable

READS = "A folder of pictures, an archive, parquet, a saved corpus, CelebA, or an array: whatever `prepare` reads."


def command(
    samples: Annotated[Path, typer.Argument(help=f"What the sampler made. {READS}")],
    train: Annotated[Path, typer.Argument(help="What it was trained on; the same forms.")],
    held_out: Annotated[
        Path | None,
        typer.Option(help="Images of the same kind that nobody trained on, 100 or more: what a false alarm is."),
    ] = None,
    at_most: Annotated[
        float | None, typer.Option(help="Share of samples that may be copies; exit code 1 where that is not shown.")
    ] = None,
    html_out: Annotated[Path | None, typer.Option("--html", help="Write it as one page that needs no network.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write everything that was counted.")] = None,
    size: Annotated[int | None, typer.Option(help="Pictures: pixels a side, cropped to the centre; 40.")] = None,
    color: Annotated[bool, typer.Option("--color", "--colour", help="Pictures: three channels, not grays.")] = False,
    fit: Annotated[
        str | None, typer.Option(help="Pictures: crop:SIDE, squeeze:SIDE or keep, with :colour; instead of --size.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Arrays: nchw or nhwc, where the order of the axes is not clear.")
    ] = None,
    range_: Annotated[
        str, typer.Option("--range", help="What floating-point arrays hold, LOW:HIGH, as in --range=-1:1.")
    ] = "0:1",
    clip: Annotated[
        bool, typer.Option("--clip", help="Clip the few floating-point numbers outside the range, and say so.")
    ] = False,
    twins: Annotated[
        float, typer.Option(help="Correlation above which two training images are near-duplicates, and joined.")
    ] = 0.95,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="Judge at the thresholds that call one in a hundred images that are no copies a copy, not at the "
            "published ones: more kinds of copies are seen.",
        ),
    ] = False,
    lpips: Annotated[
        LpipsSearch, typer.Option(help="With --held-out: LPIPS among the ten nearest by L2, among all, or not.")
    ] = "candidates",
    sscd: Annotated[
        Path | None, typer.Option(help="An ONNX file of SSCD, for its criterion; needs samenoise[onnx].")
    ] = None,
    memory: Annotated[str, typer.Option(help="Pictures and rows held at a time, like 256MB.")] = "256MB",
    threads: Annotated[int | None, typer.Option(help="Threads that read and join; one a core unless given.")] = None,
    skip_bad: Annotated[bool, typer.Option(help="Leave out and count images that cannot be used.")] = False,
    seed: Annotated[int, typer.Option(help="Of the training images drawn as background and for planting.")] = 0,
    work: Annotated[
        Path, typer.Option(help="Folder of what a run keeps until it has an answer, and goes on from.")
    ] = Path(".samenoise-copies"),
) -> None:
    """Are samples copies of the training images? Exit code 0, or 1: more than --at-most, or not shown; 2: bad input."""
    if fit is not None and (size is not None or color):
        raise InputError(f"--fit {fit}: says size and colour; expected no --size or --color beside it")
    chosen = Fit.parse(fit) if fit is not None else None
    if size is not None or color:
        chosen = Fit("crop", 40 if size is None else size, color)
    options = Options(
        at_most=at_most,
        twins=twins,
        calibrated=calibrated,
        clip=clip,
        lpips=lpips,
        sscd=sscd,
        value_range=parse_range(range_),
        memory=memory,
        threads=threads,
        skip_bad=skip_bad,
        seed=seed,
    )
    check_outputs({"--json": json_out, "--html": html_out}, [samples, train, held_out, sscd])
    asked = Asked.of(samples, train, held_out, chosen, axes)
    keep_freed_memory()
    console = Console(stderr=True)
    with Bars(console) as show:
        found = find_copies(asked, options, work, show)
    if json_out is not None:
        write_atomic(json_out, json.dumps(found.result, indent=1, allow_nan=False) + "\n")
    if html_out is not None:
        write_atomic(html_out, copies_page(found).encode("utf-8", "xmlcharrefreplace"))
    for line in lines(found.result):
        typer.echo(printable(line))
    shutil.rmtree(asked.place(work, options))
    with suppress(OSError):  # another run's folder may stand in it
        work.rmdir()
    if found.result["holds"] is False:
        raise typer.Exit(1)
