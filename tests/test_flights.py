"""Equal questions that come together are one."""

from __future__ import annotations

import asyncio

import pytest

from ciops_nb.flights import Flights
from tests.execution.calls import settle


async def test_who_comes_while_it_is_made_waits_for_the_same_one() -> None:
    flights: Flights[object] = Flights()
    gate, made = asyncio.Event(), []

    async def make() -> object:
        made.append(object())
        await gate.wait()
        return made[-1]

    both = [asyncio.ensure_future(flights.join("a", make)) for _ in range(2)]
    await settle(lambda: bool(made))
    assert "a" in flights
    assert not flights.has("a")
    gate.set()

    assert [made[0]] * 2 == await asyncio.gather(*both)


@pytest.mark.parametrize("keep", [True, False])
async def test_what_was_made_is_held_only_where_it_is_kept(keep: bool) -> None:
    flights: Flights[list[int]] = Flights(keep=keep)

    async def make() -> list[int]:
        return []

    first = await flights.join("a", make)
    await asyncio.sleep(0)
    assert flights.has("a") is keep
    assert (await flights.join("a", make) is first) is keep
    flights.drop("a")
    assert await flights.join("a", make) is not first


async def test_what_failed_is_made_anew() -> None:
    flights: Flights[int] = Flights(keep=True)

    async def fail() -> int:
        raise ValueError("first")

    async def make() -> int:
        return 1

    with pytest.raises(ValueError, match="first"):
        await flights.join("a", fail)
    await asyncio.sleep(0)
    assert 1 == await flights.join("a", make)


async def test_a_caller_that_is_cancelled_takes_nothing_from_the_others_and_the_last_one_ends_it() -> None:
    flights: Flights[int] = Flights(keep=True)
    ended = []

    async def make() -> int:
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    one, other = (asyncio.ensure_future(flights.join("a", make)) for _ in range(2))
    await asyncio.sleep(0.001)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    assert not ended
    assert "a" in flights
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert ended
    assert "a" not in flights
