"""Bad values, damaged files and broken estates: each a named error on one line that says what to do."""

from __future__ import annotations

import datetime as dt
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.errors import BadParameter, CiopsError, EngineUnavailable, EstateInvalid
from ciops_nb.registry import all_tools
from tests.contract.examples import EXAMPLES, SEED
from tests.contract.test_every_tool import both_engines, every_tool, full
from tests.oracle import NOW, SETTINGS, folder, opened

NAN = float("nan")
BAD: list[Any] = [
    None, True, False, 0, -1, 1.5, NAN, math.inf, 10**30, -(10**400), b"x", "", " ", "x", "\x00", "\ud800", "x" * 5000,
    [], [[]], [None], [1], [b"x"], [NAN], [""], ["\ud800"], ["ci-0", ["ci-0"]], (), (1, 2), ("a",), (None, None), {},
    {"a": 1}, {1: 2}, {None: 1}, {("a",): 1}, object(), set(), {"ci-0", "ci-1"}, range(3), np.int64(5), np.float64(NAN),
    np.datetime64("NaT"), np.array([1, 2]), np.array([]), pd.NaT, pd.NA, pd.DataFrame(), pd.Series(["ci-0"]),
    pd.DataFrame({"a": [1]}), pd.DataFrame({"ci_code": [1]}), pl.DataFrame({"ci_code": [1]}), pl.Series(["ci-0"]),
    pd.DataFrame({"ci_code": pd.array(["ci-0", None], dtype="string")}), pl.LazyFrame({"ci_code": ["ci-0"]}),
    pd.DataFrame([["a", "b"]], columns=["ci_code", "ci_code"]), nx.Graph(), nx.path_graph(3), Path(), Path("/tmp"),
    dt.datetime(2026, 3, 1), dt.date(2026, 3, 1), dt.datetime.min, dt.datetime.max, dt.timedelta.max, dt.timedelta(-1),
    "all", "last_", "last_0h", "last_99999999999h", "2026-03-02/2026-03-01", "/", "P/2026-03-01", "2026-13-01",
    "9999-12-31", "0001-01-01", "999999999d", "tags.", "tags.x", "label.", "bucket:", "bucket:0m", "bucket:9999999d",
    ["ci", "ci_code"], ["ci_type", "ci_type"], ["bucket:5m", "bucket:1h"], "count:", "sum:ci_type", "p101", "--owner",
    "a: &a [*a]", "[", ":", "- 1", "nowhere.yaml", "\x00.yaml",
    {"when": {"metric": "cpu", "op": ">", "value": NAN}}, {"when": {"metric": "\ud800", "op": ">", "value": 1}},
    {"when": {"metric": "cpu", "op": ">", "value": 1}, "for": "999999999d"},
]  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3) | st.sampled_from(BAD),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def is_ours(error: CiopsError) -> None:
    """One line, not endless."""
    assert "\n" not in str(error)
    assert 10 < len(str(error)) < 900


def try_to(ask: Callable[[], Any]) -> None:
    """An answer is as good as an error of ours; nothing else may come out."""
    try:
        ask()
    except CiopsError as error:
        is_ours(error)


@every_tool
@both_engines
def test_bad_values_of_every_parameter_are_answered_or_named(name: str, engine: str) -> None:
    ops, base = opened(SEED, engine), all_tools()[name].arguments(**full(name))
    for parameter in base:
        for bad in BAD:
            try_to(lambda: ops.tool(name).sync(**{**base, parameter: bad}))  # noqa: B023  called at once


@every_tool
@SETTINGS
@given(data=st.data())
def test_any_value_of_any_parameter_is_answered_or_named(name: str, data: st.DataObject) -> None:
    base = all_tools()[name].arguments(**full(name))
    if base:
        parameter = data.draw(st.sampled_from(sorted(base)))
        engine = data.draw(st.sampled_from(["polars", "duckdb"]))
        try_to(lambda: opened(SEED, engine).tool(name).sync(**{**base, parameter: data.draw(ANY)}))


VALUES = [
    None, NAN, math.inf, 10**30, 10**400, True, b"x", "x", "\x00", "", [], ["x"], [["x"]], [NAN], [1, 2.5, None], {},
    {"HW"}, np.int64(3), np.array(["HW"]), np.array([1]), pd.Series(["HW"]), pd.NA, pd.NaT, dt.datetime.max,
    dt.date(2026, 3, 1), "9999-12-31T23:00-05:00", object(),
]  # fmt: skip
FIELDS = ["ci_type", "criticality", "created_at", "tags.role", "attributes.cores", "tags.x", "tags.", "nonsense", ""]


