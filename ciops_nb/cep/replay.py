"""When rules would have fired on past data: the frames in, the alerts out, and nothing read from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.alerts import Alerts, alerts
from ciops_nb.cep.answer import FOUND, SCHEMA, evidence_lists, found_rows, label_text, owner
from ciops_nb.cep.events import Events
from ciops_nb.cep.fired import Fired
from ciops_nb.cep.frames import arrived, event_rows, measured, metric_rows, relation_rows
from ciops_nb.cep.inhibit import inhibited
from ciops_nb.cep.model import Rule
from ciops_nb.cep.parts import Part, Within, distinct, held
from ciops_nb.cep.reading import load
from ciops_nb.cep.recording import recorded, running_order
from ciops_nb.cep.relations import Relations
from ciops_nb.cep.samples import Grid, Ints, Labels
from ciops_nb.cep.slices import slices
from ciops_nb.cep.store import Reader, Store
from ciops_nb.cep.world import World
from ciops_nb.errors import BadParameter, BadRule, BadTimeRange
from ciops_nb.estate.times import at_micros, format_time, micros, micros_of, parse_duration, parse_time, parse_zone

__all__ = ["CELLS", "LOOKBACK", "alert_labels", "held", "replay", "replayed", "staged", "ticks_of"]

LOOKBACK = timedelta(minutes=5)  # Prometheus' own

CELLS = 4_000_000  # series times ticks that are looked at together: some 200 MB at the widest
_MOST_TICKS = 20_000_000


def replay(
    rules: Any,
    *,
    metrics: Any = None,
    events: Any = None,
    relations: Any = None,
    start: Any,
    end: Any,
    every: Any = "1m",
    lookback: Any = "5m",
    tz: str = "UTC",
    data_as_of: Any = None,
) -> pl.DataFrame:
    """Say when rules would have fired, as Prometheus would.

    Rules are evaluated at ticks: at *start* and each *every* after it, up to *end* and with it. A tick sees the newest
    sample that is less than *lookback* old, unless the series was marked as ended since; windows are left open. An
    alert is told from others by its labels.

    What a rule says of events alone (``count``, ``distinct``, ``together``, ``absent``), and all that it says of
    windows, is found at moments of its own unless the rule asks for ticks; see ``conditions.counted``.

    Args:
        rules: Whatever ``load`` reads.
        metrics: A frame (polars, lazy too, or pandas) with ts, metric, value, and a column a label (empty or null: the
            series has no such label), ``ci`` among them; a column ``stale`` that is true marks that a series ended.
            Rows without value are left out; of rows of a series at one time the last counts.
        events: A frame with ts, ci, type and further fields; ``seq`` tells events of one time apart and is their
            identity: without it they are numbered as they come.
        relations: A frame with src, dst (src depends on dst) and rel; ``valid_from`` and ``valid_to`` where they come
            and go.
        start: The first tick.
        end: The last tick, where the steps meet it.
        every: How long from tick to tick, for rules that do not say it.
        lookback: How old a sample may be; a dict says it for some metrics, and the others have 5m.
        tz: The zone in which times without one are read.
        data_as_of: The column of events or samples that says when a row came in, for rules that name none: a tick
            sees the rows that had come in by then. A row without such a time never did.

    Returns:
        A frame, an alert a row, by rule (as given), active_at, ci and labels: rule, match (numbered within the rule),
        ci (the label ci, else instance), labels (JSON), status (fired, pending_only, or suppressed: inhibited for as
        long as it fired), active_at, fired_at, ended_at (null: still on at the last tick), value (when it fired), n
        (ticks at which the condition held; of what is found at moments of its own, the records on which it rests) and
        evidence: a list of the samples and events on which it became active and fired, each with step (active, fired or
        inhibited), record_id (the seq of an event, null for a sample), ts, ci_code, metric, value, hops (null where no
        graph was walked).

    Raises:
        BadRule: a rule cannot be read or is not supported yet.
        BadParameter: another parameter cannot be meant or is not supported yet.
    """
    if data_as_of is not None and (not isinstance(data_as_of, str) or not data_as_of):
        raise BadParameter("data_as_of", data_as_of, "is not the name of a column", "Write data_as_of='ingest_ts'")
    read = [rule.as_of(data_as_of) for rule in load(rules)]
    columns = sorted({rule.data_as_of for rule in read if rule.data_as_of is not None})
    found: dict[int, list[pl.DataFrame]] = {}
    for part in slices(metrics, read):
        stage = staged(
            metrics=part,
            events=events,
            relations=relations,
            start=start,
            end=end,
            every=every,
            lookback=lookback,
            tz=tz,
            arrivals=columns,
        )
        for place, rule, world in stage.judged(read):
            found.setdefault(place, []).append(stage.found(place, rule, world))
    shown = [
        stage.hushed(read[place], place, _numbered(read[place], frames)) for place, frames in sorted(found.items())
    ]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *shown])


def staged(
    *,
    metrics: Any,
    events: Any,
    relations: Any,
    start: Any,
    end: Any,
    every: Any,
    lookback: Any,
    tz: str,
    arrivals: Sequence[str] = (),
) -> Stage:
    """What ``replay`` is given, checked and made ready; *arrivals* are columns that rules name as ``data_as_of``."""
    zone = parse_zone(tz)
    first, last = parse_time(start, tz=zone, name="start"), parse_time(end, tz=zone, name="end")
    if last < first:
        raise BadTimeRange("end", end, f"is before the start {format_time(first)}", "Give a later end")
    step, seen_for = parse_duration(every), _lookback(lookback)
    rows = metric_rows(metrics, zone, arrivals)
    names = rows["metric"].unique()
    return Stage(
        Store(measured(rows), names),
        event_rows(events, zone),
        Relations(relation_rows(relations, zone), given=relations is not None),
        seen_for,
        zone,
        first,
        last,
        step,
        arrived={column: Store(measured(rows, column), names) for column in arrivals},
    )


@dataclass(frozen=True)
class Stage:
    """What a replay is given, checked and made ready once for all of its rules."""

    store: Store
    events: Events
    relations: Relations
    lookback: Callable[[str], timedelta]
    zone: tzinfo
    first: datetime
    last: datetime
    step: timedelta
    fired: dict[str, Fired] = field(default_factory=dict)
    arrived: Mapping[str, Store] = field(default_factory=dict)  # by the column that says when samples came in
    known: dict[int, pl.DataFrame] = field(default_factory=dict)  # what rules found that others name, by their places

    def world(self, rule: Rule, place: int = 0) -> World:
        """What *rule* is judged by, as the one at *place*."""
        if not self.relations.given:
            _need_none(rule)
        column = rule.data_as_of
        seen = Reader(self.store if column is None else self.arrived[column], place)
        events = self.events
        if column is not None and any(read.table == "event" for read in rule.reads()):
            events = arrived(events, column, self.zone)
        last = self.last if rule.end is None else min(self.last, parse_time(rule.end, tz=self.zone, name="end"))
        return World(
            seen.find,
            seen.matching,
            events,
            self.relations,
            _grid(self.first, last, rule.every or self.step),
            self.lookback,
            self.zone,
            micros(self.first),
            micros(last),
            self.fired,
        )

    def judged(self, rules: Sequence[Rule]) -> Iterator[tuple[int, Rule, World]]:
        """The places of the rules that make alerts, with what they are judged by, after those that record for them."""
        named = {name for rule in rules for name in rule.named()}
        for place in running_order(rules):
            rule = rules[place]
            world = self.world(rule, place)
            if rule.record is None:
                if rule.id in named:
                    self.known[place] = _found(rule, world)
                    self.fired[rule.id] = Fired.of([(rule, _numbered(rule, [self.known[place]]))])
                yield place, rule, world
            else:
                assert rule.when is not None
                kept = recorded(rule, distinct(rule.when.part(world)), world.grid)
                for store in (self.store, *self.arrived.values()):
                    store.record(kept, place)

    def found(self, place: int, rule: Rule, world: World) -> pl.DataFrame:
        """What the rule at *place* finds, which ``judged`` has looked at already where others name it."""
        return self.known[place] if place in self.known else _found(rule, world)

    def hushed(self, rule: Rule, place: int, found: pl.DataFrame) -> pl.DataFrame:
        """What *rule* has *found*, once all rules are judged, with what hushed its alerts."""
        return inhibited(rule, found, self.fired, self.world(rule, place)) if rule.inhibit else found


def _need_none(rule: Rule) -> None:
    if any(read.table == "relation" for read in rule.reads()):
        problem = f"is needed by rule {rule.id!r}, which asks what is near"
        raise BadParameter("relations", None, problem, "Give a frame with src (which depends on), dst and rel")


def _lookback(asked: Any) -> Callable[[str], timedelta]:
    if not isinstance(asked, Mapping):
        same = parse_duration(asked, name="lookback")
        return lambda metric: same
    read = {metric: parse_duration(length, name="lookback") for metric, length in asked.items()}
    return lambda metric: read.get(metric, LOOKBACK)


def _grid(first: datetime, last: datetime, step: timedelta) -> Grid:
    count = max(0, (last - first) // step + 1)  # a rule may end before the replay starts
    if count > _MOST_TICKS:
        raise BadParameter("every", str(step), f"makes {count:,} ticks", "Ask for longer steps or a shorter range")
    return Grid(micros(first), micros_of(step), count)


# ── one rule ────────────────────────────────────────────────────────────────────────────────────────────────────────


def replayed(rule: Rule, world: World) -> pl.DataFrame:
    """The alerts of one rule: the columns of SCHEMA."""
    return _numbered(rule, [_found(rule, world)])


def _found(rule: Rule, world: World) -> pl.DataFrame:
    pattern = rule.pattern
    if world.end < world.start:
        return pl.DataFrame(schema=FOUND)
    return _alerts(rule, world) if pattern is None else _labelled(rule, _judged(rule, pattern.matches(world), world))


def _numbered(rule: Rule, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """What was found, in parts that are each in order, as one, with the name of the rule and numbers."""
    found = parts[0]
    if len(parts) > 1:
        found = pl.concat(parts).sort("active_at", "ci", "labels", nulls_last=False)
    return found.with_columns(
        rule=pl.lit(rule.id, pl.String), match=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)
    ).select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def _judged(rule: Rule, found: pl.DataFrame, world: World) -> pl.DataFrame:
    """Without what was found when the rule is not active."""
    if rule.active is None:
        return found
    return found.filter(pl.Series(rule.active.at(found["fired_at"].dt.epoch("us").to_numpy(), world.zone)))


def _labelled(rule: Rule, found: pl.DataFrame) -> pl.DataFrame:
    """*found*, with the labels of the rule."""
    if not rule.labels:
        return found
    texts = [label_text(rule.labelled(json.loads(text))) for text in found["labels"]]
    return found.with_columns(labels=pl.Series(texts, dtype=pl.String))


def _alerts(rule: Rule, world: World) -> pl.DataFrame:
    assert rule.when is not None
    part, grid = distinct(rule.when.part(world)), world.grid
    if rule.active is not None:
        part = Within(part, rule.active.at(grid.moments(np.arange(grid.count)), world.zone))
    labels, number = alert_labels(rule, part.labels)
    series, ticks, values = held(part, grid)
    alert = number[series]
    if len(labels) < len(part.labels):  # series that come to the same labels are one alert, if they take turns
        order = np.lexsort((ticks, alert))
        series, ticks, values, alert = series[order], ticks[order], values[order], alert[order]
        _check_turns(rule, labels, alert, ticks, grid)
    found = alerts(
        alert,
        ticks,
        values,
        hold=ticks_of(rule.for_, grid),
        keep=ticks_of(rule.keep_firing_for, grid),
        count=grid.count,
    )
    place = alert * grid.count + ticks

    def series_of(which: Ints, at: Ints) -> Ints:
        return series[np.searchsorted(place, which * grid.count + at)]

    return _shown(labels, found, grid, _evidence(part, found, series_of))


def ticks_of(length: timedelta, grid: Grid) -> int:
    """How many steps until so much time has gone by."""
    return -(-micros_of(length) // grid.step)


def _shown(labels: list[dict[str, str]], found: Alerts, grid: Grid, evidence: pl.Series) -> pl.DataFrame:
    fired = found.fired >= 0
    named = [labels[alert] for alert in found.series.tolist()]
    return found_rows(
        labels=named,
        ci=[owner(one) for one in named],
        status=np.where(fired, "fired", "pending_only").tolist(),
        active=_micros(found.active, grid),
        fired=_micros(found.fired, grid),
        ended=_micros(found.ended, grid),
        value=[value if on else None for value, on in zip(found.value.tolist(), fired.tolist(), strict=True)],
        n=found.held,
        evidence=evidence,
    ).sort("active_at", "ci", "labels", nulls_last=False)


def alert_labels(rule: Rule, series: Sequence[Labels]) -> tuple[list[dict[str, str]], Ints]:
    """The labels of the alerts, and the number of the alert that each series belongs to."""
    each = [rule.labelled(dict(one)) for one in series]
    texts = [label_text(one) for one in each]
    known = dict(zip(texts, each, strict=True))
    number = {text: place for place, text in enumerate(known)}
    return list(known.values()), np.array([number[text] for text in texts], dtype=np.int64)


def _check_turns(rule: Rule, labels: list[dict[str, str]], alert: Ints, ticks: Ints, grid: Grid) -> None:
    twice = np.flatnonzero((alert[1:] == alert[:-1]) & (ticks[1:] == ticks[:-1]))
    if len(twice):
        first = twice[np.argmin(ticks[twice])]
        at = format_time(at_micros(int(grid.moments(ticks[first : first + 1])[0])))
        raise BadRule(
            f"rule {rule.id!r}, labels",
            f"the labels make alerts of different series the same: {label_text(labels[alert[first]])} at {at}",
            "Name labels that the series do not have",
        )


def _micros(ticks: Ints, grid: Grid) -> list[int | None]:
    moments = grid.moments(ticks).tolist()
    return [moment if tick >= 0 else None for moment, tick in zip(moments, ticks.tolist(), strict=True)]


def _evidence(part: Part, found: Alerts, series_of: Callable[[Ints, Ints], Ints]) -> pl.Series:
    records: list[list[dict[str, Any]]] = [[] for _ in range(len(found))]
    for step, ticks in (("active", found.active), ("fired", found.fired)):
        places = np.flatnonzero(ticks >= 0)
        if not len(places):
            continue
        series = series_of(found.series[places], ticks[places])
        for place, sources in zip(places.tolist(), part.sources(series, ticks[places]), strict=True):
            records[place] += [{**source, "step": step} for source in sources]
    return evidence_lists([record for some in records for record in some], [len(some) for some in records])
