"""The names an estate knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb import sync
from ciops_nb.errors import SessionClosed, UnknownField
from ciops_nb.session import Ops
from ciops_nb.tools.names import ASKED, Names, ended, starting, values_of
from tests.worlds import hours, write_world

CIS = [
    {"tenant_id": "a", "ci_id": "1", "ci_code": "app-1", "valid_from": hours(0), "valid_to": hours(5)},
    {"tenant_id": "a", "ci_id": "1", "ci_code": "app-1", "valid_from": hours(5), "valid_to": None},
    {"tenant_id": "a", "ci_id": "2", "ci_code": "app-2", "valid_from": hours(0), "valid_to": hours(5)},
    {"tenant_id": "a", "ci_id": "3", "ci_code": "Über", "valid_from": None, "valid_to": None},
    {"tenant_id": "b", "ci_id": "1", "ci_code": "app-3", "valid_from": None, "valid_to": None},
]
POINTS = [{"tenant_id": "a", "ci_id": "1", "metric": "load", "series": "", "ts": hours(1), "value": 1.0}]


PROPERTIES = [
    {"tenant_id": tenant, "ci_id": "1", "kind": kind, "name": "role", "value": value}
    for tenant, kind, value in (
        ("a", "tag", "web"),
        ("a", "tag", "db"),
        ("a", "attribute", "x"),
        ("b", "tag", "theirs"),
    )
]


def read(ops: Ops, name: str) -> Any:
    return read_names(ops, ASKED[name])


def read_names(ops: Ops, names: Names) -> Any:
    async def ask() -> Any:
        ctx, _ = await ops.aside()
        return await names.read(ctx)

    return sync.run(ask())


@pytest.fixture(params=["", "duckdb:"])
def ops(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    rows = {"ci": CIS, "metric": POINTS, "ci_property": PROPERTIES}
    with ciops.connect(f"{request.param}{write_world(tmp_path, rows)}", tenant="a") as session:
        yield session


def test_names_are_those_of_the_tenant_and_sorted(ops: Ops) -> None:
    assert ["app-1", "app-1", "app-2", "Über"] == read(ops, "ci")["name"].to_list()
    assert ["1", "1", "2", "3"] == read(ops, "ci_id")["name"].to_list()
    assert ["load"] == read(ops, "metric")["name"].to_list()  # no definitions: what was measured
    assert "ci_code" in read(ops, "where")["name"].to_list()
    assert (0, 0) == (len(ops.trace), len(ops.cache))


def test_names_are_found_by_how_they_begin(ops: Ops) -> None:
    known = read(ops, "ci")

    assert (["app-1", "app-2"], 2) == starting(known, "app-", 9)
    assert (["app-1"], 2) == starting(known, "app-", 1)
    assert (["app-1", "app-2", "Über"], 3) == starting(known, "", 9)
    assert (["app-1", "app-2"], 2) == starting(known, "APP", 9)
    assert (["Über"], 1) == starting(known, "üb", 9)
    assert ([], 0) == starting(known, "zzz", 9)
    assert ([], 0) == starting(pl.DataFrame({"name": []}, schema={"name": pl.String()}), "a", 9)


def test_values_are_those_of_their_field(ops: Ops) -> None:
    fields = ("ci_code", "tags.role", "attributes.role", "tags.none", "criticality")

    assert [["app-1", "app-2", "Über"], ["db", "web"], ["x"], [], []] == [
        read_names(ops, values_of(field))["name"].to_list() for field in fields
    ]
    with pytest.raises(UnknownField):
        read_names(ops, values_of("none"))


def test_who_has_no_version_at_a_moment_has_ended(ops: Ops) -> None:
    known = read(ops, "ci")

    assert {"app-2"} == ended(known, ["app-1", "app-2", "Über"], hours(6))
    assert set() == ended(known, ["app-1", "app-2", "Über"], hours(1))
    assert set() == ended(read(ops, "metric"), ["load"], hours(6))


def test_what_time_it_is_is_told_only_where_it_is_known(ops: Ops) -> None:
    async def when() -> Any:
        return (await ops.aside())[1]

    assert sync.run(when()) is None
    ops.ci_search.sync()
    assert hours(5) == sync.run(when())
    ops.close()
    with pytest.raises(SessionClosed):
        sync.run(when())
