"""From what an analyst names (codes, a frame, a graph, a ``where``) to the CIs that are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.context import Context
from ciops_nb.engines.protocol import LazyFrame
from ciops_nb.errors import BadParameter, ItemNotFound, UnknownField
from ciops_nb.estate.names import nearest
from ciops_nb.estate.schema import CI_COLUMNS
from ciops_nb.estate.times import format_time, micros
from ciops_nb.tools.filters import Condition, Field, apply_conditions, parse_where
from ciops_nb.ways import Work

__all__ = [
    "CiIndex",
    "among",
    "at_most",
    "ci_index",
    "ci_rows",
    "codes_of",
    "known_field",
    "latest_cis",
    "lookup",
    "no_such_ci",
    "properties_at",
    "property_fields",
    "property_index",
    "read_tables",
    "scope_ids",
    "select_cis",
    "valid",
    "versions",
    "with_codes",
]


class CiIndex:
    """Versions of CIs in memory, of all or of some, found by code or id in constant time."""

    def __init__(self, versions: pl.DataFrame) -> None:
        self.versions = versions.sort("ci_code", "ci_id", "valid_from", nulls_last=False)
        start = self.versions["valid_from"].dt.epoch("us").fill_null(_LONG_AGO)
        end = self.versions["valid_to"].dt.epoch("us").fill_null(_NEVER)
        self.cis = self.versions.select(CI_COLUMNS)
        self._start, self._end = start.to_list(), end.to_list()
        self._rows: dict[str, dict[str, tuple[int, ...]]] = {}

    def _by(self, key: str) -> dict[str, tuple[int, ...]]:
        if key not in self._rows:
            values = self.versions[key].to_list()
            rows: dict[str, tuple[int, ...]] = {value: (row,) for row, value in enumerate(values)}
            if len(rows) < len(values):  # some have several versions
                rows = dict.fromkeys(rows, ())
                for row, value in enumerate(values):
                    rows[value] += (row,)
            self._rows[key] = rows
        return self._rows[key]

    def row_at(self, key: str, value: str, moment: datetime) -> int | None:
        """The row of the version of *value* that is valid at *moment*; of several, the one that began last."""
        at = micros(moment)
        valid = [row for row in self._by(key).get(value, ()) if self._start[row] <= at < self._end[row]]
        return max(valid, key=lambda row: self._start[row], default=None)

    def ids(self, code: str) -> list[str]:
        """Every id that ever had *code*."""
        return sorted({self._ids[row] for row in self._by("ci_code").get(code, ())})

    @cached_property
    def _ids(self) -> list[str]:
        return self.versions["ci_id"].to_list()


_LONG_AGO, _NEVER = -(2**62), 2**62


class PropertyIndex:
    """Tags and attributes in memory, of all CIs or of some, those of a CI found in constant time."""

    def __init__(self, properties: pl.DataFrame) -> None:
        rows = properties.sort("ci_id")
        start = pl.col("valid_from").dt.epoch("us").fill_null(_LONG_AGO)
        end = pl.col("valid_to").dt.epoch("us").fill_null(_NEVER)
        self._rows = rows.select("name", start, "value", "kind", end)
        runs = rows["ci_id"].rle().struct.unnest()
        self._runs = dict(zip(runs["value"].to_list(), range(len(runs)), strict=True))
        # The rows of run n are those from place n to place n + 1.
        self._places = [0, *runs["len"].cum_sum().to_list()]

    def of(self, ci_id: str, moment: datetime) -> dict[str, dict[str, Any]]:
        """The ``tag`` and ``attribute`` of a CI at *moment*; of several values of a name, the one that began last."""
        at = micros(moment)
        held: dict[str, dict[str, Any]] = {"tag": {}, "attribute": {}}
        run = self._runs.get(ci_id)
        if run is None:
            return held
        begin, end = self._places[run : run + 2]
        rows = self._rows.slice(begin, end - begin).rows()
        for name, start, value, kind, end in sorted(rows, key=lambda row: (*row[:2], row[2] is not None, row[2] or "")):
            if start <= at < end:
                held.setdefault(kind, {})[name] = value
        return held


def lookup(count: int) -> tuple[Work, Work]:
    """What it takes to find so many CIs by code or id, and what it takes to find their tags and attributes."""
    cis = Work("ci_index", ("ci",), 4.8, ("ci",), count, count)
    return cis, Work("property_index", ("ci_property",), 0.6, ("ci_property",), 10 * count, count)


def read_tables(*tables: str) -> Callable[[Mapping[str, Any], Mapping[str, int]], tuple[Work, ...]]:
    """What it takes to read *tables* where no index helps; the answer has as many rows, or its ``limit``."""

    def work(given: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[Work, ...]:
        rows = at_most(sum(sizes[name] for name in tables), given["limit"]) if "limit" in given else None
        return (Work(None, reads=tables, rows=rows),)

    return work


def at_most(rows: float, limit: int | None) -> float:
    return rows if limit is None else min(rows, limit)


async def versions(ctx: Context) -> pl.DataFrame:
    """All versions of all CIs, read once for a state of the data."""
    return await ctx.shared.get("ci", lambda: ctx.run(ctx.tables.table("ci")))


async def ci_index(ctx: Context, key: str, values: Sequence[str]) -> CiIndex:
    """An index in which the CIs are that have, or had, one of *values* as their *key*."""

    async def whole() -> CiIndex:
        return await sync.in_thread(CiIndex, await versions(ctx))

    async def part() -> CiIndex:
        return await sync.in_thread(CiIndex, await ctx.run(among(ctx, ctx.tables.table("ci"), key, values)))

    return await ctx.either(lookup(len(values))[0], whole, part)


async def property_index(ctx: Context, ids: Sequence[str]) -> PropertyIndex:
    """An index in which the tags and attributes of the CIs *ids* are."""

    async def whole() -> PropertyIndex:
        return await sync.in_thread(PropertyIndex, await ctx.run(ctx.tables.table("ci_property")))

    async def part() -> PropertyIndex:
        return await sync.in_thread(PropertyIndex, await ctx.run(ci_rows(ctx, ctx.tables.table("ci_property"), ids)))

    return await ctx.either(lookup(len(ids))[1], whole, part)


async def no_such_ci(ctx: Context, key: str, value: str, moment: datetime | None = None) -> ItemNotFound:
    """The error for a code or id that no CI has at *moment*, or ever had; it names the nearest that there are."""
    known = await ctx.run(ctx.tables.table("ci").select(key).unique())
    near = await sync.in_thread(nearest, value, known[key].drop_nulls().to_list())
    return ItemNotFound(value, near, what=key.removeprefix("ci_"), when="" if moment is None else format_time(moment))


def valid(moment: datetime) -> nw.Expr:
    """Whether a version is valid at *moment*: valid_from <= moment < valid_to, null open."""
    start, end = nw.col("valid_from"), nw.col("valid_to")
    return (start.is_null() | (start <= nw.lit(moment))) & (end.is_null() | (end > nw.lit(moment)))


async def known_field(ctx: Context, field: Field) -> Field:
    """*field*, if some CI of the tenant ever had such a tag or attribute.

    Raises:
        UnknownField: none had.
    """
    if field.place == "column":
        return field

    known = await property_fields(ctx)
    if (field.place, field.name) not in known:
        texts = sorted(known.values())
        raise UnknownField(field.text, nearest(field.text, texts), f"No CI has a {field.place} of that name.")
    return field


async def property_fields(ctx: Context) -> dict[tuple[str, str], str]:
    """What the tags and attributes are called in a ``where``, by their kind and name: all that some CI ever had."""

    async def build() -> dict[tuple[str, str], str]:
        names = await ctx.run(ctx.tables.table("ci_property").select("kind", "name").unique())
        return {(kind, name): f"{'tags' if kind == 'tag' else 'attributes'}.{name}" for kind, name in names.iter_rows()}

    return await ctx.shared.get("property_names", build)


async def conditions_of(ctx: Context, where: Any) -> tuple[Condition, ...]:
    conditions = parse_where(where, tz=ctx.tz)
    for condition in conditions:
        await known_field(ctx, condition.field)
    return conditions


async def select_cis(ctx: Context, where: Any, moment: datetime) -> LazyFrame:
    """The CIs valid at *moment* that meet *where*, one row each."""
    rows = ctx.tables.table("ci").filter(valid(moment))
    return apply_conditions(rows, await conditions_of(ctx, where), lambda: properties_at(ctx, moment))


def properties_at(ctx: Context, moment: datetime) -> LazyFrame:
    return ctx.tables.table("ci_property").filter(valid(moment)).select("ci_id", "kind", "name", "value")


async def latest_cis(ctx: Context) -> pl.DataFrame:
    """The newest version of each CI that has begun by now, ended ones included: what a point or record belongs to."""

    async def build() -> pl.DataFrame:
        rows = await versions(ctx)
        begun = rows.filter(pl.col("valid_from").is_null() | (pl.col("valid_from") <= ctx.now))
        return begun.sort("ci_id", "valid_from", "ci_code", nulls_last=False).unique(
            "ci_id", keep="last", maintain_order=True
        )

    return await ctx.shared.newest("latest_cis", format_time(ctx.now), build)


async def with_codes(ctx: Context, rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* with the ``ci_code`` of their ``ci_id``: the last that CI had by now, null if there is no such CI."""

    async def build() -> dict[str, str]:
        latest = await latest_cis(ctx)
        return dict(zip(latest["ci_id"].to_list(), latest["ci_code"].to_list(), strict=True))

    known = await ctx.shared.newest("codes", format_time(ctx.now), build)
    codes = [known.get(ci_id) for ci_id in rows["ci_id"].to_list()]
    return rows.hstack([pl.Series("ci_code", codes, dtype=pl.String)])


