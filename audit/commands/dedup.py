"""`samenoise dedup`: exact near-duplicates of one set, or between two."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from core.data.collections.find import HOLDS
from core.data.pictures import Fit
from core.dedup.confirmed import told as told_again
from core.dedup.join.budget import AT_ONCE
from core.dedup.join.cluster import DaskEngine, connect
from core.dedup.join.tiles import Engine, local_engine
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.looked_at import told, warnings
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.errors import InputError
from core.machine import return_freed_memory
from reports.duplicates import duplicates_page

HELP = f"A saved corpus, a CelebA directory, {HOLDS}, or a tensor in a .npy, .pt or .safetensors file."


def command(
    corpus: Annotated[Path, typer.Argument(help=HELP)],
    other: Annotated[
        Path | None, typer.Argument(help="A second set: pairs run between the two, and its images are removed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for pairs, lists, dedup.json and the page.")] = Path("dedup"),
    threshold: Annotated[float, typer.Option(help="Absolute correlation above which a pair counts, in (0, 1].")] = 0.95,
    rule: Annotated[
        str,
        typer.Option(
            help="drop-later (published: the later of each pair) or representatives (only if a kept one is alike)."
        ),
    ] = "drop-later",
    memory: Annotated[
        str, typer.Option(help="Scratch beyond the pooled matrix and the pairs found, like 256MB.")
    ] = "256MB",
    threads: Annotated[int | None, typer.Option(help="Worker threads; one a core unless given.")] = None,
    device: Annotated[str | None, typer.Option(help="Accelerator for the products, like cuda.")] = None,
    engine: Annotated[
        str,
        typer.Option(help="local, or dask: input and --out must then lie where every worker sees them."),
    ] = "local",
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler; without it a local one.")] = None,
    pooled_size: Annotated[int, typer.Option(help="Rows to which images are pooled before they are compared.")] = 20,
    fit: Annotated[
        str | None,
        typer.Option(
            help="Pictures only: crop:SIDE (the central square), squeeze:SIDE (all of it) or keep; grays, or with "
            ":colour behind it colours. crop:40 unless given; arrays of pixels are kept."
        ),
    ] = None,
    resize: Annotated[int | None, typer.Option(help="Pictures only: the same as --fit crop:SIDE.")] = None,
    axes: Annotated[
        str | None, typer.Option(help="Tensors only: nchw or nhwc, where the order of the axes is not clear.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option(help="List images that cannot be used and leave them out.")] = False,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Pictures only: keep only pairs that a second look at full size confirms."),
    ] = False,
) -> None:
    """Find near-duplicates exactly; killed and started again, it goes on where it was."""
    return_freed_memory(AT_ONCE)
    if engine not in ("local", "dask"):
        raise InputError(f"--engine: expected local or dask, got {engine!r}")
    if scheduler is not None and engine != "dask":
        raise InputError("--scheduler: goes with --engine dask")
    if fit is not None and resize is not None:
        raise InputError(f"--resize {resize}: the same as --fit crop:{resize}; got --fit {fit} beside it")
    chosen_fit = Fit("crop", resize) if resize is not None else Fit.parse(fit) if fit is not None else None
    inputs = [find_input(path, fit=chosen_fit, axes=axes) for path in (corpus, other) if path is not None]
    options = Options(threshold, rule, pooled_size, memory, threads, skip_bad, device, confirm=confirm)
    with ExitStack() as stack:
        chosen: Engine = local_engine
        if engine == "dask":
            chosen = DaskEngine(stack.enter_context(connect(scheduler, threads)))
        show = stack.enter_context(_Bars())
        result = run(inputs, out, options, engine=chosen, progress=show, page=duplicates_page)
    typer.echo(_summary(result, out))


class _Bars(Progress):
    """One bar a stage, made when the stage is first heard of."""

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.stages: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self.stages:
            self.stages[stage] = self.add_task(stage, total=total, completed=done)
        self.update(self.stages[stage], completed=done, total=total)


def _summary(result: dict[str, Any], out: Path) -> str:
    counts, measured, search = result["counts"], result["measured"], result["search"]
    images = " and ".join(f"{n:,}" for n in counts["images"])
    listed = search.get("pairs_listed", counts["pairs"])
    lines = [
        *told(result),
        f"{images} images, {counts['pairs']:,} pairs above {result['parameters']['threshold']}: "
        f"removed {counts['removed']:,}, kept {counts['kept']:,} ({result['parameters']['rule']})",
        *warnings(result),
        *_again(result["second_look"]),
    ]
    if counts["removed_without_a_kept_likeness"]:
        lines.append(
            f"of the removed, {counts['removed_without_a_kept_likeness']:,} are like no image that is kept: "
            "the middle of chains; --rule representatives keeps one of each"
        )
    if listed != counts["pairs"]:
        lines.append(
            f"equal images were taken together: pairs.parquet lists {listed:,} pairs, each copy with its first; "
            f"{out / 'equal.parquet'}"
        )
    if counts["skipped"]:
        lines.append(f"left out {counts['skipped']:,} images that cannot be used: {out / 'skipped.txt'}")
    decided = search.get("pairs_decided_in_float64", 0)
    tested, pruned = search.get("tiles_tested", 0), search.get("tiles_pruned", 0)
    lines.append(
        f"{search.get('pairs_in_all', 0):,} pairs compared by {search['strategy']}: {pruned:,} of {tested:,} tiles "
        f"pruned, {decided:,} pairs decided in float64, "
        f"{measured['seconds']:.1f} s, peak memory {measured['peak_rss'] / 1e6:,.0f} MB, of which the libraries take "
        f"{measured['peak_rss_before'] / 1e6:,.0f}"
    )
    return "\n".join([*lines, f"{out / 'index.html'}"])


def _again(look: dict[str, Any]) -> list[str]:
    """What the second look says, a line each."""
    if "not_looked" in look:
        return [f"no second look: {look['not_looked']}"]
    kept = ["only confirmed pairs are kept (--confirm)"] if look["only_confirmed_kept"] else []
    return [*told_again(look), *kept]
