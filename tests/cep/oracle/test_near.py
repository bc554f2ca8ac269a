"""Random rules on what is near, as Prometheus answers them from info series of who reaches whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import replay
from tests.cep.oracle.compare import Batch, differing
from tests.cep.oracle.data import Data, Series
from tests.cep.oracle.promtool import Asked, needs_promtool
from tests.cep.walk import Relation, Walk

pytestmark = needs_promtool

START = datetime(2026, 3, 1, tzinfo=UTC)
STEP, TICKS = 60, 40
CIS = [f"c{n}" for n in range(7)]
HOPS = (1, 2, 3)


def random_relations(random: Random) -> list[Relation]:
    """Relations, some of which begin or end, at ticks."""
    found: list[Relation] = []
    for _ in range(random.randint(4, 14)):
        begin = random.choice([None, STEP * random.randint(1, TICKS)])
        end = random.choice([None, (begin or 0) + STEP * random.randint(1, 20)])
        found.append((random.choice(CIS), random.choice(CIS), "calls", begin, end))
    return found


def reach(walk: Walk, hops: int) -> list[Series]:
    """A series for each pair that is ever near, upstream, and a marker of its end where it is no more."""
    there: dict[tuple[str, str], list[int]] = {}
    for tick in range(0, STEP * TICKS, STEP):
        for ci in CIS:
            for up in walk.near(tick, ci, {"is": "upstream", "hops": hops}):
                there.setdefault((ci, up), []).append(tick)
    return [
        Series(
            "reach",
            (("ci", ci), ("h", str(hops)), ("up", up)),
            tuple(
                sorted([*((at, 1.0) for at in ticks), *((at + STEP, None) for at in ticks if at + STEP not in ticks)])
            ),
        )
        for (ci, up), ticks in there.items()
    ]


def measured(random: Random, metric: str, ci: str) -> list[Series]:
    found = []
    for disk in random.choice([("a",), ("a", "b"), ()]):
        labels = (("ci", ci), ("disk", disk)) if metric == "lat" else (("ci", ci),)
        samples, value = [], 1.0
        for at in range(random.randint(0, 200) // 5 * 5 + 7, STEP * TICKS, random.choice([30, 60, 120])):
            if random.random() < 0.3:
                value = float(random.randint(0, 9))
            if random.random() < 0.9:
                samples.append((at, value))
        found.append(Series(metric, labels, tuple(samples)))
        if metric == "err":
            break
    return [one for one in found if one.samples]


def _shapes(random: Random) -> tuple[dict[str, Any], str]:
    """A condition and the expression that means it."""
    hops, limit, other = random.choice(HOPS), random.randint(1, 7), random.randint(1, 7)
    direction = random.choice(["upstream", "downstream"])
    of, err = {"metric": "err", "op": ">", "value": limit}, f"err > {limit}"
    if direction == "upstream":
        found = f'(reach{{h="{hops}"}} and on (up) label_replace({err}, "up", "$1", "ci", "(.*)"))'
        every = f'reach{{h="{hops}"}}'
    else:
        turned = 'label_replace(label_replace({}, "x", "$1", "ci", "(.*)"), "ci", "$1", "up", "(.*)")'
        found = turned.format(f'(reach{{h="{hops}"}} and on (ci) ({err}))')
        every = turned.format(f'reach{{h="{hops}"}}')
    lat, said = {"metric": "lat", "op": ">", "value": other}, f"(lat > {other})"
    group = {"of": of, "is": direction, "hops": hops}
    near = {"near": group}
    share, half = {"share": group, "op": ">=", "value": 0.5}, f"(count by (ci) ({found}) / count by (ci) ({every}))"
    return random.choice([
        ({"all": [lat, near]}, f"{said} and on (ci) {found}"),
        ({"all": [lat, {"not": near}]}, f"{said} unless on (ci) {found}"),
        ({"all": [near, lat, {"not": share}]}, f"{said} and on (ci) {found} unless on (ci) ({half} >= 0.5)"),
        ({"count_of": group, "op": ">", "value": 1}, f"count by (ci) ({found}) > 1"),
        (share, f"{half} >= 0.5"),
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_random_rules_on_what_is_near_fire_as_in_prometheus(seed: int) -> None:
    random = Random(seed)
    walk = Walk({}, random_relations(random))
    series = [one for metric in ("lat", "err") for ci in CIS for one in measured(random, metric, ci)]
    data = Data((*series, *(one for hops in HOPS for one in reach(walk, hops))))
    rules, asked = [], []
    for number in range(20):
        when, expr = _shapes(random)
        hold = random.choice(["0s", "1m", "3m"])
        rules.append({"id": f"a{number}", "when": when, "for": hold})
        asked.append(Asked({"alert": f"a{number}", "expr": expr, "for": hold}))

    def replayed(rules: Sequence[Any], data: Data, batch: Batch) -> pl.DataFrame:
        end = START + timedelta(seconds=STEP * (TICKS - 1))
        return replay([*rules], metrics=data.frame(START), relations=walk.related(), start=START, end=end, every="1m")

    found = differing(Batch(rules, asked, [data], START, STEP, TICKS, replayed))

    assert not found, (rules[found[0][0]], asked[found[0][0]], found[0][2])
