"""Check: what is wrong with an estate.

Errors make answers wrong or impossible; warnings are odd, and may be meant.

=====================  ========  ==============================================================================
problem                severity  meaning; *subject*, unless said, is the code of a CI (or its id) or the id of a record
=====================  ========  ==============================================================================
bad_manifest           error     ``estate.toml`` says something it may not
missing_table          error     there is no table ci
unreadable_file        error     a file (subject) is not Parquet, or damaged; it is left out of what follows
missing_column         error     a file (subject) lacks a column that is needed; likewise left out
wrong_column_type      error     a column of a file (subject) has another type; likewise left out
no_tenant              error     rows without a tenant
missing_value          error     rows without a value in a column (subject) that needs one
bad_value              error     a value that its column cannot have, such as a criticality of 7
duplicate_key          error     rows with the key of another; *count* is those beyond the first
backwards              error     an end before its start
duplicate_code         error     a code that several CIs (*count*) have at the same time
overlapping_versions   error     versions (*count*) of a CI, property or relation that begin before another ended
dangling_relation      error     a relation (subject ``source -> target``) whose source or target is no CI
unknown_ci             error     rows of something that is no CI
unknown_metric         error     points of a metric (subject) that metric_def does not have
point_before_life      warning   points before their CI's first version
point_after_life       warning   points at or after the end of their CI's last version
self_relation          warning   a relation from a CI to itself
unknown_relation_type  warning   relations of a type (subject) that ``estate.toml`` gives no meaning
unknown_column         warning   a column of a file (subject) that the table does not have; nothing reads it
not_checked            warning   rows that could not be held against a table of which a file was left out
=====================  ========  ==============================================================================

Tables are scanned, not loaded: metrics are grouped to their series first, and only 8 bytes a point are held at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from ciops_nb.errors import EstateInvalid
from ciops_nb.estate.manifest import MANIFEST, Manifest, read_manifest
from ciops_nb.estate.mapping import CHOICES
from ciops_nb.estate.schema import DTYPES, TABLES, Kind, Table
from ciops_nb.estate.storage import table_path

__all__ = ["check"]

Severity = Literal["error", "warning"]

_SCHEMA: dict[str, pl.DataType] = {
    "severity": pl.String(),
    "table": pl.String(),
    "problem": pl.String(),
    "tenant_id": pl.String(),
    "subject": pl.String(),
    "count": pl.Int64(),
    "detail": pl.String(),
}
# The columns by which findings are told apart; ids of CIs are shown as codes.
_SUBJECT = {
    "ci": ("ci_id",),
    "ci_property": ("ci_id",),
    "relation": ("source_id", "target_id"),
    "metric_def": ("metric",),
    "metric": ("ci_id",),
    "event": ("event_id",),
    "change": ("change_id",),
    "maintenance": ("maintenance_id",),
    "incident": ("incident_id",),
    "label": ("ci_id",),
}
_VERSIONED = {"ci": (), "ci_property": ("kind", "name"), "relation": ("relation_type",)}
_IDS = ("ci_id", "cause_ci_id")
_PERIODS = (("valid_from", "valid_to"), ("start_at", "end_at"), ("opened_at", "resolved_at"))
_LONG_AGO, _FOREVER = (
    pl.lit(moment).cast(DTYPES["time"])
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
)
_READ_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def check(estate: Path) -> pl.DataFrame:
    """List what is wrong with the estate at *estate*, a folder or its ``estate.toml``.

    Returns:
        A frame of findings, errors first, then in the order of the tables; empty if all is well: severity (error,
        warning), table, problem (a word of the list at the top of this module), tenant_id, subject, count, detail.

    Raises:
        EstateInvalid: *estate* is not a folder with an ``estate.toml``.
    """
    estate = Path(estate).parent if Path(estate).name == MANIFEST else Path(estate)
    if not (estate / MANIFEST).is_file():
        raise EstateInvalid(str(estate), f"has no {MANIFEST}", "Give the folder of an estate, such as data/demo")
    run = _Run(estate)
    for table in TABLES.values():
        run.table(table)
    order = {name: place for place, name in enumerate(TABLES)}
    findings = pl.concat([pl.DataFrame(schema=_SCHEMA), *run.findings])
    place = pl.col("table").replace_strict(order, default=-1, return_dtype=pl.Int64())
    return findings.sort("severity", place, "problem", "tenant_id", "subject", "detail")


class _Run:
    def __init__(self, estate: Path) -> None:
        self.estate = estate
        self.findings: list[pl.DataFrame] = []
        self.torn: set[str] = set()  # tables of which a file was left out
        self.manifest = self._manifest()
        self.tables = {table.name: self._open(table) for table in TABLES.values()}
        self.lives = self._lives()

    def table(self, table: Table) -> None:
        """Look at the rows of one table."""
        rows = self.tables[table.name]
        if rows is None:
            if table.needed and table.name not in self.torn:
                self._add("error", table.name, "missing_table", detail=f"there is no {table.name}.parquet")
            return
        self._values(table, rows)
        self._keys(table, rows)
        self._ids(table, rows)
        if table.name in _VERSIONED:
            self._versions(table, rows)
        if table.name == "ci":
            self._codes(rows)
        elif table.name == "relation":
            self._relations(rows)
        elif table.name == "metric":
            self._points(rows)

    # ---- files ----

    def _manifest(self) -> Manifest:
        try:
            return read_manifest(self.estate / MANIFEST)
        except EstateInvalid as error:
            self._add("error", None, "bad_manifest", MANIFEST, detail=error.problem)
            return Manifest(self.estate.name)

    def _open(self, table: Table) -> pl.LazyFrame | None:
        paths = table_path(self.estate, table.name)
        good = [rows for path in paths if (rows := self._scan(table, path)) is not None]
        if len(good) < len(paths):
            self.torn.add(table.name)
        return pl.concat(good) if good else None

    def _scan(self, table: Table, path: Path) -> pl.LazyFrame | None:
        """The rows of a file in the types of the table, or a finding."""
        subject = path.relative_to(self.estate).as_posix()
        try:
            found = pl.read_parquet_schema(path)
            # Reads every page, so that damage is found here and not halfway through a question.
            pl.scan_parquet(path).select(pl.all().null_count()).collect(engine="streaming")
            _verify(path)
        except _READ_ERRORS as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            self._add("error", table.name, "unreadable_file", subject, detail=text)
            return None
        usable = True
        for column in table.columns:
            have, want = found.get(column.name), DTYPES[column.kind]
            if have is None and column.required:
                self._add("error", table.name, "missing_column", subject, detail=f"there is no column {column.name}")
                usable = False
            elif have is not None and not _readable(have, column.kind):
                detail = f"column {column.name} is {have}, not {want}"
                self._add("error", table.name, "wrong_column_type", subject, detail=detail)
                usable = False
        for name in sorted(found.keys() - table.by_name.keys()):
            self._add(
                "warning", table.name, "unknown_column", subject, detail=f"table {table.name} has no column {name}"
            )
        if not usable:
            return None
        columns = [
            (pl.col(column.name) if column.name in found else pl.lit(None)).cast(DTYPES[column.kind]).alias(column.name)
            for column in table.columns
        ]
        rows = pl.scan_parquet(path).select(columns)
        return rows.with_columns(pl.col("series").fill_null("")) if "series" in table.by_name else rows

    # ---- rows of any table ----

    def _values(self, table: Table, rows: pl.LazyFrame) -> None:
        absent = {}
        for column in table.columns:
            if column.required:
                value = pl.col(column.name)
                absent[column.name] = value.is_null() | (value == "" if column.kind == "text" else False)
        counts = _collect(
            rows.group_by("tenant_id").agg(mask.sum().alias(f"no {name}") for name, mask in absent.items())
        )
        for name in absent:
            found = counts.filter(pl.col(f"no {name}") > 0)
            problem = "no_tenant" if name == "tenant_id" else "missing_value"
            self._put(
                "error", table.name, problem,
                found.select(
                    "tenant_id",
                    pl.lit(None if name == "tenant_id" else name, pl.String()).alias("subject"),
                    pl.col(f"no {name}").alias("count"),
                    pl.lit(f"{name} is missing").alias("detail"),
                ),
            )  # fmt: skip
        for column in table.columns:
            if column.low is not None and column.high is not None:
                bad = rows.filter(~pl.col(column.name).is_between(column.low, column.high))
                text = f"{column.name} {{}} is not between {column.low} and {column.high}"
                self._group("error", table.name, "bad_value", bad, pl.format(text, column.name), by=(column.name,))
        for name, words in CHOICES.get(table.name, {}).items():
            bad = rows.filter(~pl.col(name).is_in(list(words)))
            text = f"{name} '{{}}' is not {' or '.join(words)}"
            self._group("error", table.name, "bad_value", bad, pl.format(text, name), by=(name,))
        for start, end in _PERIODS:
            if start in table.by_name:
                bad = rows.filter(pl.col(end) < pl.col(start))
                self._group("error", table.name, "backwards", bad, pl.lit(f"{end} is before {start}"))

    def _keys(self, table: Table, rows: pl.LazyFrame) -> None:
        # Equal keys have equal hashes; only rows whose hash is not their own are compared.
        hashed = rows.select(pl.struct(table.key).hash().alias("hash"))
        hashes = _collect(hashed)["hash"]
        if hashes.n_unique() == hashes.len():
            return
        shared = hashes.filter(hashes.is_duplicated()).unique().to_frame()
        doubtful = rows.with_columns(pl.struct(table.key).hash().alias("hash")).join(
            shared.lazy(), on="hash", how="semi"
        )
        surplus = doubtful.group_by(table.key).agg((pl.len() - 1).alias("more")).filter(pl.col("more") > 0)
        detail = pl.lit(f"rows with the {', '.join(table.key)} of another")
        self._group("error", table.name, "duplicate_key", surplus, detail, count=pl.col("more").sum())

    def _ids(self, table: Table, rows: pl.LazyFrame) -> None:
        if table.name == "ci":
            return
        if self.lives is None:
            if table.name == "relation" or "ci_id" in table.by_name:
                self._add(
                    "warning", table.name, "not_checked", detail="ci is not whole, so ids were not looked up in it"
                )
            return
        for key in _IDS:
            if key in table.by_name:
                named = rows.filter(pl.col(key).is_not_null()).select("tenant_id", pl.col(key).alias("ci_id"))
                counts = named.group_by("tenant_id", "ci_id").agg(pl.len().alias("n"))
                found = counts.join(self.lives.lazy(), on=["tenant_id", "ci_id"], how="anti", nulls_equal=True)
                detail = pl.lit(f"{key} is not the id of a CI")
                self._group(
                    "error", table.name, "unknown_ci", found, detail, subject=("ci_id",), count=pl.col("n").sum()
                )

    def _versions(self, table: Table, rows: pl.LazyFrame) -> None:
        by = _VERSIONED[table.name]
        thing = ["tenant_id", *_SUBJECT[table.name], *by]
        start, end = pl.col("valid_from").fill_null(_LONG_AGO), pl.col("valid_to").fill_null(_FOREVER)
        frame = _collect(rows.select(*thing, start, end).filter(pl.col("valid_from") < pl.col("valid_to")))
        frame = frame.sort(*thing, "valid_from", "valid_to").unique(
            [*thing, "valid_from"], keep="first", maintain_order=True
        )
        before = pl.col("valid_to").cum_max().shift(1).over(thing)
        detail = (
            pl.format(f"{' '.join('{}' for _ in by)}: its versions overlap", *by) if by else pl.lit("versions overlap")
        )
        bad = frame.filter(pl.col("valid_from") < before).lazy()
        self._group("error", table.name, "overlapping_versions", bad, detail, by=by)

    # ---- rows of one table ----

    def _lives(self) -> pl.DataFrame | None:
        """From when to when a CI was there, and its newest code; None if not all of them can be read."""
        rows = self.tables["ci"]
        if rows is None or "ci" in self.torn:
            return None
        newest = pl.col("ci_code").sort_by(pl.col("valid_from").fill_null(_LONG_AGO), "ci_code").last()
        return _collect(
            rows.group_by("tenant_id", "ci_id").agg(
                newest.alias("code"),
                pl.col("valid_from").fill_null(_LONG_AGO).min().alias("born"),
                pl.col("valid_to").fill_null(_FOREVER).max().alias("gone"),
            )
        )

    def _codes(self, rows: pl.LazyFrame) -> None:
        group = ["tenant_id", "ci_code"]
        start, end = pl.col("valid_from").fill_null(_LONG_AGO), pl.col("valid_to").fill_null(_FOREVER)
        frame = _collect(rows.select(*group, "ci_id", start, end).filter(pl.col("valid_from") < pl.col("valid_to")))
        frame = frame.filter((pl.col("ci_id").n_unique() > 1).over(group)).sort(
            *group, "valid_from", "ci_id", "valid_to"
        )
        if frame.is_empty():
            return
        # In the order of their starts, two CIs overlap somewhere if and only if a run of versions of one CI reaches
        # beyond the start of the next run.
        runs = (
            frame.with_columns(pl.col("ci_id").rle_id().over(group).alias("run"))
            .group_by(*group, "run")
            .agg(pl.col("valid_from").min(), pl.col("valid_to").max())
            .sort(*group, "run")
        )
        clash = runs.filter(pl.col("valid_from") < pl.col("valid_to").shift(1).over(group)).select(group).unique()
        found = (
            frame.join(clash, on=group, how="semi", nulls_equal=True)
            .group_by(group)
            .agg(pl.col("ci_id").n_unique().alias("count"))
        )
        detail = pl.lit("CIs have this code at the same time")
        self._put("error", "ci", "duplicate_code", found.with_columns(subject="ci_code", detail=detail))

    def _relations(self, rows: pl.LazyFrame) -> None:
        known = list(self.manifest.relation_types)
        bad = rows.filter(~pl.col("relation_type").is_in(known))
        detail = pl.lit(f"{MANIFEST} has no such relation type")
        self._group("warning", "relation", "unknown_relation_type", bad, detail, subject=("relation_type",))
        loops = rows.filter(pl.col("source_id") == pl.col("target_id"))
        self._group("warning", "relation", "self_relation", loops, pl.col("relation_type"), by=("relation_type",))
        if self.lives is None:
            return
        marked = rows
        for end in ("source", "target"):
            ids = self.lives.lazy().select(
                "tenant_id", pl.col("ci_id").alias(f"{end}_id"), pl.lit(True).alias(f"{end} known")
            )
            marked = marked.join(ids, on=["tenant_id", f"{end}_id"], how="left", nulls_equal=True)
        lost = [pl.col(f"{end}_id").is_not_null() & pl.col(f"{end} known").is_null() for end in ("source", "target")]
        words = [pl.when(mask).then(pl.lit(end)) for mask, end in zip(lost, ("source", "target"), strict=True)]
        dangling = marked.filter(pl.any_horizontal(lost)).with_columns(
            pl.concat_str(words, separator=" and ", ignore_nulls=True).alias("ends")
        )
        detail = pl.format("{}: no CI is its {}", "relation_type", "ends")
        self._group("error", "relation", "dangling_relation", dangling, detail, by=("relation_type", "ends"))

    def _points(self, rows: pl.LazyFrame) -> None:
        series = _collect(
            rows.group_by("tenant_id", "ci_id", "metric").agg(
                pl.len().alias("n"), pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last")
            )
        )
        self._metrics(series)
        if self.lives is None:
            return
        spans = series.join(self.lives, on=["tenant_id", "ci_id"], how="inner", nulls_equal=True)
        for problem, odd, point in (
            ("point_before_life", pl.col("first") < pl.col("born"), pl.col("ts") < pl.col("born")),
            ("point_after_life", pl.col("last") >= pl.col("gone"), pl.col("ts") >= pl.col("gone")),
        ):
            lives = spans.filter(odd).select("tenant_id", "ci_id", "metric", "born", "gone")
            if lives.is_empty():
                continue
            bad = rows.join(lives.lazy(), on=["tenant_id", "ci_id", "metric"], how="inner", nulls_equal=True).filter(
                point
            )
            edge, word = ("born", "began") if problem == "point_before_life" else ("gone", "ended")
            detail = pl.format(f"the life of the CI {word} at {{}}", pl.col(edge).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"))
            self._group("warning", "metric", problem, bad, detail, by=(edge,))

    def _metrics(self, series: pl.DataFrame) -> None:
        if "metric_def" in self.torn:
            why = "metric_def is not whole, so metrics were not looked up in it"
            self._add("warning", "metric", "not_checked", detail=why)
            return
        defined = self.tables["metric_def"]
        unknown = series.lazy().filter(pl.col("metric").is_not_null())
        if defined is not None:
            unknown = unknown.join(defined, on=["tenant_id", "metric"], how="anti", nulls_equal=True)
        detail = pl.lit("metric_def does not have it")
        count = pl.col("n").sum()
        self._group("error", "metric", "unknown_metric", unknown, detail, subject=("metric",), count=count)

    # ---- findings ----

    def _group(
        self,
        severity: Severity,
        table: str,
        problem: str,
        bad: pl.LazyFrame,
        detail: pl.Expr,
        *,
        by: tuple[str, ...] = (),
        subject: tuple[str, ...] | None = None,
        count: pl.Expr | None = None,
    ) -> None:
        """A finding for each tenant, subject and value of *by* among the *bad* rows."""
        subjects = subject or _SUBJECT[table]
        keys = dict.fromkeys(("tenant_id", *subjects, *by))
        found = _collect(bad.group_by(*keys).agg((pl.len() if count is None else count).alias("count")))
        if found.is_empty():
            return
        names = [self._shown(found, key) for key in subjects]
        shown = found.with_columns(detail.alias("detail"), pl.concat_str(names, separator=" -> ").alias("subject"))
        self._put(severity, table, problem, shown)

    def _shown(self, found: pl.DataFrame, key: str) -> pl.Series:
        if self.lives is None or key not in ("ci_id", "source_id", "target_id"):
            return found[key].fill_null("?")
        codes = self.lives.select("tenant_id", pl.col("ci_id").alias(key), "code")
        named = found.join(codes, on=["tenant_id", key], how="left", nulls_equal=True, maintain_order="left")
        return named.select(pl.coalesce("code", key).fill_null("?").alias(key)).to_series()

    def _put(self, severity: Severity, table: str, problem: str, found: pl.DataFrame) -> None:
        if found.height:
            fixed = {"severity": severity, "table": table, "problem": problem}
            frame = found.with_columns(pl.lit(value).alias(name) for name, value in fixed.items())
            self.findings.append(frame.select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items()))

    def _add(
        self, severity: Severity, table: str | None, problem: str, subject: str | None = None, *, detail: str
    ) -> None:
        row = (severity, table, problem, None, subject, 1, detail)
        self.findings.append(pl.DataFrame([row], schema=_SCHEMA, orient="row"))


def _verify(path: Path) -> None:
    """Hold each page against its checksum, where it has one: a flipped bit can give other values and no error."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except pa.ArrowException as error:
        raise OSError(str(error)) from None


def _collect(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.collect(engine="streaming")


def _readable(have: pl.DataType, kind: Kind) -> bool:
    """Whether an engine reads a column of type *have* as *kind*: it casts what loses nothing but precision."""
    if have == pl.Null():
        return True
    if kind == "time":
        return isinstance(have, pl.Datetime)
    if kind == "int":
        return have.is_integer()
    if kind == "float":
        return have.is_numeric()
    return isinstance(have, (pl.String, pl.Categorical, pl.Enum))
