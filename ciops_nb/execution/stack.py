"""The order of the layers, in one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ciops_nb.execution.cache import Cache, Kept
from ciops_nb.execution.call import Call, Runner
from ciops_nb.execution.fallback import Fallback
from ciops_nb.execution.record import Record
from ciops_nb.execution.sources import Choice, Health
from ciops_nb.execution.timeout import Timeout
from ciops_nb.execution.trace import Trace, Traced

__all__ = ["build_runner"]


def build_runner(
    ask: Runner,
    *,
    order: Callable[[Call], Awaitable[Sequence[Choice]]],
    health: dict[str, Health],
    on: tuple[type[Exception], ...],
    kept: Kept,
    trace: Trace,
) -> Runner:
    """Put the layers around *ask*, which asks the source that a call names."""
    runner: Runner = Timeout(ask)  # innermost: each source has its own time
    runner = Fallback(runner, order, health, on)
    runner = Cache(runner, kept)
    runner = Record(runner)
    return Traced(runner, trace)  # outermost: sees every answer
