"""Published folders and tensors, and a small hub of our own on loopback."""

import hashlib
import http.server
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest
import torch

from core.data.corpus import Corpus, save_corpus
from core.denoisers.unet import UNet
from core.errors import InputError
from core.training import published_models as hub
from core.training.hub import LOCK, fetch
from core.training.runs import RunStore

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def save_model(root: Path, folder: str, seed: int = 0, prefix: str = "module.", data: str = "celeba") -> Path:
    model = UNet(4, 1, generator=torch.Generator().manual_seed(seed))
    path = root / "UNet" / data / folder / "model.pt"
    path.parent.mkdir(parents=True)
    torch.save({prefix + name: value for name, value in model.state_dict().items()}, path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "published"
    for seed, folder in enumerate(("0to255_RF_90x90_set_size_10", "0to255_RF_90x90_set_size_10_swapped")):
        save_model(root, folder, seed)
    save_model(root, "0to255_RF_90x90_set_size_100000", 2, prefix="")
    torch.save(torch.rand(6, 1, 8, 8), root / "train40x40_no_repeats.pt")
    return root


def test_models_are_found_by_their_folder_names(tree: Path) -> None:
    save_model(tree, "checkpoints")  # not a published name
    found = [(m.data, m.n, m.group) for m in hub.find_models(tree)]
    assert found == [("celeba", 10, "A"), ("celeba", 10, "B"), ("celeba", 100_000, "A")]
    assert [path.name for path in hub.find_tensors(tree) if path.parent == tree] == ["train40x40_no_repeats.pt"]


def test_published_models_enter_the_store_and_give_the_same_outputs(tree: Path, tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    records = hub.import_models(tree, store)
    assert [(r.label["n"], r.label["group"]) for r in records] == [(10, "A"), (10, "B"), (100_000, "A")]
    assert records[0].source == "UNet/celeba/0to255_RF_90x90_set_size_10/model.pt"
    y = torch.rand(2, 1, 8, 8)
    for seed, record in enumerate(records):
        original = UNet(4, 1, generator=torch.Generator().manual_seed(seed)).eval()
        assert torch.equal(store.get(record.key).model(y), original(y))
    assert len(hub.import_models(tree, store)) == 3 and len(store.records()) == 3


def save_corpus_of(count: int, side: int, path: Path, channels: int = 1) -> Path:
    images = torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))
    save_corpus(Corpus(images, tuple(f"{k}.png" for k in range(count))), path)
    return path


def test_a_corpus_that_cannot_be_theirs_is_refused(tree: Path, tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    odd, gray = save_corpus_of(30, 7, tmp_path / "odd"), save_corpus_of(30, 8, tmp_path / "gray")
    with pytest.raises(InputError, match=r"takes 1 x \(multiple of 2\)\^2 pixels, but .* 1 x 7 x 7"):
        hub.import_models(tree, store, corpus=odd)
    with pytest.raises(InputError, match=r"takes 1 x .* images of 3 x 8 x 8"):
        hub.import_models(tree, store, corpus=save_corpus_of(30, 8, tmp_path / "colour", channels=3))
    save_model(tree, "0to255_RF_90x90_set_size_10", 3, data="faces40x40")
    with pytest.raises(InputError, match=r"--corpus: .* has models of celeba, faces40x40; name those of this corpus"):
        hub.import_models(tree, store, corpus=gray)
    with pytest.raises(InputError, match=r"is of 40x40 images, but the corpus has 8x8"):
        hub.import_models(tree, store, corpus=gray, data="faces40x40")
    with pytest.raises(InputError, match=r"--data: got 'x', expected one of celeba, faces40x40"):
        hub.import_models(tree, store, data="x")
    found = hub.import_models(tree, store, corpus=gray, data="celeba")
    assert [record.data["n"] for record in found] == [10, 10, 15] and {r.label["data"] for r in found} == {"celeba"}


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        ("CelebA40x40", "random"),
        ("Eyeglasses40x40", "Eyeglasses"),
        ("male_female", "Male"),
        ("No_Overlap40x40", "identity"),
        ("identities", "identity"),
    ],
)
def test_the_name_of_the_data_says_how_it_was_split(tmp_path: Path, data: str, protocol: str) -> None:
    save_model(tmp_path, "0to255_RF_90x90_set_size_10", data=data)
    assert [model.protocol for model in hub.find_models(tmp_path)] == [protocol]


def test_image_tensors_are_read(tree: Path) -> None:
    assert hub.read_images(tree / "train40x40_no_repeats.pt").shape == (6, 1, 8, 8)


class Harmful:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("harm"),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("what", ["pickle", "object", "text", "truncated"])
def test_files_that_are_not_tensors_are_refused_unread(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = hub.find_models(tree)[0].path
    if what == "pickle":
        path.write_bytes(pickle.dumps(Harmful()))
    elif what == "object":
        torch.save({"encoder.0.0.weight": Harmful()}, path)
    elif what == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    else:
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"set_size_10/model.pt: (cannot be read as tensors only|holds a)"):
        hub.import_models(tree, RunStore(tmp_path / "runs"))
    assert not (tmp_path / "harm").exists()


def test_another_architecture_is_refused(tree: Path, tmp_path: Path) -> None:
    path = hub.find_models(tree)[0].path
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"encoder.0.0.weight is missing"):
        hub.import_models(tree, RunStore(tmp_path / "runs"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.zeros(3, 8, 8), "expected one float tensor"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), "expected one float tensor"),
        (torch.full((3, 1, 8, 8), 255.0), r"values from 255 to 255, expected \[0, 1\]"),
        ({"a": torch.zeros(1)}, "expected one float tensor"),
        ([torch.zeros(1)], "holds a list"),
    ],
)
def test_tensors_that_are_not_images_are_refused(tmp_path: Path, value: Any, says: str) -> None:
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(InputError, match=f"x.pt: .*{says}"):
        hub.read_images(tmp_path / "x.pt")


