"""Sequences against other engines' answers (``sequences.json``), the cases, and walks in plain Python."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numpy as np
import pytest

from ciops_nb.cep.sequence import After, Matches, Order, Pattern, Step, first_after_each, match, pairs
from tests.cep.cases import FOLDER, case, needs_cases

ANSWERS = json.loads((Path(__file__).parent / "sequences.json").read_text(encoding="utf-8"))
SECOND = 1_000_000
MINUTE = 60 * SECOND
ONE = Step()
Row = tuple[int, str, str]  # time, group and the letters of the steps that it meets
Found = list[list[list[int]]]  # of each match, of each step: row numbers


def flags(rows: list[Row], letter: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([letter in row[2] for row in rows], dtype=np.bool_)


def found(
    pattern: Pattern, rows: list[Row], steps: str, *, until: str = "", forbidden: str = "", end: int | None = None
) -> Found:
    """The matches in *rows*; *forbidden* has a letter or a space for each step."""
    result = match(
        pattern,
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array(["xyz".find(row[1]) for row in rows], dtype=np.int64),
        [flags(rows, letter) for letter in steps],
        until=flags(rows, until) if until else None,
        forbidden={step: flags(rows, letter) for step, letter in enumerate(forbidden) if letter != " "},
        end=end,
    )
    return as_lists(result)


def as_lists(result: Matches) -> Found:
    return [[result.of(number, step) for step in range(result.steps)] for number in range(len(result))]


def rows_of(text: str, group: str = "x") -> list[Row]:
    """One row a second, such as ``A AB . C``."""
    return [(number * SECOND, group, letters) for number, letters in enumerate(text.split())]


def by_last(matches: Found) -> Found:
    return sorted(matches, key=lambda steps: (flat(steps)[-1], flat(steps)[0]))


def flat(steps: list[list[int]]) -> list[int]:
    return [row for step in steps for row in step]


# ── other engines ───────────────────────────────────────────────────────────────────────────────────────────────────

_WORD = re.compile(r"([A-Z])(?:([*+?])|\{(\d+)(,?)(\d*)\})?(\??)\Z")


def flink_pattern(asked: dict[str, Any]) -> tuple[Pattern, str]:
    """A pattern of MATCH_RECOGNIZE in our words; X and Y stand for the rows in between that may be passed over."""
    words = [word for word in asked["pattern"].split() if word[0] not in "XY"]
    steps = []
    for word in words:
        _, sign, least, comma, most, reluctant = re.fullmatch(_WORD, word).groups()  # type: ignore[union-attr]
        low, high = {"*": (0, None), "+": (1, None), "?": (0, 1), None: (1, 1)}[sign]
        if least:
            low, high = int(least), int(most) if most else None if comma else int(least)
        steps.append(Step(low, high, greedy=not reluctant))
    letters = "".join(word[0] for word in words)
    after: dict[str, After] = {
        "PAST LAST ROW": "skip_past_last",
        "TO NEXT ROW": "skip_to_next",
        "TO FIRST": "skip_to_first",
        "TO LAST": "skip_to_last",
    }
    goes_on, _, step = asked["after"].rpartition(" ") if asked["after"][-2] == " " else (asked["after"], "", "")
    return Pattern(
        tuple(steps),
        within=None if asked["within"] is None else asked["within"] * MINUTE,
        start="earliest",
        after=after[goes_on],
        after_step=letters.index(step) if step else None,
        strict="X" not in asked["pattern"],
    ), letters.replace("Z", "A")


@pytest.mark.parametrize(
    "asked", ANSWERS["flink"]["patterns"], ids=lambda asked: f"{asked['pattern']} {asked['after']}"
)
def test_earliest_matches_are_those_of_flink(asked: dict[str, Any]) -> None:
    pattern, letters = flink_pattern(asked)

    answers: dict[int, Found] = {}
    for stream, *steps in asked["matches"]:
        answers.setdefault(stream, []).append(steps)
    for number, stream in enumerate(ANSWERS["flink"]["streams"]):
        rows = [(minute * MINUTE, "x", letters) for minute, letters in stream]
        assert by_last(answers.get(number, [])) == found(pattern, rows, letters, forbidden=asked.get("forbidden", ""))


def test_latest_matches_are_those_of_eql() -> None:
    for asked in ANSWERS["eql"]:
        rows = [(second * SECOND, group, letters) for second, group, letters in asked["rows"]]
        within = None if asked["within"] is None else asked["within"] * SECOND
        pattern = Pattern((ONE,) * len(asked["steps"]), within=within)

        answer = [[[row] for row in rows] for rows in asked["matches"]]
        assert by_last(answer) == found(pattern, rows, asked["steps"], until="U" if asked["until"] else "")


# ── walks in plain Python ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Asked:
    """A pattern and what its steps ask, as the walks take it."""

    pattern: Pattern
    steps: str
    until: str = ""
    forbidden: str = ""
    end: int | None = None
    units: str = field(init=False)

    def __post_init__(self) -> None:
        self.units = "".join(letter * step.least for letter, step in zip(self.steps, self.pattern.steps, strict=True))

    def forbids(self, step: int, letters: str) -> bool:
        return step < len(self.forbidden) and self.forbidden[step] in letters

    @property
    def silent(self) -> bool:
        return len(self.forbidden) == len(self.steps) and self.forbidden[-1] != " "

    def found(self, rows: list[Row]) -> Found:
        return found(self.pattern, rows, self.steps, until=self.until, forbidden=self.forbidden, end=self.end)


def latest_walk(asked: Asked, rows: list[Row]) -> Found:
    """EQL's state machine: for each group, one partial sequence waits at each step."""
    ends = {}  # after which row of the pattern a step ends
    place = 0
    for number, step in enumerate(asked.pattern.steps):
        place += step.least
        ends[place] = number
    size = place
    waiting: dict[tuple[str, int], list[int]] = {}
    done: list[list[int]] = []

    def late(rows_taken: list[int], time: int) -> bool:
        within = asked.pattern.within
        return within is not None and time - rows[rows_taken[0]][0] > within

    def finish(group: str, time: int) -> None:
        """What waited for nothing more to come, and it did not."""
        if (group, size) in waiting and late(waiting[group, size], time):
            done.append(waiting.pop((group, size)))

    for number, (time, group, letters) in enumerate(rows):
        if group == "-":
            continue
        finish(group, time)
        for key in [key for key in waiting if late(waiting[key], time) and key[1] < size]:
            del waiting[key]
        if asked.until and asked.until in letters:
            for key in [key for key in waiting if key[0] == group]:
                del waiting[key]
        if asked.silent and asked.forbids(len(asked.steps) - 1, letters):
            waiting.pop((group, size), None)
        for place in range(size - 1, -1, -1):
            before = waiting.get((group, place)) if place else []
            if asked.units[place] in letters and before is not None:
                waiting.pop((group, place), None)
                taken = [*before, number]
                if place < size - 1 or asked.silent:
                    waiting[group, place + 1] = taken
                else:
                    done.append(taken)
            elif asked.pattern.strict or (place in ends and asked.forbids(ends[place], letters)):
                waiting.pop((group, place), None)
    if asked.end is not None:
        for group in "xyz":
            finish(group, asked.end)
    bounds = np.cumsum([0, *(step.least for step in asked.pattern.steps)]).tolist()
    return by_last([[taken[low:high] for low, high in pairwise(bounds)] for taken in done])


