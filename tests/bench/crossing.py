"""``python -m tests.bench.crossing``: what a crossing costs, with empty coroutines, beside its goal.

The ways take turns, so that a machine whose speed drifts is unfair to none. A figure is the median of the best of
several rounds: on a busy machine the other rounds measure its other work.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from ciops_nb import sync

ROUNDS, CALLS = 12, 300
GOALS = {".sync": 250, "await from another loop": 350, "nested .sync": 60}


@sync.twin
async def empty() -> None:
    pass


def blocked() -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        empty.sync()
        times.append(time.perf_counter() - began)
    return times


async def _awaited() -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await empty()
        times.append(time.perf_counter() - began)
    return times


async def _nested() -> list[float]:
    return blocked()


WAYS: dict[str, Callable[[], list[float]]] = {
    ".sync": blocked,
    "await from another loop": lambda: asyncio.run(_awaited()),
    "nested .sync": lambda: sync.run(_nested()),
}


def measure() -> dict[str, float]:
    """The median of the best round, in microseconds, of each way."""
    medians: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, calls in WAYS.items():
            medians[way].append(statistics.median(calls()) * 1e6)
    return {way: min(rounds) for way, rounds in medians.items()}


def main() -> None:
    print("| way | µs | goal | |")
    print("|---|---|---|---|")
    for way, microseconds in measure().items():
        met = "met" if microseconds <= GOALS[way] else "missed"
        print(f"| {way} | {microseconds:.0f} | {GOALS[way]} | {met} |")


if __name__ == "__main__":
    main()
