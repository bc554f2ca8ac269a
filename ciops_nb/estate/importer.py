"""Import: a folder of CSV or Parquet files becomes an estate.

Every row of every file is either kept or rejected with its reasons; nothing is dropped. A table goes through in batches
(read, convert, find the CI a code means, judge), metrics are put on disk a day at a time, and the rejected rows are
fetched by a second reading of their file, so that a large import holds neither a metric file nor its rejects in memory.

What is made up when a file does not tell it:

- ``tenant_id``: the mapping's ``tenant`` (or "default") in ci; elsewhere the tenant of ci, if it has only one.
- ``ci_id`` in ci: ``TENANT:CODE``, so all versions of a code are one CI.
- ``metric_def`` of a metric without one: what the mapping says in ``[metrics.NAME]``; kind gauge, bad_direction none.
"""

from __future__ import annotations

import csv
import importlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl

from ciops_nb.errors import BadMapping, BadParameter, EstateInvalid
from ciops_nb.estate.manifest import MANIFEST, Clock, Manifest, read_manifest, write_manifest
from ciops_nb.estate.mapping import CHOICES, ImportMapping, TableMapping, codes_of, convert, convertible, read_mapping
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES, DTYPES, TABLES, Column, Table
from ciops_nb.estate.storage import all_or_nothing, conform, write_table

__all__ = ["ImportReport", "Progress", "TableReport", "import_tables"]

Progress = Callable[[str, int, int], None]

_SUFFIXES = (".csv", ".csv.gz", ".parquet")
_BATCH = 1_000_000  # rows judged at once: some hundred MB
_BLOCK = 1 << 22  # bytes a CSV parser is fed with; a row may not be longer
_RAW = "raw:"  # stands before the names of theirs, which may be ours too
_PERIODS = (("valid_from", "valid_to"), ("start_at", "end_at"), ("opened_at", "resolved_at"))
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_WORDS = {"text": "a text", "int": "a whole number", "float": "a number", "time": "a time"}