def earliest_walk(asked: Asked, rows: list[Row]) -> Found:
    """All ways in which a match can go on from each first row, of which the first to end is the match."""
    matches: Found = []
    steps = asked.pattern.steps
    for group in "xyz":
        goes_on = 0
        own = [(number, *row) for number, row in enumerate(rows) if row[1] == group]
        for begin in range(len(own)):
            if begin < goes_on:
                continue
            ways = [way for way in _ways(asked, own, begin) if _stays_silent(asked, own, begin, way)]
            if not ways:
                continue
            best = min(ways, key=lambda way: (way[-1][1], [step for step, _ in way]))
            taken: list[list[int]] = [[place for step, place in best if step == number] for number in range(len(steps))]
            matches.append([[own[place][0] for place in places] for places in taken])
            if asked.pattern.after == "skip_past_last":
                goes_on = best[-1][1] + 1
            elif asked.pattern.after_step is not None:
                goes_on = taken[asked.pattern.after_step][0 if asked.pattern.after == "skip_to_first" else -1]
    return by_last(matches)


Way = list[tuple[int, int]]  # steps and places


def _ways(asked: Asked, own: list[tuple[int, int, str, str]], begin: int) -> Iterator[Way]:
    steps = asked.pattern.steps
    within, strict = asked.pattern.within, asked.pattern.strict

    def in_time(place: int) -> bool:
        return within is None or own[place][1] - own[begin][1] < within

    def may_take(step: int, count: int, last: int, place: int) -> list[int]:
        """The steps of which the row can be, if it comes after the *count*-th row of *step* at *last*."""
        letters = own[place][3]
        able = []
        if step >= 0 and (steps[step].most is None or count < steps[step].most):
            able.append(step)
        if step < 0 or count >= steps[step].least:
            for other in range(step + 1, len(steps)):
                disturbed = any(
                    asked.forbids(ended, own[between][3])
                    for ended in range(max(step, 0), other)
                    for between in range(last + 1, place)
                )
                if not disturbed:
                    able.append(other)
                if steps[other].least:
                    break
        return [other for other in able if asked.steps[other] in letters]

    def keeps(step: int, count: int, place: int, *, entered: bool) -> bool:
        """Whether a greedy step has the row, so that none of the steps after it can have it."""
        asked_of = steps[step]
        if not asked_of.greedy or asked_of.most in (1, asked_of.least) or asked.steps[step] not in own[place][3]:
            return False
        return not entered or strict or asked_of.most is None or count < asked_of.most

    def allowed(step: int, count: int, last: int, place: int) -> list[int]:
        able = may_take(step, count, last, place)
        kept = []
        for other in able:
            passed = range(step + 1, other)
            if other > step and step >= 0 and keeps(step, count, place, entered=True):
                continue
            if any(keeps(between, 0, place, entered=False) for between in passed):
                continue
            kept.append(other)
        return kept

    def onward(way: Way, count: int) -> Iterator[Way]:
        step, last = way[-1] if way else (-1, begin - 1)
        here: list[int] = []
        place = last + 1
        while place < len(own) and in_time(place) and not (way and asked.until and asked.until in own[place][3]):
            if may_take(step, count, last, place):
                here = allowed(step, count, last, place)
                break
            if strict or not way:
                break
            place += 1
        over = way and count >= steps[step].least and all(not other.least for other in steps[step + 1 :])
        if over and not any(steps[other].greedy for other in here):
            yield way
        for other in here:
            yield from onward([*way, (other, place)], count + 1 if other == step else 1)

    yield from onward([], 0)


