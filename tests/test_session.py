"""``connect``, the two ways to call, the errors, and what a session must not do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import ciops_nb as ciops
from tests.worlds import hours, write_world

DEMO = Path(__file__).parents[1] / "data/demo"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    base = {"tenant_id": "a", "valid_from": hours(0)}
    rows = {
        "ci": [
            {**base, "ci_id": f"id-{code}", "ci_code": code, "criticality": 3} for code in ("app-1", "db-1", "srv-1")
        ],
        "relation": [
            {**base, "source_id": "id-app-1", "target_id": "id-db-1", "relation_type": "DEPENDS_ON"},
            {**base, "source_id": "id-db-1", "target_id": "id-srv-1", "relation_type": "RUNS_ON"},
        ],
        "metric_def": [{"tenant_id": "a", "metric": "req", "unit": "1", "kind": "counter"}],
        "metric": [
            {"tenant_id": "a", "ci_id": "id-app-1", "metric": "req", "series": "", "ts": hours(number), "value": value}
            for number, value in enumerate([10.0, 25.0, 5.0, 9.0])
        ],
    }
    return write_world(tmp_path / "estate", rows)


def test_a_counter_that_was_reset_counts_from_zero(estate: Path) -> None:
    with ciops.connect(estate) as ops:
        found = ops.metric_aggregate.sync("req", agg=["increase", "rate"], time_range="all")

    assert found[["increase", "rate"]].iloc[0].tolist() == [15.0 + 5.0 + 4.0, 24.0 / 10_800]


def test_gaps_are_filled_as_asked_and_no_further(estate: Path) -> None:
    with ciops.connect(estate, frames="polars") as ops:
        span = (hours(1), hours(3))
        filled = {
            fill: ops.metric_series_table.sync("req", "app-1", time_range=span, every="30m", fill=fill)[
                "value"
            ].to_list()
            for fill in (None, "previous", "zero", "interpolate")
        }

    assert filled == {
        None: [25.0, 5.0],
        "previous": [25.0, 25.0, 5.0, 5.0],
        "zero": [25.0, 0.0, 5.0, 0.0],
        "interpolate": [25.0, 15.0, 5.0, None],
    }


def test_an_answer_may_be_awaited_blocked_for_and_asked_from_threads(estate: Path) -> None:
    with ciops.connect(estate) as ops:
        expected = ops.ci_search.sync("app")

        async def main() -> list[pd.DataFrame]:
            inside = ops.ci_search.sync("app")
            return [inside, *await asyncio.gather(ops.ci_search("app"), ops.ci_search("app"))]

        answers = asyncio.run(main())
        threads = [threading.Thread(target=lambda: answers.append(ops.ci_search.sync("app"))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(answers) == 7
    for answer in answers:
        pd.testing.assert_frame_equal(expected, answer)


def test_empty_answers_have_the_types_of_full_ones(estate: Path) -> None:
    for frames in ("pandas", "polars"):
        with ciops.connect(estate, frames=frames) as ops:  # type: ignore[arg-type]
            full, empty = ops.ci_search.sync("app"), ops.ci_search.sync("nowhere")
            assert (len(full), len(empty)) == (1, 0)
            assert list(full.dtypes) == list(empty.dtypes)


def test_strict_raises_what_would_be_cut(estate: Path) -> None:
    with ciops.connect(estate, strict=True) as ops, pytest.raises(ciops.errors.IncompleteResult, match="2 rows"):
        ops.ci_search.sync(limit=1)


def test_an_answer_of_one_tool_is_the_scope_of_the_next(estate: Path) -> None:
    with ciops.connect(estate, frames="polars") as ops:
        graph = ops.graph_expand.sync("app-1", view="dependency")
        assert list(graph) == ["app-1", "db-1", "srv-1"]
        assert ops.ci_aggregate.sync("ci_type", ci=graph)["count"].sum() == 3
        assert ops.metric_list.sync(ops.ci_search.sync("app"))["metric"].to_list() == ["req"]


def test_provenance_survives_a_step_and_cannot_be_changed(estate: Path) -> None:
    with ciops.connect(estate) as ops:
        found = ops.ci_search.sync("app")
    record = ciops.provenance(found.head(1))

    assert (record.tool, record.tenant, record.completeness.status) == ("ci_search", "a", "complete")
    assert "ci_search · polars · tenant a" in str(record)
    assert "'status': 'complete'" in str(record.completeness)
    with pytest.raises(TypeError, match="cannot be changed"):
        record["tool"] = "other"
    with pytest.raises(LookupError, match="carries no provenance"):
        ciops.provenance(pd.DataFrame())


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda ops: ops.ci_get_by_code.sync("app-2"), "ItemNotFound", "'app-1'"),
        (lambda ops: ops.metric_aggregate.sync("rec"), "UnknownMetric", "'req'"),
        (lambda ops: ops.ci_search.sync(where={"ownr": "x"}), "UnknownField", "'owner'"),
        (lambda ops: ops.ci_search.sync(where={"owner": ("like", "x")}), "BadFilter", "contains"),
        (lambda ops: ops.ci_search.sync(where={"criticality": "4"}), "BadFilter", "whole numbers"),
        (lambda ops: ops.ci_search.sync(limit=-1), "BadParameter", "limit=-1"),
        (lambda ops: ops.graph_expand.sync("app-1", view="all"), "BadParameter", "neighbors"),
        (lambda ops: ops.graph_expand.sync("app-1", depth=4), "BadParameter", "3 at most"),
        (lambda ops: ops.graph_expand.sync("app-1", relations="RUN_ON"), "BadParameter", "RUNS_ON"),
        (lambda ops: ops.history_recent.sync(time_range="yesterday"), "BadTimeRange", "last_24h"),
        (lambda ops: ops.metric_aggregate.sync("req", agg="avg"), "BadParameter", "mean"),
        (lambda ops: ops.tool("ci_serch"), "UnknownTool", "'ci_search'"),
        (lambda ops: ops.run.sync("triag", ci="app-1"), "UnknownTool", "'triage'"),
        (lambda ops: ops.run.sync("triage", ci="app-1"), "BadParameter", "needs it"),
    ],
)
def test_errors_name_the_value_and_what_to_do(estate: Path, ask, error: str, says: str) -> None:
    with ciops.connect(estate) as ops, pytest.raises(getattr(ciops.errors, error)) as caught:
        ask(ops)
    assert says in str(caught.value)


def test_a_damaged_file_is_named(estate: Path) -> None:
    path = estate / "relation.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ciops.errors.EstateInvalid, match=r"relation\.parquet: .*cut short"):
        ciops.connect(estate)


def test_a_closed_session_says_so(estate: Path) -> None:
    ops = ciops.connect(estate)
    ops.close()
    with pytest.raises(ciops.errors.SessionClosed):
        ops.ci_search.sync()


def test_changed_files_are_seen_and_change_the_version(estate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciops_nb.estate.files._LOOK_AGAIN", -1.0)
    with ciops.connect(estate, frames="polars", now=hours(9)) as ops:
        before = ops.ci_search.sync()
        frame = pl.read_parquet(estate / "ci.parquet")
        frame.filter(pl.col("ci_code") != "srv-1").write_parquet(estate / "ci.parquet")
        after = ops.ci_search.sync()
    assert (before.height, after.height) == (3, 2)
    assert ciops.provenance(before).data_version != ciops.provenance(after).data_version


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, threading, ciops_nb;"
        "heavy = {'pandas', 'polars', 'matplotlib', 'ipywidgets', 'duckdb', 'networkx', 'greenlet'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy or threading.active_count() > 1 else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize(
    "asked",
    [
        "connect(DEMO).ci_search.sync()",
        "connect(DEMO).metric_series_table.sync(None, 'app-erp-01', time_range='last_6h')",
        "connect(DEMO, frames='polars').metric_series_table.sync(None, 'app-erp-01', time_range='last_6h')",
    ],
)
def test_pandas_is_not_loaded_on_the_loop_on_which_all_wait(asked: str, engine: str) -> None:
    code = f"""
import sys, threading
from ciops_nb import connect
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            print(threading.current_thread().name)
sys.meta_path.insert(0, Watch())
DEMO = {f"{engine}:{DEMO}"!r}
{asked}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() not in ("", "ciops-home")
