"""Which ledger a run judges by, and where its tests are: the project's own, or one about another paper."""

from pathlib import Path

import pytest

from core.errors import InputError
from reports.ledger import load_ledger


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options that bring a ledger of one's own."""
    group = parser.getgroup("samenoise")
    group.addoption("--ledger", metavar="FILE", help="a ledger of your own, instead of audit/claims.toml")
    group.addoption("--claims", metavar="DIR", help="the tests of its claims (default: the ledger's folder)")


def choose_ledger(config: pytest.Config) -> None:
    """Take the tests of a ledger of one's own for those of the project, wherever the whole `audit/` is asked for.

    Raises:
        InputError: if the ledger or the folder of its tests is not there, or tests are named without their ledger.
    """
    own = own_ledger(config)
    if own is None:
        return
    if not ledger_file(config).is_file():
        raise InputError(f"--ledger: found no file at {own['file']}; expected a ledger like audit/claims.toml")
    if not load_ledger(ledger_file(config)).claims:
        raise InputError(f"{own['file']}: found no row; expected [[claim]] at least once")
    if not claims_folder(config).is_dir():
        raise InputError(f"--claims: found no directory at {own['claims']}; expected the tests of the ledger's claims")
    audit, start = config.rootpath / "audit", config.invocation_params.dir
    config.args[:] = [
        str(claims_folder(config)) if Path(start, arg).resolve() == audit.resolve() else arg for arg in config.args
    ]


def own_ledger(config: pytest.Config) -> dict[str, str] | None:
    """File of the ledger and folder of its tests as they were given; None where the project's own is judged."""
    ledger, claims = config.getoption("--ledger"), config.getoption("--claims")
    if ledger is None:
        if claims is not None:
            raise InputError(f"--claims: found {claims} without a ledger; expected --ledger FILE beside it")
        return None
    return {"file": str(ledger), "claims": str(claims or Path(ledger).parent)}


def ledger_file(config: pytest.Config) -> Path:
    """The ledger of this run."""
    own = own_ledger(config)
    start = config.invocation_params.dir
    return Path(start, own["file"]).resolve() if own else config.rootpath / "audit" / "claims.toml"


def claims_folder(config: pytest.Config) -> Path:
    """The folder of the tests that judge its rows."""
    own = own_ledger(config)
    return Path(config.invocation_params.dir, own["claims"]).resolve() if own else config.rootpath / "audit"
