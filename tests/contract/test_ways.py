"""With an index and without one: the same answers, the same words beside them, and the same errors."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ciops_nb as ciops
from ciops_nb.execution.keep import digest
from ciops_nb.ways import Way
from tests.oracle import NOW, folder
from tests.worlds import Rows, hours, write_world

SEEDS = range(5)


def calls(chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Calls of all tools that may use an index: of what is there, what is not, and what was at another time."""
    codes = [f"ci-{number}{new}" for number in range(7) for new in ("", "-new")]
    some: Callable[[], list[str]] = lambda: chance.sample(codes[:10:2], 2)  # noqa: E731
    made: list[tuple[str, dict[str, Any]]] = []
    for as_of in (None, hours(chance.randint(0, 30)), hours(-1)):
        when = {"as_of": as_of}
        words = chance.choice(["", "db", "WEB server", "ci a", "ünï", "%", "'; drop", "x" * 60, "sw hw"])
        made += [
            ("ci_get_by_code", {"ci_code": chance.choice(codes), **when}),
            ("ci_get_by_code", {"ci_code": some(), **when}),
            (
                "ci_get",
                {"ci_id": [f"{prefix}-{chance.randint(0, 3)}" for prefix in chance.choice((("a",), ("id",)))], **when},
            ),
            ("ci_search", {"keywords": words, "match": chance.choice(["all", "any"]), **when}),
            ("ci_search", {"keywords": words, "where": {"ci_type": "HW"}, "sort": "-ci_name", "limit": 2, **when}),
            ("ci_aggregate", {"by": "ci_type", "ci": some(), **when}),
        ]
        for view in ("neighbors", "impact", "composition"):
            made.append((
                "graph_expand",
                {"ci": chance.choice(([codes[0]], some())), "view": view, "depth": chance.randint(0, 3),
                 "direction": chance.choice([None, "upstream", "downstream"]), "max_nodes": chance.choice([1, 3, 2000]),
                 "relations": chance.choice([None, None, "RUNS_ON", ["DEPENDS_ON", "UNDECLARED"], "NO_SUCH"]), **when},
            ))  # fmt: skip
            made.append((
                "graph_path",
                {"source": codes[0], "target": chance.choice(codes), "max_hops": chance.randint(0, 4),
                 "direction": chance.choice(["either", "upstream", "downstream"]), "k": chance.randint(1, 4), **when},
            ))  # fmt: skip
    made += [
        ("metric_series_table", {"metric": "cpu", "ci": some(), "time_range": "all"}),
        ("history_recent", {"ci": some(), "where": {"ci_type": "SW"}, "time_range": "all"}),
        ("history_recent", {"ci": "nowhere", "time_range": "all"}),
    ]
    return made


def told(ops: ciops.Ops, name: str, params: dict[str, Any]) -> Any:
    """The answer with what is said of it, or the error."""
    try:
        found = ops.tool(name).sync(**params)
    except ciops.errors.CiopsError as error:
        return type(error).__name__, str(error)
    return digest(found), str(ciops.provenance(found).completeness)


