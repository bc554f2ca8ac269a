"""The layer that asks another source where the first one fails, and says so on the answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from ciops_nb.execution.call import Answer, Call, Runner
from ciops_nb.execution.sources import Choice, Health

__all__ = ["Fallback"]


class Fallback:
    """Asks sources in turn. Only errors named in *on* lead to the next; with one source it does nothing."""

    def __init__(
        self,
        inner: Runner,
        order: Callable[[Call], Awaitable[Sequence[Choice]]],
        health: dict[str, Health],
        on: tuple[type[Exception], ...],
    ) -> None:
        self._inner, self._order, self._health, self._on = inner, order, health, on

    async def __call__(self, call: Call) -> Answer:
        failures: list[tuple[str, Exception]] = []
        for choice in await self._order(call):
            began = time.perf_counter()
            try:
                answer = await self._inner(call.to(choice.source))
            except self._on as error:
                self._health[choice.source].note(call.tool, False, time.perf_counter() - began)
                failures.append((choice.source, error))
                continue
            self._health[choice.source].note(call.tool, True, time.perf_counter() - began)
            if choice.source == call.source:
                return replace(answer, retries=len(failures))
            failed = "; ".join(f"{name}: {type(other).__name__}: {other}" for name, other in failures)
            return replace(
                answer, retries=len(failures), fallback={"source": choice.source, "reason": failed or choice.reason}
            )
        (_, first), *others = failures
        for name, other in others:
            first.add_note(f"source {name!r} failed too: {type(other).__name__}: {other}")
        raise first
