"""`samenoise compare`: two denoisers from the same noise."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from audit.commands.bars import Bars
from audit.measures.rules import RESIDUAL_WITHIN, SAME_WITHIN, STRONG
from core.compare.options import LEVELS, SEEDS, Options
from core.compare.run import Pair, compare
from core.compare.sentences import lines
from core.copies.options import LpipsSearch, parse_range
from core.copies.options import Options as CopiesOptions
from core.data.pictures import Fit
from core.denoisers import load
from core.denoisers.protocol import Range, Shape
from core.errors import InputError
from core.files import check_outputs, write_atomic
from core.machine import keep_freed_memory
from reports.text import printable
from reports.two_denoisers import compare_page

MODEL = (
    "A diffusers folder, a checkpoint, a model of the store (with --runs), an ONNX file, an exported program (.pt2) or "
    "module:factory."
)
READS = "A folder of pictures, an archive, parquet, a saved corpus or an array: whatever `prepare` reads."


def command(
    a: Annotated[str, typer.Argument(metavar="A", help=MODEL)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one, of any of these forms.")],
    train_a: Annotated[Path, typer.Option(help=f"What A was trained on. {READS}")],
    train_b: Annotated[Path, typer.Option(help="What B was trained on; the same forms.")],
    ceiling: Annotated[
        str | None, typer.Option(metavar="A2", help="A second training on A's images: how alike two can be.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Images of the same kind that nobody trained on, 100 or more, for the copies.")
    ] = None,
    identities: Annotated[
        list[Path] | None,
        typer.Option(help="`name identity` a line, or a table: one file for both sets, or twice, A's first."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Images that each draws, from as many seeds.")] = SEEDS,
    sampler: Annotated[str, typer.Option(help="heun, ddim or dpm-solver++.")] = "heun",
    levels: Annotated[int, typer.Option(help="Noise levels of the sampler.")] = LEVELS,
    at_least: Annotated[
        float | None, typer.Option(help="Agreement that is required; exit code 1 where it is not shown.")
    ] = None,
    at_most: Annotated[
        float | None, typer.Option(help="Share of samples that may be copies; exit code 1 where it is not shown.")
    ] = None,
    html_out: Annotated[Path | None, typer.Option("--html", help="Write it as one page that needs no network.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write everything that was measured.")] = None,
    runs: Annotated[Path | None, typer.Option(help="The store, where A or B is a key of it.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="C,H,W of the networks' images, where a model does not say it.")
    ] = None,
    model_range: Annotated[
        str | None, typer.Option(help="LOW:HIGH, black and white of the networks, as in --model-range=-1:1.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="Pictures: crop:SIDE, squeeze:SIDE or keep, with :colour; crop unless given.")
    ] = None,
    axes: Annotated[str | None, typer.Option(help="Arrays: nchw or nhwc, where the order is not clear.")] = None,
    range_: Annotated[
        str, typer.Option("--range", help="What floating-point arrays of images hold, LOW:HIGH.")
    ] = "0:1",
    lpips: Annotated[
        LpipsSearch, typer.Option(help="With --held-out: LPIPS among the ten nearest by L2, among all, or not.")
    ] = "off",
    device: Annotated[str, typer.Option(help="Where the networks compute: cpu, cuda, mps.")] = "cpu",
    batch: Annotated[int, typer.Option(help="Images that a network sees at once.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the images that are drawn for tests; not of the samples.")] = 0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for a run's working files; a temporary one unless given.")
    ] = None,
) -> None:
    """Do two denoisers draw the same images from the same noise? Exit code 0; 1: --at-least or --at-most; 2: errors."""
    files = [Path(spec) for spec in (a, b, ceiling) if spec is not None]
    check_outputs({"--json": json_out, "--html": html_out}, [*files, train_a, train_b, held_out, *(identities or ())])
    copies = CopiesOptions(at_most=at_most, lpips=lpips, value_range=parse_range(range_), seed=seed)
    options = Options(STRONG, SAME_WITHIN, RESIDUAL_WITHIN, seeds, sampler, levels, batch, device, at_least, copies)
    said_shape, said_range = _shape(shape), None if model_range is None else _range(model_range)
    named = {"A": a, "B": b} | ({} if ceiling is None else {"ceiling": ceiling})
    denoisers = {
        name: load(spec, device=device, runs=runs, shape=said_shape, data_range=said_range)
        for name, spec in named.items()
    }
    pair = Pair(
        denoisers,
        named,
        {"A": train_a, "B": train_b},
        held_out,
        tuple(identities or ()),
        None if fit is None else Fit.parse(fit),
        axes,
    )
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    place = Path(tempfile.mkdtemp(prefix=".samenoise-compare-", dir=work))
    console = Console(stderr=True)
    try:
        with Bars(console) as show:
            found = compare(pair, options, place, show)
        if json_out is not None:
            write_atomic(json_out, json.dumps(found.result, indent=1, allow_nan=False) + "\n")
        if html_out is not None:
            write_atomic(html_out, compare_page(found).encode("utf-8", "xmlcharrefreplace"))
    finally:
        shutil.rmtree(place)
    for line in lines(found.result):
        typer.echo(printable(line))
    if found.result["holds"] is False:
        raise typer.Exit(1)


def _shape(text: str | None) -> Shape | None:
    if text is None:
        return None
    try:
        channels, height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--shape: got {text!r}, expected C,H,W such as 1,40,40") from error
    return channels, height, width


def _range(text: str) -> Range:
    try:
        return parse_range(text)
    except InputError as error:
        raise InputError(f"--model-range: got {text!r}, expected LOW:HIGH, such as -1:1") from error
