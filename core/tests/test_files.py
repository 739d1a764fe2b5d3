import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from core.files import names_sha256, reserve, sha256_file, sha256_text, write_atomic
from core.machine import available_memory, cores, one_blas_thread


def test_names_hash_is_that_of_the_list_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "sub" / "list.txt", "b.jpg\na.jpg\n")
    assert names_sha256(["b.jpg", "a.jpg"]) == sha256_file(tmp_path / "sub" / "list.txt")
    assert names_sha256(["a.jpg", "b.jpg"]) != names_sha256(["b.jpg", "a.jpg"])
    assert names_sha256([]) == sha256_text("")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "state.json"
    write_atomic(target, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, "new")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("reserved_by_the_system", [True, False])
def test_reserved_room_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserved_by_the_system: bool) -> None:
    if not reserved_by_the_system:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    path = tmp_path / "x"
    with path.open("wb") as stream:
        stream.write(b"head")
        stream.flush()
        reserve(stream, 3_000_000)
    assert path.read_bytes() == b"head" + bytes(2_999_996)
    assert path.stat().st_blocks * 512 >= 2_999_996


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_found_without_the_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("r+b", buffering=0) as stream:
        reserve(stream, 10)


def test_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    left = available_memory()
    assert left is None or 10**6 < left < 10**14
    assert 1 <= cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


PAGES_FETCHED = """
import resource
from core.machine import keep_freed_memory, return_freed_memory
assert {what}
for _ in range(20):
    several = [bytearray(b"x") * 2_000_000 for _ in range(8)]
    del several
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_that_was_freed_is_used_again_or_given_back() -> None:
    def pages(what: str) -> int:
        script = PAGES_FETCHED.format(what=what)
        return int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)

    keep, give_back = "keep_freed_memory()", "return_freed_memory()"
    assert pages(keep) < pages(give_back) / 3
    assert pages(keep) < pages("return_freed_memory(2**20)") / 3
    assert pages("return_freed_memory(2**25)") < pages(give_back) / 3


def threads_of_blas() -> set[int]:
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


@pytest.mark.skipif(not threads_of_blas(), reason="numpy multiplies with a library that cannot be asked")
def test_products_are_held_to_one_thread_and_let_go() -> None:
    before = threads_of_blas()
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        assert threads_of_blas() == {1}
        raise ZeroDivisionError
    assert threads_of_blas() == before
