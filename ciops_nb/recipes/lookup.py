"""Lookup: which CI is meant by some words?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.names import nearest
from ciops_nb.recipes.evidence import as_polars, call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["lookup", "winner"]

_WHY = {1.0: "its code is that", 0.8: "its name is that", 0.6: "its code or name begins so", 0.4: "it has the word"}
_NAMED = 0.6  # from a prefix of the code or name on, a CI is meant; a word in some field may be any


@recipe
async def lookup(ops: Ops, text: str, *, as_of: Any = None, limit: int = 10) -> Findings:
    """Which CI is meant by these words?

    An exact code beats an exact name, that a prefix, and that words anywhere; several that are as good are all told.

    Args:
        text: Words of its code, name, type or tags, such as ``erp db``.
        as_of: The moment to look at; None is now.
        limit: How many candidates to show at most.
    """
    if not isinstance(text, str) or not text.strip():
        raise BadParameter("text", text, "holds no word", 'Such as "erp db"')
    found = await ops.ci_search(text, limit=limit, as_of=as_of)
    if not len(found):
        found = await ops.ci_search(text, match="any", limit=limit, as_of=as_of)
    rows, calls = as_polars(found), (call_id(found),)
    section = Section("Candidates", found, calls, text="The best first, ties in order of code.")
    unknown = tuple(incomplete([found]))
    if not rows.height:
        everything = await ops.ci_list_preview(sort="ci_code", limit=None, as_of=as_of)
        near = nearest(text, as_polars(everything)["ci_code"].to_list())
        hint = f" Codes that look like it: {listed(near)}." if near else ""
        nothing = Statement(f"No CI is found by {text!r}.{hint}", (*calls, call_id(everything)))
        return Findings(nothing, (), (section,), unknown=unknown)
    best = winner(rows)
    reasons = tuple(
        Statement(f"{row['ci_code']}: {_why(row['score'])}, in {row['matched_on']}.", calls)
        for row in rows.iter_rows(named=True)
    )
    if best is None:
        top = rows.filter(pl.col("score") == rows["score"].max())["ci_code"].to_list()
        headline = f"{text!r} may mean {listed(top)}: nothing tells them apart."
        step = Statement("Give the code, or a further word.", calls)
    else:
        others = f", rather than {counted(rows.height - 1, 'other')}" if rows.height > 1 else ""
        headline = f"{text!r} means {best}{others}."
        step = Statement(f"Look at what it needs and hurts (triage, blast_radius), with ci={best!r}.", calls)
    return Findings(Statement(headline, calls), reasons, (section,), unknown=unknown, next_steps=(step,))


def winner(rows: pl.DataFrame) -> str | None:
    """The code of the one CI that is meant among *rows* of ``ci_search``, None if several may be."""
    best = rows.filter(pl.col("score") == rows["score"].max())
    if best.height != 1 or (rows.height > 1 and best["score"].item() < _NAMED):
        return None
    return str(best["ci_code"].item())


def _why(score: float) -> str:
    return next((why for level, why in _WHY.items() if score >= level), "it contains that")
