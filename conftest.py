"""Options and plug-ins of the audit."""

import os

import pytest

from core.machine import keep_freed_memory

# Threads that wait must not spin while processes that train need their core: read when torch loads OpenMP, after this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
keep_freed_memory()

pytest_plugins = [
    "reports.own_ledger",
    "reports.plugin",
    "fixtures.plugin",
    "fixtures.trained",
    "fixtures.status",
    "fixtures.groups",
    "reports.kept",
    "fixtures.follows",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The audit's own options; every heavier tier is one of them away."""
    group = parser.getgroup("samenoise", "samenoise: what the claims are judged on")
    group.addoption(
        "--published",
        metavar="DIR",
        help="what the documents' authors published: one checkout, or several side by side",
    )
    group.addoption("--celeba", metavar="DIR", help="CelebA: img_align_celeba/, list_attr_celeba.txt, ...")
    group.addoption(
        "--idx",
        metavar="DIR",
        help="Fashion-MNIST in MNIST's files, or other images in that form (found where Debian's package puts them)",
    )
    group.addoption("--runs", metavar="DIR", help="store of trained models and samples (default: runs/)")
    group.addoption(
        "--scale",
        metavar="NAME",
        help="how large the trained evidence is: desk (default), desk-long, workstation, paper40, paper80; "
        "with --runs and without this, nothing that is missing is trained",
    )
    group.addoption("--device", metavar="NAME", default="cpu", help="where to train and sample: cpu, cuda, mps")
    group.addoption("--models-a", metavar="A", help="a denoiser of your own: claims judged on your pair, kind `own`")
    group.addoption("--models-b", metavar="B", help="the other one, as `samenoise compare A B` takes them")
    group.addoption("--train-a", metavar="DIR", help="what A was trained on")
    group.addoption("--train-b", metavar="DIR", help="what B was trained on")
    group.addoption("--ceiling", metavar="A2", help="a second training on A's images, for claims that need one")
    group.addoption("--data-docs", action="store_true", help="write Great Expectations' Data Docs beside the report")
    group.addoption("--report", metavar="DIR", help="where the report goes (default: reports/out)")
