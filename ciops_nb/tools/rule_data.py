"""What rules read of an estate, as ``ciops_nb.cep.replay`` takes it: points, records and relations.

Which data a rule needs it says itself (``reads()``); nothing else is read.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb.context import Context
from ciops_nb.errors import BadParameter
from ciops_nb.estate.names import nearest
from ciops_nb.estate.times import TimeRange
from ciops_nb.parameters import several
from ciops_nb.tools.graph import near_by
from ciops_nb.tools.history import RECORDS
from ciops_nb.tools.metric import definition_of
from ciops_nb.tools.scope import ci_index, ci_rows, with_codes

if TYPE_CHECKING:
    from ciops_nb.cep import Rule

__all__ = ["Past", "incidents_of", "maintenance_of", "past_of", "relations_of", "walks_relations"]

LOOKBACK = timedelta(minutes=5)  # of ``cep.replay``, which is not loaded before a rule is asked for
_ENOUGH = timedelta(hours=1)  # of points before a short range, to know how far they lie apart
_TAKEN = ("ts", "metric", "ci", "series", "value", "stale")
_MOST_NEAR = 1_000_000  # CIs around one incident
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Past:
    """What rules are replayed on; what none of them reads is None."""

    start: datetime
    end: datetime
    lookback: dict[str, timedelta]
    metrics: pl.DataFrame | None = None
    events: pl.DataFrame | None = None
    relations: pl.DataFrame | None = None

    def given(self) -> dict[str, Any]:
        """The arguments of ``replay`` beside the rules."""
        return dict(vars(self))

    def known_by(self, moment: datetime) -> Past:
        """Up to *moment*, without what happened later."""
        if moment < self.start:
            raise BadParameter(
                "data_as_of", moment, "is before the first tick", "Give a later time, or an earlier range"
            )
        metrics, events = (
            None if frame is None else frame.filter(pl.col("ts") <= moment) for frame in (self.metrics, self.events)
        )
        return dataclasses.replace(self, end=min(self.end, moment), metrics=metrics, events=events)


async def past_of(ctx: Context, rules: list[Rule], ids: list[str] | None, span: TimeRange) -> Past:
    """What *rules* read, of the CIs with *ids* (None: of all), for ticks in *span*."""
    reads = [(read, rule) for rule in rules for read in rule.reads()]
    recorded = {rule.record for rule in rules}  # what rules record is not read
    named = {read.metric for read, _ in reads if read.table == "metric" and read.metric not in recorded - {None}}
    used = sorted(name for name in named if name is not None)
    for metric in used:
        await definition_of(ctx, metric)
    if None in named:
        every = await ctx.run(ctx.tables.table("metric").select("metric").unique())
        used = sorted({*used, *every["metric"]})
    lookback = dict.fromkeys(used, LOOKBACK)
    metrics = events = relations = None
    if named:
        metrics, lookback = await _metrics(ctx, rules, used, lookback, ids, span)
    if back := [
        (read.back or max(LOOKBACK, rule.every or LOOKBACK)) + read.offset
        for read, rule in reads
        if read.table == "event"
    ]:
        events = await _events(ctx, rules, ids, span, max(back))
    if any(read.table == "relation" for read, _ in reads):
        relations = await relations_of(ctx)
    start, end = _span(span, [frame["ts"] for frame in (metrics, events) if frame is not None])
    return Past(start, end, lookback, metrics, events, relations)


def walks_relations(rules: list[Rule]) -> bool:
    return any(read.table == "relation" for rule in rules for read in rule.reads())


def _span(span: TimeRange, times: list[pl.Series]) -> tuple[datetime, datetime]:
    """The first and the last tick: of an open end, the first or the last of what there is."""
    every = [moment for column in times for moment in (column.min(), column.max()) if isinstance(moment, datetime)]
    start = span.start if span.start is not None else min(every, default=None)
    end = span.end if span.end is not None else max(every, default=None)
    either = start or end or datetime(1970, 1, 1, tzinfo=UTC)
    return start or either, end or either


def _since(span: TimeRange, reach: timedelta) -> datetime | None:
    if span.start is None:
        return None
    try:
        return span.start - reach
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _until(span: TimeRange, rules: list[Rule]) -> datetime | None:
    """The last tick is at the very end of the range, and sees what is there, and as far ahead as *rules* look."""
    if span.end is None:
        return None
    ahead = max((read.ahead for rule in rules for read in rule.reads()), default=timedelta(0))
    try:
        return span.end + ahead + _TICK
    except OverflowError:
        return None


# ── points ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _metrics(
    ctx: Context,
    rules: list[Rule],
    used: list[str],
    lookback: dict[str, timedelta],
    ids: list[str] | None,
    span: TimeRange,
) -> tuple[pl.DataFrame, dict[str, timedelta]]:
    points = await _points(ctx, rules, used, ids, span, max(_reach(rules, lookback), _ENOUGH))
    if sparse := _sparse(points, LOOKBACK):
        lookback = lookback | sparse
        points = await _points(ctx, rules, used, ids, span, _reach(rules, lookback))
        told = ", ".join(f"{metric} {length}" for metric, length in sparse.items())
        ctx.warn(f"points lie further apart than the look-back of {LOOKBACK}, so a tick sees older ones: {told}")
    for metric in sorted({*used} - {*points["metric"].unique()}):
        ctx.warn(f"metric {metric!r} has no points here: a rule on it could not fire")
    return await _labelled(ctx, used, points), lookback


def _reach(rules: list[Rule], lookback: dict[str, timedelta]) -> timedelta:
    """How far before a tick the rules look at points."""
    longest = max(lookback.values(), default=LOOKBACK)
    reads = [read for rule in rules for read in rule.reads() if read.table == "metric"]
    return max((read.back or lookback.get(read.metric or "", longest)) + read.offset for read in reads)


def _sparse(points: pl.DataFrame, usual: timedelta) -> dict[str, timedelta]:
    """How far back a tick has to look for metrics whose points lie further apart than the usual look-back.

    Seen through that, such a series would end after every point and no condition could hold for long. Twice the
    usual distance bridges one missing point.
    """
    series = ["metric", "ci_id", "series"]
    apart = (
        points.select("metric", apart=pl.col("ts").diff().over(series)).group_by("metric").agg(pl.col("apart").median())
    )
    sparse = apart.filter(pl.col("apart") > usual).sort("metric")
    return {metric: 2 * distance for metric, distance in sparse.iter_rows()}


async def _points(
    ctx: Context, rules: list[Rule], used: list[str], ids: list[str] | None, span: TimeRange, reach: timedelta
) -> pl.DataFrame:
    since, until = _since(span, reach), _until(span, rules)
    rows = ctx.tables.table("metric", TimeRange(since, until))
    rows = rows.filter(nw.col("metric").is_in(used), ~nw.col("value").is_null())
    rows = _between(rows, "ts", since, until)
    found = await ctx.run(ci_rows(ctx, rows, ids).select("metric", "ci_id", "series", "ts", "value"))
    return found.sort("metric", "ci_id", "series", "ts", "value")


def _between(rows: Any, name: str, since: datetime | None, until: datetime | None) -> Any:
    """After *since* and before *until*."""
    if since is not None:
        rows = rows.filter(nw.col(name) > nw.lit(since))
    return rows if until is None else rows.filter(nw.col(name) < nw.lit(until))


async def _labelled(ctx: Context, used: list[str], points: pl.DataFrame) -> pl.DataFrame:
    """*points* as ``replay`` takes them, a column a label."""
    series = points.select("metric", "ci_id", "series").unique().sort("metric", "ci_id", "series")
    named = (await with_codes(ctx, series)).rename({"ci_code": "ci"})
    if named["ci"].null_count():  # no such CI: a label keeps its series apart from those of others
        ctx.warn("some points are of CIs that are not there: their alerts have no ci_code, but a label ci_id")
        unknown = pl.when(pl.col("ci").is_null()).then(pl.col("ci_id"))
        named = named.with_columns(unknown.alias("label ci_id"))
    labels = await _labels(ctx, used)
    if labels.height:
        wide = labels.pivot("name", index=["metric", "ci_id", "series"], values="value", aggregate_function="max")
        named = named.join(wide, on=["metric", "ci_id", "series"], how="left")
    joined = points.join(named, on=["metric", "ci_id", "series"], how="left", maintain_order="left").drop("ci_id")
    return _without_twins(ctx, joined.rename(lambda name: name.removeprefix("label ")))


async def _labels(ctx: Context, used: list[str]) -> pl.DataFrame:
    """The labels of the series: metric, ci_id, series, name (with ``label `` before it, so that none is a column)."""
    rows = ctx.tables.table("label").filter(nw.col("metric").is_in(used))
    found = await ctx.run(rows.select("metric", "ci_id", "series", "name", "value"))
    name = pl.col("name")
    free = pl.when(name.is_in(_TAKEN)).then(pl.format("exported_{}", name)).otherwise(name)
    return found.with_columns(pl.format("label {}", free).alias("name")).sort("name")


def _without_twins(ctx: Context, points: pl.DataFrame) -> pl.DataFrame:
    """Of points with the same labels at one time, as of CIs that share a code, the greatest is kept."""
    kept = points.unique([name for name in points.columns if name != "value"], keep="last", maintain_order=True)
    if kept.height < points.height:
        ctx.warn(f"{points.height - kept.height} points share labels and time with another and were left out")
    return kept


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_FIELDS = ("type", "severity", "title", "detail", "source", "result")
_OWN = ("ts", "seq", "ci", "kind", *_FIELDS)


async def _events(
    ctx: Context, rules: list[Rule], ids: list[str] | None, span: TimeRange, reach: timedelta
) -> pl.DataFrame:
    """Events, changes, maintenance and incidents at the moment when they begin, by ts and then id."""
    since, until = _since(span, reach), _until(span, rules)
    parts = []
    for kind in RECORDS:
        if not ctx.tables.has(kind):
            ctx.warn(f"this estate has no table {kind!r}: nothing is known of it")
            continue
        begins = RECORDS[kind]["start_at"]
        rows = _between(ctx.tables.table(kind, TimeRange(since, until)), begins, since, until)
        found = await ctx.run(ci_rows(ctx, rows, ids))
        own = {**RECORDS[kind], "source": RECORDS[kind].get("actor")}
        parts.append(
            found.select(
                "ci_id",
                ts=begins,
                seq=own["record_id"],
                kind=pl.lit(kind),
                properties=pl.col("properties") if kind == "event" else pl.lit(None, pl.String),
                **{name: _field(name, own.get(name)) for name in _FIELDS},
            )
        )
    empty = pl.DataFrame(schema=dict.fromkeys(("ci_id", "ts", "seq", "kind", "properties", *_FIELDS), pl.String))
    rows = pl.concat([empty.clear().cast({"ts": pl.Datetime("us", "UTC"), "severity": pl.Int64}), *parts])
    named = (await with_codes(ctx, rows.sort("ts", "seq", "kind", "ci_id"))).rename({"ci_code": "ci"})
    _warn_of_types(ctx, rules, named)
    return _with_properties(ctx, named.select(*_OWN, "properties"), await _property_names(ctx))


def _field(name: str, source: str | None) -> pl.Expr:
    return pl.lit(None, pl.Int64 if name == "severity" else pl.String) if source is None else pl.col(source)


def _warn_of_types(ctx: Context, rules: list[Rule], events: pl.DataFrame) -> None:
    from ciops_nb.cep.conditions.event import EventFilter
    from ciops_nb.cep.fields import pieces
    from ciops_nb.cep.patterns import Step

    asked = {name for piece in pieces(rules) if isinstance(piece, (EventFilter, Step)) for name in piece.type or ()}
    for name in sorted(asked - {*events["type"].unique()}):
        ctx.warn(f"nothing of type {name!r} happened here: a rule on it could not see one")


async def _property_names(ctx: Context) -> list[str]:
    """The keys that properties of events ever had: a rule may ask for one that no event has in its range."""

    async def build() -> list[str]:
        if not ctx.tables.has("event"):
            return []
        texts = await ctx.run(ctx.tables.table("event").select("properties").unique())
        return sorted({name for text in texts["properties"] for name in _parsed(text) or ()})

    return await ctx.shared.get("event_properties", build)


def _parsed(text: str | None) -> dict[str, Any] | None:
    """The fields of one event; None for what is no object of JSON."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _with_properties(ctx: Context, events: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """*events* with a text column for each key of their properties; one called like a field is exported_NAME."""
    parsed = [_parsed(text) for text in events["properties"]]
    if unread := parsed.count(None):
        ctx.warn(f"the properties of {unread} events are no JSON objects and were not read")
    taken = {name: f"exported_{name}" if name in _OWN else name for name in names}
    columns = [
        pl.Series(column, [_text((row or {}).get(name)) for row in parsed], dtype=pl.String)
        for name, column in taken.items()
        if column not in names or column == name
    ]
    return events.drop("properties").with_columns(columns)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


async def relations_of(ctx: Context) -> pl.DataFrame:
    """src (which depends on), dst, rel, valid_from, valid_to, as the types of the relations say who is hurt."""
    types = ctx.manifest.relation_types
    if not ctx.tables.has("relation"):
        ctx.warn("this estate has no table 'relation': nothing is known of how CIs hang together")
    rows = ctx.tables.table("relation").select("source_id", "target_id", "relation_type", "valid_from", "valid_to")
    found = await ctx.run(rows)
    for end in ("source", "target"):
        found = (await with_codes(ctx, found.rename({f"{end}_id": "ci_id"}))).rename({"ci_code": end}).drop("ci_id")
    bounds = ("valid_from", "valid_to")
    parts = [
        found.filter(pl.col("relation_type").is_in([name for name, said in types.items() if said in meant])).select(
            pl.col(src).alias("src"), pl.col(dst).alias("dst"), pl.col("relation_type").alias("rel"), *bounds
        )
        for src, dst, meant in (
            ("source", "target", ("target_to_source", "both")),
            ("target", "source", ("source_to_target", "both")),
        )
    ]
    return pl.concat(parts).drop_nulls(["src", "dst"]).unique().sort("src", "dst", "rel", *bounds, nulls_last=True)


async def maintenance_of(ctx: Context, codes: list[str] | None, start: datetime, end: datetime) -> pl.DataFrame | None:
    """Maintenance of some CIs (None: of all) that overlaps the time from *start* to *end*.

    None where the estate has no such table.
    """
    if not ctx.tables.has("maintenance"):
        return None
    ids = None
    if codes is not None:
        known = await ci_index(ctx, "ci_code", codes)
        ids = sorted({one for code in codes for one in known.ids(code)})
    rows = ctx.tables.table("maintenance").filter(
        nw.col("start_at") <= nw.lit(end), nw.col("end_at").is_null() | (nw.col("end_at") > nw.lit(start))
    )
    found = await with_codes(ctx, await ctx.run(ci_rows(ctx, rows, ids)))
    return found.select(pl.col("maintenance_id").alias("id"), pl.col("ci_code").alias("ci"), "start_at", "end_at")


async def incidents_of(ctx: Context, ids: list[str] | None, asked: Any, hops: int) -> pl.DataFrame:
    """incident, ci, opened_at, resolved_at: a row for each CI that is at most *hops* relations from an incident."""
    from ciops_nb.cep.sweep import INCIDENTS

    if not ctx.tables.has("incident"):
        ctx.warn("this estate has no table 'incident': nothing is known of what there was to catch")
        return pl.DataFrame(schema=INCIDENTS)
    columns = ("incident_id", "ci_id", "opened_at", "resolved_at")
    found = await ctx.run(ci_rows(ctx, ctx.tables.table("incident"), ids).select(*columns))
    if asked is not None:
        names = several("incidents", asked, "Give the id of an incident, or a list of them")
        for name in names:
            if name not in found["incident_id"].to_list():
                near = nearest(name, found["incident_id"].drop_nulls().to_list())
                hint = f"Did you mean {' or '.join(near)}?" if near else "See history_recent(kinds='incident')"
                raise BadParameter("incidents", name, "is not an incident here", hint)
        found = found.filter(pl.col("incident_id").is_in(names))
    known = (await with_codes(ctx, found)).filter(pl.col("opened_at").is_not_null())
    if lost := known["ci_code"].null_count():
        ctx.warn(f"{lost} incidents name no CI that is there: no alert can catch them, and they count as missed")
    told = known.select(
        pl.col("incident_id").alias("incident"), pl.col("ci_code").alias("ci"), "opened_at", "resolved_at"
    ).sort("opened_at", "incident", "ci", nulls_last=True)
    return told if not hops else await _spread(ctx, told, hops)


async def _spread(ctx: Context, incidents: pl.DataFrame, hops: int) -> pl.DataFrame:
    """*incidents* with a row for each CI near theirs when they were opened."""
    parts = [incidents]
    for row in incidents.filter(pl.col("ci").is_not_null()).iter_rows(named=True):
        codes = await near_by(ctx, row["opened_at"], row["ci"], hops, _MOST_NEAR)
        parts.append(pl.DataFrame([{**row, "ci": code} for code in codes], schema=incidents.schema))
    return pl.concat(parts).unique(maintain_order=True)