def _stays_silent(asked: Asked, own: list[tuple[int, int, str, str]], begin: int, way: Way) -> bool:
    if not asked.silent:
        return True
    assert asked.end is not None
    assert asked.pattern.within is not None
    time = own[begin][1]
    if asked.end - time < asked.pattern.within:
        return False
    return not any(
        row[1] - time < asked.pattern.within
        and (asked.forbids(len(asked.steps) - 1, row[3]) or bool(asked.until and asked.until in row[3]))
        for row in own[way[-1][1] + 1 :]
    )


def some_rows(rng: random.Random, *, most: int = 25) -> list[Row]:
    time = 0
    rows = []
    for _ in range(rng.randint(0, most)):
        time += rng.choice([0, 0, 1, 1, 2, 5]) * SECOND
        letters = "".join(sorted(rng.sample("ABCNU", rng.choice([0, 1, 1, 1, 1, 2, 3]))))
        rows.append((time, rng.choice("xxy-"), letters))
    return rows


AFTER: tuple[After, ...] = ("skip_past_last", "skip_past_last", "skip_to_next", "skip_to_first", "skip_to_last")


def some_pattern(
    rng: random.Random,
    some_step: Callable[[], Step],
    rows: list[Row],
    start: Literal["latest", "earliest"] = "earliest",
) -> Asked:
    while True:
        steps = tuple(some_step() for _ in range(rng.randint(1, 4)))
        seconds = rng.choice([None, 0, 1, 3, 6, 15, 40])
        pattern = Pattern(steps, None if seconds is None else seconds * SECOND, start, strict=rng.random() < 0.25)
        if start == "earliest":
            after = rng.choice(AFTER)
            step = None if after in ("skip_past_last", "skip_to_next") else rng.randrange(len(steps))
            pattern = replace(pattern, after=after, after_step=step)
        forbidden = "".join(rng.choice("N   ") for _ in steps)
        if pattern.problem([step for step, letter in enumerate(forbidden) if letter == "N"]) is None:
            break
    end = (rows[-1][0] if rows else 0) + rng.choice([0, 2, 100]) * SECOND
    return Asked(pattern, "".join(rng.choice("ABC") for _ in steps), rng.choice(["", "", "U"]), forbidden, end)


