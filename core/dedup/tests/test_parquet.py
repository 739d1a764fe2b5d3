"""Tables of a duplicate search: read back by pandas as they were, written without it."""

import io
import subprocess
import sys

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


def test_a_search_of_arrays_loads_neither_pandas_nor_scipys_parts() -> None:
    code = (
        "import sys, numpy, core.dedup.on_disk.run\n"
        "from core.dedup.on_disk.parquet import as_parquet\n"
        "as_parquet({'name': numpy.array(['a'], object), 'i': numpy.arange(1), 'same': numpy.array([True])})\n"
        "print([name for name in ('pandas', 'scipy.ndimage', 'scipy.optimize') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
