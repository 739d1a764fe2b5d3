"""Any folder of pictures as a corpus, with a table of identities and attributes where there is one."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.data.corpus import Corpus
from core.data.pictures import NOTES, Fit, as_floats, read_header, read_picture, suffixes
from core.errors import InputError
from core.machine import cores


def read_folder(
    directory: Path | str,
    *,
    size: int = 40,
    fit: Fit | None = None,
    table: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str, int], None] | None = None,
) -> Corpus:
    """The pictures of a folder, in the order of the table, or of their names.

    Args:
        directory: the folder; subfolders are not read.
        size: pixels a side of the corpus.
        fit: how pictures become arrays, instead of gray squares of `size` from their centre.
        table: CSV with a column `name`, and if they are known `identity` (whole numbers) and one column an attribute
            with values -1 and 1, or 0 and 1.
        progress: called with (pictures done, pictures in all).
        tell: called with (what, how many) for what is passed over, and for pictures of a kind that a reader should
            know of.

    Raises:
        InputError: naming the file or column, what was found and what was expected.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory}: found no directory, expected a folder of pictures")
    fit = fit or Fit("crop", size)
    present = sorted(path.name for path in directory.iterdir() if path.suffix.lower() in suffixes())
    rows = _read_table(Path(table)) if table is not None else pd.DataFrame({"name": present})
    names = list(rows["name"])
    if not names:
        raise InputError(f"{table or directory}: found no picture, expected at least one")
    if missing := [name for name in names if name not in set(present)]:
        raise InputError(f"{directory}: lacks {len(missing)} of {len(names)} pictures, first {missing[0]!r}")
    images = read_all([directory / name for name in names], fit, progress=progress)
    if tell:
        _tell(directory, names, fit, tell)
    identities = rows["identity"].to_numpy(np.int64) if "identity" in rows else None
    attributes = rows.drop(columns=["name", "identity"], errors="ignore")
    return Corpus(images, tuple(names), identities, attributes.astype(np.int8) if len(attributes.columns) else None)


def notes_of(paths: Iterable[Path], fit: Fit) -> dict[str, int]:
    """How many pictures are of each kind that a reader should know of (`core.data.pictures.NOTES`), in words."""
    kinds = Counter(kind for path in paths for kind in read_header(path, fit).notes)
    return {f"pictures {NOTES[kind]}": count for kind, count in kinds.items()}


def _tell(directory: Path, names: list[str], fit: Fit, tell: Callable[[str, int], None]) -> None:
    taken = set(names)
    others = (path for path in directory.iterdir() if path.name not in taken)
    kinds = Counter("folders" if path.is_dir() else path.suffix.lower() or "without a suffix" for path in others)
    found = {f"passed over: {kind}": count for kind, count in kinds.most_common()}
    for what, count in (found | notes_of((directory / name for name in names), fit)).items():
        tell(what, count)


def read_all(paths: Sequence[Path], fit: Fit, *, progress: Callable[[int, int], None] | None = None) -> torch.Tensor:
    """Pictures as one (n, c, h, w) float32 tensor in [0, 1], in order.

    Raises:
        InputError: naming the file, if it cannot be read or has another shape than the first.
    """
    images: torch.Tensor | None = None
    with ThreadPoolExecutor(cores()) as pool:
        try:
            for done, pixels in enumerate(pool.map(lambda path: as_floats(read_picture(path, fit)), paths)):
                if images is None:
                    images = torch.empty(len(paths), *pixels.shape)
                if pixels.shape != images.shape[1:]:
                    found, expected = ("x".join(map(str, shape)) for shape in (pixels.shape, images.shape[1:]))
                    raise InputError(
                        f"{paths[done]}: found {found} (channels, height, width), expected {expected} like {paths[0]}; "
                        "crop:N or squeeze:N instead of keep makes all equal"
                    )
                images[done] = torch.from_numpy(pixels)
                if progress:
                    progress(done + 1, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.empty(0, 1, 1, 1) if images is None else images


def _read_table(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype={"name": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV table ({error})") from error
    if "name" not in rows:
        raise InputError(f"{path}: columns are {', '.join(map(str, rows.columns))}; expected one called name")
    if rows["name"].isna().any():
        raise InputError(f"{path}: line {int(np.flatnonzero(rows['name'].isna())[0]) + 2} has no name")
    for column in rows.columns.drop("name"):
        values = set(rows[column].unique())
        if column == "identity":
            if not pd.api.types.is_integer_dtype(rows[column]):
                raise InputError(f"{path}: column identity holds {rows[column].dtype}, expected whole numbers")
        elif values <= {0, 1}:
            rows[column] = rows[column] * 2 - 1
        elif not values <= {-1, 1}:
            raise InputError(
                f"{path}: column {column} holds {sorted(map(str, values))[:4]}, expected -1 and 1, or 0 and 1"
            )
    return rows
