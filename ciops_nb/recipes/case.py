"""A triage before it is told: what was asked and answered, and what follows from it. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from ciops_nb.estate.times import TimeRange
from ciops_nb.recipes.evidence import as_polars, call_id
from ciops_nb.recipes.leads import Illness, Lead, needs_of, rank_leads
from ciops_nb.recipes.movers import Movers, gaps_of, points_of, rank_movers

__all__ = ["Case", "Judged", "judge"]

SEVERE = 4
"""Of severities from 1 to 5: from here on the CI is not well, whatever its metrics say."""


@dataclass(frozen=True)
class Case:
    """The question, and what the tools answered."""

    ci: str
    moment: datetime
    start: datetime
    end: datetime
    usual: TimeRange
    item: Any
    needed: Any
    hurt: Any
    history: Any
    metrics: Any
    series: Mapping[str, Sequence[Any]]
    defined: Mapping[str, Mapping[str, Any]]

    @property
    def upstream(self) -> dict[str, int]:
        return {code: data["hops"] for code, data in self.needed.nodes(data=True)}

    @property
    def measured(self) -> tuple[str, ...]:
        """The calls that fetched points, or, where there were none to fetch, the one that said so."""
        return tuple(dict.fromkeys(call_id(part) for parts in self.series.values() for part in parts)) or (
            call_id(self.metrics),
        )

    @cached_property
    def points(self) -> dict[str, list[pl.DataFrame]]:
        """The answers of *series* as polars frames."""
        return {name: [as_polars(part) for part in parts] for name, parts in self.series.items()}

    def of_metric(self, name: str) -> tuple[str, ...]:
        return tuple(call_id(part) for part in self.series[name])

    def answers(self) -> Iterator[Any]:
        yield from (self.item, self.needed, self.hurt, self.history, self.metrics)
        for parts in self.series.values():
            yield from parts


@dataclass(frozen=True)
class Judged:
    """What follows from the answers: nothing of it was asked."""

    now: pl.DataFrame
    movers: Movers
    ill: pl.DataFrame  # the movers that speak of illness
    gaps: pl.DataFrame
    signs: pl.DataFrame  # changes, maintenance and severe events upstream until the moment, the oldest first
    compared: frozenset[str]
    leads: tuple[Lead, ...]
    nan: Mapping[str, int]  # how many points of each CI are NaN


def judge(case: Case, adjoining: bool) -> Judged:
    """What follows from the answers; *adjoining*: the normal time ends where the window begins, asked in one."""
    kinds = {name: row["kind"] for name, row in case.defined.items()}
    bad = {name: row["bad_direction"] for name, row in case.defined.items()}
    if adjoining:
        points = points_of([part for (part,) in case.points.values()], kinds)
        usual, now = points.filter(pl.col("ts") < case.start), points.filter(pl.col("ts") >= case.start)
    else:
        usual, now = (points_of([parts[n] for parts in case.points.values()], kinds) for n in (0, 1))
    movers = rank_movers(usual, now, bad=bad, adjoining=adjoining)
    # A metric of which nobody said what is bad may be ill in either direction; one of which none is bad tells of load.
    unsaid = [name for name, way in bad.items() if way not in ("up", "down", "none")]
    ill = movers.moved.filter(pl.col("bad").fill_null(False) | pl.col("metric").is_in(unsaid))
    upstream, compared = case.upstream, frozenset(movers.compared["ci_code"])
    signs = _signs(case)
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
    return Judged(now, movers, ill, gaps, signs, compared, tuple(leads), _nan(case))


def _nan(case: Case) -> dict[str, int]:
    """Pandas keeps NaN, and polars reads it from there as null: a tool hands out no nulls, so both mean NaN."""
    counts: dict[str, int] = {}
    for part in (part for parts in case.points.values() for part in parts):
        lost = part.filter(pl.col("value").fill_null(float("nan")).is_nan())
        for code, count in lost.group_by("ci_code").len().iter_rows():
            counts[code] = counts.get(code, 0) + count
    return dict(sorted(counts.items()))


def _signs(case: Case) -> pl.DataFrame:
    early = as_polars(case.history).filter(pl.col("start_at") <= case.moment)
    severe = (pl.col("kind") == "event") & (pl.col("severity") >= SEVERE) & (pl.col("ci_code") != case.ci)
    told = early.filter(pl.col("kind").is_in(["change", "maintenance"]) | severe)
    return told.filter(pl.col("ci_code").is_in(list(case.upstream))).sort("start_at", "record_id", "ci_code")
