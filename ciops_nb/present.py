"""From the polars frame of a tool to the pandas frame that most sessions hand out.

Built block by block (``pandas.api.internals`` is what pyarrow uses for it): the general conversion takes a millisecond
and more for a row of seventeen columns, most of it to find out types that are known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_frames", "load_pandas", "to_pandas"]

_SHORT = 64


def as_frames(frame: pl.DataFrame, frames: str) -> pd.DataFrame | pl.DataFrame:
    """*frame* as a session that was opened with these *frames*, ``pandas`` or ``polars``, hands it out."""
    return frame if frames == "polars" else to_pandas(frame)


def load_pandas() -> None:
    """Import what ``to_pandas`` needs, which takes a quarter of a second, and seconds where the disk is slow."""
    import pandas.api.internals  # type: ignore[import-not-found]  # noqa: F401


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """*frame* with the types pandas users expect, the same whether or not there are rows or nulls.

    Text is ``str``, a time ``datetime64[us, UTC]``, a number ``float64``; whole numbers are ``Int64``, since a null
    would turn them into floats, and a type must not depend on the rows.
    """
    import pandas as pd
    from pandas.api.internals import create_dataframe_from_blocks

    blocks: list[tuple[Any, Any]] = []
    texts = [place for place, kind in enumerate(frame.dtypes) if kind == pl.String]
    times = [place for place, kind in enumerate(frame.dtypes) if isinstance(kind, pl.Datetime)]
    for place, array in zip(texts, _texts(frame, texts), strict=True):
        blocks.append((array, np.array([place])))
    if times:
        blocks.append((_times(frame, times), np.array(times)))
    for place in sorted({*range(frame.width)} - {*texts, *times}):
        blocks.append((_block(frame.to_series(place)), np.array([place])))
    if not blocks:
        return pd.DataFrame()
    made: pd.DataFrame = create_dataframe_from_blocks(
        blocks, index=pd.RangeIndex(frame.height), columns=pd.Index(frame.columns)
    )
    return made


def _texts(frame: pl.DataFrame, places: list[int]) -> list[Any]:
    """The text columns as pandas arrays: parts of one array where they are short, for one array costs what many do."""
    import pandas as pd

    kind = pd.StringDtype(na_value=np.nan)
    columns = frame.get_columns()
    if frame.height > _SHORT:
        return [pd.array(columns[place].to_arrow(), dtype=kind) for place in places]
    whole = pd.array([value for place in places for value in columns[place].to_list()], dtype=kind)
    return [whole[n * frame.height : (n + 1) * frame.height] for n in range(len(places))]


def _block(series: pl.Series) -> Any:
    """A column as pandas keeps it: extension arrays as they are, numpy arrays as one row."""
    import pandas as pd

    kind = series.dtype
    if kind.is_integer():
        if not series.null_count():
            return pd.arrays.IntegerArray(series.to_numpy().astype(np.int64), np.zeros(len(series), dtype=bool))
        missing = series.is_null().to_numpy(writable=True)
        return pd.arrays.IntegerArray(series.fill_null(0).to_numpy().astype(np.int64), missing)
    if kind == pl.Float64():
        return series.to_numpy(writable=True).reshape(1, -1)
    if kind == pl.Boolean() and not series.null_count():
        return series.to_numpy(writable=True).reshape(1, -1)
    values = np.empty(len(series), dtype=object)
    values[:] = series.to_list()
    return values.reshape(1, -1)


def _times(frame: pl.DataFrame, places: list[int]) -> Any:
    """The time columns as one array of as many rows: they are alike, and pandas asks much of each array."""
    import pandas as pd

    moments = np.concatenate([frame.to_series(place).to_numpy() for place in places])
    array: Any = pd.DatetimeIndex(moments).tz_localize("UTC").array
    return array.reshape(len(places), frame.height)