def fixed_step(rng: random.Random) -> Step:
    count = rng.choice([1, 1, 1, 2])
    return Step(count, count)


@pytest.mark.parametrize("seed", range(20))
def test_latest_equals_the_state_machine(seed: int) -> None:
    rng = random.Random(seed)
    matched = 0
    for _ in range(200):
        rows = some_rows(rng)
        asked = some_pattern(rng, lambda: fixed_step(rng), rows, "latest")

        expected = latest_walk(asked, rows)
        assert expected == asked.found(rows), (asked, rows)
        matched += len(expected)
    assert matched > 20


@pytest.mark.parametrize("seed", range(20))
def test_earliest_with_fixed_counts_equals_the_walk(seed: int) -> None:
    rng = random.Random(seed)
    matched = 0
    for _ in range(150):
        rows = some_rows(rng)
        asked = some_pattern(rng, lambda: fixed_step(rng), rows)

        expected = earliest_walk(asked, rows)
        assert expected == asked.found(rows), (asked, rows)
        matched += len(expected)
    assert matched > 20


def some_step(rng: random.Random) -> Step:
    least = rng.choice([0, 1, 1, 1, 2])
    most = rng.choice([None, max(least, 1), max(least, 1), least + 1, least + 2])
    return Step(least, most, greedy=rng.random() < 0.7)


@pytest.mark.parametrize("seed", range(20))
def test_variable_counts_equal_the_walk(seed: int) -> None:
    rng = random.Random(seed)
    matched = 0
    for _ in range(150):
        rows = some_rows(rng, most=14)
        asked = some_pattern(rng, lambda: some_step(rng), rows)

        expected = earliest_walk(asked, rows)
        assert expected == asked.found(rows), (asked, rows)
        matched += len(expected)
    assert matched > 20


# ── single facts ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_within_includes_its_end_for_latest_and_not_for_earliest() -> None:
    rows = rows_of("A . . B")

    assert [[[0], [3]]] == found(Pattern((ONE, ONE), 3 * SECOND), rows, "AB")
    assert [] == found(Pattern((ONE, ONE), 3 * SECOND - 1), rows, "AB")
    assert [[[0], [3]]] == found(Pattern((ONE, ONE), 3 * SECOND + 1, "earliest"), rows, "AB")
    assert [] == found(Pattern((ONE, ONE), 3 * SECOND, "earliest"), rows, "AB")


def test_newest_start_wins_for_latest_and_first_for_earliest() -> None:
    rows = rows_of("A A B B")

    assert [[[1], [2]]] == found(Pattern((ONE, ONE)), rows, "AB")
    assert [[[0], [2]]] == found(Pattern((ONE, ONE), start="earliest"), rows, "AB")
    both = Pattern((ONE, ONE), start="earliest", after="skip_to_next")
    assert [[[0], [2]], [[1], [2]]] == found(both, rows, "AB")


