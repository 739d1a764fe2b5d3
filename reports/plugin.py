"""The pytest side of the three layers: collect claims, hand out `evidence`, judge, write the report."""

import json
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, Missing
from core.files import write_atomic
from reports.judge import VERDICTS, Evidence, judge_claim
from reports.ledger import Ledger, load_ledger
from reports.own import with_own
from reports.own_ledger import choose_ledger, claims_folder, ledger_file, own_ledger
from reports.read_back import PASSED_BEFORE
from reports.record import TRAINED, AuditRun, ClaimRecord, as_pair
from reports.schema import faults
from reports.terminal import ending

RUN = pytest.StashKey[AuditRun]()
LEDGER = pytest.StashKey[Ledger]()
BAD_INPUT = pytest.StashKey[list[str]]()
UNSOUND = pytest.StashKey[list[str]]()
RECORD = pytest.StashKey[ClaimRecord]()


@pytest.hookimpl(tryfirst=True)  # before pytest's own junitxml reads the path
def pytest_configure(config: pytest.Config) -> None:
    """Check where the report goes and read the ledger; JUnit's file goes beside the report of an audit."""
    try:
        choose_ledger(config)
        ledger = load_ledger(ledger_file(config))
        config.stash[LEDGER] = with_own(ledger) if config.getoption("--models-a") else ledger
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[BAD_INPUT] = []
    given = config.getoption("--report")
    if given and Path(given).exists() and not Path(given).is_dir():
        raise pytest.UsageError(f"--report: {given} is a file; expected a directory, or a new name for one")
    if _runs_the_audit(config) and not config.option.collectonly and config.option.xmlpath is None:
        config.option.xmlpath = str(_folder(config) / "junit.xml")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Ledger and tests must match one to one: checked before -k and -m take anything away; -k knows ids of rows."""
    ledger, named = config.stash[LEDGER], _shown(ledger_file(config))
    known, judged = set(ledger.ids), dict[str, str]()
    for item in items:
        item.extra_keyword_matches.update(
            mark.args[0] for name in ("claim", "control") for mark in item.iter_markers(name) if mark.args
        )
        for marker in item.iter_markers("control"):
            if marker.args[0] not in known or marker.args[1:] not in (("positive",), ("negative",)):
                raise pytest.UsageError(
                    f"{item.nodeid}: control of {marker.args}; expected the id of a row in {named} and "
                    "'positive' or 'negative'"
                )
        for marker in item.iter_markers("claim"):
            (claim,) = marker.args
            if claim not in known:
                raise pytest.UsageError(f"{item.nodeid}: judges {claim}, which has no row in {named}")
            if claim in judged:
                raise pytest.UsageError(f"{item.nodeid}: judges {claim}, which {judged[claim]} judges already")
            if not ledger[claim].checks:
                raise pytest.UsageError(f"{item.nodeid}: judges {claim}, whose row in {named} has no checks")
            judged[claim] = item.nodeid
    if _collects_all_claims(config) and not session.testsfailed:
        for row in ledger.claims:
            if row.checks and row.id not in judged:
                raise pytest.UsageError(
                    f"{named}: row {row.id} has checks, but no test in {_shown(claims_folder(config))}/ judges it"
                )
    if judged and not config.option.collectonly:
        scale, device = config.getoption("--scale"), config.getoption("--device")
        config.stash[RUN] = AuditRun(ledger, _folder(config), scale, device, own_ledger(config))


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> ClaimRecord:
    """Where a claim's test records what it measured."""
    marker = request.node.get_closest_marker("claim")
    if marker is None:
        raise pytest.UsageError(f"{request.node.nodeid}: asks for `evidence` without @pytest.mark.claim(id)")
    record = request.config.stash[RUN].records[marker.args[0]]
    if record.full:
        record.block(kind=TRAINED, needs="the desk's networks, instead of this scale's", command="pytest audit/")
    return record


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Callable[..., str]:
    """`judge(claim, {name: value or (value, (low, high))}, kind=None)`: the verdict on that evidence."""
    ledger = request.config.stash[LEDGER]

    def verdict(claim: str, measured: Mapping[str, Any], kind: str | None = None) -> str:
        row = ledger[claim]
        kind = kind or row.evidence[0]
        pairs = {name: found if isinstance(found, tuple) else (found, None) for name, found in measured.items()}
        items = [Evidence(kind, name, value, interval=as_pair(found)) for name, (value, found, *_) in pairs.items()]
        return judge_claim(row, items).verdict

    return verdict


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge a claim once its test has measured it, and hold the verdict against the recorded one."""
    report = yield
    run = item.config.stash.get(RUN, None)
    if run is None:
        return report
    missing = call.excinfo.value if call.excinfo and isinstance(call.excinfo.value, Missing) else None
    if missing:
        report.outcome, report.longrepr = "skipped", (str(item.path), item.location[1] or 0, str(missing))
    for marker in item.iter_markers("control"):
        if report.when == "call" or report.outcome != "passed":
            entry = {"sign": marker.args[1], "nodeid": item.nodeid, "outcome": report.outcome}
            if PASSED_BEFORE in item.stash:
                entry["measured"] = item.stash[PASSED_BEFORE]
            run.records[marker.args[0]].controls.append(entry)
    claim = item.get_closest_marker("claim")
    if claim is None or report.when == "teardown":
        return report
    record = run.records[claim.args[0]]
    if missing:  # what needs no trained network was measured all the same, and is judged
        record.withdraw(missing)
        report.outcome, report.longrepr = "passed", None
    record.nodeid = item.nodeid
    record.seconds = (record.seconds or 0.0) + report.duration
    if report.failed and call.excinfo is not None and call.excinfo.errisinstance(InputError):
        report.longrepr = f"bad input: {call.excinfo.value}"
        item.config.stash[BAD_INPUT].append(f"{item.nodeid}: {call.excinfo.value}")
    if report.failed:
        record.error = call.excinfo.exconly() if call.excinfo else str(report.longrepr)
    elif report.when == "call" or report.skipped:
        _hold(item, record, report)
    if report.when == "call" or not report.passed:
        run.keep()
    return report


def _hold(item: pytest.Item, record: ClaimRecord, report: pytest.TestReport) -> None:
    """Equal to the ledger passes (a recorded `refuted` as an expected failure), blocked skips.

    A verdict that differs from the recorded one fails, and so does a judged value outside the window recorded with it.
    """
    try:
        record.judgement = judgement = judge_claim(record.claim, record.evidence)
    except LookupError as error:
        report.outcome, report.longrepr = "failed", str(error)
        record.error = str(error)
        return
    because = "; ".join(judgement.reasons)
    where = (str(item.path), item.location[1] or 0)
    if judgement.verdict == "blocked":
        needs = "; ".join(f"needs {b['needs']}: {b['command']}" for b in record.blocked) or because
        report.outcome, report.longrepr = "skipped", (*where, f"blocked: {needs}")
        return
    recorded = record.claim.recorded
    different = [
        f"{kind}: measured {judgement.by_kind[kind]}, the ledger records {recorded.get(kind, 'nothing yet')}"
        for kind in record.changed
    ]
    if different:
        report.outcome = "failed"
        report.longrepr = f"verdict of {record.claim.id} changed: {'; '.join(different)}. {because}"
    elif record.outside:
        report.outcome = "failed"
        report.longrepr = f"a value of {record.claim.id} left its window: {'; '.join(record.outside)}. {because}"
    elif any(found == "refuted" == recorded.get(kind) for kind, found in judgement.by_kind.items()):
        report.outcome, report.wasxfail = "skipped", f"recorded as refuted: {record.claim.reason}"
        report.longrepr = (*where, f"refuted, as recorded: {record.claim.reason}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """A run that -k, -m or a path left without claims and controls leaves the report of the last audit alone."""
    judging = any(item.get_closest_marker("claim") or item.get_closest_marker("control") for item in session.items)
    if RUN in session.config.stash and not judging:
        del session.config.stash[RUN]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write `audit.json` and the page, also after failures or an interruption; bad input ends as a usage error."""
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None:
        return
    from reports.render import render

    audit = json.loads(run.write().read_text(encoding="utf-8"))
    config.stash[UNSOUND] = faults(audit)
    write_atomic(run.folder / "index.html", render(audit, run.folder))
    if config.stash[UNSOUND] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if config.stash[BAD_INPUT]:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The answer, verdicts by document, what changed, what is missing and how to bring it, and where the report is."""
    run = config.stash.get(RUN, None)
    if run is None:
        return
    terminalreporter.section("samenoise audit")
    for message in config.stash[BAD_INPUT]:
        terminalreporter.write_line(f"bad input: {message}", red=True)
    for fault in config.stash.get(UNSOUND, []):
        terminalreporter.write_line(f"audit.json is not as its schema says: {fault}", red=True)
    audit = run.as_json()
    for line in ending(audit):
        terminalreporter.write_line(line)
    counts = audit["counts"]
    terminalreporter.write_line("claims: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if v in counts))
    for name in ("index.html", "audit.json"):
        terminalreporter.write_line(f"{_shown(run.folder / name)}")
    if config.option.xmlpath:
        terminalreporter.write_line(_shown(Path(config.option.xmlpath)))


def _folder(config: pytest.Config) -> Path:
    given = config.getoption("--report")
    return Path(given).resolve() if given else config.rootpath / "reports" / "out"


def _targets(config: pytest.Config) -> list[Path]:
    return [Path(config.invocation_params.dir, arg.split("::")[0]).resolve() for arg in config.args]


def _runs_the_audit(config: pytest.Config) -> bool:
    audit = claims_folder(config)
    return any(path == audit or audit in path.parents or path in audit.parents for path in _targets(config))


def _collects_all_claims(config: pytest.Config) -> bool:
    audit = claims_folder(config)
    return any(path == audit or path in audit.parents for path in _targets(config))


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
