"""What the tests of published material share."""

import pytest

from fixtures.published.made_up import publication
from fixtures.published.tiles import Tiles


@pytest.fixture(scope="module")
def made_up() -> tuple[Tiles, Tiles]:
    """Notebook and figure tiles in which everything is as it should be."""
    return publication()
