"""A rule with many thresholds and durations, against incidents that are known: which would have caught them?

The values of the condition are computed once. Each threshold gives the runs of ticks at which it held, and each
duration the alerts that these runs make, without a look at the samples again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.alerts import from_runs
from ciops_nb.cep.answer import owner
from ciops_nb.cep.conditions import AllOf, Metric, Not, Ratio
from ciops_nb.cep.fields import spelled
from ciops_nb.cep.maintenance import WINDOWS, merged
from ciops_nb.cep.model import Rule
from ciops_nb.cep.parts import COMPARED, Both, Divided, Part, Unless
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import CELLS, alert_labels, replayed, staged, ticks_of
from ciops_nb.cep.samples import NEVER, Bools, Floats, Grid, Ints
from ciops_nb.cep.world import World
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.times import micros_of, parse_duration

__all__ = ["INCIDENTS", "SCHEMA", "Levels", "levels", "only_alerting", "sweep", "threshold_of", "turned_to", "worth"]

INCIDENTS = {
    "incident": pl.String(), "ci": pl.String(), "opened_at": pl.Datetime("us", "UTC"),
    "resolved_at": pl.Datetime("us", "UTC"),
}  # fmt: skip
SCHEMA: dict[str, pl.DataType] = {
    "value": pl.Float64(), "for": pl.String(), "for_s": pl.Float64(), "fired": pl.Int64(), "suppressed": pl.Int64(),
    "pages_per_week": pl.Float64(), "caught": pl.Int64(), "missed": pl.Int64(), "needless": pl.Int64(),
    "precision": pl.Float64(), "recall": pl.Float64(), "lead_time_s": pl.Float64(), "on_front": pl.Boolean(),
}  # fmt: skip
_WEEK = timedelta(weeks=1) / timedelta(microseconds=1)
_MOST_KEPT = 10  # chunks of values: 400 MB
_MOST_CELLS = 10_000


def sweep(
    rule: Any,
    *,
    values: Sequence[float],
    holds: Sequence[Any],
    incidents: pl.DataFrame,
    maintenance: pl.DataFrame | None = None,
    before: Any = "1h",
    after: Any = "1h",
    metrics: Any = None,
    events: Any = None,
    relations: Any = None,
    start: Any,
    end: Any,
    every: Any = "1m",
    lookback: Any = "5m",
    tz: str = "UTC",
) -> pl.DataFrame:
    """Say for each of some thresholds and durations what the rule would have been worth.

    An incident is caught if an alert on one of its CIs fires within the time from *before* it was opened until it was
    resolved, or until *after* it was opened where it was not; the first such alert gives its lead time. Only incidents
    opened between *start* and *end* count, each once. An alert that fires within no such time is needless; one that is
    suppressed by maintenance (see ``in_maintenance``) neither catches nor pages.

    Args:
        rule: One rule that compares a metric or a ratio with a number, alone or as the first of ``all``, and those that
            record what it reads.
        values: The thresholds to try instead of its own.
        holds: The durations to try instead of its ``for``; 0s is none.
        incidents: The columns of INCIDENTS; one with several CIs has a row for each.
        maintenance: The columns of ``maintenance.WINDOWS``.
        before, after: Lengths of time, see above.
        metrics, events, relations, start, end, every, lookback, tz: As for ``replay``.

    Returns:
        A frame, a cell of the grid a row, by value and duration: value, for, for_s (in seconds), fired, suppressed,
        pages_per_week, caught, missed, needless, precision (of the alerts that fired, the share that is not needless),
        recall (of the incidents, the share caught), lead_time_s (median, seconds before the opening; negative is after)
        and on_front: no other cell catches as much with fewer needless alerts, or as few of them with fewer alerts.

    Raises:
        BadRule: the rule cannot be read, or has no threshold to turn.
        BadParameter
    """
    read = load(rule)
    one = only_alerting(read)
    one.check_plain("a sweep")
    threshold_of(one)
    thresholds, durations = _thresholds(values), _durations(holds)
    if not thresholds or not durations or len(thresholds) * len(durations) > _MOST_CELLS:
        size = f"{len(thresholds)} x {len(durations)}"
        raise BadParameter(
            "values", size, f"is no grid of 1 to {_MOST_CELLS:,} cells", "Give some values and durations"
        )
    early, late = micros_of(parse_duration(before, name="before")), micros_of(parse_duration(after, name="after"))
    stage = staged(
        metrics=metrics, events=events, relations=relations, start=start, end=end, every=every, lookback=lookback, tz=tz
    )
    _, _, world = next(stage.judged(read))
    hushed = functools.partial(stage.hushed, one, read.index(one))
    turned = _fast if _is_plain(one) else functools.partial(_slow, hushed=hushed)
    series, cells = turned(one, world, thresholds, durations)
    score = _Score(series, world, _frame(incidents, INCIDENTS), _frame(maintenance, WINDOWS), early, late)
    rows = [(value, hold, *score.of(*alerts)) for value, hold, alerts in cells]
    return _graded(rows, world)


def threshold_of(rule: Rule) -> float:
    """The number that *rule* compares with, which a sweep can turn.

    Raises:
        BadRule: there is none.
    """
    compared = _turned(rule) if rule.record is None else None
    if compared is None:
        raise BadRule(
            f"rule {rule.id!r}",
            "has no threshold to turn",
            "A sweep needs one comparison of a metric or a ratio with a number, alone or as the first of 'all'",
        )
    assert isinstance(compared.value, float)
    return compared.value


def _turned(rule: Rule) -> Metric | Ratio | None:
    when = rule.when
    if isinstance(when, AllOf):
        when = next((one for one in when.all if not isinstance(one, Not)), None)
    return when if isinstance(when, (Metric, Ratio)) and isinstance(when.value, float) else None


def only_alerting(rules: list[Rule]) -> Rule:
    """The one of *rules* that makes alerts; the others record what it reads.

    Raises:
        BadParameter: there are several.
    """
    alerting = [rule for rule in rules if rule.record is None]
    if len(alerting) > 1:
        raise BadParameter("rule", [rule.id for rule in alerting], "is more than one rule", "Sweep one rule at a time")
    return alerting[0] if alerting else rules[0]


@dataclass(frozen=True)
class Levels:
    """What a rule compares with its threshold: of each series the lowest and the highest of each stretch of ticks.

    Attributes:
        ci: Whose each series is; None where it is nobody's.
        labels: The labels of each series.
        moments: When each stretch begins, in microseconds since 1970.
        low, high: Matrices of series by stretches; NaN where there is no value.
        end: The last tick.
    """

    ci: list[str | None]
    labels: list[dict[str, str]]
    moments: Ints
    low: Floats
    high: Floats
    end: int


def levels(
    rule: Any,
    *,
    stretches: int = 600,
    metrics: Any = None,
    events: Any = None,
    relations: Any = None,
    start: Any,
    end: Any,
    every: Any = "1m",
    lookback: Any = "5m",
    tz: str = "UTC",
) -> Levels:
    """What *rule* compares with its threshold at its ticks, in so many stretches at most: for pictures.

    Args:
        rule: As for ``sweep``.
        stretches: How many parts the time is put into.
        metrics, events, relations, start, end, every, lookback, tz: As for ``replay``.

    Raises:
        BadRule: the rule cannot be read, or has no threshold.
        BadParameter
    """
    read = load(rule)
    one = only_alerting(read)
    threshold_of(one)
    stage = staged(
        metrics=metrics, events=events, relations=relations, start=start, end=end, every=every, lookback=lookback, tz=tz
    )
    _, _, world = next(stage.judged(read))
    part, grid = _selected(one, world), world.grid
    each = max(1, -(-grid.count // stretches))
    at_once = each * max(1, CELLS // max(1, len(part.labels)) // each)
    low, high = [], []
    for first in range(0, grid.count, at_once):
        ticks = np.arange(first, min(first + at_once, grid.count), dtype=np.int64)
        values, there = part.at(ticks)
        padded = np.full((len(part.labels), -(-len(ticks) // each) * each), np.nan)
        padded[:, : len(ticks)] = np.where(there, values, np.nan)
        parts = padded.reshape(len(part.labels), -1, each)
        low.append(np.fmin.reduce(parts, axis=2))
        high.append(np.fmax.reduce(parts, axis=2))
    nothing = np.empty((len(part.labels), 0))
    labels = [dict(own) for own in part.labels]
    moments = grid.moments(np.arange(0, grid.count, each, dtype=np.int64))
    lowest, highest = np.concatenate([nothing, *low], axis=1), np.concatenate([nothing, *high], axis=1)
    return Levels([owner(one.labelled(own)) for own in labels], labels, moments, lowest, highest, world.end)


def _thresholds(values: Sequence[float]) -> list[float]:
    found = set()
    for value in values:
        try:
            number = float("nan") if isinstance(value, (bool, str)) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if number != number:
            raise BadParameter("values", value, "is not a threshold", "Give numbers")
        found.add(number)
    return sorted(found)


def _durations(holds: Sequence[Any]) -> list[timedelta]:
    nothing = ("0s", "0m", timedelta(0))
    return sorted({
        timedelta(0) if isinstance(hold, (str, timedelta)) and hold in nothing else parse_duration(hold, name="holds")
        for hold in holds
    })  # fmt: skip


def _frame(given: pl.DataFrame | None, schema: Any) -> pl.DataFrame:
    return pl.DataFrame(schema=schema) if given is None else given.select(list(schema)).cast(schema)


# ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Ticks of all series are numbered in one row, a tick more for each series than there are: the place of series s and
# tick t is s * (ticks + 1) + t, and an alert that is still on ends at the place that no tick has.

Cells = Iterator[tuple[float, timedelta, tuple[Ints, Ints]]]
"""For each cell of the grid its value, its duration, and the places at which its alerts fired and ended, in order."""

_TURNING = {"id", "when", "for_", "keep_firing_for", "every", "labels", "annotations"}
_COMPARING = {"metric", "ratio", "agg", "over", "offset", "by", "reduce", "where", "op", "value"}


def _is_plain(rule: Rule) -> bool:
    """Whether no more of the language is used than what ``_fast`` knows the meaning of."""
    compared = _turned(rule)
    return (
        rule.model_fields_set <= _TURNING
        and compared is not None
        and type(compared) in (Metric, Ratio)
        and compared.model_fields_set <= _COMPARING
        and type(rule.when) in (AllOf, Metric, Ratio)
    )


def _fast(rule: Rule, world: World, values: list[float], holds: list[timedelta]) -> tuple[list[str | None], Cells]:
    """The alerts of all cells from the values of the condition, in runs of ticks at which it holds."""
    part, grid = _values(rule, world), world.grid
    labels, _ = alert_labels(rule, part.labels)
    if len(labels) < len(part.labels):  # several series make one alert
        return _slow(rule, world, values, holds)
    return [owner(one) for one in labels], _turn(rule, part, grid, values, holds)


def _values(rule: Rule, world: World) -> Part:
    """What is compared, where all else holds."""
    found, compared = _selected(rule, world), _turned(rule)
    for other in rule.when.all if isinstance(rule.when, AllOf) else ():
        if isinstance(other, Not):
            found = Unless(found, other.not_.part(world))
        elif other is not compared:
            found = Both(found, other.part(world))
    return found


def _selected(rule: Rule, world: World) -> Part:
    """What is compared, whatever else holds."""
    compared = _turned(rule)
    assert compared is not None
    if isinstance(compared, Metric):
        return compared.selected(world)
    above, below = compared.ratio
    return Divided(above.selected(world), below.selected(world))


def _turn(rule: Rule, part: Part, grid: Grid, values: list[float], holds: list[timedelta]) -> Cells:
    compared = _turned(rule)
    assert compared is not None
    width, keep = grid.count + 1, ticks_of(rule.keep_firing_for, grid)
    held = np.zeros((len(part.labels), width), dtype=np.bool_)
    some = max(1, CELLS // max(1, len(part.labels)))
    chunks = [np.arange(at, min(at + some, grid.count), dtype=np.int64) for at in range(0, grid.count, some)]
    few = len(chunks) <= _MOST_KEPT
    kept = [part.at(ticks) for ticks in chunks] if few else []
    for threshold in values:
        # Values that are too many to be kept are looked up for each threshold; whether they hold takes a byte each.
        for ticks, (value, there) in zip(chunks, kept if few else map(part.at, chunks), strict=True):
            with np.errstate(invalid="ignore"):
                held[:, ticks[0] : ticks[-1] + 1] = COMPARED[compared.op](value, threshold) & there
        begin, after = _runs(held.reshape(-1))
        for hold in holds:
            yield threshold, hold, _alerts(begin, after, width, hold=ticks_of(hold, grid), keep=keep)


def _runs(held: Bools) -> tuple[Ints, Ints]:
    """Where runs begin, and the place after each; the last place of a series never holds."""
    edges = np.flatnonzero(np.diff(held, prepend=False))
    return edges[::2], edges[1::2]


def _alerts(begin: Ints, after: Ints, width: int, *, hold: int, keep: int) -> tuple[Ints, Ints]:
    if not keep:  # each run is an alert of its own
        fired = after - begin > hold
        return begin[fired] + hold, after[fired]
    opened, fires, ended = from_runs(begin // width, begin, after, hold=hold, keep=keep)
    last = (begin[opened] // width + 1) * width - 1
    return begin[opened][fires] + hold, np.minimum(ended, last)[fires]


def _slow(
    rule: Rule,
    world: World,
    values: list[float],
    holds: list[timedelta],
    hushed: Callable[[pl.DataFrame], pl.DataFrame] = lambda alerts: alerts,
) -> tuple[list[str | None], Cells]:
    """The alerts of all cells, each replayed by itself; those that *hushed* suppresses have not fired."""
    grid = world.grid
    found = [
        (value, hold, hushed(replayed(turned_to(rule, value, hold), world)).filter(pl.col("status") == "fired"))
        for value in values
        for hold in holds
    ]
    owners, number = _owners([alerts for *_, alerts in found])
    return owners, ((value, hold, _placed(alerts, grid, number)) for value, hold, alerts in found)


def _owners(found: list[pl.DataFrame]) -> tuple[list[str | None], dict[str, int]]:
    """Whose the alerts of each series are, and the number of each series by its labels."""
    known = pl.concat([alerts.select("labels", "ci") for alerts in found]).unique().sort("labels", "ci")
    return known["ci"].to_list(), {text: place for place, text in enumerate(known["labels"].to_list())}


def _placed(alerts: pl.DataFrame, grid: Grid, number: dict[str, int]) -> tuple[Ints, Ints]:
    """The places at which alerts that fired did so, and ended, in order."""
    series = np.array([number[text] for text in alerts["labels"].to_list()], dtype=np.int64)
    fired = grid.first_at(alerts["fired_at"].dt.epoch("us").to_numpy())
    ended = alerts["ended_at"].dt.epoch("us").fill_null(grid.start + grid.count * grid.step).to_numpy()
    place = series * (grid.count + 1) + fired
    order = np.argsort(place, kind="stable")
    return place[order], (series * (grid.count + 1) + grid.first_at(ended))[order]


def worth(
    rule: Any,
    alerts: pl.DataFrame,
    *,
    incidents: pl.DataFrame,
    maintenance: pl.DataFrame | None = None,
    before: Any = "1h",
    after: Any = "1h",
    start: Any,
    end: Any,
    every: Any = "1m",
) -> dict[str, Any]:
    """The cell of ``sweep`` for a rule as it is, from what ``replay`` found of it.

    Args:
        rule: As for ``sweep``.
        alerts: A frame of ``replay`` from *start* to *end*, whatever was in maintenance.
        incidents, maintenance, before, after, start, end, every: As for ``sweep``.

    Raises:
        BadRule: the rule cannot be read, or has no threshold to turn.
        BadParameter
    """
    one = only_alerting(load(rule))
    one.check_plain("a sweep")
    value = threshold_of(one)
    early, late = micros_of(parse_duration(before, name="before")), micros_of(parse_duration(after, name="after"))
    nothing = staged(
        metrics=None, events=None, relations=None, start=start, end=end, every=every, lookback="5m", tz="UTC"
    )
    world = replace(nothing, relations=replace(nothing.relations, given=True)).world(one)
    fired = alerts.filter(pl.col("status") == "fired")
    owners, number = _owners([fired])
    score = _Score(owners, world, _frame(incidents, INCIDENTS), _frame(maintenance, WINDOWS), early, late)
    return _graded([(value, one.for_, *score.of(*_placed(fired, world.grid, number)))], world).row(0, named=True)


def turned_to(rule: Rule, value: float, hold: timedelta) -> Rule:
    """*rule* with another threshold and another duration; ``threshold_of`` says whether it has one."""
    compared, when = _turned(rule), rule.when
    assert compared is not None
    turned = compared.model_copy(update={"value": value})
    if isinstance(when, AllOf):
        when = when.model_copy(update={"all": tuple(turned if one is compared else one for one in when.all)})
    else:
        when = turned
    return rule.model_copy(update={"when": when, "for_": hold})


# ── what they are worth ─────────────────────────────────────────────────────────────────────────────────────────────


class _Score:
    """The incidents and the maintenance as stretches of places, which each cell's alerts are held against."""

    def __init__(
        self, series: list[str | None], world: World, incidents: pl.DataFrame, maintenance: pl.DataFrame,
        before: int, after: int,
    ) -> None:  # fmt: skip
        self._grid, width = world.grid, world.grid.count + 1
        owned = pl.DataFrame({"ci": pl.Series(series, dtype=pl.String), "series": np.arange(len(series))})
        times = incidents.filter(pl.col("opened_at").is_not_null()).with_columns(
            opened=pl.col("opened_at").dt.epoch("us"),
            until=pl.col("resolved_at").dt.epoch("us").fill_null(pl.col("opened_at").dt.epoch("us") + after),
        )
        met = times.join(owned, on="ci").sort("incident", "series", "opened", "until")
        self._begin = met["series"].to_numpy() * width + self._tick(met["opened"].to_numpy() - before)
        self._end = met["series"].to_numpy() * width + self._tick(met["until"].to_numpy() + 1) - 1
        counted = times.filter(pl.col("opened").is_between(world.start, world.end))
        opened = counted.group_by("incident").agg(pl.col("opened").min()).sort("incident")
        self._opened = opened["opened"].to_numpy()
        number = dict(zip(opened["incident"].to_list(), range(opened.height), strict=True))
        self._incident = np.array([number.get(name, -1) for name in met["incident"].to_list()], dtype=np.int64)
        self._near = _together(self._begin, self._end)
        calm = merged(maintenance).join(owned, on="ci").sort("series", "start")
        last = np.where(
            calm["end"].to_numpy() > world.end, world.grid.count, self._tick(calm["end"].to_numpy() + 1) - 1
        )
        self._calm = (
            calm["series"].to_numpy() * width + self._tick(calm["start"].to_numpy()),
            calm["series"].to_numpy() * width + last,
        )

    def _tick(self, moments: Ints) -> Ints:
        """The first tick at or after each moment; the number of ticks where there is none."""
        return self._grid.first_at(moments)

    def of(self, fired: Ints, ended: Ints) -> tuple[int, int, int, int, int, float | None]:
        """How many alerts fired, were suppressed and needless, how many incidents were caught, missed, how early."""
        held_back = _within(fired, ended, *self._calm)
        paged = fired[~held_back]
        needless = len(paged) - int(_within(paged, paged, *self._near).sum())
        first = np.searchsorted(paged, self._begin)
        meets = (first < len(paged)) & (self._incident >= 0)
        meets[meets] = paged[first[meets]] <= self._end[meets]
        moments = self._grid.moments(paged[first[meets]] % (self._grid.count + 1))
        earliest = np.full(len(self._opened), NEVER)
        np.minimum.at(earliest, self._incident[meets], moments)
        caught = earliest < NEVER
        lead = (self._opened - earliest)[caught] / 1e6
        many = int(caught.sum())
        early = float(np.median(lead)) if many else None
        return len(paged), int(held_back.sum()), needless, many, len(caught) - many, early


