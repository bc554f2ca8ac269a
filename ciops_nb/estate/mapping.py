"""A mapping: how somebody's columns become the columns of an estate.

It is a TOML file, small enough to write by hand; every part may be left out::

    name = "petshop"  # of the estate
    tenant = "shop"  # of tables that have no tenant column
    time_zone = "Europe/Berlin"  # of times without an offset; UTC unless said
    time_format = "iso"  # or epoch_s, epoch_ms, or a pattern such as "%d.%m.%Y %H:%M"
    null_values = ["", "NULL"]  # what means "no value"
    delimiter = ";"  # of CSV files, with encoding = "cp1252" and decimal = ","

    [columns]  # our column = theirs, in each table whose file has theirs
    tenant_id = "scenario"

    [relation_types]  # who is hurt when the other end fails; added to the usual ones
    HOSTED_BY = "target_to_source"

    [metrics.latency]  # what metric_def does not tell: unit, kind, description, bad_direction
    unit = "s"
    bad_direction = "up"

    [tables.ci]
    file = "cmdb-*.csv"  # unless it is ci.csv, ci.csv.gz, ci.parquet or a folder ci
    tags = ["env"]  # columns that become tags of the CI (ci_property), and attributes likewise
    [tables.ci.columns]  # our column = theirs
    ci_subtype = "ci_type"
    [tables.ci.values]  # our column = the same value in each row
    ci_type = "SW"
    [tables.ci.translate.criticality]  # their value = ours; other values stay
    high = 5

A table may have its own ``time_zone`` and ``time_format``. A column of theirs that is mapped is not also taken by its
own name. Here lives what a mapping says and how it turns one column; reading files and judging rows is ``importer``.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import polars as pl

from ciops_nb.errors import BadMapping, BadParameter
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import DTYPES, TABLES, Impact, Kind, Table
from ciops_nb.estate.times import parse_zone

__all__ = ["CHOICES", "ImportMapping", "TableMapping", "codes_of", "convert", "convertible", "read_mapping"]

_CODES = {"ci_code": "ci_id", "source_code": "source_id", "target_code": "target_id", "cause_code": "cause_ci_id"}
_FORMATS = ("iso", "epoch_s", "epoch_ms")
_EPOCH = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
_DEF_FIELDS = ("unit", "kind", "description", "bad_direction")

CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "metric_def": {"kind": ("gauge", "counter"), "bad_direction": ("up", "down", "none")},
    "ci_property": {"kind": ("tag", "attribute")},
}
"""The columns that hold one of a few words, per table."""


@dataclass(frozen=True)
class TableMapping:
    """What a mapping says about one table: *columns* is ours to theirs, *translate* their words to ours."""

    file: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    translate: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    time_zone: str = "UTC"
    time_format: str = "iso"


@dataclass(frozen=True)
class ImportMapping:
    """What a mapping file says; without one, the defaults here."""

    place: str = "mapping"
    name: str | None = None
    tenant: str = "default"
    time_zone: str = "UTC"
    time_format: str = "iso"
    null_values: tuple[str, ...] = ("",)
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    columns: Mapping[str, str] = field(default_factory=dict)
    relation_types: Mapping[str, Impact] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Mapping[str, TableMapping] = field(default_factory=dict)

    def table(self, name: str) -> TableMapping:
        """The part about table *name*, empty if the mapping does not speak of it."""
        return self.tables.get(name) or TableMapping(time_zone=self.time_zone, time_format=self.time_format)


def codes_of(table: Table) -> dict[str, str]:
    """The code columns that may stand for an id column of *table*: code to id; none for ``ci``, which defines both."""
    if table.name == "ci":
        return {}
    return {code: key for code, key in _CODES.items() if key in table.by_name}


def read_mapping(path: Path) -> ImportMapping:
    """Read a mapping file.

    Raises:
        BadMapping: the file is missing, is not TOML, or says something that is not understood; names what is near.
    """
    place = str(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise BadMapping(place, f"cannot be read ({problem})", "Name a TOML file, or import without one") from None
    except tomllib.TOMLDecodeError as error:
        raise BadMapping(place, f"is not TOML ({error})", "Mend that line") from None
    return _Reader(place).mapping(data)


class _Reader:
    """Checks each part of a mapping and names the place of what is wrong."""

    def __init__(self, place: str) -> None:
        self.place = place

    def refuse(self, problem: str, hint: str) -> BadMapping:
        return BadMapping(self.place, problem, hint)

    def mapping(self, data: dict[str, Any]) -> ImportMapping:
        known = (*_SCALARS, "null_values", "columns", "relation_types", "metrics", "tables")
        self.names("", data, known)
        scalars = {key: self.text(key, data[key]) for key in _SCALARS if key in data}
        self.scalars(scalars)
        zone, form = scalars.get("time_zone", "UTC"), scalars.get("time_format", "iso")
        tables = self.tables(data.get("tables", {}), zone, form)
        every = sorted({name for table in TABLES.values() for name in _ours(table)})
        return ImportMapping(
            place=self.place,
            **scalars,
            null_values=("", *self.texts("null_values", data.get("null_values", []))),
            columns=self.columns("columns", data.get("columns", {}), every),
            relation_types=self.relation_types(data.get("relation_types", {})),
            metrics=self.metrics(data.get("metrics", {})),
            tables=tables,
        )

    def names(self, where: str, given: Any, known: Iterable[str]) -> None:
        self.section(where, given)
        known = list(known)
        for name in given:
            if name not in known:
                near = nearest(name, known)
                hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(sorted(known))}"
                place = f"[{where}] names" if where else "names"
                raise self.refuse(f"{place} {name!r}, which is unknown", hint)

    def section(self, where: str, given: Any) -> None:
        if not isinstance(given, dict):
            raise self.refuse(f"{where} is not a section", f"Write [{where}] and lines of name = value below it")

    def text(self, where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse(f"{where} = {value!r} is not a text", f'Write {where} = "…"')
        return value

    def texts(self, where: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.refuse(f"{where} = {value!r} is not a list", f'Write {where} = ["…"]')
        return tuple(self.text(where, item) for item in value)

    def scalars(self, given: Mapping[str, str], where: str = "") -> None:
        if "time_zone" in given:
            try:
                parse_zone(given["time_zone"])
            except BadParameter as error:
                raise self.refuse(f"{where}time_zone = {error.value!r}: {error.problem}", error.hint) from None
        form = given.get("time_format", "iso")
        if form not in _FORMATS and "%" not in form:
            hint = f'Write one of {", ".join(_FORMATS)}, or a pattern such as "%d.%m.%Y %H:%M"'
            raise self.refuse(f"{where}time_format = {form!r} is not a format", hint)
        if problem := _pattern_problem(form):
            hint = 'Write a pattern with a date, such as "%d.%m.%Y %H:%M", and say the zone as time_zone or with %z'
            raise self.refuse(f"{where}time_format = {form!r} {problem}", hint)
        for key in ("delimiter", "decimal"):
            if len(given.get(key, ",")) != 1:
                raise self.refuse(f"{key} = {given[key]!r} is not one character", f'Write {key} = ","')
        try:
            codecs.lookup(given.get("encoding", "utf-8"))
        except LookupError:
            hint = "Write utf-8, cp1252, latin-1 or utf-16"
            raise self.refuse(f"encoding = {given['encoding']!r} is unknown", hint) from None

    def columns(self, where: str, given: Any, ours: Iterable[str]) -> dict[str, str]:
        self.names(where, given, ours)
        return {name: self.text(f"{where}.{name}", theirs) for name, theirs in given.items()}

    def relation_types(self, given: Any) -> dict[str, Impact]:
        self.section("relation_types", given)
        for name, impact in given.items():
            if impact not in get_args(Impact):
                hint = f"Choose one of {', '.join(get_args(Impact))}"
                raise self.refuse(f"relation type {name!r} has impact {impact!r}", hint)
        return dict(given)

    def metrics(self, given: Any) -> dict[str, dict[str, str]]:
        self.section("metrics", given)
        for metric, says in given.items():
            where = f"metrics.{metric}"
            self.names(where, says, _DEF_FIELDS)
            for key, value in says.items():
                self.text(f"{where}.{key}", value)
                if value not in CHOICES["metric_def"].get(key, (value,)):
                    hint = f"Choose one of {', '.join(CHOICES['metric_def'][key])}"
                    raise self.refuse(f"[{where}] {key} = {value!r} is unknown", hint)
        return dict(given)

    def tables(self, given: Any, zone: str, form: str) -> dict[str, TableMapping]:
        self.names("tables", given, TABLES)
        return {name: self.table(TABLES[name], part, zone, form) for name, part in given.items()}

    def table(self, table: Table, part: Any, zone: str, form: str) -> TableMapping:
        where, ours = f"tables.{table.name}", _ours(table)
        lists = ("tags", "attributes") if table.name == "ci" else ()
        self.names(where, part, ("file", "columns", "values", "translate", "time_zone", "time_format", *lists))
        own = {key: self.text(f"{where}.{key}", part[key]) for key in ("time_zone", "time_format") if key in part}
        self.scalars(own, f"[{where}] ")
        columns = self.columns(f"{where}.columns", part.get("columns", {}), ours)
        values = part.get("values", {})
        self.names(f"{where}.values", values, ours)
        for name in sorted(columns.keys() & values.keys()):
            raise self.refuse(f"[{where}] gives {name!r} both a column and a value", "Remove one of the two lines")
        translate = part.get("translate", {})
        self.names(f"{where}.translate", translate, ours)
        for name, words in translate.items():
            self.section(f"{where}.translate.{name}", words)
        return TableMapping(
            file=self.text(f"{where}.file", part["file"]) if "file" in part else None,
            columns=columns,
            values=values,
            translate={name: {old: str(new) for old, new in words.items()} for name, words in translate.items()},
            **{key: self.texts(f"{where}.{key}", part.get(key, [])) for key in lists},
            time_zone=own.get("time_zone", zone),
            time_format=own.get("time_format", form),
        )


_SCALARS = ("name", "tenant", "time_zone", "time_format", "delimiter", "encoding", "decimal")


def _pattern_problem(form: str) -> str | None:
    """Why a pattern would not read times, or read them wrongly."""
    if form in _FORMATS:
        return None
    if "%Z" in form:
        return "reads the name of a zone, and would ignore it"
    if not any(part in form for part in ("%Y", "%y", "%D", "%F", "%x", "%c", "%s", "%+", "%v")):
        return "has no year"
    try:
        convert(pl.Series(["?"]), "time", time_format=form)
    except pl.exceptions.PolarsError as error:
        return f"cannot be used ({str(error).splitlines()[0]})"
    return None


def _ours(table: Table) -> tuple[str, ...]:
    return (*table.names, *codes_of(table))


# ---- one column of theirs into one of ours ----

# Date, hour, minute, second, fraction, offset: the forms of ISO 8601 that exports write, basic offsets included.
_ISO = (
    r"^(?<date>\d{4}-\d\d-\d\d)(?:[Tt ](?<minute>\d\d:\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d+))?)?"
    r"\s*(?<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?)?$"
)
_QUICK = "%Y-%m-%dT%H:%M:%S%.fZ"
_NAIVE = "%Y-%m-%dT%H:%M:%S%.f"
# Years 1 to 9999, those a Python datetime has.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999


def convertible(have: pl.DataType, kind: Kind, time_format: str) -> bool:
    """Whether a column of type *have* can hold values of *kind* at all; if not, the file is wrong, not a row."""
    if have in (pl.String(), pl.Null()) or isinstance(have, (pl.Categorical, pl.Enum)):
        return True
    if kind == "text":
        return not have.is_nested()
    if kind == "time":
        return isinstance(have, (pl.Datetime, pl.Date)) or (have.is_numeric() and time_format in _EPOCH)
    return have.is_numeric()


def convert(
    values: pl.Series, kind: Kind, *, time_zone: str = "UTC", time_format: str = "iso", decimal: str = "."
) -> pl.Series:
    """Turn *values* into the type of *kind*; what cannot be read becomes null.

    Args:
        values: a column whose type is `convertible`.
        kind: text, int, float (NaN, inf and -inf are values) or time.
        time_zone: the zone of times that have no offset. A local time that happened twice, or never, is null.
        time_format: ``iso``, ``epoch_s``, ``epoch_ms`` or a strftime pattern.
        decimal: what stands before the fraction of a number.
    """
    if isinstance(values.dtype, (pl.Categorical, pl.Enum)):
        values = values.cast(pl.String())
    if values.dtype == pl.Null():
        return values.cast(DTYPES[kind])
    if kind == "text":
        return values.cast(pl.String(), strict=False)
    if kind == "time":
        return _time(values, time_zone, time_format)
    number = _float(values, decimal)
    return number if kind == "float" else _int(values, number)


def _float(values: pl.Series, decimal: str) -> pl.Series:
    if values.dtype != pl.String():
        return values.cast(pl.Float64(), strict=False)
    text = values.str.strip_chars()
    if decimal != ".":
        text = text.str.replace(decimal, ".", literal=True)
    number = text.cast(pl.Float64(), strict=False)
    if number.is_infinite().any():  # 1e999 is not infinite, only too long for a float
        number = number.set(number.is_infinite() & ~text.str.contains("(?i)inf"), None)
    return number


def _int(values: pl.Series, number: pl.Series) -> pl.Series:
    text = values.str.strip_chars() if values.dtype == pl.String() else values
    exact = text.cast(pl.Int64(), strict=False) if not text.dtype.is_float() else None
    # 4.0 is a 4 that went through pandas.
    whole = number.set(number.is_not_null() & (number != number.floor()), None).cast(pl.Int64(), strict=False)
    return whole if exact is None else exact.fill_null(whole)


def _time(values: pl.Series, zone: str, form: str) -> pl.Series:
    if values.dtype.is_temporal():
        return _utc(values.cast(pl.Datetime("us", getattr(values.dtype, "time_zone", None))), zone)
    if form in _EPOCH:
        number = _float(values, ".") * _EPOCH[form]
        return (
            number.set(~number.is_between(_FIRST, _LAST).fill_null(False), None)
            .round()
            .cast(pl.Int64())
            .cast(DTYPES["time"])
        )
    if form != "iso":
        return _utc(values.str.strip_chars().str.to_datetime(form, strict=False, time_unit="us"), zone)
    # Nearly all files write one form; the others are read as their few different texts.
    quick = _utc(values.str.to_datetime(_QUICK, strict=False, time_unit="us"), "UTC")
    rest = values.filter(quick.is_null()).drop_nulls().unique(maintain_order=True)
    return quick.fill_null(values.replace_strict(rest, _iso(rest, zone), default=None)) if rest.len() else quick


def _iso(texts: pl.Series, zone: str) -> pl.Series:
    parts = texts.str.strip_chars().str.extract_groups(_ISO).struct.unnest()
    frame = parts.select(
        naive=pl.concat_str(
            "date",
            pl.lit("T"),
            pl.col("minute").fill_null("00:00"),
            pl.lit(":"),
            pl.col("second").fill_null("00"),
            pl.lit("."),
            pl.col("fraction").fill_null("0").str.slice(0, 6),
        ).str.to_datetime(_NAIVE, strict=False, time_unit="us"),
        offset=pl.col("offset").str.replace("(?i)z", "+00").str.replace(":", ""),
    )
    digits = frame["offset"].str.slice(1, 4).str.pad_end(4, "0").cast(pl.Int64())
    minutes = digits // 100 * 60 + digits % 100
    sign = frame["offset"].str.starts_with("-").replace_strict([True, False], [1, -1], return_dtype=pl.Int64())
    told = _utc(frame["naive"], "UTC").cast(pl.Int64()) + sign * minutes * 60_000_000
    local = _utc(frame["naive"], zone)
    known = frame["offset"].is_not_null()
    told = told.set(~told.is_between(_FIRST, _LAST).fill_null(False), None).cast(DTYPES["time"])
    return local.zip_with(~known, told)


def _utc(moments: pl.Series, zone: str) -> pl.Series:
    if getattr(moments.dtype, "time_zone", None) is None:
        moments = moments.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    moments = moments.dt.convert_time_zone("UTC")
    ticks = moments.cast(pl.Int64())
    return moments.set(~ticks.is_between(_FIRST, _LAST).fill_null(False), None)
