"""Pytest plug-in: what a claim's test recorded is read back where the same code would measure the same material again.

Others say what a test follows from, by two hooks: with none of them each claim is measured each time. What is read back
is judged anew. A control that passed is not run again while nothing that it follows from, the ledger included, differs.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.files import sha256_text, write_atomic
from reports.environment import environment
from reports.plugin import LEDGER
from reports.read_back import PASSED_BEFORE, Since, now, read_back
from reports.record import ClaimRecord

FOLDER = "claims"  # of the store
Key = dict[str, Any]
MEASURED = pytest.StashKey[list[tuple[Key, dict[str, Any]]]]()
BEFORE = pytest.StashKey[tuple[Path, Key]]()  # the store, and what does not change from test to test


class Hooks:
    """What other plug-ins say, and what they are told."""

    @pytest.hookspec(firstresult=True)
    def pytest_follows_from(self, item: pytest.Function) -> Key | None:
        """The code and the material that a test follows from, as plain JSON; None if that cannot be said."""

    @pytest.hookspec(firstresult=True)
    def pytest_kept_beside(self, config: pytest.Config) -> tuple[Path, Key] | None:
        """The store that measures are kept in, and what all tests of a run follow from, as plain JSON."""

    def pytest_was_read_back(self, item: pytest.Function) -> None:
        """Told of a test that was not run, as what it recorded or passed before still stands."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the hooks known."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that measures everything again."""
    parser.getgroup("samenoise").addoption(
        "--measure-again", action="store_true", help="measure also what the same code measured before on this store"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Read back what the test of a claim recorded before or that a control passed, or run it and remember that."""
    record, config = pyfuncitem.funcargs.get("evidence"), pyfuncitem.config
    claim = record if isinstance(record, ClaimRecord) else None
    if claim is None and pyfuncitem.get_closest_marker("control") is None:
        return None
    about = pyfuncitem.ihook.pytest_follows_from(item=pyfuncitem)
    if about is None:
        return None
    if claim:
        about |= {"claim": claim.claim.id, "row": sha256_text(repr(claim.claim))}
    else:
        about |= {"control": pyfuncitem.nodeid, "ledger": sha256_text(repr(config.stash[LEDGER]))}
    if BEFORE not in config.stash:
        config.stash[BEFORE] = _beside(config)
    root, surroundings = config.stash[BEFORE]
    found = None if config.getoption("--measure-again") else read(root / FOLDER, about | surroundings)
    if found is not None:
        if claim:
            read_back(claim, found)
        else:
            pyfuncitem.stash[PASSED_BEFORE] = found["measured"]
        pyfuncitem.ihook.pytest_was_read_back(item=pyfuncitem)
        return True
    since = Since(claim) if claim else None
    pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames})
    kept = since.recorded() if since else {"measured": now(), "figures": {}}
    config.stash.setdefault(MEASURED, []).append((about, kept))
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep what was measured, beside the trainings that are there now; where the store cannot be written, nothing."""
    measured = session.config.stash.get(MEASURED, None)
    if not measured:
        return
    root, surroundings = _beside(session.config)
    for about, found in measured:
        try:
            write(root / FOLDER, about | surroundings, found)
        except OSError:
            return


def read(folder: Path, key: Key) -> dict[str, Any] | None:
    """What was kept under a key, figures as bytes; None if nothing was, or not all of it is whole."""
    try:
        digest, body = (folder / _name(key)).read_text(encoding="utf-8").split("\n", 1)
    except (OSError, ValueError):
        return None
    if digest != sha256_text(body):
        return None
    found: dict[str, Any] = json.loads(body)
    return found | {"figures": {name: base64.b64decode(data) for name, data in found["figures"].items()}}


def write(folder: Path, key: Key, found: Mapping[str, Any]) -> None:
    """Keep what was recorded under a key, with its hash in the first line."""
    figures = {name: base64.b64encode(data).decode() for name, data in found["figures"].items()}
    body = json.dumps({**found, "figures": figures}, ensure_ascii=False)
    write_atomic(folder / _name(key), f"{sha256_text(body)}\n{body}")


def _beside(config: pytest.Config) -> tuple[Path, Key]:
    root, surroundings = config.hook.pytest_kept_beside(config=config)
    where = environment(config.getoption("--device"))
    del where["threads"]  # of this moment: how many a measure has is among what others say
    return root, surroundings | {"where": where}


def _name(key: Key) -> str:
    return sha256_text(json.dumps(key, sort_keys=True)) + ".json"
