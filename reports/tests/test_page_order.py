"""What a reader meets first: surprises, what is blocked, and on each card the one number that decided."""

import re
from pathlib import Path
from typing import Any

import pytest

from reports import render as module
from reports.format import unit_of_n
from reports.parts import decided, decided_by, first_picture, opened_by, surprises, unblocking, verdict_counts
from reports.render import render
from reports.tests.test_render import PIXEL, Page, audit, check, claim, full, item

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M 0 0 L 9 9"/></svg>'


def needs(kind: str, command: str) -> dict[str, str]:
    return {"kind": kind, "needs": f"what {kind} takes", "command": command}


def short(page: str, claim_id: str) -> str:
    """The text of a card that is not folded away."""
    start = page.index(f'data-claim="{claim_id}"')
    card = page[page.rindex("<article", 0, start) : page.index("</article>", start) + 10]
    return " ".join(Page(re.sub(r'<details class="more".*</details>', "", card, flags=re.DOTALL)).text.split())


def test_a_card_shows_the_number_that_decided_and_folds_the_rest(tmp_path: Path) -> None:
    text = short(render(full(tmp_path), tmp_path), "T-a")
    for told in ("It is so. T 1", "agreement 0.411 [0.382, 0.440]", "Expected above 0.5: it does not.",
                 "synthetic, n = 64 seeds, varies: seed; the only check"):  # fmt: skip
        assert told in text, told
    for folded in ("000001.jpg", "BCa bootstrap", "Above 0.", "test_a_positive", "it was so once", "202,599"):
        assert folded not in text, folded


def test_a_name_that_reads_poorly_is_shown_as_the_ledger_says(tmp_path: Path) -> None:
    data = full(tmp_path)
    data["claims"][0]["checks"][0]["shown"] = "likeness of <both>"
    page = render(data, tmp_path)
    assert "likeness of <both> 0.411" in short(page, "T-a") and "<both>" not in page


def test_multiplicity_names_the_number_that_the_card_does(tmp_path: Path) -> None:
    """The p of a verdict may be another check's; then both are named, each for what it is."""
    data = full(tmp_path)
    other = check("b", "above 0", "holds", decided=False)
    data["claims"][0]["checks"] = [other, *data["claims"][0]["checks"]]
    data["claims"][0]["checks"][1]["shown"] = "likeness of both"
    row = {"claim": "T-a", "kind": "synthetic", "verdict": "refuted", "check": "b", "pvalue": 0.001, "adjusted": 0.002,
           "survives": True}  # fmt: skip
    data["multiplicity"] = {"method": "Holm (1979).", "alpha": 0.05, "family": 1, "survive": 1, "rows": [row]}
    page = " ".join(Page(render(data, tmp_path)).text.split())
    assert "likeness of both 0.411" in short(render(data, tmp_path), "T-a")
    assert "likeness of both; p is that of: b" in page.split("Decided by")[1]
    assert decided_by({**row, "check": "agreement"}, data) == ("likeness of both", None)
    data["claims"][0]["checks"] = []
    assert decided_by(row, data) == ("b", None)


def test_a_card_says_what_its_verdict_leaves_open(tmp_path: Path) -> None:
    data = full(tmp_path)
    data["claims"][0]["leaves_open"] = "Not judged: longer training."
    page = render(data, tmp_path)
    assert "Not judged: longer training." in short(page, "T-a") and page.count("Not judged") == 1


def test_n_says_what_it_counts(tmp_path: Path) -> None:
    data = full(tmp_path)
    found = data["claims"][0]["evidence"][0]
    assert found["varies"] == "seed" and "n = 64 seeds, varies: seed" in short(render(data, tmp_path), "T-a")
    found |= {"counted": "pairs of samples", "varies": "3 training seeds a group"}
    page = render(data, tmp_path)
    assert "n = 64 pairs of samples, varies: 3 training" in short(page, "T-a")
    assert " ".join(Page(page).text.split()).count("64 pairs of samples") >= 2, "on the card and in its table"
    assert unit_of_n({"n": 40, "varies": "corpus, seed"}) == "", "of two things nothing is guessed"
    assert [unit_of_n({"n": n, "varies": "3 training seeds"}) for n in (576, None)] == ["", ""]