@dataclass(frozen=True)
class TableReport:
    """What became of one table: ``rows == kept + rejected``.

    *derived* rows came from elsewhere: definitions of metrics that had none, tags and attributes that were columns of
    ci. *ignored* are columns of the files that were not asked for.
    """

    table: str
    files: tuple[str, ...] = ()
    rows: int = 0
    kept: int = 0
    rejected: int = 0
    derived: int = 0
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an import did; *files* are those written, relative to *out*; *rejected* is their folder if there are any."""

    out: Path
    tables: Mapping[str, TableReport]
    files: tuple[Path, ...]
    rejected: Path | None
    warnings: tuple[str, ...] = ()


def import_tables(
    folder: Path,
    out: Path,
    *,
    mapping: Path | None = None,
    name: str | None = None,
    clock: Clock = "data",
    progress: Progress | None = None,
) -> ImportReport:
    """Build an estate at *out* from the CSV (also .csv.gz) and Parquet files in *folder*.

    A table is TABLE.csv, TABLE.csv.gz, TABLE.parquet, a folder TABLE of such files, or what the mapping names. Id
    columns may be replaced by ci_code, source_code, target_code and cause_code; a code that several CIs had in turn
    means the one valid at the time of the row. Of rows with equal keys the first is kept.

    Args:
        folder: where the files are. An ``estate.toml`` in it gives its name and relation types.
        out: the estate to make; it must not exist, or be an empty folder. Rejected rows are in ``rejected/TABLE.csv``
            with all their columns and the reason.
        mapping: a TOML file that says what the columns are called; see ``ciops_nb.estate.mapping``.
        name: of the estate; else the mapping's, or that of the folder.
        clock: ``data`` for a frozen estate, ``wall`` for one that is fed.
        progress: called with a step, how much of it is done, and its total (bytes read, or days written).

    Raises:
        EstateInvalid: the folder, a file or a column is not there or cannot be read, or *out* cannot be made.
        BadMapping: the mapping cannot be read or does not fit the files.
    """
    if clock not in get_args(Clock):
        raise BadParameter("clock", clock, "is not a clock", "Choose data (frozen) or wall (live)")
    rules = read_mapping(Path(mapping)) if mapping is not None else ImportMapping()
    folder, out = Path(folder), Path(out)
    with _reading(folder):
        plans, warnings = _plan(folder, rules)
    with all_or_nothing(out) as beside, _writing(out):
        job = _Job(rules, beside, progress or _silent, warnings)
        for table in TABLES:
            if plans[table]:
                job.table(TABLES[table], plans[table])
        job.finish()
        manifest = _manifest(folder, rules, name, clock)
        job.look_at_types(manifest)
        write_manifest(beside, manifest)
        files = tuple(sorted(path.relative_to(beside) for path in beside.rglob("*") if path.is_file()))
    rejected = out / "rejected" if any(report.rejected for report in job.reports.values()) else None
    return ImportReport(out, job.reports, files, rejected, tuple(job.warnings))


def _silent(step: str, done: int, total: int) -> None:
    pass


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # reading has its own net, so this is the disk below OUT
        raise EstateInvalid(str(out), f"cannot be written ({error})", "Look at space and permissions there") from None


def _manifest(folder: Path, rules: ImportMapping, name: str | None, clock: Clock) -> Manifest:
    given = read_manifest(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    types = {**(given.relation_types if given else DEFAULT_RELATION_TYPES), **rules.relation_types}
    called = name or rules.name or (given.name if given else folder.resolve().name)
    return Manifest(called, clock, relation_types=types)


# ---- which files, and what their columns are ----


@dataclass(frozen=True)
class _Field:
    """One column of ours, or a code column: from a column of theirs, or the same *value* in each row."""

    column: Column
    theirs: str | None = None
    value: pl.Series | None = None
    translate: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def shown(self) -> str:
        return self.theirs or self.name


@dataclass(frozen=True)
class _Plan:
    """One file and what is taken from it."""

    table: Table
    path: Path
    names: tuple[str, ...]
    fields: tuple[_Field, ...]
    ignored: tuple[str, ...]
    rules: ImportMapping
    part: TableMapping

    def has(self, name: str) -> bool:
        return any(each.name == name for each in self.fields)


def _plan(folder: Path, rules: ImportMapping) -> tuple[dict[str, list[_Plan]], list[str]]:
    if not folder.is_dir():
        raise EstateInvalid(str(folder), "there is no such folder", "Name the folder that holds the files")
    found = {table: _files_of(folder, table, rules) for table in TABLES}
    strangers = _strangers(folder, {path for paths in found.values() for path in paths})
    if not found["ci"]:
        near = [name for name in strangers if nearest("ci", [_stem(name)]) or "ci" in _stem(name).casefold()]
        hint = f' Is it {near[0]}? Then write [tables.ci] file = "{near[0]}" in a mapping' if near else ""
        raise EstateInvalid(str(folder), "has no table ci", f"Put a ci.csv or ci.parquet there.{hint}")
    plans = {table: [_plan_file(TABLES[table], path, rules) for path in paths] for table, paths in found.items()}
    _fits_somewhere(rules, plans)
    return plans, [_stranger(name) for name in strangers]


def _files_of(folder: Path, table: str, rules: ImportMapping) -> list[Path]:
    part = rules.tables.get(table)
    if part and part.file:
        try:
            named = sorted(path for path in folder.glob(part.file) if path.is_file())
        except (NotImplementedError, ValueError):
            raise BadMapping(
                rules.place,
                f"[tables.{table}] file = {part.file!r} is not a name inside of the folder",
                "Write a name such as ci.csv or cmdb-*.csv",
            ) from None
        if not named:
            near = nearest(part.file, (path.name for path in folder.iterdir()))
            raise BadMapping(
                rules.place,
                f"[tables.{table}] file = {part.file!r}: {folder} has no such file",
                f"Did you mean {' or '.join(near)}?" if near else "Look at the names of the files",
            )
        for path in named:
            if not path.name.endswith(_SUFFIXES):
                raise EstateInvalid(str(path), "is neither CSV nor Parquet", f"Name it {' or '.join(_SUFFIXES)}")
        return named
    choices = [folder / f"{table}{suffix}" for suffix in _SUFFIXES if (folder / f"{table}{suffix}").is_file()]
    inside = sorted(path for path in (folder / table).rglob("*") if path.is_file() and path.name.endswith(_SUFFIXES))
    if len(choices) + bool(inside) > 1:
        names = " and ".join([path.name for path in choices] + ([f"{table}/"] if inside else []))
        raise EstateInvalid(
            str(folder),
            f"has {names}, which are both table {table}",
            f'Remove one, or name one in a mapping: [tables.{table}] file = "…"',
        )
    if part and not (choices or inside):
        near = nearest(table, (path.name for path in folder.iterdir()))
        raise BadMapping(
            rules.place,
            f"[tables.{table}]: {folder} has no {table}.csv and no {table}.parquet",
            f'Is it {near[0]}? Then write file = "{near[0]}"' if near else "Add the file, or remove this section",
        )
    return choices or inside


def _stem(name: str) -> str:
    return name.split(".")[0]


def _strangers(folder: Path, taken: set[Path]) -> list[str]:
    """Files that look like tables and are not read."""
    files = (path for path in folder.iterdir() if path.is_file() and path not in taken)
    return sorted(path.name for path in files if path.name.endswith(_SUFFIXES) or _stem(path.name) in TABLES)


def _stranger(name: str) -> str:
    if not name.endswith(_SUFFIXES):
        return f"{name} was not read: it is neither CSV nor Parquet"
    if _stem(name) in TABLES:
        return f"{name} was not read: the mapping names another file for table {_stem(name)}"
    near = nearest(_stem(name), TABLES, most=1)
    hint = f'. Did you mean {near[0]}? Then rename it, or write [tables.{near[0]}] file = "{name}"' if near else ""
    return f"{name} was not read: there is no table {_stem(name)!r}{hint}"


def _fits_somewhere(rules: ImportMapping, plans: dict[str, list[_Plan]]) -> None:
    seen = {name for files in plans.values() for plan in files for name in plan.names}
    for ours, theirs in rules.columns.items():
        if theirs not in seen:
            near = nearest(theirs, seen)
            hint = f"Did you mean {' or '.join(near)}?" if near else "Remove the line"
            raise BadMapping(rules.place, f"[columns] {ours} = {theirs!r}: no file has this column", hint)


def _plan_file(table: Table, path: Path, rules: ImportMapping) -> _Plan:
    types = _columns(path, rules)
    part = rules.table(table.name)
    unfolded = [("a tag or attribute", name) for name in part.tags + part.attributes]
    for ours, theirs in [*part.columns.items(), *unfolded]:
        if theirs not in types:
            near = nearest(theirs, types)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"It has: {', '.join(types)}"
            raise BadMapping(
                rules.place,
                f"[tables.{table.name}] takes {ours} from {theirs!r}, which {path.name} does not have",
                hint,
            )
    codes = codes_of(table)
    wanted = [*table.columns, *(Column(code, required=table.by_name[key].required) for code, key in codes.items())]
    usual = {each.name: rules.columns[each.name] for each in wanted if rules.columns.get(each.name) in types}
    claimed = {*part.columns.values(), *usual.values(), *part.tags, *part.attributes}
    fields = []
    for column in wanted:
        translate = part.translate.get(column.name, {})
        if column.name in part.values:
            fields.append(_Field(column, value=_constant(column, part.values[column.name], rules, part, table)))
            continue
        own = column.name if column.name in types and column.name not in claimed else None
        source = part.columns.get(column.name) or usual.get(column.name) or own
        if source is not None:
            _must_convert(path, column, source, types[source], part)
            fields.append(_Field(column, theirs=source, translate=translate))
    used = {each.theirs for each in fields} | {*part.tags, *part.attributes}
    ignored = tuple(name for name in types if name not in used)
    plan = _Plan(table, path, tuple(types), tuple(fields), ignored, rules, part)
    _has_needed(plan, codes)
    return plan


def _constant(column: Column, value: Any, rules: ImportMapping, part: TableMapping, table: Table) -> pl.Series:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    made = convert(pl.Series([text]), column.kind, time_zone=part.time_zone)
    if made.null_count():
        raise BadMapping(
            rules.place,
            f"[tables.{table.name}.values] {column.name} = {text!r} is not {_WORDS[column.kind]}",
            "Mend that line",
        )
    return made


def _must_convert(path: Path, column: Column, theirs: str, have: pl.DataType, part: TableMapping) -> None:
    if not convertible(have, column.kind, part.time_format):
        number = column.kind == "time" and have.is_numeric()
        hint = 'Say time_format = "epoch_s" or "epoch_ms" in a mapping' if number else "Write it as text"
        raise EstateInvalid(str(path), f"column {theirs} is {have}, not {_WORDS[column.kind]}", hint)


def _has_needed(plan: _Plan, codes: Mapping[str, str]) -> None:
    stands_for = {key: code for code, key in codes.items()}
    for column in plan.table.columns:
        made = column.name == "tenant_id" or (plan.table.name == "ci" and column.name == "ci_id")
        asked = [name for name in (column.name, stands_for.get(column.name)) if name]
        if column.required and not made and not any(plan.has(name) for name in asked):
            raise _missing(plan, asked)


def _missing(plan: _Plan, asked: list[str]) -> EstateInvalid:
    free = plan.ignored
    near = sorted({theirs for name in asked for theirs in nearest(name, free)}) or sorted(free)
    section = f"[tables.{plan.table.name}.columns]"
    if len(plan.names) == 1 and (split := next((mark for mark in ";\t|" if mark in plan.names[0]), None)):
        hint = f"Its columns seem to be separated by {split!r}: write delimiter = {split!r} in a mapping"
    elif near:
        hint = f'It has {", ".join(near)}. Write in a mapping: {section} {asked[-1]} = "{near[0]}"'
    else:
        hint = f"It has: {', '.join(plan.names)}. Add the column, or give it a value: [tables.{plan.table.name}.values]"
    return EstateInvalid(str(plan.path), f"needs a column {' or '.join(asked)}", hint)


# ---- reading ----


def _arrow(module: str) -> Any:
    # Late, because it takes a while; and its types are not told to mypy.
    return importlib.import_module(module)


def _polars(arrow: Any) -> pl.DataFrame:
    frame = pl.from_arrow(arrow)
    assert isinstance(frame, pl.DataFrame)
    return frame


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    pa = _arrow("pyarrow")

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError, csv.Error) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        utf8 = "utf-8" in text.casefold() or "utf8" in text.casefold()
        hint = 'Say its encoding in a mapping, such as encoding = "cp1252"' if utf8 else "Fetch or export it again"
        raise EstateInvalid(str(path), f"cannot be read ({text})", hint) from None


def _columns(path: Path, rules: ImportMapping) -> dict[str, pl.DataType]:
    """The names and types of the columns of a file; those of a CSV file are text."""
    with _reading(path):
        if path.suffix == ".parquet":
            pq = _arrow("pyarrow.parquet")

            with pq.ParquetFile(path) as file:
                return dict(_polars(file.schema_arrow.empty_table()).schema)
        with _csv_reader(path, rules, lambda row: "skip", ()) as (reader, _):
            names = list(reader.schema.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EstateInvalid(str(path), f"has two columns named {twice[0]!r}", "Rename one of them")
    return dict.fromkeys(names, pl.String())


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """A stream of the plain bytes of *path*, and the file below it, which knows how far it was read."""
    pa = _arrow("pyarrow")

    with pa.OSFile(str(path)) as file:
        yield (pa.CompressedInputStream(file, "gzip") if path.suffix == ".gz" else file), file


@contextmanager
def _csv_reader(path: Path, rules: ImportMapping, note: Callable[[Any], str], names: Iterable[str]) -> Iterator[Any]:
    pa = _arrow("pyarrow")
    pc = _arrow("pyarrow.csv")

    with _open(path) as (stream, file):
        reader = pc.open_csv(
            stream,
            # One thread, or the rows are not counted.
            pc.ReadOptions(use_threads=False, block_size=_BLOCK, encoding=rules.encoding),
            pc.ParseOptions(delimiter=rules.delimiter, newlines_in_values=True, invalid_row_handler=note),
            pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
        yield reader, file


def _batches(plan: _Plan, advance: Callable[[int], None] = lambda at: None) -> Iterator[pl.DataFrame]:
    """The rows of a file: ``row`` (their number from 0), ``broken`` (why, if a line is none), the raw columns."""
    pieces: list[pl.DataFrame] = []
    count = 0
    with _reading(plan.path):
        for piece in (_parquet if plan.path.suffix == ".parquet" else _csv)(plan, advance):
            pieces.append(piece)
            count += piece.height
            if count >= _BATCH:
                yield pl.concat(pieces)
                pieces, count = [], 0
    if pieces:
        yield pl.concat(pieces)


def _parquet(plan: _Plan, advance: Callable[[int], None]) -> Iterator[pl.DataFrame]:
    pq = _arrow("pyarrow.parquet")

    size, start = plan.path.stat().st_size, 0
    with pq.ParquetFile(plan.path) as file:
        for batch in file.iter_batches(batch_size=_BATCH // 4):
            rows = _polars(batch)
            numbers = pl.Series("row", np.arange(start, start + rows.height))
            yield _framed(plan, rows, numbers, None)
            start += rows.height
            advance(size * start // max(file.metadata.num_rows, 1))


def _csv(plan: _Plan, advance: Callable[[int], None]) -> Iterator[pl.DataFrame]:
    broken: list[tuple[int, int, str]] = []  # row, fields, text

    def note(row: Any) -> str:
        broken.append((row.number - 2, row.actual_columns, row.text))  # the header is row 1
        return "skip"

    with _csv_reader(plan.path, plan.rules, note, plan.names) as (reader, file):
        row = told = 0
        for batch in reader:
            rows = _polars(batch)
            skipped = np.array([each[0] for each in broken[told:]], dtype=np.int64)
            numbers = np.arange(row, row + rows.height + skipped.size)
            numbers = numbers[~np.isin(numbers, skipped)][: rows.height]
            row = int(numbers[-1]) + 1 if rows.height else row
            yield _framed(plan, rows, pl.Series("row", numbers), None)
            while told < len(broken) and broken[told][0] < row:
                yield _broken(plan, broken[told])
                told += 1
            advance(file.tell())
        for each in broken[told:]:
            yield _broken(plan, each)


def _framed(plan: _Plan, rows: pl.DataFrame, numbers: pl.Series, why: str | None) -> pl.DataFrame:
    nothing = plan.rules.null_values
    columns = []
    for theirs in rows:
        values = theirs.alias(_RAW + theirs.name)  # polars takes a name such as ^x$ for a pattern
        if isinstance(values.dtype, (pl.Categorical, pl.Enum)):
            values = values.cast(pl.String())
        if values.dtype == pl.String():
            blank = (values.str.strip_chars() == "") | values.is_in(list(nothing))
            values = values.set(blank, None) if blank.any() else values
        columns.append(values)
    broken = pl.repeat(why, rows.height, dtype=pl.String(), eager=True).alias("broken")
    return pl.DataFrame([numbers.cast(pl.Int64()), broken, *columns])


def _broken(plan: _Plan, line: tuple[int, int, str]) -> pl.DataFrame:
    row, fields, text = line
    found = next(csv.reader([text], delimiter=plan.rules.delimiter), [])
    values = [found[i] if i < len(found) else None for i in range(len(plan.names))]
    rows = pl.DataFrame([values], schema=dict.fromkeys(plan.names, pl.String()), orient="row")
    return _framed(plan, rows, pl.Series("row", [row]), f"has {fields} fields, not {len(plan.names)}: {text}")


# ---- which CI a code means ----


class _Items:
    """The CIs that were kept: which ids there are, and which id a code meant at a time."""

    def __init__(self, ci: pl.DataFrame) -> None:
        self.tenants = ci["tenant_id"].unique().sort().to_list()
        self.ids = ci.select("tenant_id", "ci_id").unique().with_columns(known=pl.lit(True))
        owners = ci.group_by("tenant_id", "ci_code").agg(
            ids=pl.col("ci_id").n_unique(), code_id=pl.col("ci_id").first()
        )
        self.single = owners.filter(pl.col("ids") == 1).drop("ids")
        shared = ci.join(owners.filter(pl.col("ids") > 1), on=["tenant_id", "ci_code"])
        self.spells = _spells(shared)

    def by_code(self, rows: pl.DataFrame, code: str) -> pl.Series:
        """The ids that the *code* column of *rows* means at their time ``at``; null if none does."""
        asked = rows.select("tenant_id", pl.col(code).alias("ci_code"), "at").with_row_index("place")
        found = asked.join(self.single, on=["tenant_id", "ci_code"], how="left", maintain_order="left")
        if self.spells.is_empty():
            return found["code_id"]
        open_rows = found.filter(pl.col("code_id").is_null() & pl.col("ci_code").is_not_null()).drop("code_id")
        late = open_rows.with_columns(pl.col("at").fill_null(_FOREVER)).sort("at")
        timed = late.join_asof(
            self.spells, left_on="at", right_on="since", by=["tenant_id", "ci_code"], check_sortedness=False
        )
        return (
            found.join(timed.select("place", spell="code_id"), on="place", how="left", maintain_order="left")
            .select(pl.coalesce("code_id", "spell"))
            .to_series()
        )

    def known(self, rows: pl.DataFrame, key: str) -> pl.Series:
        """Whether the *key* column of *rows* is the id of a CI of the same tenant."""
        asked = rows.select("tenant_id", pl.col(key).alias("ci_id"))
        found = asked.join(self.ids, on=["tenant_id", "ci_id"], how="left", maintain_order="left")
        return found["known"].fill_null(False)


def _spells(shared: pl.DataFrame) -> pl.DataFrame:
    """For codes that several CIs bore: since when a code means which id.

    Between two dates the valid version counts, the youngest if there are several; then the one that ended last; before
    all of them, the first.
    """
    rows: list[tuple[str, str, datetime, str]] = []
    kept = shared.select("tenant_id", "ci_code", "ci_id", "valid_from", "valid_to").sort(pl.all())
    for (tenant, code), part in kept.group_by("tenant_id", "ci_code", maintain_order=True):
        versions = [(start or _LONG_AGO, end or _FOREVER, key) for _, _, key, start, end in part.iter_rows()]
        turns = sorted({_LONG_AGO, *(start for start, _, _ in versions), *(end for _, end, _ in versions)})
        rows += [(str(tenant), str(code), since, _meant(versions, since)) for since in turns]
    schema = {"tenant_id": pl.String(), "ci_code": pl.String(), "since": DTYPES["time"], "code_id": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("since")


def _meant(versions: list[tuple[datetime, datetime, str]], at: datetime) -> str:
    valid = [version for version in versions if version[0] <= at and (at < version[1] or version[1] == _FOREVER)]
    if valid:
        return max(valid)[2]
    gone = [version for version in versions if version[1] <= at]
    return max(gone, key=lambda version: (version[1], version[0], version[2]))[2] if gone else min(versions)[2]


# ---- judging and writing ----


@dataclass
class _Tally:
    """What was found out about one table while it goes through."""

    rows: int = 0
    kept: int = 0
    rejects: list[tuple[int, pl.DataFrame]] = field(default_factory=list)  # number of the file; row, reason

    @property
    def rejected(self) -> int:
        return sum(frame.height for _, frame in self.rejects)


class _Job:
    """One import: the tables in turn, ci first."""

    def __init__(self, rules: ImportMapping, out: Path, progress: Progress, warnings: list[str]) -> None:
        self.rules, self.out, self.progress, self.warnings = rules, out, progress, warnings
        self.reports: dict[str, TableReport] = {}
        self.items: _Items | None = None
        self.kept: dict[str, pl.DataFrame] = {}
        self.used: list[pl.DataFrame] = []  # tenant and metric of the points
        self.properties: list[pl.DataFrame] = []  # tags and attributes that were columns of ci

    def table(self, table: Table, plans: list[_Plan]) -> None:
        """Take the files of one table through."""
        tally = _Tally()
        (self._points if table.name == "metric" else self._rows)(table, plans, tally)
        self._write_rejects(table, plans, tally)
        self.reports[table.name] = TableReport(
            table.name,
            files=tuple(plan.path.name for plan in plans),
            rows=tally.rows,
            kept=tally.kept,
            rejected=tally.rejected,
            ignored=tuple(sorted({name for plan in plans for name in plan.ignored})),
        )

    def finish(self) -> None:
        """Write the tables that are also made from others."""
        self._properties()
        self._definitions()

    def look_at_types(self, manifest: Manifest) -> None:
        """Warn of relation types that have no meaning."""
        if "relation" not in self.kept:
            return
        for name in self.kept["relation"]["relation_type"].unique().sort():
            if name not in manifest.relation_types:
                near = nearest(name, manifest.relation_types, most=1)
                also = f", or translate it to {near[0]}" if near else ""
                self.warnings.append(
                    f"relation type {name!r} has no meaning: write it under [relation_types] in the mapping{also}"
                )

    def _rows(self, table: Table, plans: list[_Plan], tally: _Tally) -> None:
        good = []
        for number, rows in self._judged(table, plans, tally):
            good.append(rows.with_columns(file=pl.lit(number)))
        rows = pl.concat(good) if good else _empty(table)
        kept = self._first_of_each(table, rows, tally)
        tally.kept = kept.height
        if table.name == "ci":
            self.items = _Items(kept)
            self._unfold(kept, plans)
        frame = conform(table.name, kept.select(table.names))
        self.kept[table.name] = frame
        if table.name not in ("ci_property", "metric_def"):  # those two are written when all is read
            write_table(self.out, table.name, frame)

    def _points(self, table: Table, plans: list[_Plan], tally: _Tally) -> None:
        staged = self.out / ".staged"
        staged.mkdir()
        for piece, (number, rows) in enumerate(self._judged(table, plans, tally)):
            days = rows.with_columns(file=pl.lit(number), day=pl.col("ts").dt.strftime("%Y-%m-%d"))
            for (day,), part in days.partition_by("day", as_dict=True, include_key=False).items():
                (staged / str(day)).mkdir(exist_ok=True)
                part.write_ipc(staged / str(day) / f"{piece:06}.arrow")
        days_found = sorted(staged.iterdir())
        for done, folder in enumerate(days_found):
            self.progress("metric: write days", done, len(days_found))
            # Equal keys have equal times, so they are of one day.
            rows = pl.concat([pl.read_ipc(path) for path in sorted(folder.iterdir())])
            kept = self._first_of_each(table, rows, tally)
            tally.kept += kept.height
            write_table(self.out, "metric", kept.select(table.names))
            self.used.append(kept.select("tenant_id", "metric").unique())
            shutil.rmtree(folder)
        self.progress("metric: write days", len(days_found), len(days_found))
        staged.rmdir()

    def _judged(self, table: Table, plans: list[_Plan], tally: _Tally) -> Iterator[tuple[int, pl.DataFrame]]:
        sizes = [plan.path.stat().st_size for plan in plans]
        step = f"{table.name}: read"
        self.progress(step, 0, sum(sizes))
        for number, plan in enumerate(plans):
            before = sum(sizes[:number])
            judge = _Judge(plan, self.items)
            for batch in _batches(plan, lambda at, before=before: self.progress(step, before + at, sum(sizes))):  # type: ignore[misc]
                tally.rows += batch.height
                good, bad = judge.split(batch)
                tally.rejects.append((number, bad))
                yield number, good
        self.progress(step, sum(sizes), sum(sizes))

    def _first_of_each(self, table: Table, rows: pl.DataFrame, tally: _Tally) -> pl.DataFrame:
        first = rows.select(pl.struct(table.key).is_first_distinct()).to_series()
        again = rows.filter(~first)
        if again.is_empty():
            return rows
        words = f"another row before it has the same {', '.join(table.key)}"
        for (number,), part in again.partition_by("file", as_dict=True).items():
            tally.rejects.append((int(number), part.select("row", reason=pl.lit(words))))
        return rows.filter(first)

    def _write_rejects(self, table: Table, plans: list[_Plan], tally: _Tally) -> None:
        if not tally.rejected:
            return
        folder = self.out / "rejected"
        folder.mkdir(exist_ok=True)
        names = list(dict.fromkeys(name for plan in plans for name in plan.names))
        with (folder / f"{table.name}.csv").open("wb") as file:
            head = True
            for number, plan in enumerate(plans):
                bad = [frame for at, frame in tally.rejects if at == number and frame.height]
                if not bad:
                    continue
                reasons = pl.concat(bad)
                for batch in _batches(plan):
                    found = batch.join(reasons, on="row", how="inner").sort("row")
                    if found.height:
                        _as_written(found, names).write_csv(file, include_header=head)
                        head = False

    def _unfold(self, ci: pl.DataFrame, plans: list[_Plan]) -> None:
        """Tags and attributes that are columns of ci, one row each."""
        part = self.rules.table("ci")
        asked = [("tag", name) for name in part.tags] + [("attribute", name) for name in part.attributes]
        for number, plan in enumerate(plans if asked else []):
            mine = ci.filter(pl.col("file") == number).select("row", "tenant_id", "ci_id", "valid_from", "valid_to")
            for batch in _batches(plan):
                rows = mine.join(batch, on="row", how="inner", maintain_order="left")
                for kind, name in asked:
                    value = convert(rows[_RAW + name], "text")
                    made = rows.select(
                        "tenant_id",
                        "ci_id",
                        kind=pl.lit(kind),
                        name=pl.lit(name),
                        value=value,
                        valid_from="valid_from",
                        valid_to="valid_to",
                    )
                    self.properties.append(made.filter(pl.col("value").is_not_null()))

    def _properties(self) -> None:
        table = TABLES["ci_property"]
        read = self.kept.get("ci_property")
        if read is None and not self.properties:
            return
        made = pl.concat(self.properties) if self.properties else _empty(table).select(table.names)
        rows = made if read is None else pl.concat([read, made.select(read.columns)])
        rows = rows.unique(table.key, keep="first", maintain_order=True)  # what ci_property says comes first
        self._derived("ci_property", rows, 0 if read is None else read.height)

    def _definitions(self) -> None:
        table = TABLES["metric_def"]
        read = self.kept.get("metric_def", _empty(table).select(table.names))
        used = pl.concat(self.used).unique() if self.used else read.select("tenant_id", "metric")
        for name in sorted(self.rules.metrics.keys() - set(used["metric"]) - set(read["metric"])):
            near = nearest(name, used["metric"].unique())
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            self.warnings.append(f"[metrics.{name}] speaks of a metric that has no points.{hint}")
        if "metric_def" not in self.kept and not self.used:
            return
        bare = used.join(read, on=["tenant_id", "metric"], how="anti").sort("tenant_id", "metric")
        says = [self.rules.metrics.get(name, {}) for name in bare["metric"]]
        made = bare.with_columns(
            pl.Series(key, [line.get(key) for line in says], dtype=pl.String())
            for key in ("unit", "kind", "description", "bad_direction")
        )
        rows = pl.concat([read, conform("metric_def", made)]).with_columns(
            pl.col("kind").fill_null("gauge"), pl.col("bad_direction").fill_null("none")
        )
        self._derived("metric_def", rows, read.height)

    def _derived(self, table: str, rows: pl.DataFrame, read: int) -> None:
        write_table(self.out, table, rows)
        report = self.reports.get(table, TableReport(table))
        self.reports[table] = TableReport(
            table, report.files, report.rows, report.kept, report.rejected, rows.height - read, report.ignored
        )


def _empty(table: Table) -> pl.DataFrame:
    schema = {"row": pl.Int64(), **{each.name: DTYPES[each.kind] for each in table.columns}, "file": pl.Int32()}
    return pl.DataFrame(schema=schema)


def _as_written(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Rows as their file had them, and the reason; text for all, so that any column can be written."""
    columns = []
    for name in names:
        if _RAW + name not in rows.columns:
            values = pl.Series([None] * rows.height, dtype=pl.String())
        else:
            values = rows[_RAW + name]
            if values.dtype.is_nested() or values.dtype == pl.Binary():
                values = pl.Series([None if value is None else str(value) for value in values], dtype=pl.String())
            elif isinstance(values.dtype, pl.Datetime):
                values = values.dt.to_string("iso:strict")
        columns.append(values.alias("reason (theirs)" if name == "reason" else name))
    return pl.DataFrame([*columns, rows["reason"]])


