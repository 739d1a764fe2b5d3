"""The network of Topeza (2025), section 4.1, in the document's words."""

from collections.abc import Callable

import pytest
from torch import nn

from audit.measures.described_network import normalised_everywhere
from core.denoisers.unet import BiasFreeNorm, UNet
from reports.record import ClaimRecord


@pytest.mark.claim("T-unet-description")
def test_words_and_count_describe_one_network(evidence: ClaimRecord) -> None:
    note = "two convolutions and a normalisation after each in every block, one factor a channel"
    for name, value in normalised_everywhere(UNet()).items():
        evidence.add(name, value, kind="arithmetic", note=note)


@pytest.mark.control("T-unet-description", "positive")
def test_a_network_normalised_everywhere_is_as_described(judge: Callable[..., str]) -> None:
    model = UNet()
    first, *others = model.encoder["0"].children()
    model.encoder["0"] = nn.Sequential(first, BiasFreeNorm(64), *others)
    model.decoder["0"] = nn.Sequential(*model.decoder["0"].children(), BiasFreeNorm(1))
    found = normalised_everywhere(model)
    assert found == {"parameters by the words": 7_659_264 + 65, "convolutions that the code does not normalise": 0}
    assert judge("T-unet-description", {**found, "parameters by the words": 7_659_264}) == "reproduced"


@pytest.mark.control("T-unet-description", "negative")
def test_one_normalisation_taken_away_is_noticed(judge: Callable[..., str]) -> None:
    model = UNet()
    model.mid_block[1] = nn.Identity()
    found = normalised_everywhere(model)
    assert found["convolutions that the code does not normalise"] == 3
    assert judge("T-unet-description", found) == "refuted"
