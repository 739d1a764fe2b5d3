"""`samenoise compare` end to end: networks that diffusers saved, folders of pictures, one page."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from audit.cli import main
from core.denoisers.tests.trained_unets import drawn, folder, trained
from reports.two_denoisers import NEAREST

GENERAL, FEW = 1500, 8  # images of which a network of this size learns the law, and which it learns by heart
WORDS = ("--levels", 20)


def program(*words: object) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def models(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks that generalise and two that memorise, each beside its training images."""
    root = tmp_path_factory.mktemp("models")
    for seed, (name, n, updates) in enumerate(
        (("A", GENERAL, 200), ("B", GENERAL, 200), ("copier-A", FEW, 120), ("copier-B", FEW, 120))
    ):
        images = drawn(n, seed)
        folder(root / f"train-{name}", images, f"{name}-")
        trained(root / name, images, updates=updates, seed=seed)
    return root


@pytest.fixture
def here(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(models)
    return models


def people(root: Path, name: str, *, leaked: int) -> Path:
    """Whose each image is, three a person; the first `leaked` images of B are of A's first person."""
    lines = []
    for group in ("A", "B"):
        for k, file in enumerate(sorted((root / f"train-{group}").iterdir())):
            who = "person-A-0" if group == "B" and k < leaked else f"person-{group}-{k // 3}"
            lines.append(f"{file.name} {who}\n")
    (root / name).write_text("".join(lines))
    return root / name


def compared(a: str, b: str, *words: object, code: int = 0) -> tuple[dict[str, Any], str]:
    """Result and page of one comparison, which ends with this exit code."""
    sets = ("--train-a", f"train-{a}", "--train-b", f"train-{b}")
    assert program("compare", a, b, *sets, *WORDS, "--json", "all.json", "--html", "page.html", *words) == code
    return json.loads(Path("all.json").read_text()), Path("page.html").read_text()


def verdicts(result: dict[str, Any]) -> list[str]:
    return [one["verdict"] for one in result["questions"]]


def test_three_pairs_give_three_pages_each_right(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pair that generalises, the same pair with one person in both sets, and a pair that memorises.

    Thresholds decide the exit code of the first two, and a leak fails them.
    """
    limits = ("--at-least", 0.9, "--at-most", 0.15)
    general, first = compared("A", "B", "--identities", people(here, "people.txt", leaked=0), *limits)
    told = capsys.readouterr().out
    assert "agreement of at least 0.9 holds: the interval begins at 0.9" in told
    assert "at most 15 % copies among the samples of B holds" in told
    persons = ("--identities", people(here, "leaked.txt", leaked=3))
    leaked, second = compared("A", "B", *persons, "--at-least", 0.5, code=1)
    assert "agreement of at least 0.5 is not shown: The training sets overlap" in capsys.readouterr().out
    copiers, third = compared("copier-A", "copier-B")

    same, copy, sets, _ = verdicts(general)
    assert same == "nearly" and copy in ("none found", "no more than false alarms") and sets == "none found"
    assert general["answer"].startswith("A and B draw nearly the same images from the same noise.")
    assert verdicts(leaked)[::2] == ["means little", "yes"] and verdicts(leaked)[1] == copy
    assert leaked["answer"].startswith("Agreement means little, as the training sets overlap: 1 identity is in both")
    assert leaked["overlap"]["identities"] == {
        "shared_identities": 1, "images_of_a": 3, "images_of_b": 3, "examples": ["person-A-0"],
    }  # fmt: skip
    assert verdicts(copiers)[:3] == ["no", "yes", "none found"]
    assert copiers["answer"].startswith("A and B are different functions. Both copy their training images.")
    assert {result["copies"]["A"]["any"]["samples"]["copies"] for result in (general, leaked)} <= {0, 1, 2}
    assert copiers["copies"]["A"]["any"]["samples"]["copies"] > 55

    for result, page in ((general, first), (leaked, second), (copiers, third)):
        assert result["answer"] in page and "<script" not in page
        assert not re.search(r'(src|href)="(?!data:)', page) and "url(" not in page and "@import" not in page
        called = sum(
            bool(pair["called_a_copy_by"]) for one in result["copies"].values() for pair in one["nearest"][:NEAREST]
        )
        assert page.count("a copy</span>") == called
    assert "person-A-0" in second and "person-A-0" not in first
    assert third.count("a copy</span>") == 2 * NEAREST
