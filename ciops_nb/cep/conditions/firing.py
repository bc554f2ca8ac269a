"""Conditions on other rules: that an alert of theirs is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from ciops_nb.cep.conditions.base import Condition
from ciops_nb.cep.fields import Name, Names
from ciops_nb.cep.parts import Part, Sources
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels
from ciops_nb.cep.world import World

if TYPE_CHECKING:
    from ciops_nb.cep.fired import Fired

__all__ = ["RuleFires"]


class RuleFires(Condition):
    """An alert of another rule of the same load is on at that moment, whatever that rule's place.

    Its labels are those of the alert without the ones that the other rule itself gives, or only those of *by*; with
    *by*, it meets other conditions by these labels. Its value is the value with which the alert fired.
    """

    KIND: ClassVar[str] = "rule"

    rule: Name
    state: Literal["firing", "pending"] = "firing"
    by: Annotated[Names, Field(min_length=1)] | None = None

    def part(self, world: World) -> Part:
        return _On(world.fired[self.rule], world.grid, self.state, self.by)


class _On:
    """A series for each set of labels; of several alerts that are on the one that became active first counts."""

    def __init__(self, fired: Fired, grid: Grid, state: str, by: Names | None) -> None:
        self._fired = fired
        own = fired.own if by is None else [tuple(pair for pair in one if pair[0] in by) for one in fired.own]
        self._begin = fired.fired if state == "firing" else fired.active
        self._end = fired.ended if state == "firing" else np.minimum(fired.fired, fired.ended)
        self._first, self._after = grid.first_at(self._begin), grid.first_at(self._end)
        self.labels: tuple[Labels, ...] = tuple(sorted(set(own)))
        number = {one: place for place, one in enumerate(self.labels)}
        self._row = np.array([number[one] for one in own], dtype=np.int64)
        self.on = [by] * len(self.labels)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        which = self._which(ticks)
        holds = which >= 0
        return np.where(holds, self._fired.value[which] if len(self._row) else np.nan, np.nan), holds

    def _which(self, ticks: Ints) -> Ints:
        """The alert that is on for each series at each of *ticks* (in their order), -1 for none."""
        found = np.full((len(self.labels), len(ticks)), -1, dtype=np.int64)
        low, high = np.searchsorted(ticks, self._first), np.searchsorted(ticks, self._after)
        on = np.flatnonzero(low < high)
        for alert in on[np.argsort(-self._fired.active[on], kind="stable")].tolist():
            found[self._row[alert], low[alert] : high[alert]] = alert
        return found

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        asked, column = np.unique(ticks, return_inverse=True)
        fired = self._fired
        return [
            [
                {
                    "metric": None,
                    "ts": int(self._begin[alert]),
                    "value": None if np.isnan(fired.value[alert]) else float(fired.value[alert]),
                    "ci_code": fired.ci[alert],
                    "record_id": fired.rule,
                }
            ]
            for alert in self._which(asked)[series, column].tolist()
        ]
