"""Claims on splits by attribute: purity and balance, overlap in identity, and all forty attributes (T 5.2, 6.4)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from audit.measures.record import cite
from audit.test_splits import made_up_corpora, numbered_names
from core.splits.build import Split, by_attribute, by_attributes
from core.splits.leakage import count_leakage
from core.splits.membership import Column, Membership, ordered
from fixtures.published.files import Published
from reports.expectations import CELEBA, group_suite, metadata_suite, validate
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.fixture
def data_docs(request: pytest.FixtureRequest, evidence: ClaimRecord) -> Path | None:
    """Where this claim's Data Docs go, if they were asked for."""
    return evidence.folder / "data-docs" / evidence.claim.id if request.config.getoption("--data-docs") else None


# --------------------------------------------------------------------------------------------------- attribute halves


def attribute_halves(names: Sequence[str], labels: pd.Series) -> dict[str, int]:
    """The two halves of a published list, held against the labels of one attribute."""
    a, b = names[: len(names) // 2], names[len(names) // 2 :]
    known = labels.reindex(list(names)).to_numpy()
    return {
        "with": len(a),
        "without": len(b),
        "impure": int((known[: len(a)] != 1).sum() + (known[len(a) :] != -1).sum()),
        "shared": len(set(a) & set(b)),
        "repeated": len(names) - len(set(names)),
    }


def measure_attribute_halves(
    evidence: ClaimRecord, published: Published | None, attribute: str, file: str, docs: Path | None
) -> None:
    totals = dict.fromkeys(("impure", "shared", "repeated", "unbalanced"), 0)
    built = 0
    for seed, (order, _, labels) in enumerate(made_up_corpora(1)):
        groups = by_attribute(order, labels, seed).groups
        found = attribute_halves([*groups["A"], *groups["B"]], pd.Series(labels, index=order))
        found["unbalanced"] = abs(len(groups["A"]) - len(groups["B"]))
        totals = {name: total + found[name] for name, total in totals.items()}
        built += 1
    for name, value in totals.items():
        evidence.add(name, value, kind="property", n=built, varies="corpus, seed")
    if published is None:
        return
    cite(evidence, file, "attributes.zip")
    names = published.male if attribute == "Male" else published.eyeglasses
    for name, value in attribute_halves(names, published.attributes[attribute]).items():
        evidence.add(name, value, kind="published", n=len(names), unit="images")
    chosen = published.attributes.loc[list(names)]
    table = chosen.assign(name=chosen.index, identity=published.identities.loc[chosen.index].to_numpy())
    table["group"] = np.repeat(["with", "without"], [len(names) // 2, len(names) - len(names) // 2])
    checked = validate(
        table, metadata_suite() + group_suite(attribute=attribute, tolerance=0.0), name=attribute, docs=docs
    )
    evidence.add(
        "expectations_failed",
        len(checked.failed),
        kind="published",
        n=checked.expectations,
        note="Great Expectations: metadata suite, no shared image, pure, balanced. " + "; ".join(checked.failed),
    )
    held_out = set(published.test) & set(names)
    evidence.add("held_out_images_in_it", len(held_out), kind="published", n=len(published.test), unit="images")


@pytest.mark.claim("T-eyeglasses-split")
def test_eyeglasses_split(evidence: ClaimRecord, published_or_none: Published | None, data_docs: Path | None) -> None:
    measure_attribute_halves(evidence, published_or_none, "Eyeglasses", "list_eyeglasses_yesno.txt", data_docs)


@pytest.mark.claim("T-male-split")
def test_male_split(evidence: ClaimRecord, published_or_none: Published | None, data_docs: Path | None) -> None:
    measure_attribute_halves(evidence, published_or_none, "Male", "list_male_yesno.txt", data_docs)


PRINTED = {"T-eyeglasses-split": 13_193, "T-male-split": 84_434}


def built_halves(claim: str) -> tuple[list[str], pd.Series]:
    names = numbered_names(202_599)
    labels = np.where(np.arange(len(names)) < PRINTED[claim], 1, -1)
    groups = by_attribute(names, labels, 0).groups
    return [*groups["A"], *groups["B"]], pd.Series(labels, index=names)


def published_verdict(judge: Judge, claim: str, names: Sequence[str], labels: pd.Series) -> str:
    return judge(claim, {**attribute_halves(names, labels), "expectations_failed": 0}, "published")


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(claim, marks=[pytest.mark.control(claim, "positive"), pytest.mark.control(claim, "negative")])
        for claim in PRINTED
    ],
)
def test_halves_as_built_and_with_one_defect(judge: Judge, claim: str) -> None:
    names, labels = built_halves(claim)
    assert published_verdict(judge, claim, names, labels) == "reproduced"
    first, last = names[0], names[-1]
    for defect in ([last, *names[1:-1], first], [*names[:-1], first], names[:-2], [*names[:-1], names[-2]]):
        assert published_verdict(judge, claim, defect, labels) == "refuted"
    flipped = labels.copy()
    flipped[first] = -1
    assert published_verdict(judge, claim, names, flipped) == "refuted"


# ------------------------------------------------------------------------------ attribute halves: overlap in identity


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


def lists_against_lists(lists: dict[str, np.ndarray], people: dict[str, np.ndarray]) -> Figure:
    """Share of the images of the list in a row that are in the list of a column, and of those whose person is."""
    figure = Figure(figsize=(9, 4.2))
    for axes, held, title in zip(
        figure.subplots(1, 2, sharey=True), (lists, people), ("the same image", "the same person"), strict=True
    ):
        share = np.array([[np.isin(row, column).mean() for column in held.values()] for row in held.values()])
        axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
        for (i, j), value in np.ndenumerate(share):
            axes.text(j, i, f"{value:.0%}", ha="center", va="center", fontsize=6, color="w" if value > 0.6 else "k")
        axes.set_xticks(range(len(held)), list(held), rotation=60, ha="right", fontsize=7)
        axes.set_yticks(range(len(held)), list(held), fontsize=7)
        axes.set_title(f"images of the row's list with {title} in the column's", fontsize=7)
    return figure


@pytest.mark.claim("T-attribute-identity-overlap")
def test_attribute_identity_overlap(evidence: ClaimRecord, published: Published) -> None:
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


def two_attributes(a: np.ndarray, b: np.ndarray, everyone: np.ndarray) -> dict[str, tuple[float, tuple[float, float]]]:
    return {f"difference_{name}": against_random_halves(a, b, everyone, 1) for name in ("Eyeglasses", "Male")}


@pytest.mark.control("T-attribute-identity-overlap", "positive")
def test_an_attribute_of_the_person_separates_people(judge: Judge) -> None:
    people = np.arange(4000) // 20
    found = two_attributes(people[people % 2 == 0], people[people % 2 == 1], people)
    assert judge("T-attribute-identity-overlap", found) == "reproduced"


@pytest.mark.control("T-attribute-identity-overlap", "negative")
def test_an_attribute_without_relation_to_the_person_does_not(judge: Judge) -> None:
    people = np.random.default_rng(3).permutation(np.arange(4000) // 20)
    assert (
        judge("T-attribute-identity-overlap", two_attributes(people[:1000], people[1000:2000], people)) != "reproduced"
    )
    spread = np.repeat(np.arange(200), 20)
    assert judge("T-attribute-identity-overlap", two_attributes(spread[::20], spread[1::20], spread)) == "refuted"


# ----------------------------------------------------------------------------------------------- all forty attributes


def every_attribute(attributes: pd.DataFrame, identities: pd.Series, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A balanced split on each attribute by the recipe of T 3.4, and what it leaves shared.

    Returns:
        One row an attribute: images a side, impure, unbalanced and shared images, shared identities, share of the
        images of either side whose person is on the other; and (attributes, attributes) how the split in a row
        shifts the attribute in a column: its rate among images with, less its rate among those without.
    """
    rows, shifts = {}, {}
    names = list(attributes.index)
    owners, people = pd.factorize(identities.loc[names])
    coded = {name: pd.factorize(attributes[name]) for name in attributes.columns}
    values = {name: ordered(codes, kinds.tolist()) for name, (codes, kinds) in coded.items()}
    for name, split in by_attributes(names, {str(k): column for k, column in attributes.items()}, seed).items():
        at = attributes.index.get_indexer(pd.Index([*split.groups["A"], *split.groups["B"]]))
        found = count_leakage(
            Membership(
                ("A", "B"),
                np.repeat([0, 1], [len(split.groups["A"]), len(split.groups["B"])]),
                Column(at, names),
                Column(owners[at], people),
                {other: Column(column.codes[at], column.values) for other, column in values.items()},
            )
        )
        (pair,) = found.pairs
        held = [found.groups[side].attributes[name] for side in "AB"]
        rows[name] = {
            "images": found.groups["A"].images,
            "impure": held[0].get("-1", 0) + held[1].get("1", 0),
            "unbalanced": abs(found.groups["A"].images - found.groups["B"].images),
            "shared": pair.shared_images,
            "shared_identities": pair.shared_identities,
            "with_seen_without": pair.fraction_of_a,
            "without_seen_with": pair.fraction_of_b,
        }
        shifts[name] = {other: shift.rates[0].difference for other, shift in pair.attributes.items()}
    return pd.DataFrame.from_dict(rows, orient="index"), pd.DataFrame.from_dict(shifts, orient="index")


def heat_map(shifts: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(8.5, 7.5))
    axes = figure.subplots()
    shown = axes.imshow(shifts.loc[:, shifts.index], cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(shifts)), shifts.index, rotation=90, fontsize=5)
    axes.set_yticks(range(len(shifts)), shifts.index, fontsize=5)
    axes.set(xlabel="rate of this attribute, with less without", ylabel="split on this attribute")
    figure.colorbar(shown, shrink=0.6)
    return figure


def size_and_overlap(table: pd.DataFrame) -> Figure:
    table = table.sort_values("images")
    figure = Figure(figsize=(7, 6.5))
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(table.index, table.images, color="0.6")
    left.set(xscale="log", xlabel="images a side")
    right.plot(table.with_seen_without, table.index, "o", ms=3, label="images with, person also without")
    right.plot(table.without_seen_with, table.index, "s", ms=3, mfc="none", label="images without, person also with")
    right.set(xlim=(0, 1), xlabel="share of the side's images")
    right.legend(frameon=False, fontsize=6, loc="upper left", bbox_to_anchor=(0, 1.08))
    left.tick_params(labelsize=6)
    return figure


@pytest.mark.claim("T-other-attributes")
def test_every_attribute(evidence: ClaimRecord, published: Published, data_docs: Path | None) -> None:
    cite(evidence, "attributes.zip", "links_identities-faces.txt")
    table, shifts = every_attribute(published.attributes, published.identities, seed=0)
    figures = [evidence.figure("shifts", heat_map(shifts)), evidence.figure("overlap", size_and_overlap(table))]
    evidence.add("splits_built", len(table), kind="published", unit="attributes", seeds="0", figures=figures)
    for name in ("impure", "unbalanced", "shared"):
        evidence.add(name, int(table[name].sum()), kind="published", n=len(table), unit="images")
    whole = published.attributes.assign(name=published.attributes.index, identity=published.identities)
    checked = validate(whole, metadata_suite(totals=CELEBA), name="CelebA", docs=data_docs)
    suite = "Great Expectations on the whole table: counts, unique names, values, identities, known totals. "
    missed = len(checked.failed)
    note = suite + "; ".join(checked.failed)
    evidence.add("expectations_failed", missed, kind="published", n=checked.expectations, note=note)
    for name in ("images", "shared_identities", "with_seen_without", "without_seen_with"):
        least, most = table[name].idxmin(), table[name].idxmax()
        note = f"from {least} ({table[name].min():.4g}) to {most} ({table[name].max():.4g})"
        evidence.add(f"median_{name}", float(table[name].median()), kind="published", n=len(table), note=note)
    others = shifts.loc[:, shifts.index].abs().to_numpy() - np.eye(len(shifts))
    row, column = divmod(int(others.argmax()), len(shifts))
    pair = f"the split on {shifts.index[row]} shifts {shifts.index[column]} most"
    evidence.add("largest_side_effect", float(others.max()), kind="published", n=len(shifts), note=pair)
    for attribute, found in table.to_dict("index").items():
        evidence.add(
            f"split_{attribute}",
            int(found["images"]),
            kind="published",
            unit="images a side",
            note=f"{found['shared_identities']:,} identities on both sides: {found['with_seen_without']:.1%} of the "
            f"images with, {found['without_seen_with']:.1%} of those without",
        )


def split_defects(attributes: pd.DataFrame, identities: pd.Series) -> dict[str, int]:
    table, _ = every_attribute(attributes, identities, seed=1)
    counts = {name: int(table[name].sum()) for name in ("impure", "unbalanced", "shared")}
    return {"splits_built": len(table), **counts}


def made_up_attributes(people: int = 30) -> tuple[pd.DataFrame, pd.Series]:
    source = np.random.default_rng(0)
    names = numbered_names(20 * people)
    values = np.where(source.random((len(names), 40)) < source.random(40), 1, -1)
    values[0], values[1] = 1, -1
    table = pd.DataFrame(values, index=names, columns=[f"attribute {k}" for k in range(40)])
    return table, pd.Series(np.arange(len(names)) // 20, index=names)


@pytest.mark.control("T-other-attributes", "positive")
def test_forty_made_up_attributes(judge: Judge) -> None:
    assert judge("T-other-attributes", split_defects(*made_up_attributes())) == "reproduced"


@pytest.mark.control("T-other-attributes", "negative")
@pytest.mark.parametrize("defect", ["impure", "unbalanced", "shared", "a missing attribute"])
def test_defects_of_attribute_splits_are_noticed(judge: Judge, monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    attributes, identities = made_up_attributes()
    build = by_attributes

    def broken(names: list[str], labels: dict[str, pd.Series], seed: int) -> dict[str, Split]:
        splits = build(names, labels, seed)
        first, split = next((name, split) for name, split in splits.items() if len(split.groups["A"]) > 1)
        a, b = split.groups["A"], split.groups["B"]
        groups = {
            "impure": {"A": (b[0], *a[1:]), "B": (a[0], *b[1:])},
            "unbalanced": {"A": a, "B": b[:-1]},
            "shared": {"A": a, "B": (*b[1:], a[0])},
        }[defect]
        return {**splits, first: replace(split, groups=groups)}

    if defect == "a missing attribute":
        attributes = attributes.iloc[:, 1:]
    else:
        monkeypatch.setattr("audit.test_attribute_splits.by_attributes", broken)
    assert judge("T-other-attributes", split_defects(attributes, identities)) == "refuted"
