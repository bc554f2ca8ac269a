"""A fault that did not happen, put into a copy of the past: would a rule have seen it, where, and how soon?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.errors import BadParameter

__all__ = ["Fault", "faults", "hurt_by", "injected", "struck", "told_apart"]

_WAYS = ("add", "times", "set")
_HINT = "Write {'response_time': {'times': 3}, 'cpu': {'add': 40}, 'queue': {'set': 0}, 'disk': 'gone'}"


@dataclass(frozen=True)
class Fault:
    """What happens to one metric: a number is added, it is multiplied, set, or its points are gone."""

    metric: str
    way: str
    by: float = 0.0

    def applied(self, value: pl.Expr, share: pl.Expr) -> pl.Expr:
        """*value* with *share* (1 the whole, 0 nothing) of the fault."""
        if self.way == "add":
            return value + self.by * share
        if self.way == "times":
            return value * (1 + (self.by - 1) * share)
        return value + (self.by - value) * share


def faults(fault: Any) -> list[Fault]:
    """Read what shall happen to which metric, by its name."""
    if not isinstance(fault, Mapping) or not all(isinstance(name, str) for name in fault):
        raise BadParameter("fault", fault, "does not say what happens to which metric", _HINT)
    return [_fault(name, how) for name, how in sorted(fault.items())]


def _fault(name: str, how: Any) -> Fault:
    if how == "gone":
        return Fault(name, "gone")
    ways = [*how] if isinstance(how, Mapping) else []
    by = how[ways[0]] if len(ways) == 1 else None
    if by is None or ways[0] not in _WAYS or isinstance(by, bool) or not isinstance(by, (int, float)):
        raise BadParameter("fault", {name: how}, "is not what can happen to a metric", _HINT)
    try:
        number = float(by)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise BadParameter("fault", {name: how}, "is not a finite number", _HINT)
    return Fault(name, ways[0], number)


def hurt_by(relations: pl.DataFrame, cis: Sequence[str], at: datetime, hops: int) -> dict[str, tuple[int, str | None]]:
    """What is hurt when *cis* fail, in the order in which it is reached: how many hops away, and through which.

    Args:
        relations: src (which depends on), dst, valid_from and valid_to.
        cis: Where it begins.
        at: The moment whose relations count.
        hops: How far it goes.
    """
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") <= at)
    there = relations.filter(begun, pl.col("valid_to").is_null() | (pl.col("valid_to") > at))
    needing: dict[str, list[str]] = {}
    for src, dst in there.select("src", "dst").unique().sort("dst", "src").iter_rows():
        needing.setdefault(dst, []).append(src)
    found: dict[str, tuple[int, str | None]] = dict.fromkeys(sorted(cis), (0, None))
    ring = [*found]
    for hop in range(1, hops + 1):
        reached = [(src, dst) for dst in ring for src in needing.get(dst, []) if src not in found]
        ring = []
        for src, dst in sorted(reached):
            if src not in found:
                found[src] = (hop, dst)
                ring.append(src)
    return found


def struck(
    hurt: Mapping[str, tuple[int, str | None]],
    *,
    at: datetime,
    lasting: timedelta,
    delay: timedelta,
    damping: float,
    chance: np.random.Generator,
) -> pl.DataFrame:
    """When and how hard each CI is struck: ci, hops, begin, until, share.

    From hop to hop a fault takes between half and one and a half times *delay*, and *damping* of it is left.
    """
    begin: dict[str, datetime] = {}
    rows = []
    for code, (hop, through) in hurt.items():
        late = delay * chance.uniform(0.5, 1.5)  # drawn for the first too, so that its place is the same in any world
        begin[code] = at if through is None else begin[through] + late
        rows.append((code, hop, begin[code], begin[code] + lasting, float(damping**hop)))
    time = pl.Datetime("us", "UTC")
    schema = {"ci": pl.String(), "hops": pl.Int64(), "begin": time, "until": time, "share": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def injected(
    metrics: pl.DataFrame | None,
    events: pl.DataFrame | None,
    struck: pl.DataFrame,
    faults: list[Fault],
    event: Mapping[str, Any] | None,
    chance: np.random.Generator,
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Copies of *metrics* and *events* in which each CI of *struck* has the *faults* and reports *event*."""
    if metrics is not None:
        metrics = _in_metrics(metrics, struck, faults, chance)
    if events is not None and event:
        told = struck.select("ci", ts="begin", seq=pl.format("injected-{}", "ci"))
        reported = told.with_columns(pl.lit(value).alias(name) for name, value in event.items())
        known = {name: dtype for name, dtype in events.schema.items() if name in reported.columns}
        shaped = reported.select(pl.col(name).cast(dtype) for name, dtype in known.items())
        events = pl.concat([events, shaped], how="diagonal").sort("ts", "seq", maintain_order=True)
    return metrics, events


def _in_metrics(
    metrics: pl.DataFrame, struck: pl.DataFrame, faults: list[Fault], chance: np.random.Generator
) -> pl.DataFrame:
    rows = metrics.join(struck.drop("hops"), on="ci", how="left", maintain_order="left").with_columns(
        drawn=pl.Series(chance.random(metrics.height))
    )
    hit = pl.col("begin").is_not_null() & (pl.col("ts") >= pl.col("begin")) & (pl.col("ts") < pl.col("until"))
    value, lost = pl.col("value"), pl.lit(False)
    for fault in faults:
        here = hit & (pl.col("metric") == fault.metric)
        if fault.way == "gone":
            lost = lost | (here & (pl.col("drawn") < pl.col("share")))
        else:
            value = pl.when(here).then(fault.applied(pl.col("value"), pl.col("share"))).otherwise(value)
    return rows.filter(~lost.fill_null(False)).with_columns(value=value).select(metrics.columns)


def told_apart(alerts: pl.DataFrame, without: pl.DataFrame, struck: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """*alerts* with what the fault has to do with them.

    Adds injected (in those *without* the fault, no alert of the same rule and labels was on at any moment of it; one
    that fired is held against those that fired), delay_s (from the fault at *at* until it fired, or became active) and
    hops (how far from the fault its CI is; null: it was not struck).
    """
    since = pl.coalesce("fired_at", "active_at")
    shape: list[Any] = [
        "rule",
        "labels",
        pl.col("fired_at").is_not_null().alias("on"),
        since.alias("since"),
        "ended_at",
    ]
    numbered = alerts.with_row_index("of")
    both = numbered.select("of", *shape).join(without.select(shape), on=["rule", "labels", "on"], suffix="_before")
    known = both.filter(
        pl.col("ended_at").is_null() | (pl.col("since_before") < pl.col("ended_at")),
        pl.col("ended_at_before").is_null() | (pl.col("since") < pl.col("ended_at_before")),
    )
    return (
        numbered.join(struck.select("ci", "hops"), on="ci", how="left", maintain_order="left")
        .with_columns(
            injected=~pl.col("of").is_in(known["of"].implode()),
            delay_s=(since - at).dt.total_microseconds() / 1e6,
        )
        .select(*alerts.columns, "injected", "delay_s", "hops")
    )
