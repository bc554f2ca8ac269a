"""Triage: one CI hurts at some moment; what is hurt, what changed, what moved first, and what is not known?

The recipe asks. How far a metric is from normal is in ``movers``, which CI explains another in ``leads``, what follows
for this CI in ``case``, and the words are in ``account``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from ciops_nb import sync
from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import TimeRange, parse_duration, parse_range, parse_time, shift
from ciops_nb.recipes.account import findings_of
from ciops_nb.recipes.case import Case, judge
from ciops_nb.recipes.evidence import as_polars
from ciops_nb.recipes.findings import Findings
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["triage"]


@recipe
async def triage(
    ops: Ops,
    ci: str,
    *,
    at: Any,
    window: str = "2h",
    depth: int = 3,
    baseline: str = "24h",
    normal: Any = None,
    history: str = "6h",
) -> Findings:
    """What is hurt, what changed, and what moved first around one CI at one moment?

    Args:
        ci: Code of the CI that hurts.
        at: When it was noticed: a time such as ``2026-03-02T10:00Z``.
        window: How long before that moment to look for what moved, such as ``2h`` or ``30m``; half of it after.
        depth: How many hops to look upstream (to what it needs, 6 at most) and downstream (to what it hurts).
        baseline: How long a time directly before the window counts as normal, such as ``24h``; the points in it are
            what the metrics are compared with, twelve of a series at least.
        normal: A time range that counts as normal instead of the baseline, such as ``2023-08-20/2023-08-27``.
        history: How long before that moment to look for events, changes, maintenance and incidents, such as ``6h``;
            never shorter than the window.

    Raises:
        ItemNotFound: no such CI at that moment.
        BadTimeRange, BadParameter: a time, a length of time or the depth cannot be meant.
    """
    if not isinstance(ci, str):
        raise BadParameter("ci", ci, "is not the code of one CI", "Triage one CI at a time")
    moment = parse_time(at, tz=ops.tz, name="at")
    span = parse_duration(window, name="window")
    start, end = shift(moment, -span, "window", window), shift(moment, span / 2, "window", window)
    past = shift(moment, -max(span, parse_duration(history, name="history")), "history", history)
    usual = (
        TimeRange(shift(start, -parse_duration(baseline, name="baseline"), "baseline", baseline), start)
        if normal is None
        else parse_range(normal, now=moment, tz=ops.tz, name="normal")
    )
    item, needed, hurt = await _together(
        ops.ci_get_by_code(ci, as_of=moment),
        ops.graph_expand(ci, view="dependency", depth=depth, as_of=moment),
        ops.graph_expand(ci, view="impact", depth=depth, as_of=moment),
    )
    around = list(dict.fromkeys([*needed, *hurt]))
    happened, metrics = await asyncio.gather(
        ops.history_recent(around, time_range=(past, end), limit=None), ops.metric_list(around)
    )
    defined = {row["metric"]: row for row in as_polars(metrics).iter_rows(named=True)}
    # The baseline and the window adjoin, so that one question answers both.
    spans: list[Any] = [(usual.start, end)] if normal is None else [usual, (start, end)]
    asked = await asyncio.gather(
        *(ops.metric_series_table(name, around, time_range=part) for name in defined for part in spans)
    )
    answers = {name: asked[place * len(spans) :][: len(spans)] for place, name in enumerate(defined)}
    case = Case(ci, moment, start, end, usual, item, needed, hurt, happened, metrics, answers, defined)
    judged = await sync.in_thread(judge, case, normal is None)
    # Where nothing was measured then, say when something was.
    whole = None if judged.now.height else await ops.estate()
    return findings_of(case, judged, whole)


async def _together(*calls: Awaitable[Any]) -> list[Any]:
    """The answers to *calls*, which run at once; of several errors the first in order of asking, however they end."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
