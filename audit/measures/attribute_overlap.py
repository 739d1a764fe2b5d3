"""People who stand in both halves of a split by attribute (Topeza 2025, section 5.2)."""

import numpy as np
import pandas as pd

from audit.measures.record import cite
from audit.plots.splits import lists_against_lists
from fixtures.published.files import Published
from reports.record import ClaimRecord


def share_in_both(a: np.ndarray, b: np.ndarray, people: int) -> float:
    """Share of the identities of two groups (codes below `people`) that are in both."""
    in_a, in_b = np.zeros(people, dtype=bool), np.zeros(people, dtype=bool)
    in_a[a], in_b[b] = True, True
    return float((in_a & in_b).sum() / (in_a | in_b).sum())


def against_random_halves(
    a: np.ndarray, b: np.ndarray, everyone: np.ndarray, seed: int, draws: int = 200
) -> tuple[float, tuple[float, float]]:
    """The share of identities in both groups less that of random halves of equal size, with a range."""
    source = np.random.default_rng(seed)
    people = int(everyone.max()) + 1
    observed = share_in_both(a, b, people)
    random = []
    for _ in range(draws):
        order = source.permutation(everyone)
        random.append(share_in_both(order[: len(a)], order[len(a) : len(a) + len(b)], people))
    differences = observed - np.array(random)
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(differences.mean()), (float(low), float(high))


def record_attribute_overlap(evidence: ClaimRecord, published: Published) -> None:
    """Shared people of the published halves against random ones (T-attribute-identity-overlap)."""
    cite(evidence, "list_eyeglasses_yesno.txt", "list_male_yesno.txt", "links_identities-faces.txt", "attributes.zip")
    identities = published.identities
    halves = {"glasses": published.eyeglasses, "male": published.male}
    lists = {"training": published.train, "set aside": published.test}
    for name, both_halves in halves.items():
        lists[name] = both_halves[: len(both_halves) // 2]
        lists[f"not {name}"] = both_halves[len(both_halves) // 2 :]
    lists["subset 1"], lists["subset 2"] = published.identity_halves
    places = {name: identities.index.get_indexer(pd.Index(held)) for name, held in lists.items()}
    owners = {name: identities.to_numpy()[at] for name, at in places.items()}
    path = evidence.figure("lists", lists_against_lists(places, owners))
    evidence.add("lists_compared", len(lists), kind="published", unit="lists", figures=[path])
    for attribute, names in (("Eyeglasses", published.eyeglasses), ("Male", published.male)):
        half = len(names) // 2
        people = identities.loc[list(names)].to_numpy()
        a, b = people[:half], people[half:]
        both = np.intersect1d(a, b)
        value, interval = against_random_halves(a, b, identities.to_numpy(), seed=0)
        evidence.add(
            f"difference_{attribute}",
            value,
            kind="published",
            n=200,
            interval=interval,
            interval_method="2.5 % to 97.5 % of random halves",
            seeds="0",
            varies="random halves of all images",
            note=f"{share_in_both(a, b, int(identities.max()) + 1):.1%} of the identities are in both halves",
        )
        labels = published.attributes[attribute]
        unsure = int((labels.groupby(identities.loc[labels.index].to_numpy()).nunique() > 1).sum())
        touched = f"touching {np.isin(a, b).sum():,} images with and {np.isin(b, a).sum():,} without"
        evidence.add(f"identities_in_both_{attribute}", len(both), kind="published", unit="identities", note=touched)
        evidence.add(f"identities_with_both_labels_{attribute}", unsure, kind="published", unit="identities")
