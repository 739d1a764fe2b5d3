#!/usr/bin/env bash
# pyarrow 26.0.1: making an array or a scalar of plain Python values, and pyarrow.parquet.read_table, import pandas where it is
# installed, though neither the input nor the output is pandas'. ParquetWriter and ParquetFile.read do not.
#
# pyarrow asks of what it is given whether it is one of pandas' objects, and imports the package to ask. A list of two
# strings costs what `import pandas` costs. Arrays that are made of buffers, of numpy's arrays included, do not ask.
#
# Seen with pyarrow 26.0.1, pandas 3.1.1 and numpy 2.4.6 on Linux, each in a process of its own:
#   import pyarrow: pandas is not imported
#   pa.array(["a", "b"]): pandas is imported
#   pa.scalar("a"): pandas is imported
#   pa.Array.from_buffers: pandas is not imported
#   ParquetWriter and ParquetFile.read: pandas is not imported
#   pyarrow.parquet.read_table: pandas is imported
#
# What follows: a command-line tool that reads columns by pyarrow and must start fast cannot use pa.array, pa.scalar or what
# takes plain values and calls them, nor read_table, before it needs pandas anyway; from_buffers and ParquetFile do.
# Exits with 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
cat > "$folder/table.py" <<'PYTHON'
import pyarrow as pa
import pyarrow.parquet as pq

column = pa.Array.from_buffers(pa.int32(), 2, [None, pa.py_buffer(bytes([1, 0, 0, 0, 2, 0, 0, 0]))])
table = pa.Table.from_arrays([column], names=["number"])
with pq.ParquetWriter("table.parquet", table.schema) as writer:
    writer.write_table(table)
assert pq.ParquetFile("table.parquet").read().num_rows == 2
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

folder = Path(sys.argv[1])
steps = {
    "import pyarrow": ("import pyarrow", False),
    'pa.array(["a", "b"])': ('import pyarrow as pa; pa.array(["a", "b"])', True),
    'pa.scalar("a")': ('import pyarrow as pa; pa.scalar("a")', True),
    "pa.Array.from_buffers": (
        "import pyarrow as pa; pa.Array.from_buffers(pa.int32(), 1, [None, pa.py_buffer(bytes(4))])",
        False,
    ),
    "ParquetWriter and ParquetFile.read": ((folder / "table.py").read_text(), False),
    "pyarrow.parquet.read_table": ('import pyarrow.parquet as pq; pq.read_table("table.parquet")', True),
}
changed = False
for name, (code, expected) in steps.items():
    code += "\nimport sys; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    imported = done.stdout.strip() == "True"
    print(f"{name}: pandas is {'' if imported else 'not '}imported")
    changed |= imported != expected
print("pyarrow", version("pyarrow"), "pandas", version("pandas"), "numpy", version("numpy"))
sys.exit(changed)
PYTHON
