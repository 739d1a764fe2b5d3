"""The files that a duplicate search leaves: pairs, lists with reasons, and the page that somebody draws."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from core.dedup.pairs import Pairs, kept
from core.dedup.sources import FileSource
from core.errors import InputError
from core.files import sha256_bytes, write_atomic

Pictures = tuple[Callable[[int], np.ndarray], Callable[[int], np.ndarray]]  # number -> (c, h, w), for i and for j
Page = Callable[[Pairs, tuple[Sequence[str], Sequence[str]], Pictures, str], str]  # pairs, names, pictures, summary
LISTED = "skipped.txt"  # images left out, each with its reason
REFUSED = "unusable.txt"  # the same, of a run that stopped because of them
_PACKAGES = ("samenoise", "numpy", "numba", "torch", "pillow")


def refuse(bad: Sequence[dict[str, str]], out: Path) -> None:
    """InputError if an image of any set cannot be used: the first is named, all stand in a list beside the results."""
    reasons = [reason for left_out in bad for reason in left_out.values()]
    if len(reasons) == 1:
        raise InputError(f"{reasons[0]}; --skip-bad leaves it out")
    if reasons:
        write_atomic(out / REFUSED, _reasons(bad))
        raise InputError(
            f"{reasons[0]}; {len(reasons) - 1:,} more such images are listed in {out / REFUSED}; "
            "--skip-bad leaves them out"
        )


def _reasons(bad: Sequence[dict[str, str]]) -> str:
    """A line an image: name and reason; across two sets the number of the set, 1 or 2, comes first."""
    lines = []
    for k, left_out in enumerate(bad, 1):
        first = [str(k)] if len(bad) > 1 else []
        lines += ["\t".join([*first, name, reason]) + "\n" for name, reason in left_out.items()]
    return "".join(lines)


def write_results(
    pairs: Pairs,
    sources: list[FileSource],
    names: list[tuple[str, ...]],
    skipped: list[dict[str, str]],
    out: Path,
    rule: str,
    progress: Callable[[int, int], None],
    page: Page | None = None,
) -> dict[str, int | list[int]]:
    """Write pairs.parquet, kept.txt, removed.txt, skipped.txt and, with `page`, index.html; returns the counts.

    Across two sets it is the second that loses images: those that are like one of the first.

    Args:
        pairs: of one set, or across two.
        sources: of the images, one a set.
        names: of the images of each source.
        skipped: name -> reason for the images of each set that are left out, whether or not a source has them.
        out: folder.
        rule: one of `core.dedup.pairs.RULES`.
        progress: called with (files written, files in all).
        page: makes the text of index.html.
    """
    first, last = names[0], names[-1]
    across = len(sources) == 2
    offset = len(first) if across else 0
    shifted = Pairs(pairs.i, pairs.j + offset, pairs.correlation, pairs.threshold)
    result = kept(shifted, offset + len(last), rule)
    stays = [last[k] for k in (result.kept[result.kept >= offset] - offset).tolist() if last[k] not in skipped[-1]]
    wide = offset + len(last)
    at = np.searchsorted(shifted.i * wide + shifted.j, result.because[:, 0] * wide + result.because[:, 1])
    why = zip(result.because.tolist(), pairs.correlation[at].tolist(), strict=True)
    images = [len({*called, *left_out}) for called, left_out in zip(names, skipped, strict=True)]
    where = "between the two sets" if across else f"among {images[0]:,} images"
    summary = f"{len(pairs):,} pairs {where} correlate above {pairs.threshold} in absolute value."

    def contents() -> Iterator[tuple[str, str | bytes]]:
        yield "pairs.parquet", _parquet(pairs, first, last)
        yield "kept.txt", "".join(f"{name}\n" for name in stays)
        yield "removed.txt", "".join(f"{last[j - offset]}\t{first[i]}\t{c:.17g}\n" for (i, j), c in why)
        if any(skipped):
            yield LISTED, _reasons(skipped)
        if page:
            picture = [lambda k, s=source: s.pixels(np.array([k]))[0] for source in (sources[0], sources[-1])]
            yield "index.html", page(pairs, (first, last), (picture[0], picture[1]), summary)

    for name in (LISTED, REFUSED):  # of an earlier run
        (out / name).unlink(missing_ok=True)
    total = 3 + bool(page) + any(skipped)
    progress(0, total)
    for done, (name, content) in enumerate(contents(), 1):
        write_atomic(out / name, content)
        progress(done, total)
    return {
        "images": images,
        "skipped": sum(map(len, skipped)),
        "pairs": len(pairs),
        "removed": len(result.removed),
        "removed_without_a_kept_likeness": result.orphans,
        "kept": len(stays),
    }


def _parquet(pairs: Pairs, first: tuple[str, ...], last: tuple[str, ...]) -> bytes:
    table = {
        "i": pairs.i,
        "j": pairs.j,
        "name_i": np.array(first, dtype=object)[pairs.i],
        "name_j": np.array(last, dtype=object)[pairs.j],
        "correlation": pairs.correlation,
    }
    return pd.DataFrame(table).to_parquet(index=False)


def digest(source: FileSource) -> str:
    """Hash of the hashes of all images that the source has read."""
    assert source.digests is not None
    return sha256_bytes(np.ascontiguousarray(source.digests).tobytes())


def versions() -> dict[str, str]:
    """What can move the last bits, or the strategy, of a search."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from its folder
            found[name] = "not installed"
    return found
