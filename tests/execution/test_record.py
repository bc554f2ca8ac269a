"""What a run keeps, and what it answers from it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from ciops_nb.execution.record import Record, Recorded, Recorder
from tests.execution.calls import FRAME, Engine, answer, call

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def test_calls_are_kept_in_the_order_of_asking_each_once() -> None:
    gate = asyncio.get_running_loop().create_future()
    record = Record(Engine(live=[gate]))
    with Recorder(NOW).on() as kept:
        slow = asyncio.ensure_future(record(call("slow")))
        await asyncio.sleep(0)
        await record(call("quick"))
        gate.set_result(FRAME)
        await slow
        await record(call("quick"))

    assert ["slow", "quick"] == [entry.call.tool for entry in kept.recorded]


async def test_what_is_known_is_not_asked() -> None:
    engine = Engine()
    before = Recorded(call("known"), answer(FRAME.head(1)), NOW, 0.0)
    with Recorder(NOW, known=[before]).on() as kept:
        known, other = await Record(engine)(call("known")), await Record(engine)(call("other"))

    assert (1, 2, ["other"]) == (known.rows, other.rows, [asked.tool for asked in engine.asked])
    assert 2 == len(kept.recorded)


async def test_a_call_that_failed_is_not_kept_and_the_others_are() -> None:
    record = Record(Engine(live=[FRAME, LookupError("gone")]))
    with Recorder(NOW).on() as kept:
        await record(call("a"))
        with pytest.raises(LookupError):
            await record(call("b"))

    assert ["a"] == [entry.call.tool for entry in kept.recorded]


async def test_outside_of_a_run_nothing_is_kept() -> None:
    with Recorder(NOW).on() as kept:
        pass
    await Record(Engine())(call())

    assert () == kept.recorded
