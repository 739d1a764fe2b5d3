"""Which column of a table names the image and which the group, where the user did not say: known words, then values."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InputError
from core.splits.dialect import FILE_LIKE, ROW_NAMES, plain
from core.splits.grid import Grid, as_text
from core.splits.notes import Note

_FILE_WORDS = """
name image images imageid imagename imagepath imagefile imagefilename imagefilepath imageindex img imgname imgpath
imgfile imgid filename filenames file files filepath path relpath relativepath fname photo picture audio audiopath
audiofile clip clippath video videoname videopath wav wavpath utterance frame filenamehr
"""
_KEY_WORDS = "id uid uuid key sample sampleid item itemid photoid dicomid ecgid url"
_GROUP_WORDS = """
group split splits set subset partition fold kfold folds foldid cvfold stratfold phase usage datasetsplit splitname
splitset traintest traintestsplit istrain istest istraining istrainingimage isval
"""
_FILES, _KEYS, _GROUPS = (frozenset(words.split()) for words in (_FILE_WORDS, _KEY_WORDS, _GROUP_WORDS))
KNOWN = _FILES | _KEYS | _GROUPS
WIDE = ("train", "training", "test", "testing", "val", "valid", "validation", "dev", "istrain", "isval", "istest")
_SPLITS = frozenset((*WIDE, "trainval", "query", "gallery"))  # values that say what they are
_MOST_GUESSED = 20  # values up to which an unnamed column can be the groups
_SEEN = 2000  # rows that a guess looks at


@dataclass(frozen=True)
class Choice:
    """A column's name and, where nobody gave it, the note that says so."""

    column: str
    notes: tuple[Note, ...] = ()


def name_column(grid: Grid, asked: str | None, *, beside: Sequence[str] = ()) -> Choice:
    """The column that identifies the image; `beside` are taken by something else.

    Raises:
        InputError: where none or several could, with the option that says which.
    """
    if asked is not None:
        grid.resolve(asked)
        return Choice(asked)
    if "name" in grid.names:
        return Choice("name")
    free = [name for name in grid.names if name not in beside and name not in grid.nested]
    if grid.headed:
        for known in (_FILES, _KEYS):
            found = [name for name in free if plain(name) in known]
            if len(found) == 1:
                return _guessed(grid, found[0], "image", "--name-column")
            if found:
                shown = " and ".join(map(repr, found[:4]))
                raise InputError(
                    f"{grid.path}: the columns {shown} could each name the image; say which (--name-column)"
                )
        if ROW_NAMES in free:
            return _guessed(grid, ROW_NAMES, "image", "--name-column")
    if len(free) == 1:
        return _guessed(grid, free[0], "image", "--name-column")
    looks = [name for name in free if _file_like(grid, name)]
    if len(looks) == 1:
        return _guessed(grid, looks[0], "image", "--name-column")
    several = f"columns {', '.join(looks)} each look like names" if looks else "no column looks like names of images"
    raise InputError(f"{grid.path}: {several}; say which names the image (--name-column): {described(grid)}")


def group_column(grid: Grid, asked: str | None, *, beside: Sequence[str] = ()) -> Choice:
    """The column that names the group, or several by commas, one a group.

    Raises:
        InputError: where none or several could, with the option that says which.
    """
    if asked is not None:
        return Choice(asked)
    if "group" in grid.names:
        return Choice("group")
    free = [name for name in grid.names if name not in beside and name not in grid.nested and name != ROW_NAMES]
    if grid.headed:
        wide = [name for name in free if plain(name) in WIDE]
        found = [name for name in free if plain(name) in _GROUPS]
        if len(wide) > 1 and set(found) <= set(wide):
            return _guessed(grid, ",".join(wide), "group, one column each", "--group-column")
        if len(found) == 1:
            return _guessed(grid, found[0], "group", "--group-column")
        if found:
            shown = " and ".join(map(repr, found[:4]))
            raise InputError(f"{grid.path}: the columns {shown} could each be the groups; say which (--group-column)")
    else:
        spoken = [name for name in free if set(map(str.lower, _sample(grid, name, _SEEN))) <= _SPLITS]
        if len(spoken) == 1:
            return _guessed(grid, spoken[0], "group", "--group-column")
        few = [name for name in free if 1 < _distinct(grid, name) <= _MOST_GUESSED]
        if len(free) == 1 or len(few) == 1:
            return _guessed(grid, (few or free)[0], "group", "--group-column")
    raise InputError(f"{grid.path}: say which column is the group (--group-column): {described(grid)}")


def described(grid: Grid) -> str:
    """The columns, those without a header with their first value."""
    if grid.headed:
        return f"its columns are {', '.join(name or '(no name)' for name in grid.names[:20])}"
    firsts = [f"{name} ({', '.join(_sample(grid, name, 1))})" for name in grid.names[:12]]
    return f"its columns are {', '.join(firsts)}"


def _guessed(grid: Grid, column: str, what: str, option: str) -> Choice:
    if grid.names == (column,):
        return Choice(column)
    return Choice(column, (Note("guessed", f"column {column} is taken for the {what} ({option})", str(grid.path)),))


def _sample(grid: Grid, name: str, most: int) -> list[str]:
    values = grid.at(grid.names.index(name))
    return [value for value in as_text(values.slice(0, most)).to_pylist() if value is not None]


def _file_like(grid: Grid, name: str) -> bool:
    values = _sample(grid, name, _SEEN)
    return bool(values) and sum(FILE_LIKE.fullmatch(value) is not None for value in values) > 0.9 * len(values)


def _distinct(grid: Grid, name: str) -> int:
    values = _sample(grid, name, _SEEN)
    few = len(set(values))
    return few if few < len(values) else 0
