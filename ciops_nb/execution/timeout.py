"""The layer that ends what takes too long."""

from __future__ import annotations

import asyncio

from ciops_nb.errors import ToolTimedOut
from ciops_nb.execution.call import Answer, Call, Runner

__all__ = ["Timeout"]


class Timeout:
    """Cancels a call that has run for its ``timeout`` seconds; None lets it run."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    async def __call__(self, call: Call) -> Answer:
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                return await self._inner(call)
        except TimeoutError:
            if not limit.expired() or call.timeout is None:  # one of the tool's own
                raise
            raise ToolTimedOut(call.tool, call.timeout) from None
