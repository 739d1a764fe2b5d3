#!/usr/bin/env bash
# numba 0.68.1: a sum of products over part of two float32 rows, `for k in range(low, high): s += x[i, k] * y[j, k]` with
# fastmath, loads no neighbouring numbers together when `low` and `high` come from an int64 array: every vector of factors
# is put together by gathers, one number at a time. With both ends cast to unsigned integers the same loop loads whole
# vectors, and takes little more than half of the time.
#
# A signed index may count from the end, so that each one is first compared with 0 and, if it is below, gets the length of
# the axis added. It is said (numba issue 1533) that this falls away where the index comes from a `range`: of `range(n)` it
# does; of a range that begins at a number that the compiler does not know it does not, and addresses of which each is
# selected are not neighbours to it.
#
# Seen with numba 0.68.1, llvmlite 0.50.0 and numpy 2.4.6 on Linux, x86-64 with AVX-512, in the optimised code:
#   ends of an int64 array: gathers, no load of a whole vector of floats
#   the same, cast to uint64: no gather, loads of whole vectors
#   range(n), signed: no gather, loads of whole vectors
#
# What follows: kernels that carry a product on over levels of components (pruned joins, early-abandoning distances) should
# cast the bounds of the inner range, or number from 0 and add an unsigned start.
# Exits with 1 if the behaviour changes. Where a processor has no gathers, numbers are loaded one by one instead, so that
# only the loads of whole vectors are compared.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
cat > "$folder/loops.py" <<'PYTHON'
import re
import sys
import timeit

import llvmlite
import numba
import numpy as np


@numba.njit(fastmath=True)
def signed(x, y, i, j, ends):
    s = np.float32(0)
    for n in range(1, len(ends)):
        for k in range(ends[n - 1], ends[n]):
            s += x[i, k] * y[j, k]
    return s


@numba.njit(fastmath=True)
def unsigned(x, y, i, j, ends):
    s = np.float32(0)
    for n in range(1, len(ends)):
        for k in range(np.uint64(ends[n - 1]), np.uint64(ends[n])):
            s += x[i, k] * y[j, k]
    return s


@numba.njit(fastmath=True)
def from_zero(x, y, i, j, ends):
    s = np.float32(0)
    for k in range(ends[-1]):
        s += x[i, k] * y[j, k]
    return s


rows = np.random.default_rng(0).random((8, 400), dtype=np.float32)
ends = np.array([32, 96, 400])
found = {}
for loop in (signed, unsigned, from_zero):
    loop(rows, rows, 1, 2, ends)
    code = next(iter(loop.inspect_llvm().values()))
    gathers = len(re.findall(r"call .*masked\.gather", code))
    found[loop.__name__] = loads = len(re.findall(r"load <\d+ x float>", code))
    seconds = min(timeit.repeat(lambda: loop(rows, rows, 1, 2, ends), number=100_000, repeat=5))
    print(f"{loop.__name__}: {gathers} gathers, {loads} loads of whole vectors, {seconds * 10:.2f} microseconds")
print("numba", numba.__version__, "llvmlite", llvmlite.__version__, "numpy", np.__version__)
sys.exit(not (found["signed"] == 0 < min(found["unsigned"], found["from_zero"])))
PYTHON
"$folder/venv/bin/python" "$folder/loops.py"
