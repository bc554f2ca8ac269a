"""A triage before it is told: what was asked and answered, and what follows from it. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from ciops_nb.estate.times import TimeRange
from ciops_nb.recipes.blast_radius import Failure, failure_of
from ciops_nb.recipes.evidence import as_polars, call_id
from ciops_nb.recipes.leads import Illness, Lead, needs_of, rank_leads
from ciops_nb.recipes.lookup import Candidates
from ciops_nb.recipes.movers import Movers, gaps_of, points_of, rank_movers
from ciops_nb.recipes.what_changed import rank_changes

__all__ = ["Case", "Judged", "judge"]

SEVERE = 4
"""Of severities from 1 to 5: from here on the CI is not well, whatever its metrics say."""


@dataclass(frozen=True)
class Case:
    """The question, and what the tools answered."""

    ci: str
    meant: Candidates | None  # how the words that were given were understood; None if they were the code
    moment: datetime
    past: datetime
    start: datetime
    end: datetime
    usual: TimeRange
    item: Any
    needed: Any
    hurt: Any
    needs: Any  # what all that may be hurt needs
    history: Any
    metrics: Any
    series: Sequence[Any]  # the points of the normal time and of the window, in one answer if these adjoin

    @cached_property
    def upstream(self) -> dict[str, int]:
        return {code: data["hops"] for code, data in self.needed.nodes(data=True)}

    @property
    def measured(self) -> tuple[str, ...]:
        """The calls that fetched points."""
        return tuple(call_id(part) for part in self.series)

    @cached_property
    def points(self) -> list[pl.DataFrame]:
        """The answers of *series* as polars frames."""
        return [as_polars(part) for part in self.series]

    @cached_property
    def defined(self) -> dict[str, dict[str, Any]]:
        """What is defined of each metric."""
        return {row["metric"]: row for row in as_polars(self.metrics).iter_rows(named=True)}

    def answers(self) -> Iterator[Any]:
        if self.meant is not None:
            yield self.meant.answer
        yield from (self.item, self.needed, self.hurt, self.needs, self.history, self.metrics, *self.series)


@dataclass(frozen=True)
class Judged:
    """What follows from the answers: nothing of it was asked."""

    now: pl.DataFrame
    movers: Movers
    ill: pl.DataFrame  # the movers that speak of illness
    gaps: pl.DataFrame
    failure: Failure  # who is hurt if the CI fails
    changed: pl.DataFrame  # the records upstream until the moment as `what_changed` ranks them
    signs: pl.DataFrame  # those of them that may have led to it: changes, maintenance and severe events elsewhere
    compared: frozenset[str]
    leads: tuple[Lead, ...]
    nan: Mapping[str, int]  # how many points of each CI are NaN


def judge(case: Case, adjoining: bool) -> Judged:
    """What follows from the answers; *adjoining*: the normal time ends where the window begins, asked in one."""
    kinds = {name: row["kind"] for name, row in case.defined.items()}
    bad = {name: row["bad_direction"] for name, row in case.defined.items()}
    if adjoining:
        points = points_of(case.points, kinds)
        usual, now = points.filter(pl.col("ts") < case.start), points.filter(pl.col("ts") >= case.start)
    else:
        usual, now = (points_of([part], kinds) for part in case.points)
    movers = rank_movers(usual, now, bad=bad, adjoining=adjoining)
    # A metric of which nobody said what is bad may be ill in either direction; one of which none is bad tells of load.
    said = [name for name, way in bad.items() if way in ("up", "down", "none")]
    ill = movers.moved.filter(pl.col("bad").fill_null(False) | ~pl.col("metric").is_in(said))
    upstream, compared = case.upstream, frozenset(movers.compared["ci_code"])
    changed = rank_changes(as_polars(case.history), upstream, at=case.moment, window=case.moment - case.past)
    signs = changed.filter(_is_sign(case.ci))
    # An event of hours ago is history; one in the window tells of now, as a metric does.
    severe = signs.filter((pl.col("kind") == "event") & (pl.col("start_at") >= case.start))
    illnesses = [
        Illness(row["ci_code"], row["moved_at"], row["score"], row["step"] or timedelta(0))
        for row in ill.iter_rows(named=True)
    ]
    illnesses += [Illness(row["ci_code"], row["start_at"], reported=True) for row in severe.iter_rows(named=True)]
    leads = rank_leads(
        case.ci,
        needs_of(case.needed),
        hops=upstream,
        ill=illnesses,
        measured=compared,
        changed=set(signs.filter(pl.col("kind") == "change")["ci_code"]),
    )
    gaps = gaps_of(usual, now, start=case.start, until=case.moment)
    failure = failure_of(case.ci, case.moment, case.hurt, case.needs)
    return Judged(now, movers, ill, gaps, failure, changed, signs, compared, tuple(leads), _nan(case))


def _nan(case: Case) -> dict[str, int]:
    """Pandas keeps NaN, and polars reads it from there as null: a tool hands out no nulls, so both mean NaN."""
    counts: dict[str, int] = {}
    for part in case.points:
        lost = part.filter(pl.col("value").fill_null(float("nan")).is_nan())
        for code, count in lost.group_by("ci_code").len().iter_rows():
            counts[code] = counts.get(code, 0) + count
    return dict(sorted(counts.items()))


def _is_sign(ci: str) -> pl.Expr:
    """What may have led to it: what was done, and severe events elsewhere; those on *ci* tell of what hurts."""
    severe = (pl.col("kind") == "event") & (pl.col("severity") >= SEVERE) & (pl.col("ci_code") != ci)
    return pl.col("kind").is_in(["change", "maintenance"]) | severe
