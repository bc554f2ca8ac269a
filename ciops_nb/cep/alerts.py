"""From the ticks at which a condition held to alerts: pending, firing, kept firing, ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ciops_nb.cep.samples import Bools, Floats, Ints

__all__ = ["Alerts", "alerts", "from_runs"]


@dataclass(frozen=True)
class Alerts:
    """One alert a place: its series, and ticks by number; *fired* and *ended* are -1 where it did not."""

    series: Ints
    active: Ints
    fired: Ints
    ended: Ints
    value: Floats
    held: Ints

    def __len__(self) -> int:
        return len(self.series)


def alerts(series: Ints, ticks: Ints, values: Floats, *, hold: int, keep: int, count: int) -> Alerts:
    """Run the states of Prometheus' alerting rules (rules/alerting.go, Eval) over all series at once.

    Args:
        series, ticks, values: The condition held for this series at this tick with this value; by series, then tick.
        hold: After so many ticks of holding it fires.
        keep: For so many ticks without holding it goes on firing.
        count: How many ticks there are.
    """
    first = np.ones(len(ticks), dtype=np.bool_)
    first[1:] = (series[1:] != series[:-1]) | (ticks[1:] != ticks[:-1] + 1)
    starts = np.flatnonzero(first)
    lengths = np.diff(np.append(starts, len(ticks)))
    who, begin = series[starts], ticks[starts]
    opened, fired, end = from_runs(who, begin, begin + lengths, hold=hold, keep=keep)
    at_fire = np.where(fired, starts[opened] + hold, starts[opened])
    return Alerts(
        who[opened],
        begin[opened],
        np.where(fired, begin[opened] + hold, -1),
        np.where(end < count, end, -1),
        np.where(fired, values[at_fire], np.nan),
        np.add.reduceat(lengths, opened) if len(opened) else opened,
    )


def from_runs(who: Ints, begin: Ints, after: Ints, *, hold: int, keep: int) -> tuple[Ints, Bools, Ints]:
    """Alerts from the runs of ticks at which the condition held, from *begin* to before *after*, by series and time.

    Returns:
        For each alert the place of the run that opened it, whether it fired, and the tick at which it ended.
    """
    fires = after - begin > hold
    # A run goes on with the alert of the one before if that fired and is kept up to here; holding again at the very
    # tick at which it would end keeps it.
    linked = np.zeros(len(begin), dtype=np.bool_)
    linked[1:] = (who[1:] == who[:-1]) & (begin[1:] <= after[:-1] + keep)
    firing = _any_so_far(fires, linked)
    fresh = np.ones(len(begin), dtype=np.bool_)
    fresh[1:] = ~(linked[1:] & firing[:-1])
    opened = np.flatnonzero(fresh)
    closed = np.append(opened[1:], len(begin))[: len(opened)] - 1
    fired = firing[opened]
    return opened, fired, after[closed] + np.where(fired, keep, 0)


def _any_so_far(flags: Bools, linked: Bools) -> Bools:
    """Whether a flag was set here or before in the chain of linked places."""
    counted = np.cumsum(flags)
    places = np.arange(len(flags))
    chain = np.maximum.accumulate(np.where(linked, 0, places)) if len(flags) else places
    return (counted - counted[chain] + flags[chain]) > 0
