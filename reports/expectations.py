"""Table checks with Great Expectations: CelebA-like metadata, and groups that are meant to be apart.

The context is ephemeral: nothing is kept and nothing is sent (analytics are switched off before the library is
imported). What passes between groups is counted by `core.splits.leakage`; the expectations here give it the library's
form.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

os.environ["GX_ANALYTICS_ENABLED"] = "False"

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from core.data.attributes import ATTRIBUTES
from core.files import write_atomic
from core.splits.leakage import Leakage, count_leakage
from core.splits.membership import from_frame
from core.splits.requirements import BALANCE, violations

NAME_PATTERN = r"^[0-9]{6}\.(?:jpg|png)$"
CELEBA = {"images": 202_599, "identities": 10_177, "Eyeglasses": 13_193, "Male": 84_434}


class GroupLeakage(TableMetricProvider):
    """Metric `table.group_leakage`: everything `core.splits.leakage` counts between the groups of a table."""

    metric_name = "table.group_leakage"
    value_keys = ("group_column", "name_column", "identity_column", "attribute")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict,
        metric_value_kwargs: dict,
        metrics: dict,
        runtime_configuration: dict,
    ) -> Leakage:
        frame = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs)
        wanted = metric_value_kwargs
        return count_leakage(
            from_frame(
                frame,
                group_column=wanted["group_column"],
                name_column=wanted["name_column"],
                identity_column=wanted["identity_column"],
                attributes=[wanted["attribute"]] if wanted["attribute"] else [],
            )
        )


class _GroupExpectation(BatchExpectation):
    """Shared by the three below: one requirement of `core.splits.requirements` on the groups of a table."""

    group_column: str = "group"
    name_column: str = "name"
    identity_column: str | None = None
    attribute: str | None = None

    metric_dependencies = ("table.group_leakage",)
    success_keys: ClassVar[tuple[str, ...]] = ("group_column", "name_column", "identity_column", "attribute")
    args_keys = success_keys
    library_metadata: ClassVar[dict[str, Any]] = {"maturity": "production", "tags": ["split integrity"]}

    def requirement(self) -> str:
        """The requirement, as `samenoise verify --require` takes it."""
        raise NotImplementedError

    def _validate(
        self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        broken = violations(metrics["table.group_leakage"], [self.requirement()])
        return {"success": not broken, "result": {"observed_value": "; ".join(why for _, why in broken) or "none"}}


class ExpectGroupsToShareNoImage(_GroupExpectation):
    """Expect no image to be in two groups."""

    description: str | None = "No image is in two groups."

    def requirement(self) -> str:
        """`image`."""
        return "image"


class ExpectGroupsToShareNoIdentity(_GroupExpectation):
    """Expect no identity to be in two groups."""

    identity_column: str | None = "identity"
    description: str | None = "No identity is in two groups."

    def requirement(self) -> str:
        """`identity`."""
        return "identity"


class ExpectGroupsToBePure(_GroupExpectation):
    """Expect every group to hold one value of the attribute, and no two groups the same one."""

    attribute: str | None
    description: str | None = "Every group holds one value of the attribute, no two groups the same one."

    def requirement(self) -> str:
        """`attribute:NAME`."""
        return f"attribute:{self.attribute}"


class ExpectGroupsToBeBalanced(_GroupExpectation):
    """Expect the sizes of the groups to differ by at most a share of the larger."""

    tolerance: float = BALANCE
    success_keys: ClassVar[tuple[str, ...]] = (*_GroupExpectation.success_keys, "tolerance")
    description: str | None = "The groups have nearly equally many images."

    def requirement(self) -> str:
        """`balance:SHARE`."""
        return f"balance:{self.tolerance}"


@dataclass(frozen=True)
class Validation:
    """What one suite found in one table."""

    success: bool
    expectations: int
    failed: tuple[str, ...]  # one sentence each: which expectation, on which column, what was observed
    docs: Path | None = None  # the index page of the Data Docs, if they were asked for


def metadata_suite(attributes: tuple[str, ...] = ATTRIBUTES, totals: Mapping[str, int] | None = None) -> list[Any]:
    """Expectations on a table with `name`, `identity` and attributes in {-1, 1}.

    Args:
        attributes: columns that are attributes.
        totals: known counts (`CELEBA`): `images`, `identities`, and for an attribute the images that have it.
    """
    suite = [
        gxe.ExpectColumnValuesToNotBeNull(column="name"),
        gxe.ExpectColumnValuesToBeUnique(column="name"),
        gxe.ExpectColumnValuesToMatchRegex(column="name", regex=NAME_PATTERN),
        gxe.ExpectColumnValuesToNotBeNull(column="identity"),
        gxe.ExpectTableColumnsToMatchSet(column_set=["name", "identity", *attributes], exact_match=False),
    ]
    for name in attributes:
        suite.append(gxe.ExpectColumnValuesToNotBeNull(column=name))
        suite.append(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[-1, 1]))
    totals = dict(totals or {})
    images, people = totals.pop("images", None), totals.pop("identities", None)
    if images is not None:
        suite.append(gxe.ExpectTableRowCountToEqual(value=images))
        for name, with_it in totals.items():
            total = 2 * with_it - images  # of values -1 and 1
            suite.append(gxe.ExpectColumnSumToBeBetween(column=name, min_value=total, max_value=total))
    if people is not None:
        suite.append(gxe.ExpectColumnUniqueValueCountToBeBetween(column="identity", min_value=people, max_value=people))
    return suite


def group_suite(*, identity: bool = False, attribute: str | None = None, tolerance: float | None = None) -> list[Any]:
    """Expectations on a table with `name` and `group`: no shared image, and what else is asked for."""
    suite: list[Any] = [ExpectGroupsToShareNoImage()]
    if identity:
        suite.append(ExpectGroupsToShareNoIdentity())
    if attribute is not None:
        suite.append(ExpectGroupsToBePure(attribute=attribute))
    if tolerance is not None:
        suite.append(ExpectGroupsToBeBalanced(tolerance=tolerance))
    return suite


def validate(frame: pd.DataFrame, suite: list[Any], *, name: str, docs: Path | None = None) -> Validation:
    """Hold one table against a suite.

    Args:
        frame: the table.
        suite: expectations.
        name: what the Data Docs call it.
        docs: folder for Data Docs; None writes none.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    data = context.data_sources.add_pandas(name="table").add_dataframe_asset(name=name)
    batch = data.add_batch_definition_whole_dataframe("whole table")
    made = context.suites.add(gx.ExpectationSuite(name=name, expectations=suite))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=made))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(name=name, validation_definitions=[definition], result_format={"result_format": "SUMMARY"})
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame})
    results = [result for run in outcome.run_results.values() for result in run.results]
    failed = tuple(_sentence(result) for result in results if not result.success)
    return Validation(bool(outcome.success), len(results), failed, _write_docs(context, docs) if docs else None)