def test_an_empty_directory_and_a_link_out_are_named(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no model found, expected UNet/"):
        hub.find_models(tmp_path / "empty")
    outside = tmp_path / "outside.pt"
    torch.save({}, outside)
    inside = hub.find_models(tree)[0].path
    inside.unlink()
    inside.symlink_to(outside)
    with pytest.raises(InputError, match="leads out of"):
        hub.find_models(tree)


# A small hub: what `huggingface_hub` asks of the real one, for one repository at one commit


class Hub(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    served: ClassVar[list[str]] = []

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        repository = f"datasets/{hub.DATASETS}"
        if path in (f"/api/{repository}", f"/api/{repository}/revision/{COMMIT}"):
            return self.send({"id": hub.DATASETS, "sha": COMMIT, "siblings": []}, body)
        if path.rstrip("/") == f"/api/{repository}/tree/{COMMIT}":
            return self.send([self.entry(name, raw) for name, raw in self.files.items()], body)
        name = path.removeprefix(f"/{repository}/resolve/{COMMIT}/")
        if name not in self.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        raw = self.files[name]
        entry = self.entry(name, raw)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        self.send_response(200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if body:
            self.served.append(name)
            self.wfile.write(self.tampered(raw))
        return None

    @staticmethod
    def tampered(raw: bytes) -> bytes:
        return raw

    @staticmethod
    def entry(name: str, raw: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(raw), "oid": oid}
        if name.endswith(".pt"):
            entry["lfs"] = {"oid": hashlib.sha256(raw).hexdigest(), "size": len(raw), "pointerSize": 134}
        return entry

    def send(self, value: Any, body: bool) -> None:
        raw = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if body:
            self.wfile.write(raw)


@pytest.fixture
def endpoint(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    Hub.files = {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    Hub.files["README.md"] = b"small\n"
    Hub.served = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_are_fetched_at_one_commit_and_locked(endpoint: str, tmp_path: Path) -> None:
    out = tmp_path / "fetched"
    paths = fetch(hub.DATASETS, out, kind="dataset", endpoint=endpoint)
    assert sorted(str(p.relative_to(out)) for p in paths) == sorted(Hub.files)
    lock = json.loads((out / LOCK).read_text())
    assert lock["revision"] == COMMIT
    assert lock["files"]["README.md"] == hashlib.sha256(b"small\n").hexdigest()
    assert len(hub.find_models(out)) == 3
    Hub.served.clear()
    fetch(hub.DATASETS, out, kind="dataset", endpoint=endpoint, revision=COMMIT)
    assert Hub.served == []  # all there: nothing is downloaded twice


def test_only_what_is_asked_for_is_fetched(endpoint: str, tmp_path: Path) -> None:
    paths = fetch(hub.DATASETS, tmp_path / "x", kind="dataset", endpoint=endpoint, patterns=["train*.pt"])
    assert [path.name for path in paths] == ["train40x40_no_repeats.pt"]
    with pytest.raises(InputError, match=r"no file is named \*\.zip"):
        fetch(hub.DATASETS, tmp_path / "x", kind="dataset", endpoint=endpoint, patterns=["*.zip"])


@pytest.mark.parametrize("name", ["README.md", "train40x40_no_repeats.pt"])
def test_a_tampered_download_is_refused(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Hub, "tampered", staticmethod(lambda raw: raw[:-1] + b"!"))
    with pytest.raises(InputError, match=f"{name}: its hash is not that of {hub.DATASETS}"):
        fetch(hub.DATASETS, tmp_path / "x", kind="dataset", endpoint=endpoint, patterns=[name])


def test_a_file_that_changed_since_is_refused(endpoint: str, tmp_path: Path) -> None:
    fetch(hub.DATASETS, tmp_path / "x", kind="dataset", endpoint=endpoint)
    (tmp_path / "x" / "README.md").write_text("other\n")
    with pytest.raises(InputError, match=r"README\.md: its hash is not that of"):
        fetch(hub.DATASETS, tmp_path / "x", kind="dataset", endpoint=endpoint)


@pytest.mark.parametrize("name", ["../escaped.pt", "/tmp/escaped.pt"])
def test_a_hub_cannot_write_outside(endpoint: str, tmp_path: Path, name: str) -> None:
    Hub.files = {name: b"x"}
    with pytest.raises(InputError, match="leads out of"):
        fetch(hub.DATASETS, tmp_path / "x", kind="dataset", endpoint=endpoint)


def test_what_cannot_be_fetched_is_named(endpoint: str, tmp_path: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(InputError, match="revision: got 'main', expected a full commit hash"):
        fetch(hub.DATASETS, out, kind="dataset", endpoint=endpoint, revision="main")
    with pytest.raises(InputError, match="nobody/nothing: the hub did not answer"):
        fetch("nobody/nothing", out, kind="dataset", endpoint=endpoint)
    with pytest.raises(InputError, match="the hub did not answer"):
        fetch(hub.DATASETS, out, kind="dataset", endpoint="http://127.0.0.1:9")
    fetch(hub.DATASETS, out, kind="dataset", endpoint=endpoint)
    with pytest.raises(InputError, match=f"hub.json: locked to {COMMIT}"):
        fetch(hub.DATASETS, out, kind="dataset", endpoint=endpoint, revision="f" * 40)
    with pytest.raises(InputError, match=f"hub.json: is of {hub.DATASETS}, expected {hub.MODELS}"):
        fetch(hub.MODELS, out, kind="model", endpoint=endpoint)