def test_a_row_does_not_follow_itself() -> None:
    rows = rows_of("A A A A")

    assert [[[0], [1]], [[1], [2]], [[2], [3]]] == found(Pattern((ONE, ONE)), rows, "AA")
    assert [[[0], [1]], [[2], [3]]] == found(Pattern((ONE, ONE), start="earliest"), rows, "AA")


def test_rows_of_equal_time_count_in_their_order() -> None:
    rows = [(0, "x", "B"), (0, "x", "A"), (0, "x", "B"), (0, "y", "A")]

    assert [[[1], [2]]] == found(Pattern((ONE, ONE), 0), rows, "AB")


def test_a_row_that_ends_what_is_open_may_begin_anew() -> None:
    rows = rows_of("A AU B")

    assert [[[1], [2]]] == found(Pattern((ONE, ONE)), rows, "AB", until="U")
    assert [[[1], [2]]] == found(Pattern((ONE, ONE), start="earliest"), rows, "AB", until="U")
    assert [] == found(Pattern((ONE, ONE)), rows_of("A BU"), "AB", until="U")


def test_what_comes_between_is_forbidden_only_there() -> None:
    rows = rows_of("NA B AN B A N B A BN")

    for start in ("latest", "earliest"):
        pattern = Pattern((ONE, ONE), start=start)
        assert [[[0], [1]], [[2], [3]], [[7], [8]]] == found(pattern, rows, "AB", forbidden="N")


def test_strict_counts_every_row_of_the_group() -> None:
    rows = [(0, "x", "A"), (1, "y", ""), (2, "x", "B"), (3, "x", "A"), (4, "x", ""), (5, "x", "B")]

    for start in ("latest", "earliest"):
        assert [[[0], [2]]] == found(Pattern((ONE, ONE), start=start, strict=True), rows, "AB")


@pytest.mark.parametrize(("end", "known"), [(12, []), (13, [[[2]]]), (14, [[[2]]])])
def test_what_does_not_come_is_known_when_the_time_has_passed(end: int, known: Found) -> None:
    rows = [(0, "x", "A"), (1, "x", "B"), (3, "x", "A"), (3, "y", "B")]

    assert known == found(Pattern((ONE,), 10, "earliest"), rows, "A", forbidden="B", end=end)
    assert (known if end > 13 else []) == found(Pattern((ONE,), 10), rows, "A", forbidden="B", end=end)


def test_what_did_not_come_is_known_at_the_end_of_within() -> None:
    ts, group, met = np.array([5, 6]), np.array([0, 0]), np.array([True, False])

    result = match(Pattern((ONE,), 10), ts, group, [met], forbidden={0: ~met & False}, end=100)

    assert [15] == result.at.tolist()
    assert [0] == result.first.tolist()
    assert [5] == match(Pattern((ONE,), 10), ts, group, [met]).at.tolist()


def test_matches_are_told_by_flat_rows_and_counts() -> None:
    ts, group = np.arange(5), np.zeros(5, dtype=np.int64)
    a, b = np.array([True, False, False, False, False]), np.array([False, True, True, False, True])

    result = match(Pattern((ONE, Step(0, 3)), start="earliest"), ts, group, [a, b])

    assert ([0, 1, 2, 4], [0, 1, 4]) == (result.rows.tolist(), result.offsets.tolist())
    assert ([[1, 3]], [0], [4], [4]) == (
        result.counts.tolist(), result.first.tolist(), result.last.tolist(), result.at.tolist(),
    )  # fmt: skip


