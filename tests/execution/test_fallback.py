"""Other sources: when they are asked, in which turn, and what the answer says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ciops_nb.errors import BadParameter, EngineUnavailable, ToolTimedOut
from ciops_nb.execution.call import Call
from ciops_nb.execution.fallback import Fallback
from ciops_nb.execution.sources import Choice, Health, choose
from tests.execution.calls import Clock, Engine, call

AWAY = EngineUnavailable("polars", "the disk is away")
ON = (EngineUnavailable, ToolTimedOut)
NAMES = ("live", "snapshot")


def layered(engine: Engine, names: tuple[str, ...] = NAMES) -> tuple[Fallback, dict[str, Health]]:
    health = {name: Health(Clock()) for name in names}

    async def order(asked: Call) -> list[Choice]:
        return choose(asked.tool, names, health)

    return Fallback(engine, order, health, ON), health


async def test_the_first_source_answers_without_a_label() -> None:
    layer, _ = layered(Engine())

    found = await layer(call())

    assert ("live", None, 0, "complete") == (found.source, found.fallback, found.retries, found.status)


async def test_where_it_fails_the_next_one_answers_and_says_why() -> None:
    layer, _ = layered(Engine(live=[AWAY]))

    found = await layer(call())

    reason = "live: EngineUnavailable: Engine polars: the disk is away."
    assert ({"source": "snapshot", "reason": reason}, 1, "fallback") == (found.fallback, found.retries, found.status)


async def test_an_error_that_is_not_named_is_raised_at_once() -> None:
    engine = Engine(live=[BadParameter("limit", -1, "is wrong")])
    layer, _ = layered(engine)

    with pytest.raises(BadParameter):
        await layer(call())
    assert 1 == len(engine.asked)


async def test_if_all_fail_the_error_of_the_first_is_raised_with_a_note_of_the_others() -> None:
    layer, _ = layered(Engine(live=[EngineUnavailable("polars", "gone")], snapshot=[ToolTimedOut("ci_search", 3)]))

    with pytest.raises(EngineUnavailable) as caught:
        await layer(call())
    assert ["source 'snapshot' failed too: ToolTimedOut: ci_search gave no answer within 3 s and was cancelled. Ask for less, or allow more."] == (
        caught.value.__notes__
    )  # fmt: skip


async def test_a_source_that_failed_three_times_is_asked_last_for_a_while() -> None:
    engine, clock = Engine(live=[AWAY] * 3), Clock()
    layer, health = layered(engine)
    health["live"]._clock = clock
    for _ in range(3):
        await layer(call())

    clock.now = 10.0
    found = await layer(call())
    assert ["live", "snapshot"] * 3 + ["snapshot"] == [asked.source for asked in engine.asked]
    assert "failed 3 times in a row; asked last for another 20 s" == choose("ci_search", NAMES, health)[1].reason
    assert {"source": "snapshot", "reason": "configured after it"} == found.fallback

    clock.now = 30.0
    assert None is (await layer(call())).fallback


def heard(*outcomes: bool, seconds: float = 0.1) -> Health:
    health = Health(Clock())
    for ok in outcomes:
        health.note("ci_search", ok, seconds)
    return health


THEN, LATER = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("live", "snapshot", "held", "expected"),
    [
        (heard(*[True] * 5), heard(*[True] * 5), LATER, "live"),
        (heard(*[False, True] * 3), heard(*[True] * 5), LATER, "snapshot"),
        (heard(*[False, True] * 3), heard(*[True] * 5), None, "live"),
        (heard(*[False, True] * 3), heard(*[True] * 5), datetime(2026, 2, 1, tzinfo=UTC), "live"),
        (heard(*[True] * 5, seconds=3.0), heard(*[True] * 5), LATER, "snapshot"),
        (heard(*[True] * 4, seconds=3.0), heard(*[True] * 5), LATER, "live"),
        (heard(*[True] * 5, seconds=0.19), heard(*[True] * 5), LATER, "live"),
        (heard(*[False, True] * 3), heard(*[False] * 3), LATER, "live"),
    ],
)
def test_another_source_stands_in_only_if_it_has_what_is_asked_and_does_better(
    live: Health, snapshot: Health, held: Any, expected: str
) -> None:
    health = {"live": live, "snapshot": snapshot}

    turns = choose("ci_search", NAMES, health, needs_until=THEN, holds_until={"snapshot": held})

    assert expected == turns[0].source
    assert sorted(NAMES) == sorted(turn.source for turn in turns)


def test_the_usual_time_is_the_median_of_the_answers() -> None:
    health = heard(True, True)
    health.note("ci_search", True, 0.5)
    health.note("ci_search", False, 9.0)

    assert [Choice("live", "configured first", 0.1)] == choose("ci_search", ("live",), {"live": health})
