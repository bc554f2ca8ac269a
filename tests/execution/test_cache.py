"""Kept answers: when they are given, to whom, and that nobody can spoil them."""

from __future__ import annotations

import asyncio
from typing import Any

import networkx as nx
import pandas as pd
import polars as pl
import pytest

from ciops_nb.errors import BadParameter
from ciops_nb.execution.cache import Cache, Kept
from tests.execution.calls import FRAME, Clock, Engine, answer, call, settle


def cached(engine: Engine, *, frames: str = "polars", clock: Any = None) -> tuple[Cache, Kept]:
    kept = Kept(frames=frames, clock=clock or Clock())
    return Cache(engine, kept), kept


async def test_an_equal_call_is_answered_without_asking_again() -> None:
    engine, clock = Engine(), Clock()
    cache, _ = cached(engine, clock=clock)
    await cache(call())
    clock.now = 7.0

    again = await cache(call())

    assert (1, True, 7.0) == (len(engine.asked), again.cached, again.age)


@pytest.mark.parametrize(
    "other",
    [
        {"tool": "ci_get"},
        {"version": 2},
        {"params": {"limit": 3}},
        {"tenant": "u"},
        {"user": "ann"},
        {"engine": "duckdb"},
        {"data_version": "v2"},
    ],
)
async def test_another_question_is_asked(other: dict[str, Any]) -> None:
    engine = Engine()
    cache, _ = cached(engine)
    await cache(call())

    await cache(call(**other))

    assert 2 == len(engine.asked)


async def test_an_empty_answer_is_an_answer() -> None:
    engine = Engine(live=[FRAME.clear()])
    cache, _ = cached(engine)
    await cache(call())

    assert 0 == (await cache(call())).rows
    assert 1 == len(engine.asked)


async def test_an_answer_is_given_until_its_time_is_over() -> None:
    engine, clock = Engine(), Clock()
    cache, _ = cached(engine, clock=clock)
    for clock.now in (0.0, 59.9, 60.0):
        await cache(call(ttl=60.0))

    assert 2 == len(engine.asked)


async def test_ttl_0_keeps_nothing() -> None:
    engine = Engine()
    cache, kept = cached(engine)
    await cache(call(ttl=0.0))
    kept.configure(ttl=0)
    await cache(call())

    assert (2, 0) == (len(engine.asked), len(kept))


async def test_an_answer_of_a_fallback_and_one_without_a_data_version_are_not_kept() -> None:
    async def spare(asked: Any) -> Any:
        return answer(fallback={"source": "snapshot", "reason": "live is away"})

    kept = Kept(frames="polars")
    await Cache(spare, kept)(call())
    await Cache(Engine(), kept)(call(data_version=None))

    assert 0 == len(kept)


async def test_an_error_is_not_kept() -> None:
    engine = Engine(live=[LookupError("gone")])
    cache, _ = cached(engine)
    with pytest.raises(LookupError):
        await cache(call())

    assert FRAME.equals((await cache(call())).value)


async def test_calls_that_come_together_are_one() -> None:
    gate = asyncio.get_running_loop().create_future()
    engine = Engine(live=[gate])
    cache, _ = cached(engine)
    waiting = [asyncio.ensure_future(cache(call())) for _ in range(64)]
    await settle(lambda: len(engine.asked) == 1)
    gate.set_result(FRAME)

    answers = await asyncio.gather(*waiting)

    assert (1, 63) == (len(engine.asked), sum(one.cached for one in answers))
    assert all(one.value is FRAME for one in answers)


async def test_who_is_cancelled_does_not_take_the_answer_from_the_others() -> None:
    gate = asyncio.get_running_loop().create_future()
    engine = Engine(live=[gate])
    cache, _ = cached(engine)
    first, second = (asyncio.ensure_future(cache(call())) for _ in range(2))
    await settle(lambda: len(engine.asked) == 1)
    first.cancel()
    await settle(first.done)
    gate.set_result(FRAME)

    assert FRAME.equals((await second).value)
    assert (1, True) == (len(engine.asked), first.cancelled())


async def test_when_all_are_cancelled_the_work_ends_and_who_comes_then_asks_anew() -> None:
    gate = asyncio.get_running_loop().create_future()
    engine = Engine(live=[gate])
    cache, _ = cached(engine)
    waiting = [asyncio.ensure_future(cache(call())) for _ in range(2)]
    await settle(lambda: len(engine.asked) == 1)
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)

    assert gate.cancelled()
    assert FRAME.equals((await cache(call())).value)
    assert 2 == len(engine.asked)


