"""Rounding errors of the fast products that filter pairs: how far a fast bound can lie below the float64 value."""

from __future__ import annotations

import numpy as np

UNIT = 2.0**-24  # unit roundoff of float32
UNIT64 = 2.0**-53
TF32 = 2.0**-11  # rounding of a float32 number to TF32's eleven bits, to nearest
# An assumption, not a theorem: makers of tensor cores do not publish how these add. Measured (Fasi, Higham, Mikaitis
# and Pranesh 2021), they form products exactly and add them in float32, cutting instead of rounding: one unit in the
# last place, 2^-23, an addition. Four times that is taken here, and `core.dedup.join.device.check_device` refuses a
# device that exceeds it on rows made to show it.
TENSOR_UNIT = 2.0**-21


def gamma(n: int, unit: float) -> float:
    """Implements gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability, Lemma 3.1), for n roundings of unit u."""
    return n * unit / (1 - n * unit)


def margin(dimension: int, orthogonality: float = 0.0, *, unit: float = UNIT, stored: float = UNIT) -> float:
    """How far a fast bound can lie below the float64 value of the definition: proven, absolute.

    Let z, z' be float64 rows of the definition (d values), v their float64 value, Q the d x d rotation with
    |Q Q^T - I|_F <= orthogonality, w = fl64(Q^T z), y = w rounded to the stored type (relative error `stored` an
    entry), and s the fast product of the first m entries of y and y' in arithmetic of roundoff `unit`.

    1. |z|, |z'| <= N = 1 + gamma64_{d+4}: the norm and the division round. A zero row has no error at all.
    2. |v - <z, z'>| <= gamma64_d N^2 in any order of additions; clipping to [-1, 1] moves v by at most that again
       plus N^2 - 1.
    3. |<Q^T z, Q^T z'> - <z, z'>| = |z^T (Q Q^T - I) z'| <= orthogonality N^2.
    4. |w - Q^T z| <= gamma64_d | |Q|^T |z| | <= gamma64_d sqrt(d) |Q|_2 N, as |(|Q|)|_2 <= |Q|_F. With
       |Q|_2^2 <= 1 + orthogonality: |w| <= W = |Q|_2 N (1 + sqrt(d) gamma64_d).
    5. |y - w| <= stored W, and 2^-149 an entry where float32 underflows; |y| <= Y = W (1 + stored). So by 4 and 5
       |<y_m, y'_m> - <(Q^T z)_m, (Q^T z')_m>| <= 2 W^2 sqrt(d) gamma64_d + W^2 (2 stored + stored^2).
    6. |s - <y_m, y'_m>| <= gamma_m Y^2 in any order of additions, with or without fused multiply-add, plus 2^-149 m.
    7. The rest of <Q^T z, Q^T z'> is at most the product of the remainders (Cauchy-Schwarz), which are kept rounded
       up (`Plan.store`); putting s and them together takes at most 8 float32 operations on numbers of at most
       2 Y^2: 32 u covers them.

    The sum of 2 to 7 is returned. With d = 400 it is 2.6e-5.
    """
    d = dimension
    n2 = (1 + gamma(d + 4, UNIT64)) ** 2
    rotating = float(np.sqrt(d)) * gamma(d, UNIT64)
    w2 = n2 * (1 + orthogonality) * (1 + rotating) ** 2
    y2 = w2 * (1 + stored) ** 2
    definition = 2 * gamma(d, UNIT64) * n2 + (n2 - 1) + orthogonality * n2
    storing = 2 * w2 * rotating + w2 * (2 * stored + stored**2)
    product = gamma(d, unit) * y2 + 32 * UNIT * y2
    return definition + storing + product + 4 * d * 2.0**-149
