"""What an engine promises: tables of one tenant, as Narwhals lazy frames, and a way to run them.

The tenant is bound here, where tables are read: nothing that works with :class:`Tables` can see a row of another
tenant, or the column that names one.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.estate.manifest import Manifest
from ciops_nb.estate.times import TimeRange

__all__ = ["Engine", "LazyFrame", "Tables"]

LazyFrame: TypeAlias = nw.LazyFrame[Any]


class Tables(Protocol):
    """The tables of one tenant, for the length of one call.

    Attributes:
        listed: Up to how many values ``is_in`` takes less time than a join with a frame of them.
    """

    listed: int

    def has(self, name: str) -> bool:
        """Whether the estate has this table at all: absent and empty differ."""

    def size(self, name: str) -> int:
        """About how many rows the table has, of all tenants, as far as that can be told without reading any. Blocks."""

    def table(self, name: str, within: TimeRange | None = None) -> LazyFrame:
        """The rows of the bound tenant: the columns of the schema without ``tenant_id``, in their types.

        Of a table that is told by a time, an engine may leave out what it knows to lie out of *within*; it need not, so
        the caller filters all the same.
        """

    def frame(self, rows: pl.DataFrame) -> LazyFrame:
        """*rows* of the caller's as a lazy frame of this engine, to be joined with its tables."""

    def run(self, lazy: LazyFrame) -> pl.DataFrame:
        """Compute *lazy*. Blocks; called in a worker thread. Row order is not promised.

        Raises:
            EngineUnavailable: the rows could not be read.
        """


class Engine(Protocol):
    """One way to reach the tables of an estate."""

    name: str
    source: str

    @property
    def manifest(self) -> Manifest:
        """What ``estate.toml`` says."""

    def data_version(self) -> str:
        """A short text that differs whenever the data does."""

    def tenants(self) -> tuple[str, ...]:
        """The tenants that own at least one CI, sorted."""

    def tables(self, tenant: str) -> Tables:
        """The tables bound to *tenant*, for one call."""

    def close(self) -> None:
        """Let go of files and connections."""
