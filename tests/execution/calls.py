"""Calls, answers and an innermost runner for tests of the layers: real frames and a plan of faults, no tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import polars as pl

from ciops_nb.execution.call import Answer, Call

FRAME = pl.DataFrame({"ci_code": ["a", "b"], "n": [1, 2]})


def call(tool: str = "ci_search", *, params: Any = None, **other: Any) -> Call:
    fields: dict[str, Any] = {
        "version": 1, "arguments": {}, "params": params or {}, "tenant": "t", "user": None, "engine": "polars",
        "data_version": "v1", "source": "live", "ttl": 60.0, "timeout": None,
    }  # fmt: skip
    return Call(tool, **{**fields, **other})


def answer(value: Any = FRAME, *, source: str = "live", **other: Any) -> Answer:
    total = value.height if isinstance(value, pl.DataFrame) else value.number_of_nodes()
    return Answer(value, "polars", "v1", "2026-03-01T00:00:00Z", source, total, **other)


class Engine:
    """Answers each call, as planned for its source: a value, an error to raise, or something to await first."""

    def __init__(self, **plans: list[Any]) -> None:
        self.plans, self.asked = plans, []

    async def __call__(self, asked: Call) -> Answer:
        self.asked.append(asked)
        steps = self.plans.get(asked.source, [])
        step = steps.pop(0) if steps else FRAME
        if asyncio.isfuture(step):
            step = await step
        if isinstance(step, BaseException):
            raise step
        return answer(step, source=asked.source)


class Clock:
    """Time that goes when it is told."""

    def __init__(self, unit: int = 1) -> None:
        self.now, self.unit = 0.0, unit

    def __call__(self) -> Any:
        return self.now if self.unit == 1 else int(self.now * self.unit)


async def settle(until: Callable[[], bool]) -> None:
    """Let other tasks run until something has come about."""
    for _ in range(1000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come about")
