"""Which way is gone: by the size of the tables, by what the call asks, and by what was measured."""

from __future__ import annotations

import pytest

from ciops_nb.tools.graph import VIEWS, _Seen
from ciops_nb.tools.scope import lookup
from ciops_nb.ways import Rates, Way, Work, decide

SMALL = {"ci": 280, "ci_property": 900, "relation": 720}
LARGE = {"ci": 1_000_000, "ci_property": 3_000_000, "relation": 5_000_000}


def deep(depth: int) -> _Seen:
    return _Seen(["a"], depth, "either", None, VIEWS["path"])


@pytest.mark.parametrize(
    ("work", "sizes", "built", "spent", "route"),
    [
        (lookup(1)[0], LARGE, False, 0.0, "portable"),
        (lookup(1)[0], LARGE, False, 500.0, "portable"),
        (lookup(1)[0], LARGE, True, 0.0, "index"),
        (lookup(1)[0], LARGE, False, 800.0, "build"),  # an eighth of what it takes was spent
        (lookup(500_000)[0], LARGE, False, 0.0, "build"),
        (lookup(1)[0], SMALL, False, 0.0, "portable"),
        (lookup(1)[0], SMALL, False, 3.0, "build"),
        (deep(1).work(LARGE), LARGE, False, 0.0, "portable"),
        (deep(6).work(LARGE), LARGE, False, 0.0, "build"),
        (deep(1).work(SMALL), SMALL, False, 0.0, "build"),
        (Work(None, reads=("metric",)), {"metric": 10}, False, 0.0, "tables"),
    ],
)
def test_the_way_is_the_cheaper_one(work: Work, sizes: dict[str, int], built: bool, spent: float, route: str) -> None:
    way = decide(work, sizes, Rates(), built=built, spent_ms=spent)

    assert route == way.route
    assert way.ms > 0


def test_what_was_measured_counts_once_it_was_often_enough() -> None:
    work, rates = lookup(1)[0], Rates()
    guess = decide(work, LARGE, rates, built=False)
    for _ in range(3):
        assert guess == decide(work, LARGE, rates, built=False)
        rates.note("ci_index", guess, 3 * guess.ms)
    measured = decide(work, LARGE, rates, built=False)

    assert measured.ms == pytest.approx(3 * guess.ms)
    assert "as measured here" in measured.reason
    for _ in range(9):
        rates.note("ci_index", measured, 100 * guess.ms)
    assert "build" == decide(work, LARGE, rates, built=False).route


def test_a_measurement_is_held_against_the_plain_estimate_and_not_against_one_already_corrected() -> None:
    work, rates = lookup(1)[0], Rates()
    for _ in range(20):
        way = decide(work, LARGE, rates, built=False)
        rates.note("ci_index", way, 240.0)

    assert decide(work, LARGE, rates, built=False).ms == pytest.approx(240.0)


def test_the_index_is_built_when_an_eighth_of_it_was_spent_without() -> None:
    work, rates, spent, calls = lookup(1)[0], Rates(), 0.0, 0
    while (way := decide(work, LARGE, rates, built=False, spent_ms=spent)).route == "portable":
        spent, calls = spent + way.ms, calls + 1

    assert way.ms / 8 <= spent < way.ms / 8 + 100
    assert calls == 7


def test_the_reason_names_both_prices() -> None:
    way = decide(lookup(1)[0], LARGE, Rates(), built=False, spent_ms=93.0)

    assert (
        Way(
            "portable",
            pytest.approx(93.01),
            "building ci_index takes about 4,893 ms, reading 1,000,000 rows of ci about 93 ms, "
            "and 93 ms were spent without it",
        )
        == way
    )