def codes_of(ci: Any, name: str = "ci") -> list[str]:
    """The codes that *ci* names: a code, several, the ``ci_code`` column of a frame, or the nodes of a graph."""
    if isinstance(ci, str):
        return [ci]
    if hasattr(ci, "collect"):
        raise BadParameter(name, type(ci).__name__, "is not computed yet", "Pass ci.collect()")
    if hasattr(ci, "columns"):
        if list(ci.columns).count("ci_code") != 1:
            raise BadParameter(name, list(ci.columns), "is a frame without a ci_code column", "Pass a frame of a tool")
        values: Iterable[Any] = [value for value in ci["ci_code"].to_list() if not _missing(value)]
    elif hasattr(ci, "nodes"):
        values = list(ci.nodes)
    elif isinstance(ci, (set, frozenset)):
        values = sorted(ci, key=repr)  # a set has no order, and an answer must not depend on one
    elif isinstance(ci, Iterable) and not isinstance(ci, (bytes, dict)):
        values = list(ci)
    else:
        raise BadParameter(name, ci, "names no CI", "Give a code, a list of codes, a frame with ci_code, or a graph")
    for value in values:
        if not isinstance(value, str):
            raise BadParameter(name, value, "is not a code", "Codes are text")
    return list(dict.fromkeys(values))


