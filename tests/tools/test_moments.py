"""The moments at which something changed, held against the tables themselves."""

from __future__ import annotations

from pathlib import Path

import polars as pl

import ciops_nb as ciops
from ciops_nb.registry import BoundTool, all_tools
from ciops_nb.tools.moments import graph_moments

DEMO = Path(__file__).parents[2] / "data/demo"


def naive(codes: list[str]) -> dict[str, set]:
    cis, relations = (pl.read_parquet(DEMO / f"{name}.parquet") for name in ("ci", "relation"))
    mine = cis.filter(pl.col("ci_code").is_in(codes))
    ids = set(mine["ci_id"])
    touching = [row for row in relations.iter_rows(named=True) if {row["source_id"], row["target_id"]} & ids]
    return {
        "cis": {(row[end], row["ci_id"]) for row in mine.iter_rows(named=True) for end in ("valid_from", "valid_to")},
        "relations": {
            (row[end], row["source_id"], row["target_id"], row["relation_type"])
            for row in touching
            for end in ("valid_from", "valid_to")
        },
    }


def test_every_begin_and_end_of_a_version_is_a_moment_once_and_oldest_first() -> None:
    codes = ["app-erp-01", "db-erp-01", "sys-erp"]
    with ciops.connect(DEMO, frames="polars") as ops:
        found = BoundTool(graph_moments, ops).sync(codes)

    expected = naive(codes)
    times = sorted({key[0] for keys in expected.values() for key in keys if key[0] is not None})
    assert times == found["ts"].to_list()
    for what, keys in expected.items():
        assert [sum(key[0] == ts for key in keys) for ts in times] == found[what].to_list()


def test_nothing_before_the_first_of_those_asked_for_came_to_be() -> None:
    with ciops.connect(DEMO, frames="polars") as ops:
        every = BoundTool(graph_moments, ops).sync(["app-erp-01", "sys-erp"])
        since = BoundTool(graph_moments, ops).sync(["app-erp-01", "sys-erp"], since=["sys-erp"])

    first = pl.read_parquet(DEMO / "ci.parquet").filter(pl.col("ci_code") == "sys-erp")["valid_from"].min()
    assert every.filter(pl.col("ts") >= first).equals(since)
    assert since.height < every.height


def test_it_is_not_listed_among_the_tools() -> None:
    assert "graph_moments" not in all_tools()