async def test_an_error_reaches_all_who_wait() -> None:
    gate = asyncio.get_running_loop().create_future()
    cache, _ = cached(Engine(live=[gate]))
    waiting = [asyncio.ensure_future(cache(call())) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set_exception(ConnectionError("away"))

    assert ["away"] * 3 == [str(error) for error in await asyncio.gather(*waiting, return_exceptions=True)]


async def test_the_least_recently_used_go_first() -> None:
    cache, kept = cached(Engine(live=[pl.DataFrame({"x": [float(n)] * 100}) for n in range(4)]))
    kept.configure(max_bytes=2400)
    for number in (1, 2, 3):
        await cache(call(params={"n": number}))
    await cache(call(params={"n": 1}))
    await cache(call(params={"n": 4}))

    explained = kept.explain()
    assert [1, 0, 0] == sorted(explained["hits"].to_list(), reverse=True)
    assert 2400 == explained["bytes"].sum()
    assert [True, False, True, True] == [kept.holds(call(params={"n": number})) for number in (1, 2, 3, 4)]


async def test_an_answer_larger_than_all_is_handed_on_and_not_kept() -> None:
    cache, kept = cached(Engine())
    kept.configure(max_bytes=3)

    assert FRAME.equals((await cache(call())).value)
    assert 0 == len(kept)


async def test_what_is_kept_can_be_explained_and_cleared() -> None:
    clock = Clock()
    cache, kept = cached(Engine(), frames="pandas", clock=clock)
    await cache(call())
    clock.now = 2.0
    await cache(call())

    explained = kept.explain()

    assert isinstance(explained, pd.DataFrame)
    assert [[call().key, "ci_search", 2.0, 60.0, FRAME.estimated_size(), 1]] == explained.to_numpy().tolist()
    kept.clear()
    assert (0, 0) == (len(kept), len(kept.explain()))
    assert list(explained.dtypes) == list(kept.explain().dtypes)


@pytest.mark.parametrize("wrong", [{"ttl": -1}, {"ttl": True}, {"max_bytes": "1"}, {"ttl": float("nan")}])
def test_a_setting_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadParameter, match="at least 0"):
        Kept(frames="polars").configure(**wrong)


def nested() -> pl.DataFrame:
    tags = pl.Series("tags", [{"role": "db"}, {}], dtype=pl.Object)
    return FRAME.with_columns(evidence=pl.Series([[{"step": "fired"}], []])).hstack([tags])


def test_a_pandas_answer_that_is_changed_leaves_what_is_kept() -> None:
    whole = answer(nested())
    mine = whole.handed_out("pandas")
    mine.loc[0, "n"] = 99
    mine["ci_code"] = "changed"
    mine.loc[0, "tags"]["role"] = "changed"
    mine.loc[0, "evidence"][0]["step"] = "changed"
    mine.attrs["ciops"] = "changed"
    mine.columns = [name.upper() for name in mine.columns]

    pd.testing.assert_frame_equal(answer(nested()).handed_out("pandas"), whole.handed_out("pandas"))
    assert {} == whole.handed_out("pandas").attrs


def test_the_arrays_of_a_pandas_answer_cannot_reach_what_is_kept() -> None:
    whole = answer(pl.DataFrame({"value": [1.0, 2.0]}))
    values = whole.handed_out("pandas")["value"].to_numpy()
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 99.0

    assert [1.0, 2.0] == whole.handed_out("pandas")["value"].to_list()


def test_a_polars_answer_that_is_changed_leaves_what_is_kept() -> None:
    whole = answer(nested())
    mine = whole.handed_out("polars")
    mine["tags"][0]["role"] = "changed"
    mine[0, "n"] = 99
    mine.columns = [name.upper() for name in mine.columns]

    again = whole.handed_out("polars")
    assert [1, 2] == again["n"].to_list()
    assert [{"role": "db"}, {}] == again["tags"].to_list()


def test_a_graph_that_is_changed_leaves_what_is_kept() -> None:
    graph: Any = nx.MultiDiGraph(roots=["a"], frontier=[{"ci_code": "a"}])
    graph.add_edge("a", "b", key="USES", relation_type="USES")
    whole = answer(graph)
    mine = whole.handed_out("pandas")
    mine.graph["roots"].append("x")
    mine.graph["frontier"][0]["ci_code"] = "x"
    mine.nodes["a"]["hops"] = 1
    mine.edges["a", "b", "USES"]["relation_type"] = "x"
    mine.remove_node("b")

    again = whole.handed_out("pandas")
    assert {"roots": ["a"], "frontier": [{"ci_code": "a"}]} == again.graph
    assert [("a", "b", "USES")] == [
        (source, target, data["relation_type"]) for source, target, data in again.edges(data=True)
    ]
    assert {} == again.nodes["a"]
