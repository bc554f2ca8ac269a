"""An old rule against a new one: which alerts only one of them gives, and which come earlier or later."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from ciops_nb.cep.answer import label_text
from ciops_nb.cep.model import Rule
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import replay

__all__ = ["SCHEMA", "compare", "compared"]

_TIME = pl.Datetime("us", "UTC")
SCHEMA: dict[str, pl.DataType] = {
    "state": pl.String(), "old_rule": pl.String(), "new_rule": pl.String(), "ci": pl.String(), "labels": pl.String(),
    "old_fired_at": _TIME, "new_fired_at": _TIME, "fired_later_s": pl.Float64(), "old_ended_at": _TIME,
    "new_ended_at": _TIME, "ended_later_s": pl.Float64(),
}  # fmt: skip
Row = Mapping[str, Any]


def compare(old: Any, new: Any, **given: Any) -> pl.DataFrame:
    """Replay two rules, or two sets of rules, on the same past, and say which of their alerts are the same.

    Args:
        old, new: Whatever ``load`` reads. One rule against one is compared whatever they are called; in sets those
            with the same id belong together.
        given: The other parameters of ``replay``.

    Returns:
        A frame as ``compared`` makes it.
    """
    before, after = load(old), load(new)
    return compared(replay(before, **given), replay(after, **given), before, after)


def compared(old: pl.DataFrame, new: pl.DataFrame, before: Sequence[Rule], after: Sequence[Rule]) -> pl.DataFrame:
    """Which alerts of the rules *before* and *after* are the same, from the frames that ``replay`` gave.

    Two alerts are the same if their labels are, but for those that the rules themselves give, and they fire at some
    moment both; each is matched once, the earliest first. Only alerts that fired are looked at.

    Returns:
        A frame, an alert or a pair of them a row, by the time of firing, ci and labels: state (both, only_old,
        only_new), old_rule, new_rule, ci, labels (JSON, those of the series), old_fired_at, new_fired_at, fired_later_s
        (by how many seconds the new one fires later; negative is earlier), old_ended_at, new_ended_at and ended_later_s
        (null where one of them is still on).
    """
    alone = len(before) == len(after) == 1
    ours = _by_series(old, before, "" if alone else None)
    theirs = _by_series(new, after, "" if alone else None)
    rows = [row for key in sorted({*ours, *theirs}) for row in _pairs(key[1], ours.get(key, []), theirs.get(key, []))]
    fired = pl.min_horizontal("old_fired_at", "new_fired_at")
    names = ("ci", "labels", "state", "old_rule", "new_rule")
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort(fired, *names, nulls_last=False)


def _by_series(alerts: pl.DataFrame, rules: Sequence[Rule], name: str | None) -> dict[tuple[str, str], list[Row]]:
    """The alerts that fired by the name of their rule (or *name* for all) and the labels of their series, in time."""
    given = {rule.id: rule.labels for rule in rules}
    found: dict[tuple[str, str], list[Row]] = {}
    for row in alerts.filter(pl.col("status") == "fired").sort("fired_at").iter_rows(named=True):
        own = given.get(row["rule"], {})
        labels = label_text({key: text for key, text in json.loads(row["labels"]).items() if key not in own})
        found.setdefault((row["rule"] if name is None else name, labels), []).append(row)
    return found


def _pairs(labels: str, ours: Sequence[Row], theirs: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    """The alerts of one series, those that fire together side by side."""
    left, right = list(ours), list(theirs)
    while left or right:
        if left and right and _meet(left[0], right[0]):
            yield _row(labels, left.pop(0), right.pop(0))
        elif not right or (left and left[0]["fired_at"] <= right[0]["fired_at"]):
            yield _row(labels, left.pop(0), None)
        else:
            yield _row(labels, None, right.pop(0))


def _meet(one: Row, other: Row) -> bool:
    return _before(one["fired_at"], other["ended_at"]) and _before(other["fired_at"], one["ended_at"])


def _before(moment: datetime, end: datetime | None) -> bool:
    return end is None or moment < end


def _row(labels: str, old: Row | None, new: Row | None) -> tuple[Any, ...]:
    one = old or new
    assert one is not None
    state = "both" if old and new else "only_old" if old else "only_new"
    was, now = old or {}, new or {}
    return (
        state, was.get("rule"), now.get("rule"), one["ci"], labels,
        was.get("fired_at"), now.get("fired_at"), _later(was.get("fired_at"), now.get("fired_at")),
        was.get("ended_at"), now.get("ended_at"), _later(was.get("ended_at"), now.get("ended_at")),
    )  # fmt: skip


def _later(old: datetime | None, new: datetime | None) -> float | None:
    return None if old is None or new is None else (new - old).total_seconds()