class _Judge:
    """Turns the batches of one file into rows of a table, and says of the others what is wrong with them."""

    def __init__(self, plan: _Plan, items: _Items | None) -> None:
        self.plan, self.table, self.items = plan, plan.table, items
        self.codes = {key: code for code, key in codes_of(plan.table).items() if plan.has(code)}
        self.tenant = self._tenant()
        self.checks: list[tuple[pl.Expr, pl.Expr]] = []  # true where bad; in which words
        self._collect()

    def split(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The good rows (row and the columns of the table) and the bad ones (row, reason)."""
        rows = self._identify(batch.with_columns(self._convert(batch)))
        flags = rows.select(mask.fill_null(False).alias(f"bad:{i}") for i, (mask, _) in enumerate(self.checks))
        bad = flags.select(pl.any_horizontal(pl.all())).to_series()
        reasons = [pl.when(f"bad:{i}").then(words) for i, (_, words) in enumerate(self.checks)]
        rejected = (
            rows.hstack(flags)
            .filter(bad)
            .select(
                "row",
                # A line that was cut wrongly has no further sense.
                reason=pl.coalesce("broken", pl.concat_str(reasons, separator="; ", ignore_nulls=True)),
            )
        )
        return rows.filter(~bad).select("row", *self.table.names), rejected

    def _tenant(self) -> str | None:
        if self.plan.has("tenant_id"):
            return None
        if self.items is None or not self.items.tenants:
            return self.plan.rules.tenant
        if len(self.items.tenants) > 1:
            raise _missing(self.plan, ["tenant_id"])
        return str(self.items.tenants[0])

    def _convert(self, batch: pl.DataFrame) -> list[pl.Series]:
        made = []
        for each in self.plan.fields:
            if each.value is not None:
                values = each.value.new_from_index(0, batch.height)
            else:
                values = batch[_RAW + each.shown]
                if each.translate:
                    values = convert(values, "text").replace(each.translate)
                part, rules = self.plan.part, self.plan.rules
                zone, form = part.time_zone, part.time_format
                values = convert(values, each.column.kind, time_zone=zone, time_format=form, decimal=rules.decimal)
            made.append(values.alias(each.name))
        have = {values.name for values in made}
        for column in self.table.columns:
            if column.name not in have:
                filler = self.tenant if column.name == "tenant_id" else None
                made.append(pl.Series(column.name, [filler], dtype=DTYPES[column.kind]).new_from_index(0, batch.height))
        return made

    def _identify(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Fill ids from codes, and mark the ids that no CI has."""
        if self.table.name == "ci":
            if not self.plan.has("ci_id"):
                rows = rows.with_columns(ci_id=pl.format("{}:{}", "tenant_id", "ci_code"))
            return rows
        if "series" in self.table.by_name:
            rows = rows.with_columns(pl.col("series").fill_null(""))
        items = self.items
        assert items is not None, "ci comes first"
        rows = rows.with_columns(at=self._at())
        for key in self._keys():
            if key in self.codes:
                rows = rows.with_columns(pl.coalesce(key, items.by_code(rows, self.codes[key])).alias(key))
            if self.plan.has(key):
                rows = rows.with_columns(items.known(rows, key).alias(f"known:{key}"))
        return rows

    def _keys(self) -> list[str]:
        return [key for key in ("ci_id", "source_id", "target_id", "cause_ci_id") if key in self.table.by_name]

    def _at(self) -> pl.Expr:
        """The time of a row, by which a code that was used again is understood; null is now."""
        if self.table.time is None:
            return pl.lit(None, DTYPES["time"])
        if self.table.time == "valid_from":  # a thing without a beginning was there just before its end
            return pl.coalesce("valid_from", pl.col("valid_to") - pl.duration(microseconds=1))
        return pl.col(self.table.time)

    def _collect(self) -> None:
        self.checks.append((pl.col("broken").is_not_null(), pl.col("broken")))
        for each in self.plan.fields:
            self._check_field(each)
        if self.table.name != "ci":
            for key in self._keys():
                self._check_id(key)
        for start, end in _PERIODS:
            if start in self.table.by_name:
                self._add(pl.col(end) < pl.col(start), f"{end} is before {start}")

    def _add(self, mask: pl.Expr, words: str, value: pl.Expr | None = None, after: str = "") -> None:
        # Not pl.format: a name of theirs may hold braces.
        shown = [] if value is None else [value.cast(pl.String(), strict=False).fill_null("?")]
        self.checks.append((mask, pl.concat_str(pl.lit(words), *shown, pl.lit(after))))

    def _check_field(self, each: _Field) -> None:
        column, value = each.column, pl.col(each.name)
        if each.theirs is not None:
            raw = pl.col(_RAW + each.theirs)
            zone = self.plan.part.time_zone
            clocks = f", or clocks were changed then in {zone}" if column.kind == "time" and zone != "UTC" else ""
            lost = raw.is_not_null() & value.is_null()
            self._add(lost, f"{each.shown} '", raw, f"' is not {_WORDS[column.kind]}{clocks}")
            if column.required and each.name not in (*self.codes, *self.codes.values()):
                self._add(raw.is_null(), f"{each.shown} is missing")
        if column.low is not None and column.high is not None:
            beyond = ~value.is_between(column.low, column.high)
            self._add(beyond, f"{each.shown} ", value, f" is not between {column.low} and {column.high}")
        words = CHOICES.get(self.table.name, {}).get(each.name)
        if words:
            self._add(~value.is_in(list(words)), f"{each.shown} '", value, f"' is not {' or '.join(words)}")

    def _check_id(self, key: str) -> None:
        code = self.codes.get(key)
        asked = pl.col(key).is_not_null()
        if code:
            unresolved = pl.col(code).is_not_null() & pl.col(key).is_null()
            self._add(unresolved, f"{self._shown(code)} '", pl.col(code), "' is unknown")
            if self.table.by_name[key].required:
                self._add(pl.col(code).is_null() & pl.col(key).is_null(), f"{self._shown(code)} is missing")
        if self.plan.has(key):
            self._add(asked & ~pl.col(f"known:{key}"), f"{self._shown(key)} '", pl.col(key), "' is unknown")

    def _shown(self, name: str) -> str:
        return next(each.shown for each in self.plan.fields if each.name == name)