def test_names_of_evidence_say_what_was_measured(tmp_path: Path) -> None:
    data = full(tmp_path)
    data["claims"][0]["evidence"].append(item("agreement at the smallest N without copies"))
    text = " ".join(Page(render(data, tmp_path)).text.split())
    assert "agreement at the smallest N at which fewer than half of the samples are copies" in text
    assert "without copies" not in text


def test_an_open_check_says_why_on_its_card_and_in_its_line(tmp_path: Path) -> None:
    data = full(tmp_path)
    checks = [check("agreement", "above 0.5", "open") | {"open_because": "its interval holds 0.5"}]
    data["claims"][2] |= {"checks": checks}
    page = render(data, tmp_path)
    assert "Expected above 0.5: it is left open, because its interval holds 0.5." in short(page, "T-c")
    assert "expected above 0.5, but its interval holds 0.5 (synthetic)" in " ".join(Page(page).text.split())


def test_figures_that_were_read_back_say_when_they_were_measured(tmp_path: Path) -> None:
    data = full(tmp_path)
    assert "measured before" not in render(data, tmp_path)
    for k, moment in enumerate(("2026-11-20T08:00:00+00:00", "2026-11-21T09:30:00+00:00")):
        data["claims"][k]["measured"] = moment
    page = render(data, tmp_path)
    assert "The figures of 2 claims were measured before" in page and "the oldest on 20 November 2026, 08:00" in page
    assert "figures measured on 21 November 2026, 09:30 UTC and read back" in page
    assert "read back" not in short(page, "T-b")


def test_surprises_stand_before_the_table_each_with_its_number(tmp_path: Path) -> None:
    text = render(full(tmp_path), tmp_path)
    start = text.index('<h2 id="surprises"')
    section = Page("<section>" + text[start : text.index("</section>", start)] + "</section>")
    told = " ".join(section.text.split())
    assert start < text.index('<h2 id="blocked"') < text.index('<h2 id="verdicts"') < text.index("<article")
    assert "Title of T-a: agreement 0.411 [0.382, 0.440]; expected above 0.5 (synthetic)" in told
    assert "Now refuted, the ledger records nothing yet." in told or "the ledger records" in told
    assert "Title of T-e: RuntimeError: broken" in told and "Title of T-c" in told and "Title of T-b" not in told
    assert "Nothing: no claim changed" in Page(render(audit(claim()), tmp_path)).text


def test_a_claim_surprises_once() -> None:
    claims = [
        claim("T-1", verdict="refuted", changed=True),
        claim("T-2", verdict="refuted"),
        claim("T-3", verdict="inconclusive"),
        claim("T-4", verdict="reproduced", outside=["left"]),
        claim("T-5", verdict="reproduced"),
    ]
    found = {name: [c["id"] for c in group] for name, group in surprises(audit(*claims))}
    assert found == {"changed": ["T-1", "T-4"], "refuted": ["T-2"], "inconclusive": ["T-3"]}


def test_what_is_blocked_is_grouped_by_the_command_that_brings_it() -> None:
    claims = [
        claim("T-1", verdict="reproduced", blocked=[needs("celeba", "bring images")]),
        claim("T-2", verdict="blocked", blocked=[needs("celeba", "bring images"), needs("full", "train")]),
        claim("T-3", verdict="reproduced", blocked=[needs("full", "train")]),
    ]
    found = unblocking(audit(*claims))
    assert [(e["command"], list(e["waiting"]), list(e["more"])) for e in found] == [
        ("bring images", ["T-2"], ["T-1"]),
        ("train", ["T-2"], ["T-3"]),
    ]


def test_the_counts_of_the_first_screen_add_up(tmp_path: Path) -> None:
    claims = [
        claim("T-1", verdict="reproduced", verdicts={"property": "reproduced"}, blocked=[needs("celeba", "images")]),
        claim("T-2", verdict="blocked", blocked=[needs("celeba", "images"), needs("full", "train")]),
        claim("T-3", verdict="blocked", blocked=[needs("full", "train")]),
        claim("T-4", verdict="refuted", verdicts={"property": "refuted"}),
    ]
    assert opened_by(audit(*claims)) == [("train", 2)]  # which two claims wait for; images would bring one of them
    assert opened_by(audit(*claims[:2])) == [("images", 1)]
    text = " ".join(Page(render(audit(*claims), tmp_path)).text.split())
    assert "4 claims: 1 reproduced 1 refuted 2 blocked" in text
    assert "Of the 2 blocked, train brings 2. 1 other has some evidence and could have more." in text


