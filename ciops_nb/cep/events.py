"""Events in their order, and which of them are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from ciops_nb.cep.samples import Ints, Labels
from ciops_nb.errors import BadRule
from ciops_nb.estate.names import one_of

__all__ = ["Events", "keyed"]

_NUMBER = "\0number"  # no field is called so


@dataclass(frozen=True)
class Events:
    """Events by ts (microseconds since 1970) and then seq: ts, seq (their identity), ci, type and further fields.

    *arrived*, where it matters when an event came in: in microseconds since 1970.
    """

    frame: pl.DataFrame
    arrived: Ints | None = None

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def ts(self) -> Ints:
        return self.frame["ts"].to_numpy()

    @cached_property
    def known(self) -> Ints:
        """From when on each could be seen."""
        return self.ts if self.arrived is None else np.maximum(self.ts, self.arrived)

    @cached_property
    def seq(self) -> pl.Series:
        """The identity of each as text, as evidence names it."""
        return self.frame["seq"].cast(pl.String)

    @property
    def fields(self) -> list[str]:
        """What an event can be asked for."""
        return [name for name in self.frame.columns if name not in ("ts", "seq")]

    def check(self, name: str, word: str) -> None:
        """That events have the field *name*, which *word* of a rule asks for."""
        if name not in self.fields:
            raise BadRule(f"{word}, {name!r}", "events have no such field", one_of(name, self.fields))

    def texts(self, by: Sequence[str]) -> pl.DataFrame:
        """The values of the fields *by* as text."""
        for name in by:
            self.check(name, "by")
            dtype = self.frame.schema[name]
            if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
                raise BadRule(f"by, {name!r}", f"holds {dtype}", "Name a field of texts or numbers")
        return self.frame.select(pl.col(name).cast(pl.String).replace("", None).alias(name) for name in by)

    def keyed(self, by: Sequence[str]) -> tuple[Ints, tuple[Labels, ...]]:
        """The number of each event's values of the fields *by* (-1: it has none of one of them), and these values."""
        by = list(dict.fromkeys(by))
        return keyed(self.texts(by), by) if by else (np.zeros(len(self), dtype=np.int64), ((),))


def keyed(texts: pl.DataFrame, by: Sequence[str]) -> tuple[Ints, tuple[Labels, ...]]:
    """The number of each row of *texts* among the values that rows have (-1: it has none of one), and these values."""
    keys = texts.drop_nulls().unique().sort(by).with_row_index(_NUMBER)
    number = texts.join(keys, on=list(by), how="left", maintain_order="left")[_NUMBER].cast(pl.Int64).fill_null(-1)
    labels = tuple(tuple(sorted(zip(by, values, strict=True))) for values in keys.select(by).iter_rows())
    return number.to_numpy(), labels
