"""How names, formulas and expected numbers are set on the page."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.format import expected, maths
from reports.parts import called
from reports.render import render
from reports.tests.test_page_order import needs, short
from reports.tests.test_render import Page, audit, check, claim, item


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("7659264", "7,659,264"),
        ("0.0 within 1e-09", "0 within 10⁻⁹"),
        ("inside [-0.25, 0.25]", "inside [−0.25, 0.25]"),
        ("to contain 1.33333, no wider than 0.3", "to contain 1.333, no wider than 0.3"),
        ("'more than a week'", "'more than a week'"),
    ],
)
def test_expected_numbers_read_as_the_other_numbers_of_the_page(text: str, told: str) -> None:
    assert expected(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("d sigma^2", "d σ<sup>2</sup>"),
        ("C^alpha", "C<sup>α</sup>"),
        ("sigma^(2 alpha / (alpha + 1))", "σ<sup>2 α / (α + 1)</sup>"),
        ("218 x 178 at 20x20x3, x 3 of Male40x40.ipynb", "218 × 178 at 20×20×3, x 3 of Male40x40.ipynb"),
        ("<b>^2 & alphabet", "&lt;b&gt;<sup>2</sup> &amp; alphabet"),
    ],
)
def test_formulas_are_set_as_formulas(text: str, told: str) -> None:
    assert maths(text) == told


@given(st.text(alphabet="^()<>&\"'abx2 sigma-"))
def test_no_text_opens_a_tag_of_its_own(text: str) -> None:
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)

    parser = Tags()
    parser.feed(str(maths(text)))
    assert set(tags) <= {"sup"}


def test_a_name_that_reads_poorly_is_another_in_tables_too() -> None:
    judged = {**check("this", "above 0", "holds"), "shown": "that of the <halves>"}
    one = claim(checks=[judged])
    assert called(item("this"), one) == "that of the <halves>"
    assert called(item("this, sampler without noise"), one) == "that of the <halves>, sampler without noise"
    assert called(item("this_other"), one) == "this other" and called(item("this", kind="published"), one) == "this"


def test_a_blocked_card_names_everything_that_would_bring_evidence(tmp_path: Path) -> None:
    wanting = [needs("published", "pytest audit/ --published DIR"), needs("celeba", "pytest audit/ --celeba DIR")]
    page = render(audit(claim("T-d", verdict="blocked", blocked=wanting)), tmp_path)
    text = short(page, "T-d")
    assert "--published DIR" in text and "--celeba DIR" in text


def test_one_command_brings_each_author_s_material_under_its_name(tmp_path: Path) -> None:
    command = "pytest audit/ --published DIR"
    claims = [
        claim(f"{letter}-a", verdict="blocked", blocked=[{"kind": "published", "needs": of, "command": command}])
        for letter, of in (("T", "Topeza's lists"), ("K", "the figures of Kadkhodaie"))
    ]
    text = " ".join(Page(render(audit(*claims), tmp_path)).text.split())
    assert "brings Topeza's lists; without it nothing is known of “Title of T-a”." in text
    assert "brings the figures of Kadkhodaie; without it nothing is known of “Title of K-a”." in text
    assert f"Of the 2 blocked, {command} brings 2." in text
