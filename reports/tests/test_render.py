"""The page: whole, self-contained, well-formed, readable by everyone, and harmless whatever the JSON holds."""

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from reports import render as module
from reports.format import bounds, day, duration, number, slug, web
from reports.judge import VERDICTS
from reports.ledger import TOPICS
from reports.parts import by_kind, cited
from reports.render import render, rerun

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
CSS = (Path(module.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
VOID = {"meta", "link", "img", "br", "hr", "input", "use", "path", "circle", "rect"}


class Page(HTMLParser):
    """Parsed page; refuses tags that are left open or closed out of turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"attribute twice in {tag}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def item(name: str = "agreement", **more: Any) -> dict[str, Any]:
    base = dict.fromkeys(("n", "interval", "interval_method", "seeds", "varies", "unit", "note"))
    return {"kind": "synthetic", "name": name, "value": 0.4112, "figures": [], **base, **more}


def check(name: str, expected: str, outcome: str, decided: bool = True) -> dict[str, Any]:
    return {"kind": "synthetic", "evidence": name, "expected": expected, "outcome": outcome, "decided": decided}


def claim(claim_id: str = "T-a", **more: Any) -> dict[str, Any]:
    return {
        "id": claim_id, "aliases": [], "title": f"Title of {claim_id}", "topic": "data", "source": "T 1",
        "statement": "It is so.", "rule": "Above 0.", "threshold_source": "rules.grows",
        "fixed": "2026-11-23", "outside": [],
        "rule_changes": [{"date": "2026-11-25", "why": "Stricter than before."}],
        "kinds": ["published", "synthetic"], "evidence": [], "verdict": "not yet tested", "verdicts": {},
        "reported": [{"name": "images", "value": 202599, "unit": "images", "how": "printed"}],
        "because": [], "checks": [], "recorded": None, "recorded_by_kind": {}, "changed": False, "reason": None,
        "blocked": [], "reasons": {}, "controls": [], "error": None, "judged_by_a_test": True, "nodeid": None,
        "seconds": None, "measured": None, **more,
    }  # fmt: skip


def audit(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in claims:
        counts[one["verdict"]] = counts.get(one["verdict"], 0) + 1
    return {
        "schema": "samenoise/audit/1", "created": "2026-11-23T06:55:00+00:00", "scale": "desk", "seconds": 751.3,
        "project": {"version": "0.1.0", "commit": "0123abcd", "dirty": True},
        "environment": {"python": "3.11.7", "cpus": 2, "device": "cpu", "packages": {"torch": "2.13.0"}},
        "inputs": [{"name": "list.txt", "sha256": "ab" * 32, "rows": 202589}], "counts": counts,
        "sources": {"T": {"title": "A report", "authors": "S. T.", "year": 2025, "link": "https://example.org/a"}},
        "rules": {"grows": {"word": "grows", "rule": "By the whole interval."}},
        "claims": list(claims), **more,
    }  # fmt: skip


def full(tmp_path: Path) -> dict[str, Any]:
    """An audit with every verdict, a figure, records, a change, an error and something blocked."""
    (tmp_path / "figures").mkdir(exist_ok=True)
    (tmp_path / "figures" / "a.png").write_bytes(PIXEL)
    rows = [{"N": 4, "share": 1.0}, {"N": 4096, "share": 0.0}]
    measured = [
        item(interval=[0.3821, 0.4402], interval_method="BCa bootstrap", n=64, seeds="0:64", varies="seed",
             figures=["figures/a.png", "figures/none.png", "../secret.png"]),
        item("by_size", value=rows), item("names", value=[f"{i:06d}.jpg" for i in range(40)]),
    ]  # fmt: skip
    needs = [{"kind": "published", "needs": "the published lists", "command": "pytest audit/ --published DIR"}]
    controls = [{"sign": "positive", "nodeid": "audit/test_a.py::test_a_positive", "outcome": "passed"}]
    return audit(
        claim("T-a", verdict="refuted", verdicts={"synthetic": "refuted"}, evidence=measured, blocked=needs,
              recorded_by_kind={"synthetic": "reproduced"}, changed=True, because=["synthetic: too low"],
              reasons={"": "it was so once", "synthetic": "at a small scale"}, controls=controls,
              checks=[check("agreement", "above 0.5", "fails")],
              nodeid="audit/test_a.py::test_a[x]", seconds=1.5),
        claim("T-b", verdict="reproduced", verdicts={"synthetic": "reproduced"}, evidence=[item()], topic="model",
              recorded_by_kind={"synthetic": "reproduced"}, nodeid="audit/test_b.py::test_b", seconds=0.1),
        claim("T-c", verdict="inconclusive", verdicts={"synthetic": "inconclusive"}, topic="theory",
              evidence=[item(interval=[-1.0, 1.0], interval_method="t")]),
        claim("T-d", verdict="blocked", blocked=needs, topic="splits"),
        claim("T-e", error="RuntimeError: broken", aliases=["K-e"]),
        claim("T-f", judged_by_a_test=False),
    )  # fmt: skip


def test_every_claim_stands_once_with_its_verdict(tmp_path: Path) -> None:
    data = full(tmp_path)
    page = Page(render(data, tmp_path))
    shown = [(a["data-claim"], a["data-verdict"]) for a in page.of("article")]
    assert shown == [(c["id"], c["verdict"]) for topic in TOPICS for c in data["claims"] if c["topic"] == topic]
    for verdict, n in data["counts"].items():
        assert re.search(rf"{n}\s*{verdict}", page.text)


def test_a_reason_of_evidence_that_this_run_lacks_is_told_as_recorded(tmp_path: Path) -> None:
    told = "recorded from a run that had it, not measured in this one: seen once"
    judged = {"synthetic": "refuted"}
    for verdicts, kind, absent in (
        (judged, "published", True),
        (judged, "synthetic", False),
        ({}, "", True),
        (judged, "", False),
    ):
        reasons = {"reasons": {kind: "seen once"}, "reason": "seen once"}
        data = audit(claim("T-a", verdicts=verdicts, verdict="refuted", **reasons))
        text = " ".join(Page(render(data, tmp_path)).text.split())
        assert (told in text) == absent and "seen once" in text


def test_survivors_of_multiplicity_are_listed_as_computed(tmp_path: Path) -> None:
    rows = [
        {"claim": "T-a", "kind": "synthetic", "verdict": "refuted", "check": "agreement", "pvalue": 1e-9,
         "adjusted": 2e-9, "survives": True},
        {"claim": "T-b", "kind": "synthetic", "verdict": "reproduced", "check": "agreement", "pvalue": 0.04,
         "adjusted": 0.0812, "survives": False},
    ]  # fmt: skip
    many = {"method": "Holm over two", "alpha": 0.05, "family": 2, "survive": 1, "rows": rows}
    page = Page(render({**full(tmp_path), "multiplicity": many}, tmp_path))
    text = "".join(page.text.split())
    for told in ("which verdicts survive", "T-a synthetic refuted < 0.0001 < 0.0001 yes agreement",
                 "T-b synthetic reproduced 0.04 0.081 no agreement", "Holm over two",
                 "1 of the 2 stand when all"):  # fmt: skip
        assert told.replace(" ", "") in text, told
    assert "which verdicts survive" not in Page(render(full(tmp_path), tmp_path)).text


def test_a_section_is_reached_from_the_contents_and_shown_once(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(PIXEL)
    title, rows = "Calibration of <criteria>", [{"criterion": "gap ratio", "detected": 0.125}]
    apart = [
        item("by_kind", value=rows, note="On generated faces.", figures=["figures/a.png"], section=title),
        item("detected", interval=[0.3821, 0.4402], interval_method="exact", section=title),
    ]
    data = audit(claim("T-a", evidence=[item("stays here", value=0.7777), *apart]), claim("T-b", evidence=apart[1:]))
    text = render(data, tmp_path)
    page = Page(text)
    link = "#section-Calibration-of-criteria-"
    assert [a["href"] for a in page.of("a")].count(link) == 3  # the contents and two cards
    assert [a["id"] for a in page.of("h2") if (a.get("id") or "").startswith("section-")] == [link[1:]]
    start = text.index(f'<h2 id="{link[1:]}"')
    section = Page("<section>" + text[start : text.index("</section>", start)] + "</section>")
    for told in (title, "Title of T-a", "Title of T-b", "by kind", "On generated faces.", "0.125", "[0.382, 0.440]"):
        assert told in section.text, told
    assert "0.7777" not in section.text and len(section.of("img")) == 1
    cards = text[: text.index("<section", text.index("</article>"))]
    assert "0.7777" in cards and "On generated faces." not in cards and "[0.382, 0.440]" not in cards
    assert len(page.of("img")) == 1
    assert "section-" not in render(full(tmp_path), tmp_path)


def test_a_card_says_all_that_a_reader_needs(tmp_path: Path) -> None:
    text = render(full(tmp_path), tmp_path)
    start = text.index('data-claim="T-a"')
    card = Page(text[text.rindex("<article", 0, start) : text.index("</article>", start) + 10]).text
    for told in (
        "T-a", "It is so.", "T 1", "202,599", "images", "printed", "0.411", "[0.382, 0.440]", "64", "BCa bootstrap",
        "varies: seed", "seeds 0:64", "Above 0.", "Fixed on 2026-11-23; threshold: grows",
        "Changed on 2026-11-25: Stricter than before.", "synthetic: too low",
        "it was so once", "synthetic: at a small scale", "the ledger records reproduced",
        "1 positive passed positive audit/test_a.py::test_a_positive",
        "No negative control in this run", "published needs the published lists", "pytest audit/ --published DIR",
        "pytest audit/ -k test_a", "audit/test_a.py::test_a[x]", "1.5 s",
    ):  # fmt: skip
        assert told in " ".join(card.split()), told


def test_the_page_names_inputs_environment_and_changes(tmp_path: Path) -> None:
    text = " ".join(Page(render(full(tmp_path), tmp_path)).text.split())
    for told in ("ab" * 32, "202,589", "torch", "2.13.0", "0123abcd", "with uncommitted changes", "12 min 31 s",
                 "23 November 2026, 06:55 UTC", "RuntimeError: broken"):  # fmt: skip
        assert told in text, told
    assert "Nothing: every verdict" in Page(render(audit(claim()), tmp_path)).text


def test_the_page_is_self_contained_and_without_scripts(tmp_path: Path) -> None:
    text = render(full(tmp_path), tmp_path)
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    assert all(str(attrs["src"]).startswith("data:image/png;base64,") for attrs in page.of("img"))
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "url(" not in CSS and "@import" not in CSS
    assert "default-src 'none'" in text


def test_links_lead_somewhere_and_ids_are_unique(tmp_path: Path) -> None:
    page = Page(render(full(tmp_path), tmp_path))
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for name in ("href", "aria-labelledby"):
            target = attrs.get(name)
            if target and not target.startswith("https://"):
                assert target.removeprefix("#") in ids, target


def test_the_page_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    page = Page(render(full(tmp_path), tmp_path))
    assert page.of("html")[0]["lang"] == "en" and page.text.count("samenoise")
    assert len(page.of("main")) == len(page.of("nav")) == len(page.of("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") in ("col", "row", "rowgroup") for attrs in page.of("th"))
    assert all("Title of T-a" in (attrs["alt"] or "") for attrs in page.of("img"))
    for tag, attrs in page.tags:
        if "tabindex" in attrs:
            assert attrs["role"] == "group" and attrs["aria-label"], tag
    for verdict in VERDICTS:
        assert f"#mark-{slug(verdict)}" in [attrs.get("href") for attrs in page.of("use")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_has_enough_contrast(scheme: str) -> None:
    """WCAG 2.1: at least 4.5 to 1 on both backgrounds."""
    blocks = re.findall(r":root \{([^}]*)\}", CSS)
    colours: dict[str, str] = {}
    for block in blocks[: 1 if scheme == "light" else 2]:
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name in ("ink", "muted", "link", *map(slug, VERDICTS)):
        for ground in ("paper", "panel"):
            high, low = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{name} on {ground}"


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [poison(inner) for inner in value]
        return value + HOSTILE if isinstance(value, str) else value

    clean, bad = full(tmp_path), poison(full(tmp_path))
    bad["schema"] = clean["schema"]
    bad["sources"]["T"]["link"] = "javascript:alert(1)"
    for before, after in zip(clean["claims"], bad["claims"], strict=True):
        after.update(topic=before["topic"], kinds=before["kinds"], verdicts=before["verdicts"])
        for entry in after["evidence"] + after["blocked"]:
            entry["kind"] = entry["kind"].removesuffix(HOSTILE)
    page = Page(render(bad, tmp_path))
    assert not page.of("script")
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert not any((attrs.get("href") or "").startswith("javascript") for attrs in page.of("a"))
    assert "{{ 7*7 }}" in page.text and HOSTILE in page.text


def test_figures_are_embedded_or_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path.parent / "secret.png").write_bytes(PIXEL)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "text.png").write_text("not a picture")
    data = full(tmp_path)
    data["claims"][0]["evidence"][0]["figures"] += ["figures/text.png", "/etc/hostname", "figures"]
    page = Page(render(data, tmp_path))
    assert len(page.of("img")) == 1
    text = " ".join(page.text.split())
    assert "figures/none.png is missing" in text
    assert "../secret.png is not inside the report's folder" in text
    assert "/etc/hostname is not inside the report's folder" in text
    assert "figures/text.png is neither an SVG nor a PNG" in text
    assert "The figure figures is missing" in text


def test_the_page_stays_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "big.png").write_bytes(PIXEL + b"\0" * 30_000)
    (tmp_path / "small.png").write_bytes(PIXEL + b"\0" * 3_000)
    one = audit(claim(evidence=[item(figures=["big.png", "small.png"])], verdicts={"synthetic": "reproduced"}))
    assert len(Page(render(one, tmp_path)).of("img")) == 2
    monkeypatch.setattr(module, "LIMIT", len(render(one, tmp_path)) - 10)
    page = render(one, tmp_path)
    assert len(page.encode()) <= module.LIMIT
    assert "left out to keep this page" in page


def test_a_failed_control_is_not_folded_away(tmp_path: Path) -> None:
    controls = [
        {"sign": sign, "nodeid": f"audit/test_a.py::{sign}", "outcome": outcome}
        for sign, outcome in (("positive", "passed"), ("negative", "passed"), ("negative", "failed"))
    ]
    text = " ".join(Page(render(audit(claim(controls=controls)), tmp_path)).text.split())
    assert "negative failed audit/test_a.py::negative 1 positive, 1 negative passed" in text


def test_the_command_brings_what_the_evidence_needs() -> None:
    one = claim(nodeid="audit/test_a.py::test_a[x]", verdicts={"published": "reproduced"})
    assert rerun(one, audit(one)) == "pytest audit/ -k test_a --published DIR"
    larger = audit(one, scale="paper", environment={"device": "cuda"})
    assert rerun(one, larger) == "pytest audit/ -k test_a --published DIR --scale paper --device cuda"
    assert rerun(claim(), audit()) is None


def test_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found schema 'other/2'; expected 'samenoise/audit/1'"):
        render(audit(schema="other/2"), tmp_path)


def test_an_audit_without_optional_parts_renders(tmp_path: Path) -> None:
    data = audit(claim(), inputs=[], project={"version": "0.1.0", "commit": None, "dirty": None})
    del data["sources"], data["rules"]
    assert "No corpus, list or weight file was read" in Page(render(data, tmp_path)).text


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (202599, None, "202,599"), (-3, None, "−3"), (True, None, "yes"), (None, None, "none"), ("both", None, "both"),
        (0.95, None, "0.95"), (1 / 3, None, "0.3333"), (34.82, None, "34.82"), (0.0, None, "0"), (1.0, None, "1"),
        (123456.7, None, "123,457"), (3.1e-7, None, "3.1 × 10⁻⁷"), (-2.5e9, None, "−2.5 × 10⁹"),
        (0.41234, [0.3821, 0.4402], "0.412"), (12.0, [10.0, 14.0], "12.0"), (12345.6, [10000.0, 15000.0], "12,300"),
        (0.9, [0.9, 0.9], "0.9"), ([1, 2.5], None, "1, 2.5"), ({"a_b": 1}, None, "a b: 1"),
        (1.234e-6, [1.1e-6, 1.4e-6], "1.23 × 10⁻⁶"),
    ],
)  # fmt: skip
def test_numbers_are_written_to_the_precision_they_have(value: Any, interval: Any, expected: str) -> None:
    assert number(value, interval) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_written_numbers_stay_within_a_twentieth_of_the_interval(value: float, half: float) -> None:
    interval = [value - half, value + half]
    text = number(value, interval).replace(",", "").replace("−", "-")
    if "×" not in text:
        assert abs(float(text) - value) <= half / 19
    assert bounds(interval).startswith("[") and "nan" not in bounds(interval)


def test_small_formats() -> None:
    assert [duration(s) for s in (None, 0.0034, 3.21, 59.6, 61, 7260)] == [
        "not timed", "0.0034 s", "3.2 s", "60 s", "1 min 1 s", "2 h 1 min",
    ]  # fmt: skip
    assert day("2026-11-23T06:55:00+00:00") == "23 November 2026, 06:55 UTC" and day("soon") == "soon"
    assert web("https://a") == "https://a" and web("javascript:1") is None and web("data:text/html,x") is None
    assert cited("see rules.a, rules.b", {"a": {"word": "w"}}) == [
        ("see ", None), ("a", {"word": "w"}), (", ", None), ("b", None), ("", None),
    ]  # fmt: skip


def test_each_kind_has_a_verdict_or_what_it_needs() -> None:
    needs = [{"kind": "published", "needs": "x", "command": "y"}]
    groups = by_kind(claim(blocked=needs, evidence=[item()], verdicts={"synthetic": "refuted"}))
    assert [(g["kind"], g["verdict"]) for g in groups] == [("published", "blocked"), ("synthetic", "refuted")]


def test_of_clothes_nothing_is_said_where_there_are_none() -> None:
    kinds = ["clothes", "synthetic"]
    assert [g["kind"] for g in by_kind(claim(kinds=kinds))] == ["synthetic"]
    found = by_kind(claim(kinds=kinds, evidence=[item() | {"kind": "clothes"}], verdicts={"clothes": "reproduced"}))
    assert [(g["kind"], g["verdict"]) for g in found] == [("clothes", "reproduced"), ("synthetic", "not yet tested")]