def by_both(estate: Path, engine: str, asked: list[tuple[str, dict[str, Any]]], patch: pytest.MonkeyPatch) -> set[str]:
    """Compare the answers by either way; gives the indexes that were asked for."""
    answers, taken = [], set()
    for route in ("build", "portable"):

        def way(work: Any, *_: Any, route: Any = route, **__: Any) -> Way:
            taken.add(work.index)
            return Way(route, 1.0, "")

        patch.setattr("ciops_nb.context.decide", way)
        with ciops.connect(f"{engine}:{estate}", tenant="a", frames="polars", now=NOW) as ops:
            ops.cache.configure(ttl=0)
            answers.append([told(ops, *call) for call in asked])
    for call, one, other in zip(asked, *answers, strict=True):
        assert one == other, call
    assert sum(found[0] not in vars(ciops.errors) for found in answers[0]) > len(asked) / 4
    return taken


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_index_changes_no_answer(engine: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = by_both(folder(seed), engine, calls(random.Random(seed)), monkeypatch)

    assert {"ci_index", "property_index", "search", "topology"} >= taken >= {"ci_index", "search", "topology"}


def sparse(seed: int, size: int = 40) -> Rows:
    """CIs that hang together by few relations: many are far from each other, some are gone, some cannot be reached."""
    chance = random.Random(seed)
    base = {"tenant_id": "a", "valid_from": hours(0)}
    rows: Rows = {"ci": [], "relation": []}
    for number in range(size):
        ends = chance.choice([None] * 12 + [hours(12)])
        rows["ci"].append({**base, "ci_id": f"id-{number}", "ci_code": f"ci-{number}", "valid_to": ends})
    for _ in range(int(size * 1.2)):
        source, target = chance.randrange(size + 1), chance.randrange(size + 1)
        kind = chance.choice(["DEPENDS_ON", "CONNECTED_TO", "COMPOSED_OF", "RUNS_ON", "UNDECLARED"])
        row = {**base, "source_id": f"id-{source}", "target_id": f"id-{target}", "relation_type": kind}
        rows["relation"] += [{**row, "valid_to": chance.choice([None, None, None, hours(12)])}] * chance.choice(
            [1, 1, 2]
        )
    return rows


def walks(chance: random.Random, size: int = 40) -> list[tuple[str, dict[str, Any]]]:
    """Calls of the graph from all over it."""
    made: list[tuple[str, dict[str, Any]]] = []
    for _ in range(25):
        one, other = (f"ci-{chance.randrange(size)}" for _ in range(2))
        way = {
            "direction": chance.choice(["either", "either", "upstream", "downstream"]),
            "relations": chance.choice([None, None, None, ["DEPENDS_ON", "CONNECTED_TO", "RUNS_ON"]]),
            "as_of": hours(chance.choice([6, 24])),
        }
        around = {"ci": chance.choice([one, [one, other]]), "view": "path", "depth": chance.randint(0, 4)}
        made += [
            ("graph_expand", {**around, "max_nodes": chance.choice([3, 2000, 2000]), **way}),
            ("graph_path", {"source": one, "target": other, "max_hops": chance.randint(0, 6), "k": chance.randint(1, 4), **way}),
        ]  # fmt: skip
    return made


@pytest.mark.parametrize("listed", [200, 2])
@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("seed", range(2))
def test_what_is_in_sight_is_found_without_the_whole_graph(
    engine: str, seed: int, listed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciops_nb.tools.around._LISTED", listed)  # more ids than that are joined
    estate = write_world(tmp_path / "estate", sparse(seed))

    assert {"topology"} == by_both(estate, engine, walks(random.Random(seed)), monkeypatch)


def test_a_way_over_a_ci_that_is_gone_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"tenant_id": "a", "valid_from": hours(0)}
    ends = {"gone": hours(12)}
    steps = ["a gone", "gone t", "a b", "b c", "c t"]
    rows: Rows = {
        "ci": [
            {**base, "ci_id": f"id-{x}", "ci_code": x, "valid_to": ends.get(x)} for x in ("a", "b", "c", "gone", "t")
        ],
        "relation": [
            {**base, "source_id": f"id-{one}", "target_id": f"id-{other}", "relation_type": "DEPENDS_ON"}
            for one, other in map(str.split, steps)
        ],
    }
    monkeypatch.setattr("ciops_nb.context.decide", lambda *_, **__: Way("portable", 1.0, ""))
    with ciops.connect(write_world(tmp_path / "estate", rows), frames="polars", now=NOW) as ops:
        found = ops.graph_path.sync("a", "t", max_hops=1)

    assert "the shortest path has 3 hops, beyond max_hops=1" in str(ciops.provenance(found).completeness.warnings)