def test_rows_of_variable_steps_may_lie_apart_unless_strict() -> None:
    rows = rows_of("A B . B A B C")

    assert [[[0], [1, 3, 5], [6]]] == found(Pattern((ONE, Step(2, None), ONE), start="earliest"), rows, "ABC")
    assert [[[4], [5], [6]]] == found(Pattern((ONE, Step(1, None), ONE), start="earliest", strict=True), rows, "ABC")


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern((ONE, ONE)),
        Pattern((ONE, ONE), start="earliest"),
        Pattern((ONE, Step(1, None)), start="earliest"),
        Pattern((ONE, ONE), start="earliest", strict=True),
    ],
)
def test_no_rows_and_no_groups_give_no_matches(pattern: Pattern) -> None:
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64), [np.empty(0, np.bool_)] * 2)
    without_group = (np.arange(3), np.full(3, -1), [np.ones(3, np.bool_)] * 2)
    without_hits = (np.arange(3), np.zeros(3, np.int64), [np.zeros(3, np.bool_)] * 2)

    for ts, group, hits in (nothing, without_group, without_hits):
        result = match(pattern, ts, group, hits)
        assert (0, (0, 2), []) == (len(result), result.counts.shape, result.last.tolist())


def test_time_may_be_as_long_as_there_are_numbers() -> None:
    limit = np.iinfo(np.int64)
    rows = [(limit.min, "x", "A"), (limit.max, "x", "B")]

    assert [] == found(Pattern((ONE, ONE), limit.max), rows, "AB")
    assert [] == found(Pattern((ONE, ONE), limit.max, "earliest"), rows, "AB")
    assert [[[0], [1]]] == found(Pattern((ONE, ONE)), rows, "AB")
    a, b = (np.array([time]) for time, _, _ in rows)
    assert 0 == len(pairs(a, a * 0, b, b * 0, within=int(limit.max))[0])


def test_group_numbers_may_be_large() -> None:
    ts, big = np.arange(4), np.array([2**62, 7, 2**62, 7])
    a, b = np.array([True, True, False, False]), np.array([False, False, True, True])

    result = match(Pattern((ONE, ONE)), ts, big, [a, b])

    assert [[[0], [2]], [[1], [3]]] == as_lists(result)
    assert ([0, 1], [0, 1]) == tuple(x.tolist() for x in pairs(ts[:2], big[:2], ts[2:], big[2:], within=2))


def test_a_group_without_the_next_step_costs_no_square() -> None:
    count = 20_000
    a = np.ones(count, dtype=np.bool_)
    pattern = Pattern((Step(1, None), ONE), start="earliest", after="skip_to_next")

    assert 0 == len(match(pattern, np.arange(count), np.zeros(count, np.int64), [a, ~a]))


def test_many_ways_to_the_same_row_are_followed_once() -> None:
    count = 60
    a = np.ones(count, dtype=np.bool_)
    pattern = Pattern((Step(1, None, greedy=False),) * 5 + (ONE,), within=1000, start="earliest")

    assert 0 == len(match(pattern, np.arange(count), np.zeros(count, np.int64), [a] * 5 + [~a]))


@pytest.mark.parametrize(
    ("pattern", "forbidden", "told"),
    [
        (Pattern((Step(2, 1),)), (), "not fewer at most"),
        (Pattern((Step(0, 0), ONE)), (), "at least one row"),
        (Pattern(()), (), "no step has to be there"),
        (Pattern((Step(0, 1),), start="earliest"), (), "no step has to be there"),
        (Pattern((ONE,), -1), (), "not a length of time"),
        (Pattern((ONE,), 0, "earliest"), (), "nothing is within 0s"),
        (Pattern((ONE, Step(1, None))), (), "start: earliest"),
        (Pattern((ONE, ONE), after="skip_to_next"), (), "has no use for it"),
        (Pattern((ONE, ONE)), (-1,), "before the first step"),
        (Pattern((ONE, ONE)), (1,), "needs 'within'"),
        (Pattern((ONE, ONE), 1, "earliest", "skip_to_next", 1), (), "does not go on at a step"),
        (Pattern((ONE, ONE), 1, "earliest", "skip_to_first"), (), "needs a step of the sequence"),
        (Pattern((ONE, ONE), 1, "earliest", "skip_to_last", 2), (), "needs a step of the sequence"),
        (Pattern((ONE, ONE), 1, "earliest", "skip_to_first", 0), (), "same match for ever"),
        (Pattern((ONE, Step(0, 1)), 1, "earliest", "skip_to_last", 1), (), "always there"),
    ],
)
def test_what_cannot_be_meant_is_told(pattern: Pattern, forbidden: tuple[int, ...], told: str) -> None:
    assert told in (pattern.problem(forbidden) or "")
    with pytest.raises(ValueError, match=re.escape(told)):
        match(pattern, np.arange(0), np.arange(0), [], forbidden=dict.fromkeys(forbidden, np.empty(0, np.bool_)))


