"""Samples that are replayed in slices give the alerts that they give as a whole."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.cep import slices as module
from ciops_nb.cep.samples import Grid, Samples, Seen, gather
from ciops_nb.cep.slices import is_by_ci, slices
from tests.cep.test_sweep import minutes, past

CPU: dict[str, Any] = {"metric": "cpu", "op": ">", "value": 3}
BY_CI: list[Any] = [
    CPU,
    {**CPU, "agg": "avg", "over": "3m"},
    {**CPU, "reduce": "max", "by": ["ci"]},
    {"all": [CPU, {"not": {"metric": "mem", "op": ">", "value": 2}}]},
    {"ratio": [{"metric": "cpu"}, {"metric": "mem"}], "op": ">", "value": 1},
]
TOGETHER: list[Any] = [
    {**CPU, "reduce": "sum"},
    {**CPU, "reduce": "sum", "by": ["series"]},
    {"any": [CPU, {"metric": "mem", "op": ">", "value": {"metric": "cpu", "reduce": "avg"}}]},
]


def test_it_is_known_which_rules_look_at_each_ci_alone() -> None:
    assert [True] * len(BY_CI) == [is_by_ci(load({"when": when})) for when in BY_CI]
    assert [False] * len(TOGETHER) == [is_by_ci(load({"when": when})) for when in TOGETHER]
    assert not is_by_ci(load({"when": CPU, "labels": {"ci": "all"}}))
    assert not is_by_ci(load({"when": CPU, "record": "high"}))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("when", [*BY_CI, *TOGETHER])
@pytest.mark.parametrize("lazy", [True, False])
def test_slices_give_what_the_whole_gives(seed: int, when: Any, lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = Random(seed)
    metrics = past(chance).sample(fraction=1.0, shuffle=chance.random() < 0.5, seed=seed)
    metrics = metrics.with_columns(
        ci=pl.when(pl.col("ci") == "srv-0").then(pl.lit(chance.choice([None, "", "x"]))).otherwise("ci")
    )
    rules = [{"id": "one", "when": when, "for": "1m"}, {"id": "two", "when": CPU}]
    given = {"start": minutes(0), "end": minutes(35)}
    whole = replay(rules, metrics=metrics, **given)
    monkeypatch.setattr(module, "_ROWS", 50)
    monkeypatch.setattr(module, "_MANY", 50)

    found = replay(rules, metrics=metrics.lazy() if lazy else metrics, **given)

    assert whole.height > 0
    assert whole.equals(found)
    parts = [part.lazy().collect() for part in slices(metrics.lazy(), load(rules))]
    assert (len(parts) > 1) == (when in BY_CI)
    assert metrics.height == sum(part.height for part in parts) or when in (CPU, *BY_CI[1:3], *TOGETHER[:2])


@pytest.mark.parametrize("agg", ["sum", "avg", "min", "max", "rate"])
def test_blocks_of_any_length_are_summed_alike(agg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(4)
    times = np.sort(draw.choice(4000, 300, replace=False)).astype(np.int64)
    values = draw.normal(0, 1e6, 300) * 10.0 ** draw.integers(-9, 9, 300)
    samples = Samples("m", ((),), np.zeros(300, dtype=np.int64), times, values, np.zeros(300, dtype=np.bool_))
    grid = Grid(0, 7, 600)
    answers = []
    for spread in (10**9, 0):  # as the rows of a matrix, and one block after another
        monkeypatch.setattr("ciops_nb.cep.samples._SPREAD", spread)
        for ticks in (np.arange(600), np.arange(599)):  # counted at all ticks, searched at some
            answers.append([part[:, :599] for part in gather(Seen(samples, grid, 50, 3), agg, ticks)])
    first, *others = answers
    assert first[1].sum() > 500
    for value, there in others:
        assert np.array_equal(first[0], value, equal_nan=True)
        assert np.array_equal(first[1], there)