def _missing(value: Any) -> bool:
    """Whether a frame has no value there: None, NaN, and the NA of pandas, which is not even unequal to itself."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


async def scope_ids(ctx: Context, ci: Any, where: Any = None) -> list[str] | None:
    """The ids of the CIs that *ci* and *where* leave, None for all.

    Ended CIs count too: their points and records are still history.
    """
    ids: list[str] | None = None
    if ci is not None:
        codes = codes_of(ci)
        index = await ci_index(ctx, "ci_code", codes)
        ids = []
        for code in codes:
            found = index.ids(code)
            if not found:
                raise await no_such_ci(ctx, "ci_code", code)
            ids += found
    if where is not None:
        latest = ctx.tables.frame(await latest_cis(ctx))
        current = properties_at(ctx, ctx.now)
        met = await ctx.run(apply_conditions(latest, await conditions_of(ctx, where), lambda: current).select("ci_id"))
        kept = set(met["ci_id"])
        ids = sorted(kept) if ids is None else [value for value in ids if value in kept]
    return ids


def ci_rows(ctx: Context, rows: LazyFrame, ids: Sequence[str] | None) -> LazyFrame:
    """Those of *rows* whose ``ci_id`` is in *ids*."""
    return rows if ids is None else among(ctx, rows, "ci_id", ids)


def among(ctx: Context, rows: LazyFrame, column: str, values: Sequence[str]) -> LazyFrame:
    """Those of *rows* that have one of *values* in *column*."""
    if not values:
        return rows.head(0)
    if len(values) == 1:  # an equality lets an engine skip what cannot hold it; a list of one does not
        return rows.filter(nw.col(column) == nw.lit(values[0]))
    if len(values) <= ctx.tables.listed:
        return rows.filter(nw.col(column).is_in(values))
    wanted = pl.DataFrame({column: values}, schema={column: pl.String()})
    return rows.join(ctx.tables.frame(wanted), on=column, how="semi")