def test_rows_out_of_order_and_flags_of_other_length_are_refused() -> None:
    met = np.ones(2, dtype=np.bool_)
    group = np.zeros(2, dtype=np.int64)

    with pytest.raises(ValueError, match="order of their time"):
        match(Pattern((ONE,)), np.array([2, 1]), group, [met])
    with pytest.raises(ValueError, match="one flag a row"):
        match(Pattern((ONE,)), np.array([1, 2]), group, [met[:1]])
    with pytest.raises(ValueError, match="one flag a row"):
        match(Pattern((ONE, ONE)), np.array([1, 2]), group, [met])
    with pytest.raises(ValueError, match="one flag a row"):
        match(Pattern((ONE,)), np.array([1, 2]), group, [met], until=met[:1])
    with pytest.raises(ValueError, match="the end of the data"):
        match(Pattern((ONE,), 1), np.array([1, 2]), group, [met], forbidden={0: met})


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(40))
def test_pairs_equal_two_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (a_ts, a_group), (b_ts, b_group) = (
        (rng.integers(0, 40, size), rng.integers(-1, 3, size)) for size in rng.integers(0, 60, 2)
    )
    within = int(rng.integers(0, 12))
    sides = [
        [(number, time, group) for number, (time, group) in enumerate(zip(ts.tolist(), groups.tolist(), strict=True))]
        for ts, groups in ((a_ts, a_group), (b_ts, b_group))
    ]
    apart = [
        (a, b, b_time - a_time)
        for a, a_time, group in sides[0]
        for b, b_time, other in sorted(sides[1], key=lambda side: (side[1], side[0]))
        if group == other >= 0
    ]

    bounds: dict[Order, tuple[int, int]] = {
        "a_before_b": (0, within), "b_before_a": (-within, 0), "either": (-within, within),
    }  # fmt: skip
    for order, (low, high) in bounds.items():
        a, b = pairs(a_ts, a_group, b_ts, b_group, within=within, order=order)
        assert [(a, b) for a, b, time in apart if low <= time <= high] == list(zip(a.tolist(), b.tolist(), strict=True))
    first: dict[int, int] = {}
    for one, other, time in apart:
        if 0 < time <= within:
            first.setdefault(one, other)
    a, b = first_after_each(a_ts, a_group, b_ts, b_group, within=within)
    assert first == dict(zip(a.tolist(), b.tolist(), strict=True))


# ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(name: str, file: str) -> list[dict[str, str]]:
    with (FOLDER / "cases" / name / file).open() as opened:
        return list(csv.DictReader(opened))


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


def length(text: str) -> int:
    assert text.endswith("m")
    return int(text[:-1]) * MINUTE


def meets(line: dict[str, str], asked: dict[str, Any]) -> bool:
    where = {name: str(value) for name, value in asked.get("where", {}).items()}
    return line["type"] == asked["type"] and all(line[name] == value for name, value in where.items())


def case_pattern(asked: dict[str, Any]) -> tuple[Pattern, list[dict[str, Any]], dict[int, dict[str, Any]]]:
    steps: list[dict[str, Any]] = []
    forbidden = {}
    for step in asked["steps"]:
        if "not" in step:
            forbidden[len(steps) - 1] = step["not"]
        else:
            steps.append(step)
    within = None if asked["within"] is None else length(asked["within"])
    return (
        Pattern((ONE,) * len(steps), within, asked["start"], asked.get("after", "skip_past_last")),
        steps,
        forbidden,
    )


