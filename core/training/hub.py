"""Fetches a published repository at one commit, every file held against its hash."""

import hashlib
import json
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import sha256_file, write_atomic
from core.tensors import read_json
from core.training.published_models import check_inside

LOCK = "hub.json"


def fetch(
    repository: str,
    out: Path | str,
    *,
    kind: str,
    revision: str | None = None,
    patterns: Iterable[str] = ("*",),
    endpoint: str | None = None,
) -> list[Path]:
    """Download files of a Hugging Face repository at one commit and hold each against its hash.

    The commit and the hashes are written to `hub.json` beside the files. A later call uses that commit unless another
    is asked for, downloads only what is missing, and refuses a file that has changed.

    Args:
        repository: `owner/name`.
        out: directory of the files.
        kind: `model` or `dataset`.
        revision: a full commit hash; by default the locked one, or at the first call what `main` is then.
        patterns: names to fetch, as in a shell.
        endpoint: another hub, for instance a mirror.

    Raises:
        InputError: if `huggingface_hub` is not installed, the hub cannot be reached, or a hash differs.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise InputError("huggingface_hub is not installed: pip install 'samenoise[hub]'") from error
    if revision is not None and not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(f"revision: got {revision!r}, expected a full commit hash of 40 hexadecimal digits")
    out, patterns = Path(out), tuple(patterns)
    lock = read_json(out / LOCK) if (out / LOCK).exists() else {}
    if lock and lock.get("repository") != repository:
        raise InputError(f"{out / LOCK}: is of {lock.get('repository')}, expected {repository}")
    if lock and revision not in (None, lock["revision"]):
        raise InputError(f"{out / LOCK}: locked to {lock['revision']}, asked for {revision}; use another directory")
    api = HfApi(endpoint=endpoint)
    try:
        commit = revision or lock.get("revision") or api.repo_info(repository, repo_type=kind).sha
        entries = api.list_repo_tree(repository, recursive=True, revision=commit, repo_type=kind)
        wanted = [e for e in entries if hasattr(e, "blob_id") and any(fnmatch(e.path, p) for p in patterns)]
        hashes: dict[str, Any] = dict(lock.get("files", {}))
        paths = []
        for entry in wanted:
            path = check_inside(out / entry.path, out)
            if not path.exists():
                hf_hub_download(
                    repository, entry.path, repo_type=kind, revision=commit, local_dir=out, endpoint=endpoint
                )
            if not _is_what_the_hub_says(path, entry) or hashes.get(entry.path) not in (None, sha256_file(path)):
                raise InputError(f"{path}: its hash is not that of {repository} at {commit}; delete it and try again")
            hashes[entry.path] = sha256_file(path)
            paths.append(path)
            body = {"repository": repository, "kind": kind, "revision": commit, "files": hashes}
            write_atomic(out / LOCK, json.dumps(body, indent=1, sort_keys=True))
    except InputError:
        raise
    except Exception as error:  # the library has its own and its HTTP client's exceptions
        raise InputError(f"{repository}: the hub did not answer ({type(error).__name__}: {error})") from error
    if not paths:
        raise InputError(f"{repository} at {commit}: no file is named {' or '.join(patterns)}")
    return paths


def _is_what_the_hub_says(path: Path, entry: Any) -> bool:
    """Large files are known by SHA-256, small ones by git's SHA-1 of `blob <size>` and the bytes."""
    if entry.lfs is not None:
        return sha256_file(path) == entry.lfs.sha256
    raw = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest() == entry.blob_id