def test_verdicts_that_rest_on_an_interval_are_counted_beside_the_exact_ones(tmp_path: Path) -> None:
    kinds = ["published", "synthetic"]
    rows = [
        {"claim": "T-1", "kind": kind, "verdict": verdict, "check": "x", "pvalue": 0.01, "adjusted": 0.02,
         "survives": verdict == "reproduced"}
        for kind, verdict in zip(kinds, ("reproduced", "inconclusive"), strict=True)
    ]  # fmt: skip
    verdicts = {row["kind"]: row["verdict"] for row in rows}
    claims = [claim("T-1", verdicts=verdicts, verdict="inconclusive"), claim("T-2", verdicts={"published": "refuted"})]
    data = audit(*claims) | {"multiplicity": {"method": "Holm", "alpha": 0.05, "family": 2, "survive": 1, "rows": rows}}
    assert verdict_counts(data) == {"verdicts": 3, "exact": 1, "survive": 1, "fall": 0, "open": 1}
    text = " ".join(Page(render(data, tmp_path)).text.split())
    for told in ("3 verdicts were given", "1 follow from exact values, 2 rest on an interval",
                 "1 of the 2 stand when all", "0 do not, and 1 was left open by its interval"):  # fmt: skip
        assert told in text, told


def test_the_picture_of_a_card_is_that_of_the_deciding_number() -> None:
    evidence = [item("other", figures=["a.svg"]), item("judged", figures=["b.svg", "c.svg"])]
    judged = claim(evidence=evidence, checks=[check("other", "above 0", "holds", False), check("judged", "x", "holds")])
    found = decided(judged)
    assert found is not None and (found["item"]["name"], found["of"]) == ("judged", 2)
    assert first_picture(judged) == "b.svg"
    assert first_picture(claim(evidence=evidence)) == "a.svg" and first_picture(claim()) is None
    older = {key: value for key, value in judged.items() if key != "checks"}
    assert decided(older) is None


def test_a_picture_stands_on_the_page_once(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        (tmp_path / name).write_text(SVG)
    claims = [claim(f"T-{name}", evidence=[item(figures=[f"{name}.svg"])]) for name in "ab"]
    page = Page(render(audit(*claims), tmp_path))
    (shown,) = page.of("img")
    assert str(shown["src"]).startswith("data:image/svg+xml,") and shown["class"] == "curves"
    assert [a["href"] for a in page.of("a")].count("#figure-a-svg") == 1
    assert page.of("figure")[0]["id"] == "figure-a-svg"


def test_a_wide_drawing_scrolls_and_a_narrow_one_does_not(tmp_path: Path) -> None:
    for name, width in (("a", 600), ("b", 400)):
        (tmp_path / f"{name}.svg").write_text(SVG.replace("<svg ", f'<svg width="{width}pt" '))
    claims = [claim(f"T-{name}", evidence=[item(figures=[f"{name}.svg"])]) for name in "ab"]
    text = render(audit(*claims), tmp_path)
    assert text.count('<div class="scroll" role="group" aria-label="Figure" tabindex="0"><img') == 1


def test_a_vector_is_an_image_and_nothing_in_it_reaches_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text('<svg xmlns="x"><script>alert("1")</script></svg>"><script>2</script>')
    page = Page(render(audit(claim(evidence=[item(figures=["a.svg"])])), tmp_path))
    assert not page.of("script") and len(page.of("img")) == 1


def test_findings_stand_apart_from_claims(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PIXEL)
    apart = [item("pull", value=0.123, section="finding: what faces do"), item("roc", section="Calibration")]
    text = render(audit(claim(evidence=apart)), tmp_path)
    start = text.index('<h2 id="findings"')
    findings = text[start : text.index("</section>", start)]
    assert text.rindex("</article>") < start
    assert "No document claims these" in findings and "0.123" in findings and "roc" not in findings
    assert '<h3 id="section-finding-what-faces-do">what faces do</h3>' in findings
    assert '<h2 id="section-Calibration">Calibration</h2>' in text


def test_a_page_whose_words_alone_are_too_long_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    genuine = module.template

    def counted(*words: Any) -> Any:
        made.append(words)
        return genuine(*words)

    monkeypatch.setattr(module, "template", counted)
    claims = [claim(f"T-{k}", statement="It is so. " * 200) for k in range(1_500)]
    page = render(audit(*claims), tmp_path)
    assert len(page) > module.LIMIT and len(made) == 1 and page.count("<article") == len(claims)
