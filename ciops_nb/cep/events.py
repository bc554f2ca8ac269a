"""Events in their order, and which of them are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from ciops_nb.cep.samples import Ints, Labels

__all__ = ["Events"]


@dataclass(frozen=True)
class Events:
    """Events by ts (microseconds since 1970) and then seq: ts, seq (their identity), ci, type and further fields."""

    frame: pl.DataFrame

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def ts(self) -> Ints:
        return self.frame["ts"].to_numpy()

    @cached_property
    def seq(self) -> pl.Series:
        """The identity of each as text, as evidence names it."""
        return self.frame["seq"].cast(pl.String)

    @property
    def fields(self) -> list[str]:
        """What an event can be asked for."""
        return [name for name in self.frame.columns if name not in ("ts", "seq")]

    def keyed(self, by: Sequence[str]) -> tuple[Ints, tuple[Labels, ...]]:
        """The number of each event's values of the fields *by* (-1: it has none of one of them), and these values."""
        if not by:
            return np.zeros(len(self), dtype=np.int64), ((),)
        texts = self.frame.select(pl.col(name).cast(pl.String).replace("", None).alias(name) for name in by)
        keys = texts.drop_nulls().unique().sort(by).with_row_index("of")
        number = texts.join(keys, on=list(by), how="left", maintain_order="left")["of"].cast(pl.Int64).fill_null(-1)
        labels = tuple(tuple(sorted(zip(by, values, strict=True))) for values in keys.select(by).iter_rows())
        return number.to_numpy(), labels
