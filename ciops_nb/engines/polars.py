"""Polars over Parquet: the embedded default.

Lazy frames are run with ``collect`` in a worker thread; ``collect_async`` of polars 2.1 aborts some processes at exit.
"""

from __future__ import annotations

from typing import Any, cast

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import EngineUnavailable
from ciops_nb.estate.files import EstateFiles, TableFiles, files_within
from ciops_nb.estate.manifest import Manifest
from ciops_nb.estate.schema import DTYPES, TABLES, Table
from ciops_nb.estate.times import TimeRange

__all__ = ["PolarsEngine", "PolarsTables"]


class PolarsTables:
    """The tables of one tenant, scanned lazily."""

    listed = 20_000

    def __init__(self, tables: dict[str, TableFiles], tenant: str) -> None:
        self._tables, self._tenant = tables, tenant

    def has(self, name: str) -> bool:
        return name in self._tables

    def size(self, name: str) -> int:
        files = self._tables.get(name)
        return 0 if files is None else files.rows

    def table(self, name: str, within: TimeRange | None = None) -> LazyFrame:
        files = files_within(self._tables.get(name), within)
        lazy = _empty(TABLES[name]) if files is None else _scan(files)
        return _narwhal(lazy.filter(pl.col("tenant_id") == self._tenant).drop("tenant_id"))

    def frame(self, rows: pl.DataFrame) -> LazyFrame:
        return _narwhal(rows.lazy())

    def run(self, lazy: LazyFrame) -> pl.DataFrame:
        native: pl.LazyFrame = lazy.to_native()
        try:
            return native.collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise _unreadable("polars", error) from error


class PolarsEngine:
    """An estate folder read by polars."""

    name = "polars"

    def __init__(self, source: str) -> None:
        self.source = source
        self._files = EstateFiles(source)
        self._tenants: tuple[str, tuple[str, ...]] | None = None

    @property
    def manifest(self) -> Manifest:
        return self._files.state().manifest

    def data_version(self) -> str:
        return self._files.state().version

    def tenants(self) -> tuple[str, ...]:
        state = self._files.state()
        if self._tenants is None or self._tenants[0] != state.version:
            lazy = _scan(state.tables["ci"]).select(pl.col("tenant_id").unique())
            found = PolarsTables(state.tables, "").run(_narwhal(lazy))["tenant_id"].drop_nulls().to_list()
            self._tenants = (state.version, tuple(sorted(found)))
        return self._tenants[1]

    def tables(self, tenant: str) -> PolarsTables:
        return PolarsTables(self._files.state().tables, tenant)

    def close(self) -> None:
        self._tenants = None


def _scan(files: TableFiles) -> pl.LazyFrame:
    lazy = pl.scan_parquet(list(files.paths), glob=False)
    columns = list(files.table.columns)
    if files.cast or len(files.present) != len(columns):
        return lazy.select(
            pl.col(column.name).cast(DTYPES[column.kind])
            if column.name in files.cast
            else pl.col(column.name)
            if column.name in files.present
            else pl.lit("" if column.name == "series" else None, dtype=DTYPES[column.kind]).alias(column.name)
            for column in columns
        )
    return lazy.select(files.table.names)


def _empty(table: Table) -> pl.LazyFrame:
    return pl.LazyFrame(schema={column.name: DTYPES[column.kind] for column in table.columns})


def _narwhal(lazy: pl.LazyFrame) -> LazyFrame:
    return cast("LazyFrame", nw.from_native(cast(Any, lazy)))


def _unreadable(engine: str, error: BaseException) -> EngineUnavailable:
    lines = str(error).strip().splitlines()
    problem = lines[0] if lines else type(error).__name__
    return EngineUnavailable(
        engine,
        f"the rows could not be read ({problem})",
        "Run `ciops-nb check` on the estate: it names the damaged file",
    )
