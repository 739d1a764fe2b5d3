"""A user's CSV table of pictures: their names, and what is known of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from core.errors import InputError


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV table with a column `name`, if known `identity` (whole numbers), and one column an attribute.

    Returns:
        The rows in their order; attributes as -1 and 1, which may be 0 and 1 in the file.

    Raises:
        InputError: naming the file and column, what was found and what was expected.
    """
    try:
        rows = pd.read_csv(path, dtype={"name": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV table ({error})") from error
    if "name" not in rows:
        raise InputError(f"{path}: columns are {', '.join(map(str, rows.columns))}; expected one called name")
    if rows["name"].isna().any():
        raise InputError(f"{path}: line {int(np.flatnonzero(rows['name'].isna())[0]) + 2} has no name")
    for column in rows.columns.drop("name"):
        values = set(rows[column].unique())
        if column == "identity":
            if not pd.api.types.is_integer_dtype(rows[column]):
                raise InputError(f"{path}: column identity holds {rows[column].dtype}, expected whole numbers")
        elif values <= {0, 1}:
            rows[column] = rows[column] * 2 - 1
        elif not values <= {-1, 1}:
            raise InputError(
                f"{path}: column {column} holds {sorted(map(str, values))[:4]}, expected -1 and 1, or 0 and 1"
            )
    return rows
