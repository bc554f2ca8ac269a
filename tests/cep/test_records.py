"""What records are made of: stretches of time and the newest of what is known, however wide they lie."""

from __future__ import annotations

import numpy as np
import pytest

from ciops_nb.cep.records import Latest, Spans, members, merged
from ciops_nb.cep.samples import NEVER, unique

WIDE = [10, 10**15, 10**18]
"""How far apart times lie; keys and times of the last do not fit into one number."""


@pytest.mark.parametrize("width", WIDE)
@pytest.mark.parametrize("seed", range(5))
def test_stretches_cover_what_lies_in_them(width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    key, begin = rng.integers(0, 9, 60), rng.integers(-width, width, 60)
    end = begin + rng.integers(1, width, 60)
    moments = np.concatenate([begin, end, begin - 1, end - 1, rng.integers(-2 * width, 3 * width, 60)])
    asked = rng.integers(0, 9, len(moments))

    found = Spans(key, begin, end).covering(asked, moments)
    of, first, last = merged(key, begin, end)
    once = Spans(of, first, last).covering(asked, moments)

    expected = [
        sum(k == a and b <= m < e for k, b, e in zip(key, begin, end, strict=True))
        for a, m in zip(asked, moments, strict=True)
    ]
    assert expected == found.tolist()
    assert [min(one, 1) for one in expected] == once.tolist()
    assert all(first[1:][of[1:] == of[:-1]] > last[:-1][of[1:] == of[:-1]])


@pytest.mark.parametrize("width", WIDE)
@pytest.mark.parametrize("seed", range(5))
def test_the_newest_is_the_last_of_what_is_known(width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    key = np.sort(rng.integers(0, 9, 60))
    known = np.where(rng.random(60) < 0.1, NEVER, rng.integers(-width, width, 60))
    moments, asked = rng.integers(-width - 3, width + 3, 100), rng.integers(0, 9, 100)

    expected = [
        max((row for row in range(60) if key[row] == a and known[row] <= m), default=-1)
        for a, m in zip(asked, moments, strict=True)
    ]
    assert expected == Latest(key, known, 9).at(asked, moments).tolist()


def test_nothing_is_covered_by_nothing() -> None:
    none, some = np.zeros(0, dtype=np.int64), np.arange(3)

    assert [0, 0, 0] == Spans(none, none, none).covering(some, some).tolist()
    assert [-1, -1, -1] == Latest(none, none, 3).at(some, some).tolist()
    assert [[], [], []] == [column.tolist() for column in merged(none, none, none)]


def test_members_are_what_is_in_each_range() -> None:
    row, of = members(np.array([3, 5, 0]), np.array([5, 5, 2]))

    assert ([0, 0, 2, 2], [3, 4, 0, 1]) == (row.tolist(), of.tolist())


@pytest.mark.parametrize("most", [1, 5, 10**12])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_unique_is_that_of_numpy(count: int, most: int) -> None:
    values = np.random.default_rng(count).integers(-most, most, count)

    assert np.unique(values).tolist() == unique(values).tolist()
