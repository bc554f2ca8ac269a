"""What every recipe does with answers: name the calls it rests on, say what is missing in them, list names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import polars as pl

from ciops_nb.answers import COMPLETE, provenance
from ciops_nb.recipes.findings import Statement

__all__ = ["as_polars", "call_id", "counted", "incomplete", "listed"]

_MOST_LISTED = 12


def call_id(answer: Any) -> str:
    """The id of the call that *answer* came from."""
    return str(provenance(answer).call_id)


def as_polars(frame: Any) -> pl.DataFrame:
    """A frame of a tool as polars, whatever kind the session hands out."""
    return frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)


def listed(names: Collection[str], most: int = _MOST_LISTED) -> str:
    """The names, and how many more there are."""
    shown = list(names)
    more = len(shown) - most
    return ", ".join(shown if more <= 0 else [*shown[:most], f"and {more} more"])


def counted(number: int, noun: str, nouns: str = "", *, none: str = "0") -> str:
    """``1 hop``, ``2 hops``; *nouns* where they do not end in an s: ``2 retries``; *none* stands for 0."""
    return f"{f'{number:,}' if number else none} {noun if number == 1 else nouns or f'{noun}s'}"


def incomplete(answers: Iterable[Any]) -> Iterator[Statement]:
    """What the tools said of their own answers: what they left out, and their warnings."""
    told: dict[str, list[str]] = {}
    for answer in answers:
        record = provenance(answer)
        if record.completeness.status != COMPLETE:
            cut = [f"{part['count']} {part['what']} ({part['why']})" for part in record.completeness.left_out]
            what = f", without {', '.join(cut)}" if cut else ""
            told.setdefault(f"An answer of {record.tool} is {record.completeness.status}{what}.", []).append(
                record.call_id
            )
        for warning in record.warnings:
            told.setdefault(f"{record.tool} warns: {warning}.", []).append(record.call_id)
    for text, calls in told.items():
        yield Statement(text, tuple(dict.fromkeys(calls)))
