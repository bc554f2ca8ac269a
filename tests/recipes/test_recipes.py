"""lookup, what_changed, blast_radius, path and inventory: their pure parts against slow answers, and on the demo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import networkx as nx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.recipes.blast_radius import blast_of
from ciops_nb.recipes.lookup import winner
from ciops_nb.recipes.path import on_all_paths
from ciops_nb.recipes.what_changed import rank_changes

DEMO = Path(__file__).parents[2] / "data/demo"
AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)


@pytest.fixture(scope="module", params=["pandas", "polars"])
def ops(request: pytest.FixtureRequest) -> Any:
    with ciops.connect(DEMO, frames=request.param) as session:
        yield session


def texts(part: Any) -> str:
    return "\n".join(statement.text for statement in part)


def test_each_statement_rests_on_calls_of_its_run(ops: ciops.Ops) -> None:
    asked = {
        "lookup": {"text": "erp db"}, "what_changed": {"ci": "app-erp-01", "at": AT},
        "blast_radius": {"ci": "srv-erp-01"}, "path": {"source": "app-erp-01", "target": "sto-san-01"}, "inventory": {},
    }  # fmt: skip
    for name, params in asked.items():
        run = ops.run.sync(name, **params)
        calls = {call.call_id for call in run.calls}
        for statement in run.findings.all_statements():
            assert statement.calls, (name, statement.text)
            assert calls >= set(statement.calls), (name, statement.text)


# ── lookup ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 0.6], "ci-0"),
        ([0.8, 0.6], "ci-0"),
        ([0.6, 0.6], None),
        ([0.4, 0.2], None),
        ([0.2], "ci-0"),
    ],
)  # fmt: skip
def test_one_is_meant_if_nothing_is_as_good_and_it_is_named(scores: list[float], expected: str | None) -> None:
    rows = pl.DataFrame({"ci_code": [f"ci-{n}" for n in range(len(scores))], "score": scores})

    assert expected == winner(rows)


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        ("app-erp-01", "'app-erp-01' means app-erp-01."),
        ("ERP application 1", "'ERP application 1' means app-erp-01"),
        ("db erp", "'db erp' may mean db-erp-01, db-erp-02"),
        ("apperp01", "No CI is found by 'apperp01'. Codes that look like it: app-erp-01"),
    ],
)
def test_words_are_looked_up(ops: ciops.Ops, text: str, headline: str) -> None:
    assert ops.run.sync("lookup", text=text).findings.headline.text.startswith(headline)


def test_one_of_several_is_not_meant_because_no_more_were_asked_for(ops: ciops.Ops) -> None:
    found = ops.run.sync("lookup", text="db erp", limit=1).findings

    assert found.headline.text.startswith("'db erp' may mean db-erp-01, db-erp-02")


def test_no_word_is_refused(ops: ciops.Ops) -> None:
    with pytest.raises(BadParameter, match="holds no word"):
        ops.run.sync("lookup", text=" ").findings  # noqa: B018


# ── what_changed ────────────────────────────────────────────────────────────────────────────────────────────────────

RECORDS = st.lists(
    st.tuples(
        st.integers(-30, 26 * 60),
        st.sampled_from(["change", "maintenance", "event", "incident"]),
        st.sampled_from(["a", "b", "c", "elsewhere", None]),
        st.sampled_from([None, 1, 3, 5]),
        st.sampled_from([None, "success", "failed", "FAILURE"]),
    ),
    max_size=12,
)


@SETTINGS
@given(records=RECORDS)
def test_records_are_ranked_as_plain_arithmetic_ranks_them(records: list[Any]) -> None:
    hops = {"a": 0, "b": 1, "c": 3}
    rows = [
        (AT - timedelta(minutes=ago), kind, "t", code, severity, "title", result, f"r-{n}")
        for n, (ago, kind, code, severity, result) in enumerate(records)
    ]
    names = ["start_at", "kind", "type", "ci_code", "severity", "title", "result", "record_id"]
    schema: Any = dict.fromkeys(names, pl.String) | {"start_at": pl.Datetime("us", "UTC"), "severity": pl.Int64}
    expected = []
    for ago, kind, code, severity, result, number in [(*row, n) for n, row in enumerate(records)]:
        if ago < 0 or code not in hops:
            continue
        failed = result is not None and "fail" in result.lower()
        risk = 1 if failed else {"change": 0.7, "maintenance": 0.5}.get(kind, (severity or 1) / 10)
        score = 0.5 ** (ago / (24 * 60) * 4) / (1 + hops[code]) * risk
        expected.append((-score, ago, f"r-{number}"))

    found = rank_changes(pl.DataFrame(rows, schema=schema, orient="row"), hops, at=AT, window=timedelta(hours=24))

    assert [name for *_, name in sorted(expected)] == found["record_id"].to_list()
    assert [-score for score, *_ in sorted(expected)] == pytest.approx(found["score"].to_list())


def test_the_change_before_the_crisis_comes_first(ops: ciops.Ops) -> None:
    found = ops.run.sync("what_changed", ci="app-erp-01", at=AT).findings

    assert "change C-san on sto-san-01 (3 hops upstream) at 2026-03-02T09:35:00Z" in found.headline.text


def test_nothing_recorded_is_said(ops: ciops.Ops) -> None:
    found = ops.run.sync("what_changed", ci="idp-01", at="2026-01-01T00:00Z", window="1m").findings

    assert "nothing is recorded for it" in found.headline.text


# ── blast_radius ────────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def nets(draw: st.DrawFn) -> nx.MultiDiGraph[str]:
    """Needs of eight CIs, some of them in groups that stand in for each other, some both ways."""
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(impact={"DEPENDS_ON": "target_to_source", "CONNECTED_TO": "both"})
    codes = [f"c{n}" for n in range(8)]
    graph.add_nodes_from(codes)
    for source, target in draw(st.lists(st.tuples(st.sampled_from(codes), st.sampled_from(codes)), max_size=16)):
        kind = draw(st.sampled_from(["DEPENDS_ON", "DEPENDS_ON", "DEPENDS_ON", "CONNECTED_TO"]))
        data: dict[str, Any] = {"relation_type": kind}
        if kind == "DEPENDS_ON" and draw(st.booleans()):
            data |= {
                "redundancy_group": draw(st.sampled_from(["g", "h"])),
                "min_healthy": draw(st.sampled_from([1, 2])),
            }
        graph.add_edge(source, target, kind, **data)
    return graph


def hurt_by_hand(graph: nx.MultiDiGraph[str], root: str, both: bool) -> set[str]:
    """Ask each CI whether it can still work, over and over, until nothing changes."""
    down = {root}
    while True:
        more = set()
        for code in set(graph) - down:
            groups: dict[Any, list[tuple[str, int]]] = {}
            for number, (_, target, data) in enumerate(graph.out_edges(code, data=True)):
                if target == code or (data["relation_type"] == "CONNECTED_TO" and not both):
                    continue
                groups.setdefault(data.get("redundancy_group", number), []).append((target, data.get("min_healthy", 1)))
            for number, (source, _, data) in enumerate(graph.in_edges(code, data=True)):
                if source != code and data["relation_type"] == "CONNECTED_TO" and both:
                    groups[f"in {number}"] = [(source, 1)]
            for members in groups.values():
                others = {target for target, _ in members}
                if others & down and len(others - down) < max(least for _, least in members):
                    more.add(code)
        if not more:
            return down
        down |= more


@SETTINGS
@given(graph=nets(), both=st.booleans())
def test_a_failure_spreads_as_by_hand(graph: nx.MultiDiGraph[str], both: bool) -> None:
    blast = blast_of(graph, "c0", within=list(graph), both=both)

    assert hurt_by_hand(graph, "c0", both) == set(blast.hurt)
    assert not set(blast.hurt) & set(blast.spared)
    within = list(graph)
    assert sorted(blast.hurt, key=lambda code: (blast.hurt[code], within.index(code))) == list(blast.hurt)


def test_a_group_that_has_enough_left_goes_on() -> None:
    graph: Any = nx.MultiDiGraph(impact={"RUNS_ON": "target_to_source"})
    for server in ("s1", "s2", "s3"):
        graph.add_edge("db", server, "RUNS_ON", relation_type="RUNS_ON", redundancy_group="g", min_healthy=2)

    blast = blast_of(graph, "s1", within=["s1", "db"])

    assert ({"s1": 0}, {"db": "it loses s1 and has s2, s3 left, of which it needs 2"}) == (blast.hurt, blast.spared)


def test_who_has_too_few_of_a_group_is_not_hurt_by_what_is_not_in_it() -> None:
    graph: Any = nx.MultiDiGraph(impact={"RUNS_ON": "target_to_source"})
    graph.add_edge("db", "s1", "RUNS_ON", relation_type="RUNS_ON", redundancy_group="g", min_healthy=2)
    graph.add_edge("db", "s2", "RUNS_ON", relation_type="RUNS_ON", redundancy_group="h")
    graph.add_edge("db", "s3", "RUNS_ON", relation_type="RUNS_ON", redundancy_group="h")

    assert ({"s2": 0}, ["db"]) == ((blast := blast_of(graph, "s2", within=["s2", "db"])).hurt, list(blast.spared))
    assert {"s1": 0, "db": 1} == blast_of(graph, "s1", within=["s1", "db"]).hurt


def test_the_blast_of_the_demo_storage_reaches_all_systems_and_says_what_is_spared(ops: ciops.Ops) -> None:
    found = ops.run.sync("blast_radius", ci="srv-erp-01").findings

    assert "among them sys-bi, sys-crm, sys-erp" in found.headline.text or "sys-erp" in found.headline.text
    assert "goes on: it loses" in texts(found.ruled_out)
    assert "CONNECTED_TO passes a failure on both ways" in texts(found.unknown)


# ── path and inventory ──────────────────────────────────────────────────────────────────────────────────────────────


@SETTINGS
@given(edges=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
def test_what_lies_on_all_ways_cuts_them_when_it_is_taken_out(edges: list[tuple[int, int]]) -> None:
    graph = nx.Graph((f"n{a}", f"n{b}") for a, b in edges if a != b)
    if not (graph.has_node("n0") and graph.has_node("n6") and nx.has_path(graph, "n0", "n6")):
        return
    paths = [list(way) for way in nx.all_simple_paths(graph, "n0", "n6")]
    expected = {
        code for code in graph if code not in ("n0", "n6")
        and not nx.has_path(graph.subgraph(set(graph) - {code}), "n0", "n6")
    }  # fmt: skip

    assert expected == set(on_all_paths(paths))


def test_ways_are_told_step_by_step(ops: ciops.Ops) -> None:
    found = ops.run.sync("path", source="app-erp-01", target="sto-san-01", direction="upstream", k=1).findings

    assert "app-erp-01 and sto-san-01 are 3 hops apart" in found.headline.text
    told = "app-erp-01 -DEPENDS_ON-> db-erp-01 -RUNS_ON-> srv-erp-01 -DEPENDS_ON-> sto-san-01."
    assert told == found.statements[0].text
    assert "There may be more ways" in texts(found.unknown)


def test_no_way_is_said(ops: ciops.Ops) -> None:
    found = ops.run.sync("path", source="app-erp-01", target="app-crm-01", direction="upstream").findings

    assert found.headline.text.startswith("No way of at most 6 hops leads from app-erp-01 to app-crm-01")


def test_an_inventory_counts_as_the_table_does(ops: ciops.Ops) -> None:
    found = ops.run.sync("inventory").findings
    now = pl.read_parquet(DEMO / "ci.parquet").filter(pl.col("valid_to").is_null())
    relation = pl.read_parquet(DEMO / "relation.parquet").filter(pl.col("valid_to").is_null())
    related = set(relation["source_id"]) | set(relation["target_id"])
    alone = sum(ci_id not in related for ci_id in now["ci_id"])

    assert "280 CIs: SW (197), HW (75), SYSTEM (8)." == found.headline.text
    assert f"{now['owner'].null_count()} CIs without owner" in texts(found.statements)
    assert f"{alone} CIs without any relation" in texts(found.statements)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("what_changed", {"ci": "app-erp-1"}),
        ("blast_radius", {"ci": "app-erp-1"}),
        ("path", {"source": "app-erp-1", "target": "app-erp-02"}),
    ],
)
def test_an_unknown_ci_is_named_with_near_ones(ops: ciops.Ops, name: str, params: dict[str, str]) -> None:
    run = ops.run.sync(name, **params)

    assert "failed" == run.status
    with pytest.raises(ItemNotFound, match="app-erp-01"):
        run.findings  # noqa: B018
