"""`samenoise split`: build the two groups of an experiment and write them as lists."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from rich.progress import Progress

from core.data.celeba import read_attributes, read_identities
from core.data.corpus import load_corpus
from core.data.lists import read_list
from core.dedup.pairs import kept
from core.dedup.search import near_duplicates
from core.errors import InputError
from core.files import names_sha256
from core.splits.build import Split, baseline, by_attribute, by_identity, save_split


def command(
    corpus: Annotated[
        Path, typer.Argument(help="A saved corpus, or a list of image names in the order of the tensor.")
    ],
    kind: Annotated[str, typer.Option(help="baseline, attribute:NAME or identity.")],
    out: Annotated[Path, typer.Option(help="Directory for one list a group and split.json.")],
    size: Annotated[int | None, typer.Option(help="Images a group; attribute and identity: all unless given.")] = None,
    definition: Annotated[
        str, typer.Option(help="Baseline: ends (first and last N) or consecutive (1..N and N+1..2N).")
    ] = "ends",
    seed: Annotated[int, typer.Option(help="Decides choices and orders; split.json counts distinct partitions.")] = 0,
    identities: Annotated[Path | None, typer.Option(help="With a list: `name identity` a line.")] = None,
    attributes: Annotated[Path | None, typer.Option(help="With a list: CelebA's attribute file, .txt or .zip.")] = None,
    drop_duplicates: Annotated[bool, typer.Option(help="Remove near-duplicates first (0.95, drop-later).")] = False,
) -> None:
    """Build two groups of one corpus; the same inputs give the same bytes on every platform."""
    names, people, table, images = _load(corpus, identities, attributes)
    removed = None
    if drop_duplicates:
        if images is None:
            raise InputError(f"{corpus}: a list has no images to compare; --drop-duplicates needs a saved corpus")
        with Progress(transient=True) as bar:
            task = bar.add_task("near-duplicates", total=None)
            pairs = near_duplicates(images, progress=lambda i, n: bar.update(task, completed=i, total=n))
        survivors = kept(pairs, len(names))
        removed = {
            "threshold": pairs.threshold,
            "rule": survivors.rule,
            "removed": len(survivors.removed),
            "order_sha256_before": names_sha256(names),
        }
        at = survivors.kept
        names = [names[i] for i in at]
        people = None if people is None else people[at]
        table = None if table is None else table.iloc[at]
    split = _build(kind, names, people, table, size, definition, seed)
    if removed is not None:
        split = replace(split, parameters={**split.parameters, "near_duplicates": removed})
    save_split(split, out, corpus=corpus if corpus.is_dir() else None)
    sizes = ", ".join(f"{group} {n:,} images" for group, n in split.sizes.items())
    typer.echo(f"{out}: {split.kind} split of {len(names):,} images: {sizes}")
    if (tried := split.parameters.get("partitions")) and tried["distinct"] < tried["seeds_tried"]:
        typer.echo(f"note: {tried['seeds_tried']} seeds give {tried['distinct']} distinct partition(s) of these people")


def _build(
    kind: str,
    names: list[str],
    people: np.ndarray | None,
    table: pd.DataFrame | None,
    size: int | None,
    definition: str,
    seed: int,
) -> Split:
    name, _, attribute = kind.partition(":")
    if name == "baseline" and not attribute:
        if size is None:
            raise InputError("--size: a baseline split needs the number of images a group")
        return baseline(names, size, definition)
    if name == "identity" and not attribute:
        if people is None:
            raise InputError("--kind identity: the corpus has no identities; give them with --identities FILE")
        return by_identity(names, people, seed, n=size)
    if name == "attribute" and attribute:
        if table is None or attribute not in table.columns:
            known = "none" if table is None else ", ".join(map(str, table.columns))
            raise InputError(f"--kind {kind}: there is no attribute {attribute!r}; known: {known}")
        return by_attribute(names, table[attribute].to_numpy(), seed, attribute=attribute, n=size)
    raise InputError(f"--kind: found {kind!r}; expected baseline, attribute:NAME or identity")


def _load(
    corpus: Path, identities: Path | None, attributes: Path | None
) -> tuple[list[str], np.ndarray | None, pd.DataFrame | None, torch.Tensor | None]:
    if corpus.is_dir():
        if identities or attributes:
            raise InputError("--identities and --attributes go with a list; a saved corpus has its own")
        loaded = load_corpus(corpus)
        return list(loaded.names), loaded.identities, loaded.attributes, loaded.images
    names = read_list(corpus, skip_blank=True)
    people = table = None
    if identities is not None:
        owners = read_identities(identities)
        people = owners.to_numpy()[_positions(owners.index, names, identities)]
    if attributes is not None:
        values = read_attributes(attributes)
        table = values.iloc[_positions(values.index, names, attributes)]
    return names, people, table, None


def _positions(known: pd.Index, names: list[str], path: Path) -> np.ndarray:
    at = known.get_indexer(pd.Index(names))
    unknown = np.flatnonzero(at < 0)
    if len(unknown):
        raise InputError(f"{path}: lacks {len(unknown):,} of {len(names):,} images, first {names[unknown[0]]!r}")
    return at
