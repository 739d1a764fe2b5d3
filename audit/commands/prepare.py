"""`samenoise prepare`: images from CelebA, a folder, a published tensor or the generator, saved as one corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from core.data.celeba import read_celeba
from core.data.corpus import Corpus, save_corpus
from core.data.folder import read_folder
from core.data.lists import read_list
from core.errors import InputError
from core.training.published_models import read_images
from fixtures.faces.corpus import generate


def command(
    out: Annotated[Path, typer.Option(help="Directory of the corpus.")],
    celeba: Annotated[Path | None, typer.Option(help="A directory in CelebA's layout.")] = None,
    folder: Annotated[Path | None, typer.Option(help="A folder of pictures.")] = None,
    tensor: Annotated[Path | None, typer.Option(help="A published tensor (n, c, h, w), .pt or .safetensors.")] = None,
    name: Annotated[str | None, typer.Option(help="With --tensor: which tensor of a file that holds several.")] = None,
    faces: Annotated[int | None, typer.Option(help="How many faces to generate.")] = None,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 40,
    table: Annotated[Path | None, typer.Option(help="With --folder: CSV of name, identity and attributes.")] = None,
    order: Annotated[Path | None, typer.Option(help="With --celeba: list of the names to read, in order.")] = None,
    seed: Annotated[int, typer.Option(help="With --celeba: of the order; with --faces: of the faces.")] = 0,
    duplicates: Annotated[float, typer.Option(help="With --faces: share of near-duplicates.")] = 0.0,
) -> None:
    """Read images once, crop, resize and turn them gray, and save them with their order, identities and attributes."""
    sources = {"celeba": celeba, "folder": folder, "tensor": tensor, "faces": faces}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(f"--{name}" for name in given) or "none"
        raise InputError(f"prepare: got {found}, expected exactly one of --celeba, --folder, --tensor, --faces")
    notes: list[str] = []
    with Progress(transient=True) as bar:
        task = bar.add_task(given[0], total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        corpus = _read(
            celeba, folder, tensor, name, faces, size, table, order, seed, duplicates, progress, notes.append
        )
    provenance: dict[str, Any] = {given[0]: str(sources[given[0]]), "size": size, "seed": seed}
    provenance |= {"order": str(order)} if order else {}
    provenance |= {"duplicates": duplicates} if faces else {}
    save_corpus(corpus, out, provenance)
    shape = "x".join(map(str, corpus.images.shape[1:]))
    for sentence in notes:
        typer.echo(f"note: {sentence}")
    typer.echo(f"{out}: {len(corpus):,} images of {shape}, fingerprint {corpus.fingerprint[:12]}")


def _read(
    celeba: Path | None,
    folder: Path | None,
    tensor: Path | None,
    name: str | None,
    faces: int | None,
    size: int,
    table: Path | None,
    order: Path | None,
    seed: int,
    duplicates: float,
    progress: Callable[[int, int], None],
    note: Callable[[str], None],
) -> Corpus:
    if celeba:
        return read_celeba(celeba, size=size, order=read_list(order) if order else seed, progress=progress, note=note)
    if folder:
        return read_folder(folder, size=size, table=table, progress=progress, tell=_tell)
    if tensor:
        images = read_images(tensor, name=name)
        return Corpus(images, tuple(f"{k:06d}" for k in range(1, len(images) + 1)))
    assert faces is not None
    return generate(faces, size=size, seed=seed, duplicates=duplicates).corpus


def _tell(what: str, count: int) -> None:
    typer.echo(f"note: {count:,} {what}")
