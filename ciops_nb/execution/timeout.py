"""The layer that ends what takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ciops_nb.errors import ToolTimedOut
from ciops_nb.execution.call import Answer, Call, Runner

__all__ = ["Timeout", "limited"]


@asynccontextmanager
async def limited(tool: str, seconds: float | None) -> AsyncIterator[None]:
    """Cancel what is done inside for *tool* after so many seconds; None lets it run.

    Raises:
        ToolTimedOut: it took longer.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired() or seconds is None:  # one of the tool's own
            raise
        raise ToolTimedOut(tool, seconds) from None


class Timeout:
    """Cancels a call that has run for its ``timeout`` seconds; None lets it run."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    async def __call__(self, call: Call) -> Answer:
        async with limited(call.tool, call.timeout):
            return await self._inner(call)
