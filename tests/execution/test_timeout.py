"""The time a call may take."""

from __future__ import annotations

import asyncio

import pytest

from ciops_nb.errors import ToolTimedOut
from ciops_nb.execution.timeout import Timeout
from tests.execution.calls import FRAME, Engine, call


async def test_what_takes_too_long_is_cancelled_and_named() -> None:
    gate = asyncio.get_running_loop().create_future()

    with pytest.raises(ToolTimedOut, match=r"ci_search gave no answer within 0\.01 s"):
        await Timeout(Engine(live=[gate]))(call(timeout=0.01))
    assert gate.cancelled()


@pytest.mark.parametrize("limit", [None, 5.0])
async def test_what_is_quick_enough_is_answered(limit: float | None) -> None:
    assert FRAME.equals((await Timeout(Engine())(call(timeout=limit))).value)


async def test_a_time_out_of_the_tool_itself_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError, match="the server"):
        await Timeout(Engine(live=[TimeoutError("the server")]))(call(timeout=5.0))


async def test_being_cancelled_from_outside_is_no_time_out() -> None:
    engine = Engine(live=[asyncio.get_running_loop().create_future()])
    task = asyncio.ensure_future(Timeout(engine)(call(timeout=5.0)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