@both_engines
@pytest.mark.parametrize("field", FIELDS)
def test_bad_conditions_are_answered_or_named(engine: str, field: str) -> None:
    ops = opened(SEED, engine)
    for operator in (None, "=", "!=", "<", ">=", "in", "not_in", "contains", "startswith", "is_null", "like", "", 5):
        for value in VALUES:
            where = {field: value if operator is None else (operator, value)}
            try_to(lambda: ops.ci_list_preview.sync(where=where))  # noqa: B023  called at once


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"tenant": "nobody"}, "TenantNeeded", "'a', 'b'"),
        ({"tenant": None}, "TenantNeeded", "tenant='a'"),
        ({"tenant": 5}, "TenantNeeded", "'a', 'b'"),
        ({"frames": "arrow"}, "BadParameter", "pandas, polars"),
        ({"frames": None}, "BadParameter", "pandas, polars"),
        ({"tz": "Mars/Base"}, "BadParameter", "Europe/Berlin"),
        ({"tz": 5}, "BadParameter", "Europe/Berlin"),
        ({"tz": "Europe"}, "BadParameter", "Europe/Berlin"),
        ({"now": "yesterday"}, "BadTimeRange", "2026-03-02T10:00Z"),
        ({"now": 5}, "BadTimeRange", "2026-03-02T10:00Z"),
        ({"now": "2026-03-29T02:30", "tz": "Europe/Berlin"}, "BadTimeRange", "never happened"),
        ({"strict": "no"}, "BadParameter", "True nor False"),
        ({"source": "mongo:x"}, "BadParameter", "duckdb:FOLDER"),
        ({"source": 5}, "BadParameter", "folder"),
        ({"source": None}, "BadParameter", "folder"),
        ({"source": b"x"}, "BadParameter", "folder"),
        ({"source": "a\0b"}, "EstateInvalid", "import tables"),
        ({"source": ""}, "EstateInvalid", "import tables"),
        ({"source": "/nowhere/at/all"}, "EstateInvalid", "import tables"),
    ],
)
def test_connect_names_what_it_cannot_mean(given: dict[str, Any], error: str, says: str) -> None:
    with pytest.raises(CiopsError) as caught:
        ciops.connect(**{"source": folder(SEED), "tenant": "a", **given})
    assert (error, True) == (type(caught.value).__name__, says in str(caught.value))
    is_ours(caught.value)


# ── damaged estates ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder(SEED), tmp_path / "estate"))


def metric_file(estate: Path) -> Path:
    return sorted((estate / "metric").glob("*.parquet"))[-1]


def page_of(path: Path) -> tuple[int, int]:
    """Where the data of the last column of the first row group lies, and how long it is."""
    group = pq.read_metadata(path).row_group(0)
    column = group.column(group.num_columns - 1)
    return column.data_page_offset, column.total_compressed_size


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(path: Path, start: int, length: int) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\xa5" * length
    path.write_bytes(bytes(content))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "magic": lambda path: spoil(path, path.stat().st_size - 4, 4),
    "footer": lambda path: spoil(path, path.stat().st_size - 60, 40),
    "length of the footer": lambda path: spoil(path, path.stat().st_size - 8, 4),
    "cut short": cut_short,
    "no Parquet at all": lambda path: path.write_text("ci_code\nx\n" * 20) and None,
    "page": lambda path: spoil(path, page_of(path)[0], 60),
}


def read_all(estate: Path, engine: str) -> None:
    with ciops.connect(f"{engine}:{estate}", tenant="a", frames="polars", now=NOW) as ops:
        ops.ci_list_preview.sync()
        ops.metric_aggregate.sync("cpu", time_range="all", by="ci")


