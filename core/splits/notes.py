"""What a reader of splits assumed, guessed or passed over, said before anything is said to hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One thing that the counts rest on and that the files do not say themselves.

    Attributes:
        kind: one word for it: `assumed`, `guessed`, `passed over`, `spelling`, `repaired`.
        text: one sentence, without the file's name.
        file: the file that it is about, as it was given; None where it is about several.
        line: line of that file, counted from 1; None where it is about no one line.
    """

    kind: str
    text: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = (
            "" if self.file is None else f"{self.file}: " if self.line is None else f"{self.file}, line {self.line}: "
        )
        return f"{place}{self.text}"
