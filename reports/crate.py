"""A report as an RO-Crate: `audit.json`, page and figures in a folder that says in JSON-LD what they are.

The metadata keep to RO-Crate 1.1 and to the profile Process Run Crate 0.5: one action, by samenoise, whose results are
the files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError, Missing
from core.files import write_atomic
from reports.headline import headline
from reports.parts import asked
from reports.render import render

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENSE = "https://spdx.org/licenses/MIT"
TYPES = {
    ".json": "application/json",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".xml": "text/xml",
}


def write_crate(audit: Mapping[str, Any], beside: Path, out: Path) -> int:
    """Write the crate of one audit into a new folder; returns how many files it holds beside its metadata.

    Args:
        audit: the content of `audit.json`.
        beside: where `audit.json` lies, with its figures, and `junit.xml` where there is one.
        out: the folder to write, which must be new or empty.

    Raises:
        InputError: if the folder holds something, or the audit lacks what the page shows.
        Missing: without the package `rocrate`.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise Missing("the package rocrate", "pip install 'samenoise[crate]'") from error
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--crate: {out} holds something; expected a new or an empty folder")
    page = render(audit, beside)
    crate = ROCrate(version="1.1")  # what readers know today
    files = [crate.add_file(str(path), dest, properties=_about(dest, audit)) for dest, path in _files(audit, beside)]
    write_atomic(out / "index.html", page)
    files.append(crate.add_file(str(out / "index.html"), "index.html", properties=_about("index.html", audit)))
    _describe(crate, audit, files)
    crate.write(str(out))
    return len(files)


def _files(audit: Mapping[str, Any], beside: Path) -> list[tuple[str, Path]]:
    """The report's files by their place in the crate; figures that lie outside its folder are left out."""
    inside = beside.resolve()
    names = ["audit.json", "junit.xml"]
    names += sorted({name for claim in audit["claims"] for item in claim["evidence"] for name in item["figures"]})
    found = [(name, (inside / name).resolve()) for name in names]
    return [(name, path) for name, path in found if path.is_relative_to(inside) and path.is_file()]


def _about(name: str, audit: Mapping[str, Any]) -> dict[str, Any]:
    """Name, media type and date of one file."""
    told = {
        "audit.json": "Every claim, its evidence and its verdict",
        "junit.xml": "The tests of the run, as JUnit",
        "index.html": asked(audit),
    }
    about = {"name": told.get(name, f"Figure {Path(name).stem}"), "dateModified": audit["created"]}
    kind = TYPES.get(Path(name).suffix)
    return about | ({"encodingFormat": kind} if kind else {})


def _describe(crate: Any, audit: Mapping[str, Any], files: list[Any]) -> None:
    """Say what the whole is, what it was made from, and by what."""
    from rocrate.model.contextentity import ContextEntity

    project, found = audit["project"], headline(audit)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in audit["counts"].items())
    crate.name = asked(audit)
    crate.description = " ".join([*(found.sentences if found else ()), f"Claims: {counts}."])
    crate.datePublished = audit["created"]
    crate.license = crate.add(ContextEntity(crate, LICENSE, {"@type": "CreativeWork", "name": "MIT License"}))
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, profile))
    version = {"name": "samenoise", "version": project["version"], "url": "https://arxiv.org/abs/2310.02557"}
    tool = crate.add(ContextEntity(crate, "#samenoise", {"@type": "SoftwareApplication", **version}))
    inputs = [
        crate.add(ContextEntity(crate, f"#input-{k}", {"@type": "CreativeWork", "name": one["name"],
                                                       "identifier": f"sha256:{one['sha256']}"}))
        for k, one in enumerate(audit["inputs"])
    ]  # fmt: skip
    documents = [
        crate.add(ContextEntity(crate, source.get("link", f"#document-{key}"), _document(source)))
        for key, source in audit.get("sources", {}).items()
    ]
    action = {"@type": "CreateAction", "name": f"Audit at scale {audit['scale']}", "startTime": audit["created"]}
    made = crate.add(ContextEntity(crate, "#audit", action))
    made["instrument"], made["object"], made["result"] = tool, inputs, files
    crate.root_dataset["mentions"] = made
    crate.root_dataset["about"] = documents


def _document(source: Mapping[str, Any]) -> dict[str, Any]:
    """A document that claims are from."""
    return {"@type": "ScholarlyArticle", "name": source["title"], "datePublished": str(source["year"])}