@both_engines
@pytest.mark.parametrize("table", ["ci", "metric"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_a_named_error(estate: Path, engine: str, table: str, damage: str) -> None:
    DAMAGE[damage](estate / "ci.parquet" if table == "ci" else metric_file(estate))
    with pytest.raises((EstateInvalid, EngineUnavailable), match=r"[Rr]estore|check|permissions") as caught:
        read_all(estate, engine)
    is_ours(caught.value)


@both_engines
@pytest.mark.parametrize("change", ["missing", "text", "number"])
@pytest.mark.parametrize("table", ["ci", "metric", "later metric"])
def test_a_wrong_column_is_a_named_error(estate: Path, engine: str, table: str, change: str) -> None:
    files = sorted((estate / "metric").glob("*.parquet"))
    path = {"ci": estate / "ci.parquet", "metric": files[0], "later metric": files[-1]}[table]
    column = "valid_from" if table == "ci" else "ts"
    column = "ci_id" if change == "missing" else column
    made = {"text": pl.lit("x"), "number": pl.lit(1.5), "missing": None}[change]
    frame = pl.read_parquet(path)
    (frame.drop(column) if made is None else frame.with_columns(made.alias(column))).write_parquet(path)
    with pytest.raises((EstateInvalid, EngineUnavailable), match=column) as caught:
        read_all(estate, engine)
    is_ours(caught.value)


@both_engines
def test_a_missing_or_empty_table_is_an_empty_answer(estate: Path, engine: str) -> None:
    (estate / "event.parquet").unlink()
    shutil.rmtree(estate / "metric")
    path = estate / "relation.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    with ciops.connect(f"{engine}:{estate}", tenant="a", frames="polars", now=NOW) as ops:
        for name in all_tools():
            try_to(lambda: ops.tool(name).sync(**full(name)))  # noqa: B023  called at once
        assert ["this estate has no table 'event': nothing is known of it"] == ciops.provenance(
            ops.history_recent.sync(kinds="event")
        ).warnings
        graph = ops.graph_expand.sync("ci-0", depth=3)
        assert (["ci-0"], 0) == (list(graph), graph.number_of_edges())


@both_engines
def test_an_estate_without_cis_has_no_tenant_and_answers_nothing(estate: Path, engine: str) -> None:
    path = estate / "ci.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    with ciops.connect(f"{engine}:{estate}", frames="polars", now=NOW) as ops:
        assert [] == ops.tenants.sync().rows()
        assert 0 == ops.ci_search.sync().height
        for name in all_tools():
            try_to(lambda: ops.tool(name).sync(**full(name)))  # noqa: B023  called at once


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not TOML"),
        ("\ufeffname = 1", "not TOML"),
        ('clock = "sun"', "data"),
        ("schema_version = 99", "Import"),
        ("relation_types = 5", "relation_types"),
        ('[relation_types]\nRUNS_ON = "sideways"', "both"),
        ("[relation_types]\nRUNS_ON = [1]", "both"),
        ("clock = [1]", "data"),
        ("schema_version = {a = 1}", "Import"),
    ],
)
def test_a_broken_estate_toml_is_a_named_error(estate: Path, text: str, says: str) -> None:
    (estate / "estate.toml").write_text(text, encoding="utf-8")
    with pytest.raises(EstateInvalid, match=says) as caught:
        ciops.connect(estate, tenant="a")
    assert "estate.toml" in str(caught.value)
    is_ours(caught.value)


@pytest.mark.parametrize("what", ["bytes", "folder", "gone"])
def test_an_estate_toml_that_cannot_be_read_is_a_named_error(estate: Path, what: str) -> None:
    path = estate / "estate.toml"
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EstateInvalid, match=r"estate\.toml"):
        ciops.connect(estate, tenant="a")


@both_engines
def test_files_that_go_away_are_a_named_error(estate: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciops_nb.estate.files._LOOK_AGAIN", -1.0)
    with ciops.connect(f"{engine}:{estate}", tenant="a", frames="polars", now=NOW) as ops:
        ops.ci_search.sync()
        shutil.rmtree(estate)
        with pytest.raises(EngineUnavailable, match=r"estate\.toml") as caught:
            ops.ci_search.sync()
    is_ours(caught.value)


def test_a_report_that_cannot_be_written_is_a_named_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with ciops.connect("data/demo") as ops:
        run = ops.run.sync("triage", ci="app-erp-01", at="2026-03-02T10:00Z")
    for place in (tmp_path / "file" / "report.html", tmp_path / "none" / "report.html", tmp_path):
        with pytest.raises(BadParameter):
            run.report(place)
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def test_the_examples_are_the_walked_tools() -> None:
    assert set(EXAMPLES) == set(all_tools())