def _sentence(result: Any) -> str:
    kwargs = result.expectation_config.kwargs
    column = f" ({kwargs['column']})" if "column" in kwargs else ""
    if result.exception_info.get("raised_exception"):
        found = result.exception_info.get("exception_message")
    else:
        seen = result.result
        found = seen.get(
            "observed_value",
            f"{seen.get('unexpected_count')} unexpected, e.g. {seen.get('partial_unexpected_list', [])[:3]}",
        )
    return f"{result.expectation_config.type}{column}: found {found}"


_AWAY = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>|<style\b.*?</style>|<iframe\b.*?</iframe>|@import[^;]*;", re.S
)
_STYLE = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 1rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; }
.fa-times::before, .fa-exclamation-triangle::before { content: "\\2717"; color: #a3241c; }
.fa-check-circle::before { content: "\\2713"; color: #17643f; }
.modal, .btn-group, [data-toggle="collapse"], .ge-cta { display: none; }
</style>
</head>"""


def _write_docs(context: Any, folder: Path) -> Path:
    """Data Docs as the library builds them, less the dozen scripts, styles and pictures it loads from elsewhere.

    Its index lists nothing without scripts, so an index of plain links takes its place.
    """
    with tempfile.TemporaryDirectory() as built:
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": built}
        site = {"class_name": "SiteBuilder", "store_backend": store, "show_how_to_buttons": False}
        context.add_data_docs_site(site_name="report", site_config=site)
        context.build_data_docs(site_names=["report"])
        pages = {page.relative_to(built): page.read_text(encoding="utf-8") for page in Path(built).rglob("*.html")}
    for page, text in pages.items():
        write_atomic(folder / page, _AWAY.sub("", text).replace("</head>", _STYLE, 1))
    links = "".join(
        f'<li><a href="{quote(page.as_posix())}">{escape(str(page))}</a></li>\n'
        for page in sorted(pages)
        if page.name != "index.html"
    )
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>\n'
    write_atomic(folder / "index.html", f"{head}{_STYLE}<body><h1>Data Docs</h1>\n<ul>{links}</ul></body></html>\n")
    return folder / "index.html"
