"""DuckDB over the same Parquet files: the second engine, which keeps the tool bodies honest."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import EngineUnavailable
from ciops_nb.estate.files import EstateFiles, TableFiles, files_within
from ciops_nb.estate.manifest import Manifest
from ciops_nb.estate.schema import DTYPES, TABLES, Column
from ciops_nb.estate.times import TimeRange

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckDBEngine", "DuckDBTables"]

_SQL_TYPES = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "time": "TIMESTAMPTZ"}


class DuckDBTables:
    """The tables of one tenant, on a cursor of their own: a connection of DuckDB is not for several threads."""

    listed = 200

    def __init__(self, cursor: duckdb.DuckDBPyConnection, tables: dict[str, TableFiles], tenant: str) -> None:
        self._cursor, self._tables, self._tenant = cursor, tables, tenant
        self._one_at_a_time = threading.Lock()

    def has(self, name: str) -> bool:
        return name in self._tables

    def size(self, name: str) -> int:
        files = self._tables.get(name)
        return 0 if files is None else files.rows

    def table(self, name: str, within: TimeRange | None = None) -> LazyFrame:
        rows = self._rows(files_within(self._tables.get(name), within), list(TABLES[name].columns))
        return rows.filter(nw.col("tenant_id") == nw.lit(self._tenant)).drop("tenant_id")

    def _rows(self, files: TableFiles | None, columns: list[Column]) -> LazyFrame:
        if files is None:
            return self.frame(pl.DataFrame(schema={column.name: DTYPES[column.kind] for column in columns}))
        relation = _guard(lambda: self._cursor.read_parquet([str(path) for path in files.paths]))
        # Names and types come from our schema, never from a caller: this is no place for a value.
        return _narwhal(relation.project(", ".join(_projection(files, column) for column in columns)))

    def tenants(self) -> list[str]:
        return (
            self.run(self._rows(self._tables.get("ci"), [TABLES["ci"].columns[0]]).unique())["tenant_id"]
            .drop_nulls()
            .to_list()
        )

    def frame(self, rows: pl.DataFrame) -> LazyFrame:
        return _narwhal(self._cursor.from_arrow(rows.to_arrow()))

    def run(self, lazy: LazyFrame) -> pl.DataFrame:
        native: Any = lazy.to_native()
        with self._one_at_a_time:
            found = _guard(lambda: native.to_arrow_table())
        frame = cast(pl.DataFrame, pl.from_arrow(found))
        times = [
            pl.col(name).cast(pl.Datetime("us", "UTC")) for name, kind in frame.schema.items() if kind == pl.Datetime
        ]
        return frame.with_columns(times) if times else frame


class DuckDBEngine:
    """An estate folder read by DuckDB."""

    name = "duckdb"

    def __init__(self, source: str) -> None:
        try:
            import duckdb
        except ImportError:
            raise EngineUnavailable(
                "duckdb", "its library is not installed", "pip install 'ciops-nb[duckdb]'"
            ) from None
        self.source = source
        self._files = EstateFiles(source)
        self._connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._tenants: tuple[str, tuple[str, ...]] | None = None

    @property
    def manifest(self) -> Manifest:
        return self._files.state().manifest

    def data_version(self) -> str:
        return self._files.state().version

    def tenants(self) -> tuple[str, ...]:
        version = self.data_version()
        if self._tenants is None or self._tenants[0] != version:
            self._tenants = (version, tuple(sorted(self.tables("").tenants())))
        return self._tenants[1]

    def tables(self, tenant: str) -> DuckDBTables:
        cursor = _guard(self._connection.cursor)
        cursor.execute("SET TimeZone = 'UTC'")
        return DuckDBTables(cursor, self._files.state().tables, tenant)

    def close(self) -> None:
        self._connection.close()


def _projection(files: TableFiles, column: Column) -> str:
    kind = _SQL_TYPES[column.kind]
    if column.name not in files.present:
        return f"CAST({chr(39) * 2 if column.name == 'series' else 'NULL'} AS {kind}) AS {column.name}"
    return f"CAST({column.name} AS {kind}) AS {column.name}" if column.name in files.cast else f'"{column.name}"'


def _narwhal(relation: Any) -> LazyFrame:
    return cast("LazyFrame", nw.from_native(relation))


def _guard(action: Any) -> Any:
    import duckdb

    try:
        return action()
    except (duckdb.Error, OSError) as error:
        problem = str(error).strip().splitlines()[0]
        raise EngineUnavailable(
            "duckdb",
            f"the rows could not be read ({problem})",
            "Run `ciops-nb check` on the estate: it names the damaged file",
        ) from error
