"""Several things at once: the first error ends the others, and nothing of them is left when it is raised."""

from __future__ import annotations

import asyncio

import pytest

from ciops_nb import sync


async def after(seconds: float, ended: list[str], name: str, error: Exception | None = None) -> str:
    try:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)  # cleans up
        ended.append(f"{name} was cancelled")
        raise
    return name


async def test_gives_all_answers_in_the_order_asked() -> None:
    ended: list[str] = []

    assert await sync.together(after(0.02, ended, "a"), after(0.0, ended, "b")) == ["a", "b"]
    assert await sync.together() == []


async def test_an_error_ends_the_others_first() -> None:
    ended: list[str] = []

    with pytest.raises(LookupError, match="gone"):
        await sync.together(after(60, ended, "a"), after(0.0, ended, "b", LookupError("gone")))

    assert ended == ["a was cancelled"]


async def test_a_cancelled_caller_leaves_nothing_behind() -> None:
    ended: list[str] = []
    task = asyncio.ensure_future(sync.together(after(60, ended, "a"), after(60, ended, "b")))
    await asyncio.sleep(0.01)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert sorted(ended) == ["a was cancelled", "b was cancelled"]
