"""Your own groups: `pytest audit/ -m splits --groups DIR [--identities FILE] [--attributes FILE] [--require LIST]`."""

import pytest


@pytest.mark.splits
def test_groups(required_property: str, broken: list[str]) -> None:
    if broken:
        pytest.fail("; ".join(broken), pytrace=False)