def _together(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Stretches of places as few that do not overlap, in order."""
    some = begin <= end
    order = np.argsort(begin[some], kind="stable")
    begin, end = begin[some][order], np.maximum.accumulate(end[some][order]) if some.any() else end[some]
    fresh = np.ones(len(begin), dtype=np.bool_)
    fresh[1:] = begin[1:] > end[:-1]
    places = np.flatnonzero(fresh)
    return begin[places], end[np.append(places[1:], len(begin))[: len(places)] - 1]


def _within(first: Ints, last: Ints, begin: Ints, end: Ints) -> Bools:
    """Which stretches from *first* to *last* lie in one of those from *begin* to *end*, which are in order."""
    place = np.searchsorted(begin, first, "right") - 1
    found = place >= 0
    found[found] = last[found] <= end[place[found]]
    return found


def _graded(rows: list[tuple[Any, ...]], world: World) -> pl.DataFrame:
    weeks = (world.end - world.start) / _WEEK
    shown = []
    for value, hold, fired, suppressed, needless, caught, missed, lead in rows:
        per_week = fired / weeks if weeks else None
        precision = (fired - needless) / fired if fired else None
        recall = caught / (caught + missed) if caught + missed else None
        shown.append((
            value, spelled(hold), hold.total_seconds(), fired, suppressed, per_week, caught, missed, needless,
            precision, recall, lead, False,
        ))  # fmt: skip
    frame = pl.DataFrame(shown, schema=SCHEMA, orient="row")
    return frame.with_columns(on_front=pl.Series(_front(frame), dtype=pl.Boolean))


def _front(frame: pl.DataFrame) -> Bools:
    """The cells than which none is better: more caught, or fewer needless alerts and then fewer at all."""
    caught = frame["caught"].to_numpy()
    cost = frame["needless"].to_numpy() * (frame["fired"].sum() + 1) + frame["fired"].to_numpy()
    found = np.ones(len(caught), dtype=np.bool_)
    for cell in range(len(caught)):
        as_good = (caught >= caught[cell]) & (cost <= cost[cell])
        found[cell] = not (as_good & ((caught > caught[cell]) | (cost < cost[cell]))).any()
    return found
