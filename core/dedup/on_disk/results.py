"""The files that a duplicate search leaves: pairs, lists with reasons, and the page that somebody draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.unusable import LISTED, REFUSED, reasons
from core.dedup.confirmed import Names, Pictures, Seen
from core.dedup.equal import Equal
from core.dedup.on_disk.parquet import as_parquet
from core.dedup.on_disk.second import look_table
from core.dedup.pairs import Kept, Pairs, kept
from core.dedup.sources import FileSource
from core.files import sha256_bytes, write_atomic

EQUAL = "equal.parquet"  # images equal to an earlier one of their set
LOOKED = "second_look.parquet"  # pairs that were looked at again at full size
SAME = "same_files.txt"  # files met more than once
PACKAGES = ("samenoise", "numpy", "numba", "torch", "pillow")


Page = Callable[[Pairs, Names, Pictures, str, Seen | None], str]  # pairs, names, pictures, summary, second look


@dataclass(frozen=True)
class Results:
    """What a search has found, in one set or across two.

    Attributes:
        pairs: of one set, or across two.
        sources: of the images, one a set.
        names: of the images of each source.
        skipped: name -> reason for the images of each set that are left out, whether or not a source has them.
        equal: the equal images of each source.
        twins: across two sets, for each image of the second that of the first which is the very same file, or -1.
        same: for each set, other name of a file -> the name under which it is read.
        seen: a second look at the pairs of the rule, where there are full-size pictures.
    """

    pairs: Pairs
    sources: Sequence[FileSource]
    names: Sequence[tuple[str, ...]]
    skipped: Sequence[dict[str, str]]
    equal: Sequence[Equal]
    twins: np.ndarray | None
    same: Sequence[Mapping[str, str]]
    seen: Seen | None = None

    def write(
        self, out: Path, rule: str, progress: Callable[[int, int], None], page: Page | None = None
    ) -> dict[str, int | list[int]]:
        """Write pairs.parquet, kept.txt, removed.txt and the lists that are not empty; returns the counts.

        With `page` there is an index.html. Across two sets it is the second that loses images: those that are like one
        of the first.

        Args:
            out: folder.
            rule: one of `core.dedup.pairs.RULES`.
            progress: called with (files written, files in all).
            page: makes the text of index.html.
        """
        pairs, first, last = self.pairs, self.names[0], self.names[-1]
        offset = len(first) if len(self.sources) == 2 else 0
        shifted = Pairs(pairs.i, pairs.j + offset, pairs.correlation, pairs.threshold, first=pairs.first)
        result = kept(shifted, offset + len(last), rule)
        stays = [last[k] for k in (result.kept[result.kept >= offset] - offset).tolist()]
        stays = [name for name in stays if name not in self.skipped[-1]]
        images = [len({*called, *left_out}) for called, left_out in zip(self.names, self.skipped, strict=True)]
        contents: dict[str, Callable[[], str | bytes]] = {
            "pairs.parquet": lambda: _parquet(pairs, first, last),
            "kept.txt": lambda: "".join(f"{name}\n" for name in stays),
            "removed.txt": lambda: self._removed(shifted, result, offset),
        }
        if any(self.skipped):
            contents[LISTED] = lambda: reasons(self.skipped)
        if any(equal.pairs for equal in self.equal):
            contents[EQUAL] = self._equal
        if any(self.same) or self.twins is not None:
            contents[SAME] = self._same
        if (seen := self.seen) is not None:
            contents[LOOKED] = lambda: look_table(seen.look, seen.pairs, self.names)
        if page:
            contents["index.html"] = lambda: self._page(page, images[0])
        for name in (LISTED, REFUSED, EQUAL, SAME, LOOKED):  # of an earlier run
            (out / name).unlink(missing_ok=True)
        progress(0, len(contents))
        for done, (name, content) in enumerate(contents.items(), 1):
            write_atomic(out / name, content())
            progress(done, len(contents))
        return {
            "images": images,
            "skipped": sum(map(len, self.skipped)),
            "pairs": pairs.total,
            "removed": len(result.removed),
            "removed_without_a_kept_likeness": result.orphans,
            "kept": len(stays),
        }

    def _removed(self, shifted: Pairs, result: Kept, offset: int) -> str:
        """A line an image that goes: its name, that of the image it is like, and their correlation."""
        earlier, later = result.because.T
        if shifted.first is not None:  # a pair that is not listed itself has the correlation of the first ones
            later = np.where(earlier == shifted.first[later], later, shifted.first[later])
        wide = offset + len(self.names[-1])
        at = np.searchsorted(shifted.i * wide + shifted.j, earlier * wide + later)
        why = zip(result.because.tolist(), shifted.correlation[at].tolist(), strict=True)
        first, last = self.names[0], self.names[-1]
        return "".join(f"{last[j - offset]}\t{first[i]}\t{c:.17g}\n" for (i, j), c in why)

    def _equal(self) -> bytes:
        """A row an image that is equal to an earlier one of its set: the set, 1 or 2, both numbers and both names."""
        tables = []
        for k, (equal, called) in enumerate(zip(self.equal, self.names, strict=True), 1):
            copies = np.flatnonzero(equal.first != np.arange(len(equal.first)))
            name = np.array(called, dtype=object)
            columns = {"set": np.full(len(copies), k), "image": copies, "first": equal.first[copies]}
            columns |= {"name": name[copies], "name_first": name[equal.first[copies]]}
            tables.append({**columns, "constant": equal.constant[copies]})
        return as_parquet({key: np.concatenate([table[key] for table in tables]) for key in tables[0]})

    def _same(self) -> str:
        """A line a file met again: the set, its name there, and the set and name under which it was met first."""
        lines = [f"{k}\t{name}\t{k}\t{known}\n" for k, same in enumerate(self.same, 1) for name, known in same.items()]
        twins = self.twins if self.twins is not None else np.empty(0, np.int64)
        met = zip(np.flatnonzero(twins >= 0).tolist(), twins[twins >= 0].tolist(), strict=True)
        return "".join([*lines, *(f"2\t{self.names[1][j]}\t1\t{self.names[0][i]}\n" for j, i in met)])

    def _page(self, page: Page, images: int) -> str:
        picture = [lambda k, s=source: s.pixels(np.array([k]))[0] for source in (self.sources[0], self.sources[-1])]
        where = "between the two sets" if len(self.sources) == 2 else f"among {images:,} images"
        also = " and are confirmed at full size" if self.seen and self.seen.pairs is not self.pairs else ""
        summary = f"{self.pairs.total:,} pairs {where} correlate above {self.pairs.threshold} in absolute value{also}."
        return page(self.pairs, (self.names[0], self.names[-1]), (picture[0], picture[1]), summary, self.seen)


def _parquet(pairs: Pairs, first: tuple[str, ...], last: tuple[str, ...]) -> bytes:
    table = {
        "i": pairs.i,
        "j": pairs.j,
        "name_i": np.array(first, dtype=object)[pairs.i],
        "name_j": np.array(last, dtype=object)[pairs.j],
        "correlation": pairs.correlation,
    }
    return as_parquet(table)


def digest(source: FileSource) -> str:
    """Hash of the hashes of all images that the source has read."""
    assert source.digests is not None
    return sha256_bytes(np.ascontiguousarray(source.digests).tobytes())
