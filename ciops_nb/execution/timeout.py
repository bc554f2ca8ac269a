"""The layer that ends what takes too long."""

from __future__ import annotations

from functools import partial

from ciops_nb import sync
from ciops_nb.execution.call import Answer, Call, Runner

__all__ = ["Timeout"]


class Timeout:
    """Cancels a call that has run for its ``timeout`` seconds; None lets it run."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    async def __call__(self, call: Call) -> Answer:
        return await sync.limited(partial(self._inner, call), call.tool, call.timeout)
