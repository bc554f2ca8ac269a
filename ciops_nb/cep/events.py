"""Events in their order, and which of them are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from ciops_nb.cep.samples import Ints, Labels
from ciops_nb.errors import BadRule
from ciops_nb.estate.names import nearest

__all__ = ["Events", "keyed", "one_of"]


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

    def texts(self, by: Sequence[str]) -> pl.DataFrame:
        """The values of the fields *by* as text."""
        for name in by:
            if name not in self.fields:
                raise BadRule(f"by, {name!r}", "events have no such field", one_of(name, self.fields))
        return self.frame.select(pl.col(name).cast(pl.String).replace("", None).alias(name) for name in by)

    def keyed(self, by: Sequence[str]) -> tuple[Ints, tuple[Labels, ...]]:
        """The number of each event's values of the fields *by* (-1: it has none of one of them), and these values."""
        return keyed(self.texts(by), by) if by else (np.zeros(len(self), dtype=np.int64), ((),))


def keyed(texts: pl.DataFrame, by: Sequence[str]) -> tuple[Ints, tuple[Labels, ...]]:
    """The number of each row of *texts* among the values that rows have (-1: it has none of one), and these values."""
    keys = texts.drop_nulls().unique().sort(by).with_row_index("of ")
    number = texts.join(keys, on=list(by), how="left", maintain_order="left")["of "].cast(pl.Int64).fill_null(-1)
    labels = tuple(tuple(sorted(zip(by, values, strict=True))) for values in keys.select(by).iter_rows())
    return number.to_numpy(), labels


def one_of(name: str, known: Sequence[str]) -> str:
    """What to write instead of a *name* that is not *known*."""
    near = nearest(name, known)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else f"There are: {', '.join(known)}"
