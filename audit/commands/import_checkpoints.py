"""`samenoise import`: models that others trained, by their own folder names."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from core.errors import InputError
from core.training.hub import fetch
from core.training.published_models import DATASETS, MODELS, import_models
from core.training.runs import RunStore


def command(
    checkpoints: Annotated[Path, typer.Option(help="The published tree, or where to put it with --fetch.")],
    runs: Annotated[Path, typer.Option(help="The run store.")] = Path("runs"),
    corpus: Annotated[
        Path | None, typer.Option(help="The corpus they were trained on (samenoise prepare --tensor FILE).")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Only the models of this <data> folder; with --corpus where there are several.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="random, identity or an attribute; default: what the <data> folder's name says.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="The entry of a checkpoint to take, where several hold weights: model, ema, ...")
    ] = None,
    fetch_: Annotated[
        str | None, typer.Option("--fetch", help="First fetch `models` or `datasets` from Hugging Face.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="With --fetch: a full commit hash.")] = None,
    pattern: Annotated[list[str] | None, typer.Option(help="With --fetch: only these names, as in a shell.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="With --fetch: another hub.")] = None,
) -> None:
    """Copy published checkpoints into the run store; with their corpus, pytest audit/ --runs then judges them."""
    if fetch_ is not None:
        repositories = {"models": (MODELS, "model"), "datasets": (DATASETS, "dataset")}
        if fetch_ not in repositories:
            raise InputError(f"--fetch: got {fetch_!r}, expected models or datasets")
        repository, kind = repositories[fetch_]
        names = pattern or ["*"]
        found = fetch(repository, checkpoints, kind=kind, revision=revision, patterns=names, endpoint=endpoint)
        typer.echo(f"{checkpoints}: {len(found)} files of {repository}, checked")
        if fetch_ == "datasets":
            return
    with Progress(transient=True) as bar:
        task = bar.add_task("importing", total=None)
        records = import_models(
            checkpoints,
            RunStore(runs),
            corpus=corpus,
            data=data,
            protocol=protocol,
            state=state,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for record in records:
        label = record.label
        judged = "" if "corpus" in record.data else "; not judged: give --corpus, the images it was trained on"
        name = f"{label['data']} ({label['protocol']}) N={label['n']:,} {label['group']}"
        typer.echo(f"{record.source}: {name}, {record.key[:12]}{judged}")
