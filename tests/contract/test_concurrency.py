"""Many at once: equal calls are one, nothing is lost or mixed, and tenants never see each other."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.execution.keep import digest
from tests.execution.examples import EXAMPLES, write_estate
from tests.faults import FaultyEngine, all_wrong, session


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_estate(tmp_path_factory.mktemp("many") / "estate", ("a", "b"))


@pytest.fixture
def engine(estate: Path) -> Iterator[FaultyEngine]:
    made = FaultyEngine(estate)
    yield made
    made.close()


def answered(found: Any) -> str:
    return digest(found)


async def until(come: Any) -> None:
    for _ in range(10_000):
        if come():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come about")


async def test_64_equal_calls_at_once_ask_the_engine_as_one_does(estate: Path) -> None:
    asked = []
    for number in (1, 64):
        engine = FaultyEngine(estate)
        with session(engine, tenant="a") as ops:
            found = await asyncio.gather(*(ops.history_recent(time_range="all") for _ in range(number)))
            asked.append(engine.queries)
            assert number - 1 == sum(ciops.provenance(one).cached for one in found)
            assert 1 == len({answered(one) for one in found})
            assert number == len({id(one) for one in found})

    assert asked[0] == asked[1]


async def test_64_equal_calls_of_64_threads_make_one_query_once_the_time_is_known(engine: FaultyEngine) -> None:
    with session(engine, tenant="a") as ops:
        ops.metric_aggregate.sync("cpu", time_range="all", agg="min")
        before, gate, found = engine.queries, threading.Barrier(64), []

        def ask() -> None:
            gate.wait()
            found.append(ops.metric_aggregate.sync("cpu", time_range="all"))

        threads = [threading.Thread(target=ask) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert (64, 1) == (len(found), len({answered(one) for one in found}))
        assert 1 == Counter(ciops.provenance(one).cached for one in found)[False]
        after = engine.queries
        ops.metric_aggregate.sync("cpu", time_range="all", agg="max")
        assert 1 == after - before == engine.queries - after  # as one such call asks


async def test_who_is_cancelled_while_many_wait_takes_nothing_from_them(engine: FaultyEngine) -> None:
    with session(engine, tenant="a") as ops:
        ops.metric_list.sync()
        before, begun = engine.queries, list[str]()
        ops.trace.add_begin(lambda span: begun.append(span.name))
        engine.plan = all_wrong("stall")
        waiting = [asyncio.ensure_future(ops.history_recent(time_range="all")) for _ in range(16)]
        # All have come: one that is cancelled before it begins leaves no span.
        await until(lambda: engine.queries > before and begun.count("history_recent") == 16)
        for one in waiting[::2]:
            one.cancel()
        await asyncio.wait(waiting[::2])
        engine.recover()
        found = await asyncio.gather(*waiting[1::2])
        spans = ops.trace.frame().filter(pl.col("name") == "history_recent")

        assert [True] * 8 == [one.cancelled() for one in waiting[::2]]
        assert 1 == len({answered(one) for one in found})
        assert {"cancelled": 8, "complete": 8} == dict(Counter(spans["status"]))


def mixed(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Calls of all tools, many of them equal, in an order that looks like none."""
    dice = random.Random(5)
    calls = [(tool, dict(params)) for tool, params in EXAMPLES.items()]
    calls += [("history_recent", {"time_range": "all", "limit": n}) for n in range(1, 8)]
    calls += [("ci_search", {"keywords": word}) for word in ("app", "db", "srv", "nothing", "")]
    calls += [("metric_series_table", {"metric": "cpu", "ci": code, "time_range": "all"}) for code in ("app-1", "db-1")]
    return [dice.choice(calls) for _ in range(count)]


def in_threads(calls: list[tuple[ciops.Ops, str, dict[str, Any]]], threads: int) -> list[Any]:
    """The answers of all, asked by so many threads: some block for each, some await several at once."""
    found: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def work(mine: range, awaits: bool) -> None:
        async def gathered() -> None:
            parts = [mine[n : n + 8] for n in range(0, len(mine), 8)]
            for part in parts:
                answers = await asyncio.gather(*(calls[n][0].tool(calls[n][1])(**calls[n][2]) for n in part))
                for n, answer in zip(part, answers, strict=True):
                    found[n] = answer

        try:
            if awaits:
                asyncio.run(gathered())
            else:
                for n in mine:
                    found[n] = calls[n][0].tool(calls[n][1]).sync(**calls[n][2])
        except BaseException as error:
            errors.append(error)
            raise

    workers = [threading.Thread(target=work, args=(range(n, len(calls), threads), n % 2 == 0)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert ([], False) == (errors, any(worker.is_alive() for worker in workers))
    return found


@pytest.mark.parametrize("keeping", [True, False], ids=["cached", "not cached"])
def test_1000_mixed_calls_of_16_threads_lose_and_mix_nothing(estate: Path, keeping: bool) -> None:
    calls = mixed(1000)
    with ciops.connect(estate, tenant="a", frames="polars") as serial:
        expected = [answered(serial.tool(tool).sync(**params)) for tool, params in calls]
    with ciops.connect(estate, tenant="a", frames="polars") as ops:
        if not keeping:
            ops.cache.configure(ttl=0)
        found = in_threads([(ops, *call) for call in calls], 16)
        spans = ops.trace.frame().filter(pl.col("kind") == "tool")

    assert expected == [answered(one) for one in found]
    assert [tool for tool, _ in calls] == [ciops.provenance(one).tool for one in found]
    assert Counter(tool for tool, _ in calls) == Counter(spans["name"])
    assert {"ok", "error", "cancelled"}.isdisjoint(spans["status"])
    assert Counter((tool, len(one)) for (tool, _), one in zip(calls, found, strict=True)) == Counter(
        spans.select("name", "rows").iter_rows()
    )


def test_two_tenants_under_load_never_see_each_other(estate: Path) -> None:
    calls = mixed(600)
    with (
        ciops.connect(estate, tenant="a", frames="polars") as a,
        ciops.connect(estate, tenant="b", frames="polars") as b,
    ):
        both = {"a": a, "b": b}
        alone = {}
        for name in both:
            with ciops.connect(estate, tenant=name, frames="polars") as one:
                alone[name] = [answered(one.tool(tool).sync(**params)) for tool, params in calls]
        asked = [(both["ab"[n % 3 % 2]], *call) for n, call in enumerate(calls)]
        found = in_threads(asked, 16)

    names = ["ab"[n % 3 % 2] for n in range(len(calls))]
    assert [alone[name][n] for n, name in enumerate(names)] == [answered(one) for one in found]
    assert names == [ciops.provenance(one).tenant for one in found]
    assert sum(x != y for x, y in zip(alone["a"], alone["b"], strict=True)) > 200, "the tenants hardly differ"
    for name, one in zip(names, found, strict=True):
        if isinstance(one, pl.DataFrame) and "owner" in one.columns:
            assert {f"team {name}"} >= set(one["owner"].drop_nulls())
