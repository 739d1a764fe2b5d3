import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics.agreement import Agreement, agreement, perceptual_agreement
from core.metrics.correlation import correlation


def _samples(n: int = 40, share: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of A and B that share a part of what each seed gives."""
    g = torch.Generator().manual_seed(seed)
    common, a, b = torch.randn(3, n, 1, 12, 12, generator=g)
    return share * common + (1 - share) * a, share * common + (1 - share) * b


def test_same_function_agrees_and_is_retrieved() -> None:
    a, b = _samples(share=0.9)
    found = agreement(a, b)
    np.testing.assert_allclose(found.same, correlation(a, b))
    assert found.mean(seed=0)[1].low > 0.9
    assert found.mean_excess(seed=0)[1].low > 0.9
    assert found.retrieval()[0] == 1.0
    assert len(found.mismatched) == 40 * 39 and abs(found.mismatched.mean()) < 0.05
    assert found.mixture()["strong"][0] == 40


def test_few_seeds_agree_by_at_most_one() -> None:
    a, b = _samples(n=4, share=0.95)
    b[3] = -b[3] + 3 * a[3].flip(-1)
    found = agreement(a, b)
    assert Agreement(found.similarity).mean(seed=0)[1].high > 1 and found.mean(seed=0)[1].high == 1


def test_unrelated_functions_do_not_agree() -> None:
    found = agreement(*_samples(share=0.0))
    assert found.mean_excess(seed=0)[1].contains(0)
    assert found.retrieval()[1].contains(1 / 40)
    assert found.mixture()["weak"][0] > 30


def test_misaligned_seeds_are_seen() -> None:
    """Two models with different noise: everything that same-noise agreement rests on must fall."""
    a, b = _samples(share=0.9)
    assert agreement(a, b.roll(1, 0)).retrieval()[0] == 0.0
    assert abs(agreement(a, b.roll(1, 0)).mean(seed=0)[0]) < 0.1


def test_a_shared_mean_face_is_no_agreement() -> None:
    a, b = _samples(share=0.0)
    face = 5 * torch.randn(1, 1, 12, 12, generator=torch.Generator().manual_seed(5))
    plain, removed = agreement(a + face, b + face), agreement(a + face, b + face, remove_group_means=True)
    assert plain.mean(seed=0)[0] > 0.9
    assert abs(removed.mean(seed=0)[0]) < 0.1
    given = agreement(a + face, b + face, remove_group_means=True, means=(face[0], face[0]))
    assert abs(given.mean(seed=0)[0]) < 0.1
    assert plain.mean_excess(seed=0)[1].contains(0)


def test_bands_tell_coarse_from_fine_agreement() -> None:
    a, b = _samples(share=0.0)
    coarse = torch.nn.functional.interpolate(
        torch.randn(40, 1, 2, 2, generator=torch.Generator().manual_seed(1)), (12, 12), mode="bilinear"
    )
    a, b = a + 6 * coarse, b + 6 * coarse
    assert agreement(a, b, frequencies=(0, 1)).mean(seed=0)[0] > 0.9
    assert abs(agreement(a, b, frequencies=(4, 99)).mean(seed=0)[0]) < 0.2


def test_mixture_counts_every_seed_once() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(0, 0.1, (30, 30))
    np.fill_diagonal(matrix, np.r_[np.full(10, 0.95), np.full(10, 0.5), np.full(10, 0.0)])
    counts = {name: value[0] for name, value in Agreement(matrix).mixture().items()}
    assert counts == {"strong": 10, "intermediate": 10, "weak": 10}


def test_excess_by_hand() -> None:
    s = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.0], [0.3, 0.2, 0.7]])
    np.testing.assert_allclose(Agreement(s).excess, [0.9 - 0.25, 0.8 - 0.2, 0.7 - 0.15])


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (3,)])
def test_shapes_are_checked(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="square"):
        Agreement(np.zeros(shape))


class PixelDistance:
    """Stands in for LPIPS: squared pixel distance."""

    def matrix(self, a: torch.Tensor, b: torch.Tensor, *, batch: int) -> torch.Tensor:
        return torch.cdist(a.flatten(1).double(), b.flatten(1).double()) ** 2


def test_perceptual_agreement_is_minus_the_distance() -> None:
    a, b = _samples(share=0.9)
    found = perceptual_agreement(PixelDistance(), a, b)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.same, -(a.double() - b.double()).flatten(1).square().sum(1), rtol=1e-9)
    assert found.retrieval()[0] == 1.0 and found.mean_excess(seed=0)[1].low > 0
    assert found.mixture()["strong"][0] == 0  # an absolute threshold of correlations says nothing here
    shifted = perceptual_agreement(PixelDistance(), a, b.roll(1, 0))  # type: ignore[arg-type]
    assert shifted.retrieval()[0] == 0.0 and shifted.mean_excess(seed=0)[0] < 0.1 * found.mean_excess(seed=0)[0]
    with pytest.raises(InputError, match="expected equal"):
        perceptual_agreement(PixelDistance(), a, b[:-1])  # type: ignore[arg-type]


def test_missing_samples_are_refused() -> None:
    a, b = _samples()
    b[7] = torch.nan
    with pytest.raises(InputError, match="image 7"):
        agreement(a, b)
    with pytest.raises(InputError, match="expected equal"):
        agreement(a, b[:-1])
