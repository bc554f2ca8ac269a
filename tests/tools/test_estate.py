"""``estate`` and ``tenants`` against the rows that were written."""

from __future__ import annotations

from hypothesis import given

import ciops_nb as ciops
from ciops_nb.estate.schema import TABLES
from tests.oracle import SETTINGS, ask, every_way, of_a, opened, plain, seeds, world


@every_way
@SETTINGS
@given(seed=seeds)
def test_estate_tells_the_rows_and_spans_of_the_tenant(engine: str, frames: str, way: str, seed: int) -> None:
    rows = world(seed)
    expected = []
    for table in TABLES.values():
        own = of_a(rows, table.name)
        times = [row[table.time] for row in own if table.time and row[table.time] is not None]
        span = (min(times, default=None), max(times, default=None))
        expected.append((table.name, bool(rows[table.name]), len(own), *span))
    assert expected == [tuple(row.values()) for row in plain(ask(opened(seed, engine, frames), way, "estate"))]


@every_way
def test_tenants_are_listed_by_name(engine: str, frames: str, way: str) -> None:
    found = ask(opened(3, engine, frames), way, "tenants")
    assert [{"tenant_id": "a"}, {"tenant_id": "b"}] == plain(found)


def test_the_moment_is_part_of_the_question() -> None:
    early, late = (ciops.connect(opened(3).source, tenant="a", now=now) for now in ("2026-03-01T10:00Z", "2026-03-02"))
    with early, late:
        asked = {"time_range": ("2026-03-01", "2026-03-03"), "by": "ci"}
        ids = [ciops.provenance(ops.metric_aggregate.sync("cpu", **asked)).call_id for ops in (early, late, late)]
    assert ids[0] != ids[1] == ids[2]
