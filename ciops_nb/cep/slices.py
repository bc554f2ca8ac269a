"""Samples in slices, where there are too many to hold at once and no rule looks at several CIs together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from ciops_nb.cep.conditions import AllOf, AnyOf, Metric, Not, Operand, Ratio
from ciops_nb.cep.conditions.metric import Selection
from ciops_nb.cep.fields import pieces
from ciops_nb.cep.model import Rule

__all__ = ["is_by_ci", "slices"]

_ROWS = 1_000_000  # of a slice: half a gigabyte while it is replayed
_MANY = 20_000_000  # rows of a frame that is in memory anyway
_KNOWN = (Rule, Metric, Operand, Ratio, AllOf, AnyOf, Not)
_FIELDS = {"id", "when", "for_", "keep_firing_for", "every", "labels", "annotations"}


def is_by_ci(rules: Sequence[Rule]) -> bool:
    """Whether what *rules* say of a CI depends on the samples of no other.

    Only words whose meaning is known here are taken to be so.
    """
    found = list(pieces(list(rules)))
    return (
        all(rule.model_fields_set <= _FIELDS and "ci" not in rule.labels for rule in rules)
        and all(type(piece) in _KNOWN for piece in found)
        and all(piece.reduce is None or "ci" in (piece.by or ()) for piece in found if isinstance(piece, Selection))
    )


def slices(metrics: Any, rules: Sequence[Rule]) -> Iterator[Any]:
    """*metrics* in parts, each of which *rules* can be replayed on by itself; mostly it is one part.

    Of a lazy frame only the metrics that the rules name are read.
    """
    lazy = isinstance(metrics, pl.LazyFrame)
    if not lazy and not (isinstance(metrics, pl.DataFrame) and metrics.height > _MANY):
        yield metrics
        return
    schema = metrics.collect_schema()
    rows = metrics.lazy()
    used = {read.metric for rule in rules for read in rule.reads() if read.table == "metric"}
    if None not in used and "metric" in schema:
        rows = rows.filter(pl.col("metric").cast(pl.String).is_in(sorted(name for name in used if name is not None)))
    if schema.get("ci") != pl.String or not is_by_ci(rules):
        yield rows if lazy else metrics
        return
    counts = rows.group_by(pl.col("ci").fill_null("")).len().collect(engine="streaming").sort("ci")
    if counts["len"].sum() <= _ROWS:
        yield rows
        return
    for first, last in _ranges(counts):
        # A range, and not a list of codes: a reader can tell from it which parts of a file it need not read.
        held = pl.col("ci").is_between(pl.lit(first), pl.lit(last))
        yield rows.filter(held | pl.col("ci").is_null() if first == "" else held)


def _ranges(counts: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Ranges of codes, from the first to the last, with as many rows as a slice may have, or of one code."""
    slice_of = 0
    held = 0
    numbers = []
    for count in counts["len"].to_list():
        held += count
        if held > _ROWS and held > count:
            slice_of, held = slice_of + 1, count
        numbers.append(slice_of)
    for _, part in counts.with_columns(slice=pl.Series(numbers)).group_by("slice", maintain_order=True):
        yield part["ci"][0], part["ci"][-1]
