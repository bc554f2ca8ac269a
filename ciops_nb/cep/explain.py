"""How far a rule got: for how long its condition held, how close its value came, and which part of it did not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.answer import label_text, moments_column, owner
from ciops_nb.cep.conditions import AllOf, AnyOf, Condition, Metric, Not, Ratio
from ciops_nb.cep.model import Rule
from ciops_nb.cep.parts import Both, Divided, Either, Pair, Part, joined
from ciops_nb.cep.patterns import Pattern, Sequence
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import CELLS, held, staged, ticks_of
from ciops_nb.cep.samples import Ints, Labels
from ciops_nb.cep.world import World

__all__ = ["SCHEMA", "explain"]

SCHEMA: dict[str, pl.DataType] = {
    "rule": pl.String(), "part": pl.String(), "ci": pl.String(), "labels": pl.String(), "state": pl.String(),
    "held_s": pl.Float64(), "needed_s": pl.Float64(), "missing_s": pl.Float64(),
    "held_at": pl.Datetime("us", "UTC"), "best": pl.Float64(), "threshold": pl.Float64(), "margin": pl.Float64(),
    "best_at": pl.Datetime("us", "UTC"), "n": pl.Int64(),
}  # fmt: skip


@dataclass(frozen=True)
class _Row:
    part: str
    state: str
    labels: Labels = ()
    held: float | None = None
    needed: float | None = None
    held_at: int | None = None
    best: float | None = None
    threshold: float | None = None
    margin: float | None = None
    best_at: int | None = None
    n: int = 0


def explain(
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
) -> pl.DataFrame:
    """Say of each series how far each rule got.

    The parameters are those of ``replay``.

    Returns:
        A frame, a series of a part of a rule a row, by rule (as given), ci, labels and part: rule, part (empty for the
        whole condition; ``all[2]`` is the second under ``all``), ci, labels (JSON), state, held_s (for how long it held
        at most, in seconds; null if it never held), needed_s (its ``for``), missing_s, held_at (since when it held so
        long), best (the value that came closest), threshold (what it was compared with), margin (how far beyond the
        threshold; negative: how much was missing), best_at and n (ticks at which it had a value, or held where no
        value is compared; of events: how many there were).

        The state of a whole condition is fired, too_short (it held, but not for long enough), never (it had values and
        never held) or no_data (it never had a value: that is not the same). A part is held, never or no_data. Of what
        is found at moments of its own the whole is fired or never; of a sequence, the part ``sequence[2]`` is its first
        two steps, with n and the last time that it got so far.
    """
    read = load(rules)
    for rule in read:
        rule.check_plain("explain")
    stage = staged(
        metrics=metrics, events=events, relations=relations, start=start, end=end, every=every, lookback=lookback, tz=tz
    )
    found = {place: _frame(rule, world) for place, rule, world in stage.judged(read)}
    return pl.concat([pl.DataFrame(schema=SCHEMA), *(found[place] for place in sorted(found))])


def _frame(rule: Rule, world: World) -> pl.DataFrame:
    pattern = rule.pattern
    rows = list(_of_pattern(pattern, world) if isinstance(pattern, Pattern) else _of_rule(rule, world))
    missing = [None if row.needed is None else max(0.0, row.needed - (row.held or 0.0)) for row in rows]
    labels = [rule.labelled(dict(row.labels)) for row in rows]
    frame = pl.DataFrame(
        {
            "rule": [rule.id] * len(rows),
            "part": [row.part for row in rows],
            "ci": [owner(one) for one in labels],
            "labels": [label_text(one) for one in labels],
            "state": [row.state for row in rows],
            "held_s": [row.held for row in rows],
            "needed_s": [row.needed for row in rows],
            "missing_s": missing,
            "held_at": moments_column([row.held_at for row in rows]),
            "best": [row.best for row in rows],
            "threshold": [row.threshold for row in rows],
            "margin": [row.margin for row in rows],
            "best_at": moments_column([row.best_at for row in rows]),
            "n": [row.n for row in rows],
        },
        schema=SCHEMA,
    )
    return frame.sort("ci", "labels", "part", nulls_last=False)


def _of_rule(rule: Rule, world: World) -> Iterator[_Row]:
    assert rule.when is not None
    yield from _of_condition(rule.when, "", world, ticks_of(rule.for_, world.grid))
    for part, condition in _members(rule.when, ""):
        yield from _of_condition(condition, part, world, None)


def _members(condition: Condition, place: str) -> Iterator[tuple[str, Condition]]:
    """The conditions in *condition*, with where they stand."""
    if not isinstance(condition, (AllOf, AnyOf)):
        return
    for number, inner in enumerate(condition.inner(), start=1):
        at = f"{place}{condition.KIND}[{number}]"
        if isinstance(inner, Not):
            at, inner = f"{at}.not", inner.not_
        yield at, inner
        yield from _members(inner, f"{at}.")


def _of_condition(condition: Condition, name: str, world: World, hold: int | None) -> Iterator[_Row]:
    """A row a series; *hold* is how many ticks the whole has to hold, None for what is only a part."""
    part, step = condition.part(world), world.grid.step / 1e6
    needed = None if hold is None else hold * step
    if not part.labels:
        yield _Row(name, "no_data", needed=needed)
        return
    series, ticks, _ = held(part, world.grid)
    longest, since = _longest(series, ticks, len(part.labels))
    near = _Nearest(condition, part, world)
    for row, labels in enumerate(part.labels):
        long = int(longest[row])
        if not long:
            state = "no_data" if near.knows and not near.n[row] else "never"
        elif hold is None:
            state = "held"
        else:
            state = "fired" if long > hold else "too_short"
        yield _Row(
            name,
            state,
            labels,
            held=(long - 1) * step if long else None,
            needed=needed,
            held_at=int(world.grid.moments(since)[row]) if long else None,
            n=int(near.n[row]),
            **near.told(row),
        )


def _longest(series: Ints, ticks: Ints, count: int) -> tuple[Ints, Ints]:
    """For each series the length of its longest run of ticks, the earliest of equals, and where that begins."""
    fresh = np.ones(len(ticks), dtype=np.bool_)
    fresh[1:] = (series[1:] != series[:-1]) | (ticks[1:] != ticks[:-1] + 1)
    starts = np.flatnonzero(fresh)
    lengths = np.diff(np.append(starts, len(ticks)))
    who, begin = series[starts], ticks[starts]
    order = np.lexsort((-begin, lengths, who))  # what is written last stands
    longest, since = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    longest[who[order]], since[who[order]] = lengths[order], begin[order]
    return longest, since


class _Nearest:
    """For each series how close its value came to what it is compared with, and at how many ticks it had one."""

    def __init__(self, condition: Condition, part: Part, world: World) -> None:
        count = len(part.labels)
        self.n = np.zeros(count, dtype=np.int64)
        self._margin = np.full(count, -np.inf)
        self._best, self._against = np.full(count, np.nan), np.full(count, np.nan)
        self._at, self._grid = np.full(count, -1), world.grid
        value = _value(condition, world)
        self.knows = value is not None
        self._compared = condition if isinstance(condition, (Metric, Ratio)) else None
        some = max(1, CELLS // max(1, count))
        for begin in range(0, world.grid.count, some):
            ticks = np.arange(begin, min(begin + some, world.grid.count), dtype=np.int64)
            if value is None or self._compared is None:
                self.n += (value or part).at(ticks)[1].sum(axis=1)
            else:
                self._look(value, ticks, world)

    def _look(self, value: Part, ticks: Ints, world: World) -> None:
        assert self._compared is not None
        found, there = value.at(ticks)
        self.n += there.sum(axis=1)
        other, beside = self._other(value, ticks, world)
        with np.errstate(invalid="ignore"):
            apart = found - other
            if self._compared.op in ("<", "<="):
                apart = -apart
            elif self._compared.op == "==":
                apart = -np.abs(apart)
            elif self._compared.op == "!=":
                apart = np.abs(apart)
        apart = np.where(there & beside & ~np.isnan(apart), apart, -np.inf)
        line = np.arange(len(apart))
        place = apart.argmax(axis=1)
        better = (apart[line, place] > self._margin) & (there & beside)[line, place]
        self._margin[better] = apart[line, place][better]
        self._best[better] = found[line, place][better]
        self._against[better] = np.broadcast_to(other, found.shape)[line, place][better]
        self._at[better] = ticks[place][better]

    def _other(self, value: Part, ticks: Ints, world: World) -> tuple[Any, Any]:
        assert self._compared is not None
        if isinstance(self._compared.value, float):
            return self._compared.value, True
        return Pair(value, self._compared.value.selected(world)).beside(ticks)

    def told(self, row: int) -> dict[str, Any]:
        if self._at[row] < 0:
            fixed = None if self._compared is None else self._compared.value
            return {"threshold": fixed if isinstance(fixed, float) else None}
        return {
            "best": float(self._best[row]),
            "threshold": float(self._against[row]),
            "margin": float(self._margin[row]),
            "best_at": int(self._grid.start + self._at[row] * self._grid.step),
        }


def _value(condition: Condition, world: World) -> Part | None:
    """What *condition* looks at, whether it holds or not; None where it cannot be told from its holding."""
    if isinstance(condition, Metric):
        return condition.selected(world)
    if isinstance(condition, Ratio):
        above, below = condition.ratio
        return Divided(above.selected(world), below.selected(world))
    if not isinstance(condition, (AllOf, AnyOf)):
        return None
    values = [_value(inner, world) for inner in condition.inner() if not isinstance(inner, Not)]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return joined(known, Both if isinstance(condition, AllOf) else Either)


def _of_pattern(pattern: Pattern, world: World) -> Iterator[_Row]:
    """The whole, and how often each number of its first steps was found, where it has steps, with when at last."""
    for name, part in _beginnings(pattern):
        found = part.matches(world)
        each = found.group_by("labels", maintain_order=True).agg(pl.len(), pl.col("fired_at").max().dt.epoch("us"))
        state = "held" if name else "fired"
        for text, count, last in each.iter_rows():
            labels = tuple(sorted(json.loads(text).items()))
            yield _Row(name, state, labels, n=count, best_at=last)
        if not found.height:
            yield _Row(name, "never")


def _beginnings(pattern: Pattern) -> Iterator[tuple[str, Pattern]]:
    yield "", pattern
    if not isinstance(pattern, Sequence) or pattern.pairs is not None:
        return
    for number in range(1, len(pattern.steps)):
        steps = pattern.steps[:number]
        if any(step.not_ is None for step in steps):
            # Where it goes on after a match may be told by a step that is not among the first ones.
            first = {"steps": steps, "after": "skip_past_last", "after_step": None}
            yield f"sequence[{number}]", pattern.model_copy(update=first)
