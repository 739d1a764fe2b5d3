"""`samenoise prepare`: CelebA, any collection of pictures, a published tensor or generated faces become a corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from core.data.corpus import Corpus, save_corpus
from core.data.pictures import KEEP, Fit
from core.data.prepared import Labels, Saved, Saving, StageProgress, prepare_celeba, prepare_pictures
from core.data.unusable import LISTED
from core.errors import InputError

_SIDE = 40  # pixels, as the report prepares its images


def command(
    out: Annotated[Path, typer.Option(help="Directory of the corpus.")],
    celeba: Annotated[Path | None, typer.Option(help="A directory in CelebA's layout.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            "--folder",
            help="Pictures: a folder and its subfolders, .zip, .tar (WebDataset), parquet or a saved data set of "
            "Hugging Face, .npz (MedMNIST), HDF5, IDX (MNIST). FILE::KEY says which array, column or split.",
        ),
    ] = None,
    tensor: Annotated[Path | None, typer.Option(help="A published tensor (n, c, h, w), .pt or .safetensors.")] = None,
    name: Annotated[str | None, typer.Option(help="With --tensor: which tensor of a file that holds several.")] = None,
    faces: Annotated[int | None, typer.Option(help="How many faces to generate.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Pixels a side; 40 unless given, but arrays of pixels keep their size.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="With --images: how pictures are fitted, as `samenoise dedup --fit` takes it.")
    ] = None,
    colour: Annotated[bool, typer.Option("--colour", "--color", help="With --images: three channels.")] = False,
    axes: Annotated[
        str | None, typer.Option(help="Arrays only: nchw or nhwc, where the order of the axes is not clear.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="With --images: CSV of name, identity and attributes.")] = None,
    identity_from: Annotated[
        str | None,
        typer.Option(help="With --images: folder, a column, or a pattern with one group, like 'n(\\d+)_'."),
    ] = None,
    attribute_from: Annotated[
        list[str] | None, typer.Option(help="The same for an attribute a class; can be given several times.")
    ] = None,
    order: Annotated[Path | None, typer.Option(help="With --celeba: list of the names to read, in order.")] = None,
    seed: Annotated[int, typer.Option(help="With --celeba: of the order; with --faces: of the faces.")] = 0,
    duplicates: Annotated[float, typer.Option(help="With --faces: share of near-duplicates.")] = 0.0,
    memory: Annotated[str, typer.Option(help="Pictures held and decoded at a time, like 256MB.")] = "256MB",
    threads: Annotated[int | None, typer.Option(help="Threads that decode; one a core unless given.")] = None,
    skip_bad: Annotated[bool, typer.Option(help="List pictures that cannot be used and leave them out.")] = False,
) -> None:
    """Read images once, crop, resize and turn them gray, and save them; killed and started again, it goes on."""
    sources = {"celeba": celeba, "images": images, "tensor": tensor, "faces": faces}
    given = [option for option, value in sources.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(f"--{option}" for option in given) or "none"
        raise InputError(f"prepare: got {found}, expected exactly one of --celeba, --images, --tensor, --faces")
    labels = Labels(table, identity_from, tuple(attribute_from or ()))
    if images is None and (labels != Labels() or fit is not None or axes is not None or colour):
        raise InputError("--table, --identity-from, --attribute-from, --fit, --colour, --axes: go with --images")
    saving = Saving(out, memory, threads, skip_bad)
    notes: list[str] = []
    provenance: dict[str, Any] = {given[0]: str(sources[given[0]]), "seed": seed}
    with Progress(transient=True) as bar:
        task = bar.add_task(given[0], total=None)

        def progress(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        if images is not None:
            saved = _of_pictures(images, (fit, size, colour), axes, labels, saving, provenance, progress, notes.append)
        elif celeba is not None:
            saved = _of_celeba(celeba, size or _SIDE, order, seed, saving, provenance, progress, notes.append)
        else:
            corpus = _of_tensor(tensor, name) if tensor else _of_faces(faces or 0, size or _SIDE, seed, duplicates)
            provenance |= {"size": size or _SIDE} | ({"duplicates": duplicates} if faces else {})
            save_corpus(corpus, out, provenance)
            saved = Saved(tuple(corpus.images.shape), corpus.fingerprint, 0)
    for sentence in notes:
        typer.echo(f"note: {sentence}")
    if saved.left_out:
        typer.echo(f"left out {saved.left_out:,} pictures that cannot be used: {out / LISTED}")
    shape = "x".join(map(str, saved.shape[1:]))
    typer.echo(f"{out}: {saved.shape[0]:,} images of {shape}, fingerprint {saved.fingerprint[:12]}")


def _of_pictures(
    images: Path,
    wanted: tuple[str | None, int | None, bool],
    axes: str | None,
    labels: Labels,
    saving: Saving,
    provenance: dict[str, Any],
    progress: StageProgress,
    note: Callable[[str], None],
) -> Saved:
    from core.data.collections.find import open_collection

    fit, size, colour = wanted
    if fit is not None and (size is not None or colour):
        raise InputError(f"--fit {fit}: says size and colour; expected no --size or --colour beside it")
    pictures = open_collection(images, axes=axes)
    if fit is not None:
        chosen = Fit.parse(fit)
    elif size is None and pictures.pixels is not None:
        chosen = Fit("keep", None, True) if colour else KEEP
    else:
        chosen = Fit("crop", size or _SIDE, colour)
    provenance |= {"fit": str(chosen), "identity_from": labels.identity, "attribute_from": list(labels.attributes)}
    provenance |= {"table": str(labels.table)} if labels.table else {}
    return prepare_pictures(pictures, chosen, labels, saving, provenance, progress=progress, tell=note)


def _of_celeba(
    celeba: Path,
    size: int,
    order: Path | None,
    seed: int,
    saving: Saving,
    provenance: dict[str, Any],
    progress: StageProgress,
    note: Callable[[str], None],
) -> Saved:
    from core.data.celeba import list_celeba
    from core.data.lists import read_list

    listing = list_celeba(celeba, order=read_list(order) if order else seed, note=note)
    provenance |= {"size": size} | ({"order": str(order)} if order else {})
    return prepare_celeba(listing, size, saving, provenance, progress=progress)


def _of_tensor(tensor: Path, name: str | None) -> Corpus:
    from core.training.published_models import read_images  # the training library, seconds of work

    images = read_images(tensor, name=name)
    return Corpus(images, tuple(f"{k:06d}" for k in range(1, len(images) + 1)))


def _of_faces(faces: int, size: int, seed: int, duplicates: float) -> Corpus:
    from fixtures.faces.corpus import generate

    return generate(faces, size=size, seed=seed, duplicates=duplicates).corpus