@needs_cases
@pytest.mark.parametrize(
    "name",
    [
        "e01_seq_within", "e02_seq3", "e03_until", "e04_overlap", "e05_equal_ts", "e06_conditions", "e24_fuzz",
        "f03_relaxed_skip_next", "f06_negation",
    ],
)  # fmt: skip
def test_case_is_answered_as_the_engine_did(name: str) -> None:
    asked = case(name)["neutral_rule"]["sequence"]
    pattern, steps, forbidden = case_pattern(asked)
    events = sorted(lines(name, "events.csv"), key=lambda line: (micros(line["ts"]), int(line["seq"])))
    cis = sorted({line["ci"] for line in events})

    def met(step: dict[str, Any]) -> Any:
        return np.array([meets(line, step) for line in events])

    result = match(
        pattern,
        np.array([micros(line["ts"]) for line in events]),
        np.array([cis.index(line["ci"]) for line in events]),
        [met(step) for step in steps],
        until=met(asked["until"]) if "until" in asked else None,
        forbidden={after: met(step) for after, step in forbidden.items()},
    )

    names = [f"step{number}_seq" for number in range(1, len(steps) + 1)] if name[0] == "e" else ["a_seq", "b_seq"]
    answer = [[line[column] for column in ("ci", *names)] for line in lines(name, "expected.csv")]
    ours = [[events[rows[0][0]]["ci"], *(events[step[0]]["seq"] for step in rows)] for rows in as_lists(result)]
    assert answer
    assert sorted(answer) == sorted(ours)


@needs_cases
def test_first_breach_after_each_deploy_is_that_of_the_case() -> None:
    name = "d12_cross_metric_event"
    deploys = [line for line in lines(name, "events.csv") if line["type"] == "deploy"]
    breaches = [line for line in lines(name, "metrics.csv") if float(line["value"]) > 90]
    cis = sorted({line["ci"] for line in (*deploys, *breaches)})

    a, b = first_after_each(
        *(
            np.array([read(line) for line in side])
            for side in (deploys, breaches)
            for read in (lambda line: micros(line["ts"]), lambda line: cis.index(line["ci"]))
        ),
        within=length(case(name)["neutral_rule"]["sequence"]["within"]),
    )

    assert [(line["deploy_seq"], line["ci"], line["first_breach"]) for line in lines(name, "expected.csv")] == [
        (deploys[one]["seq"], deploys[one]["ci"], breaches[other]["ts"])
        for one, other in zip(a.tolist(), b.tolist(), strict=True)
    ]


@needs_cases
def test_changes_upstream_before_alerts_are_those_of_the_case() -> None:
    name = "d01_topo_2hops"
    near = case(name)["neutral_rule"]["near"]
    graph = nx.DiGraph([(line["src"], line["dst"]) for line in lines(name, "topology.csv")])
    events = lines(name, "events.csv")
    cis = sorted(graph)
    hops = {ci: nx.single_source_shortest_path_length(graph, ci, cutoff=near["max_hops"]) for ci in cis}
    alerts = [
        (line, up, far)
        for line in events
        if meets(line, near["a"])
        for up, far in hops[line["ci"]].items()
        if up != line["ci"]
    ]
    changes = [line for line in events if meets(line, near["b"])]

    a, b = pairs(
        np.array([micros(line["ts"]) for line, _, _ in alerts]),
        np.array([cis.index(up) for _, up, _ in alerts]),
        np.array([micros(line["ts"]) for line in changes]),
        np.array([cis.index(line["ci"]) for line in changes]),
        within=length(near["within"]),
        order=near["order"],
    )

    ours = [
        [alerts[one][0]["seq"], changes[other]["seq"], alerts[one][0]["ci"], alerts[one][1], str(alerts[one][2])]
        for one, other in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert sorted(list(line.values()) for line in lines(name, "expected.csv")) == sorted(ours)
