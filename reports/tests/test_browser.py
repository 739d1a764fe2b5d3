"""The page in a browser: WCAG 2.1 AA by axe-core, nothing wider than the screen, few sheets of paper.

Needs Chromium, which most machines that build pages have; the browser reaches nothing but the file.
"""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reports.benchmarks import benchmarks_page
from reports.compare import compare
from reports.compare_page import page
from reports.ledger import load_ledger
from reports.render import render, summarise
from reports.tests.test_benchmarks import benchmarks
from reports.tests.test_render import audit, check, claim, full, item

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = importlib.util.find_spec("axe_core_python")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')

pytestmark = pytest.mark.skipif(BROWSER is None or AXE is None, reason="no Chromium, or no axe-core, on this machine")


def browse(page: Path, *options: str) -> str:
    """The standard output of a headless browser that opened a file."""
    assert BROWSER is not None
    words = [BROWSER, *QUIET, f"--user-data-dir={page.parent / 'browser'}", *options, page.as_uri()]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def asked(text: str, folder: Path, script: str, *options: str) -> Any:
    """What a script (an expression, awaited) says of a page; the page's own policy lets no script run."""
    assert AXE is not None and AXE.origin is not None
    library = Path(AXE.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    tell = f"(async () => {{ document.documentElement.dataset.told = JSON.stringify({script}); }})()"
    place = folder / "asked.html"
    place.write_text(
        POLICY.sub("", text).replace("</body>", f"<script>{library}</script><script>{tell}</script></body>")
    )
    told = re.search(r'data-told="([^"]*)"', browse(place, "--virtual-time-budget=20000", "--dump-dom", *options))
    assert told is not None, "the page did not answer"
    return json.loads(told[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def violations(text: str, folder: Path, *options: str) -> list[str]:
    """What axe-core finds against WCAG 2.1 AA: rule and element."""
    script = f"(await axe.run({{runOnly: {json.dumps(RULES)}}})).violations.map(v => v.id + ': ' + v.nodes[0].html)"
    found: list[str] = asked(text, folder, script, *options)
    return found


def long(tmp_path: Path) -> dict[str, Any]:
    """The audit of all cases, with words and tables that are wider than a telephone."""
    data = full(tmp_path)
    wide = [{f"a column of many words {k}": 1.25 * k for k in range(12)}]
    about = {"interval": [0.3, 0.5], "interval_method": "BCa", "section": "finding: of <this> project"}
    data["claims"].append(claim("T-" + "long" * 20, evidence=[item("table", value=wide), item("apart", **about)]))
    return data


def others(tmp_path: Path) -> dict[str, str]:
    """The summary, the comparison of two audits and the page of benchmarks, with words that are wide."""
    before, after = long(tmp_path), long(tmp_path)
    after["claims"][0] |= {"verdict": "reproduced", "verdicts": {"synthetic": "reproduced"}}
    after["claims"].append(claim("T-" + "new" * 30, verdict="refuted"))
    measured = benchmarks()
    measured["benchmarks"][0]["extra_info"]["a value of many words " * 3] = "long" * 40
    return {
        "summary": summarise(long(tmp_path)),
        "comparison": page(compare(before, after), ("old.json", before), ("new.json", after)),
        "benchmarks": benchmarks_page(measured),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(tmp_path: Path, scheme: str) -> None:
    colours = [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
    text = render(long(tmp_path), tmp_path).replace("<details", "<details open")
    assert asked(text, tmp_path, "matchMedia('(prefers-color-scheme: dark)').matches", *colours) == (scheme == "dark")
    assert violations(text, tmp_path, *colours) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_other_pages_are_accessible(tmp_path: Path, scheme: str) -> None:
    colours = [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
    for name, text in others(tmp_path).items():
        assert violations(text, tmp_path, *colours) == [], name


def test_a_page_that_is_not_accessible_is_noticed(tmp_path: Path) -> None:
    text = render(audit(claim()), tmp_path)
    found = violations(
        text.replace("<main", '<img src="data:,"><p style="color: #bbb; background: #fff">pale</p><main'), tmp_path
    )
    assert [line.split(":")[0] for line in found] == ["color-contrast", "image-alt"]


@pytest.mark.parametrize("width", [320, 800, 1280])
def test_nothing_is_wider_than_the_screen(tmp_path: Path, width: int) -> None:
    pages = {"report": render(long(tmp_path), tmp_path), **others(tmp_path)}
    inside = ""
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(POLICY.sub("", text.replace("<details", "<details open")))
        inside += f"<iframe style='border: 0; width: {width}px; height: 900px' src='{name}.html'></iframe>"
    widths = "Array.from(frames).map(frame => frame.document.documentElement.scrollWidth)"
    script = f"await new Promise(done => onload = () => done({widths}))"
    options = ("--allow-file-access-from-files", f"--window-size={width + 100},1000")
    found = dict(zip(pages, asked(f"<body>{inside}</body>", tmp_path, script, *options), strict=True))
    assert found == dict.fromkeys(pages, width)


def test_paper_shows_what_decided_and_folds_the_rest(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    place = tmp_path / "page.html"
    data = full(tmp_path)
    data["inputs"] = [{"name": f"list {k}", "rows": k, "sha256": "0" * 64} for k in range(6)]  # one line too many
    place.write_text(render(data, tmp_path))
    browse(place, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    sheets = [" ".join(sheet.extract_text().split()) for sheet in pypdf.PdfReader(tmp_path / "page.pdf").pages]
    told = " ".join(sheets)
    assert "Environment" in sheets[-1] and "at full precision." in sheets[-1], "no line stands on a sheet alone"
    assert "expected above 0.5" in told.lower() and "It is so." in told
    assert "000030.jpg" not in told and "BCa bootstrap" not in told


def test_the_summary_of_the_whole_ledger_has_two_pages(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    rows = []
    for row in load_ledger(Path(__file__).parents[2] / "audit" / "claims.toml").claims:
        name = max((one.shown or one.evidence for one in row.checks), key=len, default="")
        measured = item(name, interval=[0.3821, 0.4402], interval_method="t", n=1024, unit="units")
        decided = {**check(name, "inside [-0.25, 0.25]", "holds"), "shown": None}
        more = {"title": row.title, "source": row.source, "checks": [decided], "seconds": 12.5, "topic": row.topic}
        rows.append(claim(row.id, verdict="inconclusive", evidence=[measured], **more))
    place = tmp_path / "page.html"
    place.write_text(summarise(audit(*rows)))
    browse(place, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    assert len(pypdf.PdfReader(tmp_path / "page.pdf").pages) <= 2
