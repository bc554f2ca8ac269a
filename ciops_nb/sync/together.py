"""Awaiting several things at once, and leaving none of them behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["together"]

T = TypeVar("T")


async def together(*several: Awaitable[T]) -> list[T]:
    """What all of *several* give, in their order.

    The first error ends the others, and is raised once they have ended: whoever asks again must not meet what is left
    of them. ``asyncio.gather`` would let them run on, and a ``TaskGroup`` would raise a group.
    """
    tasks = [asyncio.ensure_future(one) for one in several]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
