"""Random rules of ours on random data, as Prometheus' own rule manager evaluates what they are exported as.

``CIOPS_ORACLE_PAIRS=5000`` compares more pairs, ``CIOPS_ORACLE_SEED`` others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest
import yaml

from ciops_nb.cep import replay, to_prometheus
from tests.cep.oracle.compare import Batch, differing, told
from tests.cep.oracle.data import Data, random_data, random_turns
from tests.cep.oracle.promtool import Asked, needs_promtool
from tests.cep.oracle.rules import random_rule, random_rule_of_turns

pytestmark = needs_promtool

RULES, DATA = 20, 4
PAIRS = int(os.environ.get("CIOPS_ORACLE_PAIRS", "960"))
SEED = int(os.environ.get("CIOPS_ORACLE_SEED", "20260301"))


def _replayed(rules: Sequence[Any], data: Data, batch: Batch) -> pl.DataFrame:
    end = batch.start + timedelta(seconds=batch.step * (batch.ticks - 1))
    return replay(
        [*rules], metrics=data.frame(batch.start), start=batch.start, end=end, every=timedelta(seconds=batch.step)
    )


def batch(
    number: int, rule_of: Callable[[Random], Any] = random_rule, data_of: Callable[..., Data] = random_data
) -> Batch:
    random = Random(f"{SEED}-{number}")
    step, ticks = random.choice(((60, 61), (60, 61), (30, 61), (15, 81), (90, 51), (300, 25)))
    rules = [{**rule_of(random), "id": f"a{number}"} for number in range(RULES)]
    written = yaml.safe_load(to_prometheus(rules))["groups"][0]["rules"]
    return Batch(
        rules,
        [Asked(fields) for fields in written],
        [data_of(random, step * ticks) for _ in range(DATA)],
        datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=random.randint(0, 10**7)),
        step,
        ticks,
        _replayed,
    )


@pytest.mark.parametrize("number", range(-(-PAIRS // (RULES * DATA))))
def test_random_rules_fire_as_in_prometheus(number: int) -> None:
    asked = batch(number)

    found = differing(asked)

    assert not found, told(asked, found)


@pytest.mark.parametrize("number", range(2))
def test_series_that_take_turns_are_one_alert_as_in_prometheus(number: int) -> None:
    asked = batch(number, random_rule_of_turns, random_turns)

    found = differing(asked)

    assert not found, told(asked, found)
