"""The files of an estate as an engine needs them: which there are, their columns, and the version of the data."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from ciops_nb.errors import EstateInvalid
from ciops_nb.estate.manifest import MANIFEST, Manifest, read_manifest
from ciops_nb.estate.schema import DTYPES, TABLES, Table
from ciops_nb.estate.storage import table_path
from ciops_nb.estate.times import TimeRange

__all__ = ["EstateFiles", "TableFiles", "files_within"]

_MAGIC = b"PAR1"
_LOOK_AGAIN = 0.2  # seconds: how long a look at the folder is trusted


@dataclass(frozen=True)
class TableFiles:
    """The files of one table, the columns they have, and which of those must be cast to the schema's type."""

    table: Table
    paths: tuple[Path, ...]
    present: tuple[str, ...]
    cast: tuple[str, ...]

    @cached_property
    def spans(self) -> tuple[tuple[datetime, datetime] | None, ...]:
        """The first and the last time in each file by its footer; None where that does not tell."""
        column = self.table.time
        if column is None or column not in self.present or column in self.cast:
            return (None,) * len(self.paths)
        return tuple(_span(path, column) for path in self.paths)

    @cached_property
    def rows(self) -> int:
        """How many rows there are by the footers, of all tenants; 0 if a file does not tell: who reads it says why."""
        try:
            return int(pl.scan_parquet(list(self.paths), glob=False).select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            return 0


def files_within(files: TableFiles | None, span: TimeRange | None) -> TableFiles | None:
    """Those of *files* that may hold rows of *span*, by their footers: a day's question opens a day's file."""
    if files is None or span is None or len(files.paths) == 1:
        return files
    kept = tuple(
        path
        for path, held in zip(files.paths, files.spans, strict=True)
        if held is None or ((span.start is None or held[1] >= span.start) and (span.end is None or held[0] < span.end))
    )
    return replace(files, paths=kept) if kept else None


@dataclass(frozen=True)
class _State:
    signature: tuple[tuple[str, int, int], ...]
    manifest: Manifest
    tables: dict[str, TableFiles]
    version: str


class EstateFiles:
    """An estate folder, looked at anew when its files change.

    The data version is a hash over ``estate.toml`` and over name, size and footer of each Parquet file. A footer holds
    the count, place, size and extremes of every column chunk, so it tells two states of a table apart without reading
    the table, and a copy of the folder has the version of the original.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        path = Path(source)
        self.folder = path.parent if path.name == MANIFEST else path
        self._state = self._read(self._signature())
        self._looked = time.monotonic()

    def state(self) -> _State:
        """The state of the files now."""
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            signature = self._signature()
            if signature != self._state.signature:
                self._state = self._read(signature)
            self._looked = time.monotonic()
        return self._state

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        rows = []
        try:
            for path in [self.folder / MANIFEST, *(path for name in TABLES for path in table_path(self.folder, name))]:
                stat = path.stat()
                rows.append((str(path), stat.st_size, stat.st_mtime_ns))
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            problem = f"{error.strerror}: {Path(error.filename).name}" if isinstance(error, OSError) else str(error)
            raise EstateInvalid(
                str(self.folder),
                f"is not an estate ({problem})",
                "Give a folder with an estate.toml, such as data/demo; `ciops-nb import tables` makes one",
            ) from None
        return tuple(rows)

    def _read(self, signature: tuple[tuple[str, int, int], ...]) -> _State:
        manifest = read_manifest(self.folder / MANIFEST)
        tables = {}
        digest = hashlib.blake2b((self.folder / MANIFEST).read_bytes(), digest_size=8)
        for table in TABLES.values():
            paths = table_path(self.folder, table.name)
            for path in paths:
                digest.update(path.relative_to(self.folder).as_posix().encode())
                digest.update(path.stat().st_size.to_bytes(8, "big"))
                digest.update(_footer(path))
            if paths:
                tables[table.name] = _describe(table, tuple(paths))
            elif table.needed:
                raise EstateInvalid(
                    str(self.folder), f"has no table {table.name!r}", f"Add {table.name}.parquet, or import it again"
                )
        return _State(signature, manifest, tables, digest.hexdigest())


def _footer(path: Path) -> bytes:
    cut = EstateInvalid(
        str(path), "is not a Parquet file, or was cut short", "Restore it from where it came, or import it again"
    )
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < 12:
                raise cut
            file.seek(size - 8)
            tail = file.read(8)
            length = int.from_bytes(tail[:4], "little")
            if tail[4:] != _MAGIC or length > size - 12:
                raise cut
            file.seek(size - 8 - length)
            return file.read(length)
    except OSError as error:
        raise EstateInvalid(str(path), f"cannot be read ({error.strerror})", "Check its permissions") from None


def _span(path: Path, column: str) -> tuple[datetime, datetime] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return None  # who reads the file says what is wrong with it
    places = [place for place in range(footer.num_columns) if footer.schema.column(place).path == column]
    groups = [footer.row_group(number).column(place) for place in places for number in range(footer.num_row_groups)]
    told = [group.statistics for group in groups if group.statistics is not None and group.statistics.has_min_max]
    if not groups or len(told) < len(groups):
        return None
    first, last = min(one.min for one in told), max(one.max for one in told)
    return (first, last) if isinstance(first, datetime) and first.tzinfo is not None else None


def _describe(table: Table, paths: tuple[Path, ...]) -> TableFiles:
    # The first file speaks for all of a table; `check` looks at each.
    place = str(paths[0])
    try:
        found = pl.read_parquet_schema(paths[0])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise EstateInvalid(place, f"is damaged ({_first_line(error)})", "Restore it, or import it again") from None
    missing = [column.name for column in table.columns if column.required and column.name not in found]
    if missing:
        raise EstateInvalid(
            place, f"lacks the column {', '.join(missing)}", f"Table {table.name} has: {', '.join(table.names)}"
        )
    cast = []
    for column in table.columns:
        if column.name not in found:
            continue
        have, want = found[column.name], DTYPES[column.kind]
        if have != want:
            if not _castable(have, column.kind):
                raise EstateInvalid(
                    place, f"column {column.name} is {have}, not {want}", "Import the tables again: that converts them"
                )
            cast.append(column.name)
    return TableFiles(table, paths, tuple(name for name in table.names if name in found), tuple(cast))


def _castable(have: pl.DataType, kind: str) -> bool:
    if have == pl.Null():
        return True
    if kind == "time":
        return isinstance(have, pl.Datetime)
    if kind == "int":
        return have.is_integer()
    if kind == "float":
        return have.is_numeric()
    return isinstance(have, (pl.Categorical, pl.Enum))


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
