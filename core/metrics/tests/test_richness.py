import pytest
import torch

from core.errors import InputError
from core.metrics.richness import corpus_richness


def gaussian(scales: list[float], n: int = 4000) -> torch.Tensor:
    x = torch.randn(n, len(scales), generator=torch.Generator().manual_seed(0))
    return (x * torch.tensor(scales)).reshape(n, 1, 2, -1)


def test_independent_pixels_have_the_dimension_of_their_number() -> None:
    found = corpus_richness(gaussian([1.0] * 20), others=2000, held_out=500)
    assert found.components == 19
    assert found.dimension == pytest.approx(20, rel=0.01)
    assert found.nearest_low < found.nearest < found.nearest_high < 1


def test_few_strong_directions_count_alone() -> None:
    found = corpus_richness(gaussian([10.0, 10.0] + [0.01] * 18), others=2000, held_out=500)
    assert found.components == 2
    assert found.dimension == pytest.approx(2, rel=0.01)


def test_a_set_that_holds_its_held_out_images_is_noticed() -> None:
    images = gaussian([1.0] * 20, 1000)
    assert corpus_richness(torch.cat([images, images]), others=1000, held_out=200).nearest == pytest.approx(1)


@pytest.mark.parametrize("images", [torch.rand(9, 1, 4, 4), torch.ones(20, 1, 4, 4), torch.full((20, 4), torch.nan)])
def test_images_without_an_answer_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"found|constant|missing"):
        corpus_richness(images, others=10, held_out=5)
