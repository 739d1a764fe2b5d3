from pathlib import Path

import pytest

from core.errors import InputError
from reports.ledger import load_ledger

ROW = """
[[claim]]
id = "{id}"
title = "t"
topic = "data"
source = "T 1"
statement = "s"
evidence = ["published", "synthetic"]
rule = "r"
threshold_source = "rules.grows"
fixed = 2026-11-23
{more}
"""

RULES = """
[rules.grows]
word = "grows"
rule = "By the whole interval."
fixed = 2026-11-23
"""


def ledger(tmp_path: Path, *rows: tuple[str, str]) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text("".join(ROW.format(id=name, more=more) for name, more in rows) + RULES, encoding="utf-8")
    return path


def test_a_sound_ledger_is_read(tmp_path: Path) -> None:
    checks = 'checks = [{ evidence = "x", op = "above", value = 0.0 }]\nrecorded = { published = "reproduced" }'
    read = load_ledger(ledger(tmp_path, ("T-a", checks), ("T-b", "")))
    assert read.ids == ("T-a", "T-b")
    assert read["T-a"].checks[0].op == "above"
    assert read["T-b"].checks == ()


def test_a_reason_stands_for_all_kinds_or_for_one(tmp_path: Path) -> None:
    by_kind = 'reason = { published = "few seeds.", synthetic = "small N." }'
    read = load_ledger(ledger(tmp_path, ("T-a", 'reason = "r"'), ("T-b", by_kind), ("T-c", "")))
    assert (read["T-a"].reasons, read["T-a"].reason) == ({"": "r"}, "r")
    assert read["T-b"].reasons == {"published": "few seeds.", "synthetic": "small N."}
    assert read["T-b"].reason == "few seeds. small N."
    assert read["T-c"].reason is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("changes = [{ date = 2026-11-24 }]", r"a change of the rule has \['date'\]; expected date and why"),
        ('changes = [{ date = 2026-11-22, why = "w" }]', "dated 2026-11-22, before it was fixed"),
        ('changes = [{ date = "soon", why = "w" }]', "change: found 'soon'; expected a date"),
        ('checks = [{ evidence = "x", op = "above", value = 0, window = { full = [0, 1] } }]', "kind of a window"),
        (
            'checks = [{ evidence = "x", op = "above", value = 0, window = { published = [1, 0] } }]',
            r"window: found \[1, 0\]; expected two numbers",
        ),
        ('colour = "red"', "unknown key 'colour'"),
        ("leaves_open = 3", "leaves_open: found 3; expected a text"),
        ('aliases = ["T-a"]', "T-a stands in two rows"),
        ('recorded = { published = "true" }', "recorded verdict for published"),
        ('recorded = { celeba = "reproduced" }', "recorded kind"),
        ('recorded = { published = "refuted" }', "without its reason"),
        ('recorded = { published = "refuted" }\nreason = { synthetic = "r" }', "without its reason"),
        ('reason = { full = "r" }', "kind of a reason: found 'full'"),
        ('checks = [{ evidence = "x", op = "about", value = 1 }]', "op: found 'about'"),
        ('checks = [{ evidence = "x", op = "above" }]', "needs a value"),
        ('checks = [{ evidence = "x", op = "above", value = "much" }]', "needs a number"),
        ('checks = [{ evidence = "x", op = "above", value = 1, shown = "" }]', "shown: found ''; expected a text"),
        ('checks = [{ op = "above", value = 1 }]', "has no evidence"),
        ('checks = [{ evidence = "x", value = 1 }]', "has no op"),
        ('checks = [{ evidence = "x", op = "within", low = 1.0 }]', "needs low and high"),
        ('checks = [{ evidence = "x", op = "equals", value = 1, tolerance = 0.1 }]', "without its reason"),
        ('checks = [{ evidence = "x", op = "equals", value = 1, kind = "full" }]', "kind: found 'full'"),
        ("checks = [", "not valid TOML"),
    ],
)
def test_an_unsound_row_is_named(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_ledger(ledger(tmp_path, ("T-a", more)))


def test_a_duplicate_id_and_a_missing_statement_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="T-a stands in two rows"):
        load_ledger(ledger(tmp_path, ("T-a", ""), ("T-a", "")))
    path = ledger(tmp_path, ("T-a", ""))
    path.write_text(path.read_text().replace('statement = "s"\n', ""), encoding="utf-8")
    with pytest.raises(InputError, match="found no statement"):
        load_ledger(path)
