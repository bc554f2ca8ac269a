"""Lookup: which CI is meant by some words?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.names import nearest
from ciops_nb.kinds import Between, Moment, SearchWords
from ciops_nb.parameters import check_count
from ciops_nb.recipes.evidence import as_polars, call_id, counted, incomplete, listed
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import recipe

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["Candidates", "candidates_of", "lookup", "winner"]

_WHY = {1.0: "its code is that", 0.8: "its name is that", 0.6: "its code or name begins so", 0.4: "it has the word"}
_EXACT = 0.8
_NAMED = 0.6  # from a prefix of the code or name on, a CI is meant; a word in some field may be any


@recipe
async def lookup(
    ops: Ops, text: SearchWords, *, as_of: Moment | None = None, limit: Annotated[int, Between(1)] = 10
) -> Findings:
    """Which CI is meant by these words?

    An exact code beats an exact name, that a prefix, and that words anywhere; several that are as good are all told.

    Args:
        text: Words of its code, name, type or tags, such as ``erp db``.
        as_of: The moment to look at; None is now.
        limit: How many candidates to show at most; the next is looked at too, since whether one is meant depends on it.
    """
    check_count("limit", limit, least=1)
    found = await candidates_of(ops, text, as_of=as_of, limit=limit)
    unknown, calls = tuple(incomplete([found.answer])), found.calls
    if not found.rows.height:
        everything = await ops.ci_list_preview(sort="ci_code", limit=None, as_of=as_of)
        near = nearest(text, as_polars(everything)["ci_code"].to_list())
        hint = f" Codes that look like it: {listed(near)}." if near else ""
        nothing = Statement(f"No CI is found by {text!r}.{hint}", (*calls, call_id(everything)))
        return Findings(nothing, (), (found.section(),), unknown=unknown)
    if found.best is None:
        headline = f"{found.doubt()}."
        step = Statement("Give the code, or a further word.", calls)
    else:
        others = f", rather than {counted(found.rows.height - 1, 'other')}" if found.rows.height > 1 else ""
        headline = f"{text!r} means {found.best}{others}."
        step = Statement(f"Look at what it needs and hurts (triage, blast_radius), with ci={found.best!r}.", calls)
    return Findings(
        Statement(headline, calls), found.reasons(), (found.section(),), unknown=unknown, next_steps=(step,)
    )


@dataclass(frozen=True)
class Candidates:
    """The CIs that some words may mean, the best first, and the one that is meant, None if several may be."""

    text: str
    answer: Any
    rows: pl.DataFrame
    best: str | None

    @property
    def calls(self) -> tuple[str, ...]:
        return (call_id(self.answer),)

    @property
    def exact(self) -> bool:
        """Whether the text is the whole code or name of one, but for capitals."""
        return bool((self.rows["score"] >= _EXACT).any())

    def reasons(self) -> tuple[Statement, ...]:
        """Of each why it may be the one."""
        rows = self.rows.iter_rows(named=True)
        return tuple(
            Statement(f"{row['ci_code']}: {_why(row['score'])}, in {row['matched_on']}.", self.calls) for row in rows
        )

    def doubt(self) -> str:
        """That several may be meant."""
        return f"{self.text!r} may mean {listed(self._first())}: nothing tells them apart"

    def taken(self) -> Statement:
        """That the best is what is meant, and why."""
        row = self.rows.row(by_predicate=pl.col("ci_code") == self.best, named=True)
        others = f", rather than {counted(self.rows.height - 1, 'other')}" if self.rows.height > 1 else ""
        text = f"{self.text!r} is taken to mean {self.best}{others}: {_why(row['score'])}, in {row['matched_on']}."
        return Statement(text, self.calls)

    def section(self) -> Section:
        return Section("Candidates", self.answer, self.calls, text="The best first, ties in order of code.")

    def _first(self) -> list[str]:
        codes: list[str] = self.rows.filter(pl.col("score") == self.rows["score"].max())["ci_code"].to_list()
        return codes


async def candidates_of(ops: Ops, text: Any, *, as_of: Any = None, limit: int = 10, name: str = "text") -> Candidates:
    """The CIs that *text* may mean: those with all its words, or, where there are none, with any of them.

    Args:
        ops: The session.
        text: The words.
        as_of: The moment to look at; None is now.
        limit: How many candidates at most; 2 at least, since whether one is meant depends on the next.
        name: What the text is called where it came from.

    Raises:
        BadParameter: it holds no word.
    """
    if not isinstance(text, str) or not text.strip():
        raise BadParameter(name, text, "holds no word", 'Such as "erp db"')
    most = 2 if limit == 1 else limit
    found = await ops.ci_search(text, limit=most, as_of=as_of)
    if not len(found):
        found = await ops.ci_search(text, match="any", limit=most, as_of=as_of)
    rows = as_polars(found)
    return Candidates(text, found, rows, winner(rows) if rows.height else None)


def winner(rows: pl.DataFrame) -> str | None:
    """The code of the one CI that is meant among *rows* of ``ci_search``, None if several may be."""
    best = rows.filter(pl.col("score") == rows["score"].max())
    if best.height != 1 or (rows.height > 1 and best["score"].item() < _NAMED):
        return None
    return str(best["ci_code"].item())


def _why(score: float) -> str:
    return next((why for level, why in _WHY.items() if score >= level), "it contains that")
