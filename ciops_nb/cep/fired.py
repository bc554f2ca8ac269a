"""What a rule has found, as other rules see it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from ciops_nb.cep.model import Rule
from ciops_nb.cep.samples import Floats, Ints, Labels

__all__ = ["NEVER", "Fired"]

NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Fired:
    """The alerts of one rule, in its order.

    Attributes:
        rule: Its id.
        labels: The labels of each alert.
        own: The labels without those that the rule itself gives.
        ci: The CI of each.
        active: When it became active, in microseconds since 1970.
        fired: When it fired, NEVER if it did not.
        ended: When it ended, NEVER if it was still on at the end.
        value: The value when it fired, NaN for none.
    """

    rule: str
    labels: tuple[Labels, ...]
    own: tuple[Labels, ...]
    ci: tuple[str | None, ...]
    active: Ints
    fired: Ints
    ended: Ints
    value: Floats

    @classmethod
    def of(cls, rules: Iterable[tuple[Rule, pl.DataFrame]]) -> Fired:
        """The alerts of the rules of one id."""
        given = list(rules)
        found = pl.concat(frame for _, frame in given)
        labels = [tuple(sorted(json.loads(text).items())) for text in found["labels"]]
        named = [set(rule.labels) for rule, frame in given for _ in range(frame.height)]
        own = [tuple(pair for pair in one if pair[0] not in names) for one, names in zip(labels, named, strict=True)]
        active, fired, ended = (
            found[name].to_physical().fill_null(NEVER).to_numpy() for name in ("active_at", "fired_at", "ended_at")
        )
        return cls(
            given[0][0].id or "",
            tuple(labels),
            tuple(own),
            tuple(found["ci"]),
            active,
            fired,
            ended,
            found["value"].fill_null(float("nan")).to_numpy(),
        )
