"""From the polars frame of a tool to what the session hands out."""

from __future__ import annotations

from typing import Any

import polars as pl

__all__ = ["to_pandas"]


def to_pandas(frame: pl.DataFrame) -> Any:
    """*frame* with the types pandas users expect, the same whether or not there are rows or nulls.

    Whole numbers that may be missing are ``Int64``: a null would turn them into floats. Counts and the like, which
    are never missing, are so too, so that a type does not depend on the rows.
    """
    import pandas as pd

    objects = [name for name, kind in frame.schema.items() if kind == pl.Object]
    made = frame.drop(objects).to_pandas() if objects else frame.to_pandas()
    for name, kind in frame.schema.items():
        if kind.is_integer():
            made[name] = pd.array(
                frame[name].to_list() if frame[name].null_count() else frame[name].to_numpy(), dtype="Int64"
            )
        elif kind == pl.String():
            made[name] = made[name].astype("str")
        elif kind == pl.Float64():
            made[name] = made[name].astype("float64")
        elif isinstance(kind, pl.Datetime):
            made[name] = made[name].astype("datetime64[us, UTC]")
    for name in objects:
        made[name] = pd.Series(frame[name].to_list(), index=made.index, dtype="object")
    return made[frame.columns]
