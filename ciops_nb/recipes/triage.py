"""Triage: one CI hurts at some moment; what is hurt, what changed, what moved first, and what is not known?

It puts other recipes together: which CI some words mean is in ``lookup``, who is hurt in ``blast_radius``, and how
changes rank in ``what_changed``. How far a metric is from normal is in ``movers``, which CI explains another in
``leads``, what follows for this CI in ``case``, and the words are in ``account``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from ciops_nb import sync
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.estate.times import TimeRange, parse_duration, parse_range, parse_time, shift
from ciops_nb.kinds import Between, CiWords, Length, Moment, Range
from ciops_nb.recipes.account import findings_of, not_clear
from ciops_nb.recipes.blast_radius import ask_needs
from ciops_nb.recipes.case import Case, judge
from ciops_nb.recipes.findings import Findings
from ciops_nb.recipes.lookup import Candidates, candidates_of
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["triage"]


@recipe
async def triage(
    ops: Ops,
    ci: CiWords,
    *,
    at: Moment,
    window: Length = "2h",
    depth: Annotated[int, Between(0, 6)] = 3,
    baseline: Length = "24h",
    normal: Range | None = None,
    history: Length = "6h",
) -> Findings:
    """What is hurt, what changed, and what moved first around one CI at one moment?

    Args:
        ci: Code of the CI that hurts, or words that mean one, as for ``lookup``: where they may mean several, these are
            told and nothing is triaged. A text without a blank that has more than letters in it, such as
            ``app-erp-1``, is a code or a name, and what is not wholly so is not guessed at.
        at: When it was noticed: a time such as ``2026-03-02T10:00Z``.
        window: How long before that moment to look for what moved, such as ``2h`` or ``30m``; half of it after.
        depth: How many hops to look upstream (to what it needs, 6 at most) and downstream (to what it hurts).
        baseline: How long a time directly before the window counts as normal, such as ``24h``; the points in it are
            what the metrics are compared with, twelve of a series at least.
        normal: A time range that counts as normal instead of the baseline, such as ``2023-08-20/2023-08-27``.
        history: How long before that moment to look for events, changes, maintenance and incidents, such as ``6h``;
            never shorter than the window.

    Raises:
        ItemNotFound: no such CI at that moment, and none that the words mean.
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
    item, meant = await _item(ops, ci, moment)
    if item is None:
        assert meant is not None
        return not_clear(meant)
    code = ci if meant is None else str(meant.best)
    needed, hurt = await _together(
        ops.graph_expand(code, view="dependency", depth=depth, as_of=moment),
        ops.graph_expand(code, view="impact", depth=depth, as_of=moment),
    )
    around = list(dict.fromkeys([*needed, *hurt]))
    # The baseline and the window adjoin, so that one question answers both.
    spans: list[Any] = [(usual.start, end)] if normal is None else [usual, (start, end)]
    needs, happened, metrics, *series = await asyncio.gather(
        ask_needs(ops, hurt, moment=moment),
        ops.history_recent(around, time_range=(past, end), limit=None),
        ops.metric_list(),
        *(ops.metric_series_table(None, around, time_range=part) for part in spans),
    )
    case = Case(
        code, meant, moment, past, start, end, usual, item, needed, hurt, needs, happened, metrics, tuple(series)
    )
    judged = await sync.in_thread(judge, case, normal is None)
    # Where nothing was measured then, say when something was.
    whole = None if judged.now.height else await ops.estate()
    return findings_of(case, judged, whole)


async def _item(ops: Ops, ci: str, moment: datetime) -> tuple[Any, Candidates | None]:
    """The CI of that code, or, where none has it, the one that the words mean, and how they were understood.

    Raises:
        ItemNotFound: it is no code, and nothing has these words, or it looks like a code with a slip in it.
    """
    try:
        return await ops.ci_get_by_code(ci, as_of=moment), None
    except ItemNotFound:
        found = await candidates_of(ops, ci, as_of=moment, name="ci")
        words = ci.isalpha() or len(ci.split()) > 1
        if not found.rows.height or not (words or found.exact):
            raise
    return None if found.best is None else await ops.ci_get_by_code(found.best, as_of=moment), found


async def _together(*calls: Awaitable[Any]) -> list[Any]:
    """The answers to *calls*, which run at once; of several errors the first in order of asking, however they end."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
