"""Tables of a duplicate search: read back by pandas as they were, written without it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.dedup.on_disk.parquet import as_parquet


@pytest.mark.parametrize("n", [0, 1, 9])
def test_columns_come_back(n: int) -> None:
    names = np.array([f"ä/{k}.png" if k % 2 else "" for k in range(n)], dtype=object)
    columns = {"i": np.arange(n), "name": names, "value": np.arange(n) / 3, "flag": np.arange(n) % 3 == 0}
    table = pd.read_parquet(io.BytesIO(as_parquet(columns)))
    assert {name: table[name].tolist() for name in table} == {name: part.tolist() for name, part in columns.items()}
    assert [kind.kind for kind in table.dtypes] == ["i", "O", "f", "b"]


def test_a_search_of_arrays_loads_neither_torch_nor_pandas_nor_scipys_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", np.concatenate([rng.random((30, 1, 20, 20), dtype=np.float32)] * 2))
    code = (
        "import sys; from pathlib import Path\n"
        "from core.dedup.on_disk.inputs import find_input\n"
        "from core.dedup.on_disk.run import Options, run\n"
        "found = run([find_input(Path('x.npy'))], Path('out'), Options(threads=1))\n"
        "print(found['counts']['pairs'])\n"
        "print([name for name in ('torch', 'pandas', 'scipy.ndimage', 'scipy.optimize') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True).stdout
    assert told == "30\n[]\n"
