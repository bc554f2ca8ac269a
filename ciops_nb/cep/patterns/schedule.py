"""Schedules: moments that a cron expression names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import ClassVar

import polars as pl
from pydantic import field_validator

from ciops_nb.cep.answer import Match, matched
from ciops_nb.cep.conditions.base import Read
from ciops_nb.cep.fields import Name
from ciops_nb.cep.patterns.base import Pattern
from ciops_nb.cep.world import World
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.times import at_micros, micros, parse_zone

__all__ = ["Schedule"]

_MOST = 100_000  # one a minute for ten weeks


class Schedule(Pattern):
    """Fires whenever *cron* (minute hour day-of-month month day-of-week) says so, by the clock of *tz*.

    Where a clock is put forward or back it goes as Debian's cron does: what falls into the missing hour happens right
    after it, and what is due in the doubled hour happens once, unless it is due every hour.
    """

    KIND: ClassVar[str] = "schedule"
    NOUN: ClassVar[str] = "schedule"
    SUCH_AS: ClassVar[str] = "{cron: '0 9 * * mon-fri', tz: Europe/London}"

    cron: Name
    tz: Name | None = None

    @field_validator("cron")
    @classmethod
    def _readable(cls, cron: str) -> str:
        from cronsim import CronSim, CronSimError

        try:
            CronSim(cron, at_micros(0))
        except CronSimError as error:
            told = f"{str(error)[:1].lower()}{str(error)[1:]}"
            raise ValueError(f"{cron!r} is no cron expression: {told}. Write it as '0 9 * * mon-fri'") from None
        return cron

    @field_validator("tz")
    @classmethod
    def _known(cls, tz: str | None) -> str | None:
        try:
            return tz if tz is None else str(parse_zone(tz))
        except BadParameter as error:
            raise ValueError(f"{tz!r} {error.problem}. {error.hint}") from None

    def reads(self) -> Iterator[Read]:
        return iter(())

    def matches(self, world: World) -> pl.DataFrame:
        moments = list(self._moments(world))
        return matched([Match({}, at, at, at) for at in moments])

    def _moments(self, world: World) -> Iterator[int]:
        from cronsim import CronSim

        zone = world.zone if self.tz is None else parse_zone(self.tz)
        first = at_micros(world.start - 1)  # it looks for what is later
        for number, moment in enumerate(CronSim(self.cron, first.astimezone(zone))):
            at = micros(moment.astimezone(UTC))
            if at > world.end:
                return
            if number >= _MOST:
                raise BadRule(f"schedule, {self.cron!r}", f"fires more than {_MOST:,} times", "Ask for a shorter range")
            yield at
