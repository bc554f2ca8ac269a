"""Events by themselves: what an event trigger of operations rules waits for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import polars as pl

from ciops_nb.cep.answer import evidence_lists, found_rows
from ciops_nb.cep.conditions.base import Read
from ciops_nb.cep.conditions.event import EventFilter
from ciops_nb.cep.patterns.base import Pattern
from ciops_nb.cep.world import World

__all__ = ["Occurrence"]


class Occurrence(EventFilter, Pattern):
    """Fires at each event that is meant."""

    KIND: ClassVar[str] = "event"

    def reads(self) -> Iterator[Read]:
        yield Read("event")

    def matches(self, world: World) -> pl.DataFrame:
        events = world.events
        rows = np.flatnonzero(self.of(events) & (events.ts >= world.start) & (events.ts <= world.end))
        ts, cis = events.ts[rows], events.frame["ci"][rows]
        once = np.ones(len(rows), dtype=np.int64)
        return found_rows(
            labels=[{} if ci is None else {"ci": ci} for ci in cis.to_list()],
            ci=cis.to_list(),
            active=ts,
            fired=ts,
            ended=ts,
            n=once,
            evidence=evidence_lists(
                pl.DataFrame({"step": ["1"] * len(rows), "record_id": events.seq[rows], "ts": ts, "ci_code": cis}), once
            ),
        ).sort("fired_at", "ci", "labels", maintain_order=True)
