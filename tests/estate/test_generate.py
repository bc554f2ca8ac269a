"""Made estates: as many of everything as was asked for, nothing that contradicts itself, and stories that can be told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import ciops_nb as ciops
from ciops_nb.errors import BadParameter, EstateInvalid
from ciops_nb.estate.check import check
from ciops_nb.estate.generate import END, generate
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES, TABLES

DEMO = Path(__file__).parents[2] / "data/demo"
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
MOVED = datetime(2026, 2, 27, 22, 0, tzinfo=UTC)


def rows(estate: Path, table: str) -> list[dict[str, Any]]:
    path = estate / f"{table}.parquet" if table != "metric" else estate / "metric/*.parquet"
    return pl.read_parquet(path).to_dicts()


def current(estate: Path, table: str) -> list[dict[str, Any]]:
    return [row for row in rows(estate, table) if row["valid_from"] <= END < (row["valid_to"] or FOREVER)]


def lives(estate: Path) -> dict[tuple[str, str], tuple[datetime, datetime]]:
    """From when to when each CI was there, by tenant and id."""
    found: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    for row in rows(estate, "ci"):
        born, gone = found.get((row["tenant_id"], row["ci_id"]), (FOREVER, row["valid_from"]))
        found[row["tenant_id"], row["ci_id"]] = (
            min(born, row["valid_from"]),
            max(gone, row["valid_to"] or FOREVER),
        )
    return found


def codes(estate: Path) -> dict[str, str]:
    return {row["ci_code"]: row["ci_id"] for row in rows(estate, "ci")}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tenants with links across systems."""
    target = tmp_path_factory.mktemp("generate") / "several"
    generate(target, cis=300, relations=1_200, tenants=3, days=8, every_minutes=45)
    return target


@pytest.fixture(params=["demo", "several"])
def estate(request: pytest.FixtureRequest, several: Path) -> Path:
    return DEMO if request.param == "demo" else several


# ---- how many ----


def test_the_demo_has_280_cis_and_about_720_relations_of_seven_types() -> None:
    assert {"SYSTEM": 8, "HW": 75, "SW": 197} == Counter(row["ci_type"] for row in current(DEMO, "ci"))
    types = Counter(row["relation_type"] for row in current(DEMO, "relation"))
    assert 680 <= types.total() <= 760
    assert set(DEFAULT_RELATION_TYPES) == set(types)


def test_the_demo_is_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.rglob("*.parquet")) < 4_000_000


@pytest.mark.parametrize(("cis", "relations"), [(280, 745), (280, 1_400), (5_000, 25_000), (35, 120)])
def test_as_many_relations_as_asked_for_and_no_pair_twice(cis: int, relations: int, tmp_path: Path) -> None:
    generate(tmp_path / "made", cis=cis, relations=relations, days=1, every_minutes=720)

    found = rows(tmp_path / "made", "relation")
    now = [row for row in found if row["valid_to"] is None]
    pairs = {(row["source_id"], row["target_id"], row["relation_type"]) for row in found}
    assert (relations, len(found)) == (len(now), len(pairs))
    assert set(DEFAULT_RELATION_TYPES) == {row["relation_type"] for row in now}
    assert not [row for row in found if row["source_id"] == row["target_id"]]
    assert len(current(tmp_path / "made", "ci")) == pytest.approx(cis, rel=0.02, abs=35)


def test_links_across_systems_make_hubs(tmp_path: Path) -> None:
    generate(tmp_path / "made", cis=5_000, relations=25_000, days=1, every_minutes=720)

    within = Counter(row["target_id"] for row in current(DEMO, "relation"))
    across = Counter(row["target_id"] for row in current(tmp_path / "made", "relation"))
    degrees = sorted(across.values(), reverse=True)
    assert max(within.values()) < 40 < 200 < degrees[0]
    hundredth = degrees[: len(degrees) // 100]
    assert sum(hundredth) > 0.1 * sum(degrees)  # evenly spread, they would have 0.01
    assert degrees[len(degrees) // 2] <= 5
    hubs = {target for target, degree in across.items() if degree > 100}
    subtypes = {row["ci_subtype"] for row in rows(tmp_path / "made", "ci") if row["ci_id"] in hubs}
    assert {"DATABASE", "IDENTITY", "LOAD_BALANCER"} <= subtypes


def test_relations_that_so_many_cis_cannot_have_are_refused_and_the_limits_are_met(tmp_path: Path) -> None:
    for asked, word in ((100, "less than the 745"), (10**7, "more than the 6956 ")):
        with pytest.raises(BadParameter, match=rf"relations={asked}: is {word}.*Ask for"):
            generate(tmp_path / "made", relations=asked)
        assert [] == list(tmp_path.iterdir())
    with pytest.raises(BadParameter) as refused:
        generate(tmp_path / "made", relations=10**7)
    most = int(refused.value.problem.split()[4])
    generate(tmp_path / "made", relations=most, days=1, every_minutes=720)
    assert most == len(current(tmp_path / "made", "relation"))
    with pytest.raises(BadParameter):
        generate(tmp_path / "more", relations=most + 1)


# ---- nothing that contradicts itself ----


def test_check_finds_nothing(estate: Path) -> None:
    assert [] == check(estate).to_dicts()


def test_current_codes_are_unique_and_versions_do_not_overlap(estate: Path) -> None:
    now = Counter((row["tenant_id"], row["ci_code"]) for row in current(estate, "ci"))
    assert {1} == set(now.values())
    for table, key in (
        ("ci", ("ci_id",)),
        ("ci_property", ("ci_id", "kind", "name")),
        ("relation", ("source_id", "target_id", "relation_type")),
    ):
        versions = defaultdict(list)
        for row in rows(estate, table):
            versions[(row["tenant_id"], *(row[name] for name in key))].append(row)
        several_ = [sorted(found, key=lambda row: row["valid_from"]) for found in versions.values() if len(found) > 1]
        assert not [
            (one, two)
            for found in several_
            for one, two in pairwise(found)
            if one["valid_to"] is None or one["valid_to"] > two["valid_from"]
        ]
        assert all(row["valid_from"] < (row["valid_to"] or FOREVER) for found in versions.values() for row in found)
        assert several_ or table == "relation"


def test_nothing_is_older_or_younger_than_the_ci_it_is_of(estate: Path) -> None:
    life = lives(estate)
    odd = []
    for table, ids in (("relation", ("source_id", "target_id")), ("ci_property", ("ci_id",))):
        for row in rows(estate, table):
            for name in ids:
                born, gone = life[row["tenant_id"], row[name]]
                if row["valid_from"] < born or (row["valid_to"] or FOREVER) > gone:
                    odd.append((table, row))
    for table, at in (("event", "ts"), ("change", "start_at"), ("maintenance", "start_at")):
        for row in rows(estate, table):
            born, gone = life[row["tenant_id"], row["ci_id"]]
            if not born <= row[at] < gone:
                odd.append((table, row))
    points = pl.scan_parquet(estate / "metric/*.parquet").group_by("tenant_id", "ci_id")
    for row in points.agg(first=pl.col("ts").min(), last=pl.col("ts").max()).collect().iter_rows(named=True):
        born, gone = life[row["tenant_id"], row["ci_id"]]
        if row["first"] < born or row["last"] >= gone:
            odd.append(("metric", row))
    assert [] == odd


def test_every_series_of_several_has_labels_and_no_label_is_without_series(estate: Path) -> None:
    key = ["tenant_id", "ci_id", "metric", "series"]
    measured = (
        pl.scan_parquet(estate / "metric/*.parquet").filter(pl.col("series") != "").select(key).unique().collect()
    )
    labels = pl.read_parquet(estate / "label.parquet")

    assert set(measured.rows()) == set(labels.select(key).rows())
    assert {"device", "fstype", "mountpoint"} == set(labels["name"])
    mounts = labels.filter(pl.col("name") == "mountpoint")
    assert mounts["series"].to_list() == mounts["value"].to_list()
    assert {2, 3} == set(measured.group_by("tenant_id", "ci_id", "metric").len()["len"])


def test_files_lie_in_the_order_of_their_table(estate: Path) -> None:
    for path in estate.rglob("*.parquet"):
        table = TABLES[path.stem] if path.stem in TABLES else TABLES[path.parent.name]
        frame = pl.read_parquet(path)
        assert frame.equals(frame.sort(table.sort, maintain_order=True)), path


def test_points_go_on_at_the_same_distance_over_midnight(several: Path) -> None:
    found = pl.scan_parquet(several / "metric/*.parquet").filter(
        pl.col("tenant_id") == "demo",
        pl.col("metric") == "disk_latency",
        pl.col("ci_id") == codes(several)["sto-san-01"],
    )
    times = found.collect()["ts"].to_list()

    assert [END - timedelta(days=8) + n * timedelta(minutes=45) for n in range(8 * 1440 // 45)] == times


def test_row_groups_do_not_depend_on_how_rows_were_made(tmp_path: Path) -> None:
    generate(tmp_path / "made", cis=7_000, days=1, every_minutes=30)

    file = pq.ParquetFile(tmp_path / "made/metric/2026-03-08.parquet")
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert len(sizes) > 4
    assert {122_880} == set(sizes[:-1])


# ---- stories ----


async def test_the_graph_of_the_demo_is_another_before_and_after_a_database_moved() -> None:
    async with ciops.connect(DEMO) as ops:
        hosts = {
            at: set(await ops.graph_expand("db-pay-06", relations=["RUNS_ON"], depth=1, as_of=at)) - {"db-pay-06"}
            for at in (MOVED - timedelta(minutes=1), MOVED, END)
        }
        hurt = await ops.graph_expand("srv-pay-09", view="impact", depth=1, as_of=MOVED - timedelta(minutes=1))
        after = await ops.graph_expand("srv-pay-09", view="impact", depth=1, as_of=MOVED)
        change = await ops.history_recent(
            "srv-pay-09", kinds=["change"], time_range=(MOVED, MOVED + timedelta(minutes=1))
        )
        with pytest.raises(ciops.errors.ItemNotFound):
            await ops.graph_expand("srv-pay-09")

    assert [{"srv-pay-09"}, {"srv-pay-06"}, {"srv-pay-06"}] == list(hosts.values())
    assert {"srv-pay-09", "net-sw-01", "db-pay-06", "mw-pay-03", "app-pay-05"} == set(hurt)
    assert {"srv-pay-09", "net-sw-01"} == set(after)
    assert ["db-pay-06 moves from srv-pay-09 to srv-pay-06"] == list(change["title"])


async def test_cis_of_the_demo_had_other_owners_names_and_states() -> None:
    versions = defaultdict(list)
    for row in sorted(rows(DEMO, "ci"), key=lambda row: row["valid_from"]):
        versions[row["ci_code"]].append(row)
    changed = Counter(
        name
        for found in versions.values()
        for one, two in pairwise(found)
        for name in one
        if one[name] != two[name] and name not in ("valid_from", "valid_to", "updated_at")
    )
    assert {"owner", "status", "ci_name"} == set(changed)
    assert min(changed.values()) >= 5
    before, after = next(
        found for found in versions.values() if len(found) == 2 and found[0]["owner"] != found[1]["owner"]
    )
    async with ciops.connect(DEMO, frames="polars") as ops:
        for row, at in ((before, before["valid_to"] - timedelta(minutes=1)), (after, None)):
            shown = await ops.ci_get_by_code(row["ci_code"], as_of=at)
            assert [row["owner"]] == shown["owner"].to_list()


def test_tags_attributes_and_relations_were_there_for_a_time_only() -> None:
    ended = [row for row in rows(DEMO, "ci_property") if row["valid_to"] is not None]
    assert {("tag", "freeze"), ("attribute", "version")} <= {(row["kind"], row["name"]) for row in ended}
    trials = [row for row in rows(DEMO, "relation") if row["relation_type"] == "USES" and row["valid_to"] is not None]
    assert [(datetime(2025, 11, 3, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))] * 2 == [
        (row["valid_from"], row["valid_to"]) for row in trials
    ]


def test_owners_and_places_are_unknown_now_and_then() -> None:
    now = current(DEMO, "ci")
    for name in ("owner", "location"):
        unknown = sum(row[name] is None for row in now)
        assert 0.01 * len(now) < unknown < 0.1 * len(now), name


def test_a_silent_agent_leaves_a_gap_in_all_metrics_of_its_server() -> None:
    start = datetime(2026, 3, 3, 1, 20, tzinfo=UTC)
    server = pl.read_parquet(DEMO / "metric/2026-03-03.parquet").filter(pl.col("ci_id") == codes(DEMO)["srv-log-04"])

    found = server.group_by("metric", "series").agg(pl.col("ts").sort()).to_dicts()
    assert {("cpu_usage", ""), ("disk_usage", "/"), ("disk_usage", "/var"), ("io_wait", "")} == {
        (row["metric"], row["series"]) for row in found
    }
    for row in found:
        gaps = [(one, two) for one, two in pairwise(row["ts"]) if two - one > timedelta(minutes=10)]
        assert [(start - timedelta(minutes=10), start + timedelta(hours=5, minutes=20))] == gaps
    titles = {row["ts"]: row["title"] for row in rows(DEMO, "event") if row["ci_id"] == codes(DEMO)["srv-log-04"]}
    assert ("agent is silent", "agent is back") == (titles[start], titles[start + timedelta(hours=5, minutes=20)])


def test_a_counter_falls_where_its_ci_was_restarted_and_nowhere_else(estate: Path) -> None:
    restarts = defaultdict(list)
    for row in rows(estate, "event"):
        if row["type"] == "restart":
            restarts[row["tenant_id"], row["ci_id"]].append(row["ts"])
    points = pl.scan_parquet(estate / "metric/*.parquet").filter(pl.col("metric") == "request_count").collect()
    falls, expected = set(), set()
    for (tenant, ci, *_), frame in points.sort("ts").partition_by("tenant_id", "ci_id", as_dict=True).items():
        series = frame.select("ts", "value").rows()
        for (before, reached), (after, value) in pairwise(series):
            if value < reached:
                falls.add((tenant, ci, after))
            if any(before < moment <= after for moment in restarts[tenant, ci]):
                expected.add((tenant, ci, after))
    assert expected == falls
    known = codes(estate)["lb-03"]
    assert any(ci == known for _, ci, _ in falls)


def test_symptoms_while_indexes_are_rebuilt_are_within_maintenance_and_no_incident() -> None:
    ids, (window,) = codes(DEMO), [row for row in rows(DEMO, "maintenance") if row["maintenance_id"] == "M-index"]
    at, until = window["start_at"], window["end_at"]
    assert (ids["db-hr-02"], timedelta(hours=2)) == (window["ci_id"], until - at)
    day = pl.read_parquet(DEMO / f"metric/{at:%Y-%m-%d}.parquet")
    for code, metric, least in (("db-hr-02", "query_time", 4), ("app-hr-02", "response_time", 2)):
        found = day.filter(pl.col("ci_id") == ids[code], pl.col("metric") == metric)
        usual = found.filter(pl.col("ts") < at)["value"].median()
        raised = found.filter(pl.col("value") > least * usual)["ts"]
        assert len(raised) >= 8
        assert at <= raised.min() <= raised.max() < until
    alerts = [row for row in rows(DEMO, "event") if row["event_id"].startswith("E-index")]
    assert 2 == len(alerts)
    assert all(at <= row["ts"] < until for row in alerts)
    victims = {ids["db-hr-02"], ids["app-hr-02"], ids["sys-hr"]}
    assert not [row for row in rows(DEMO, "incident") if row["ci_id"] in victims]


def test_history_says_what_was_done_who_agreed_and_what_was_measured() -> None:
    assert all(isinstance(json.loads(row["properties"]), dict) for row in rows(DEMO, "event"))
    for table in ("event", "change", "maintenance"):
        assert all(row["detail"] for row in rows(DEMO, table))
    changes = rows(DEMO, "change")
    assert {"low": False, "medium": True, "high": True} == {
        row["risk"]: row["approved_by"] is not None for row in changes
    }


# ---- tenants, seeds, arguments ----


def bytes_of(estate: Path) -> dict[str, bytes]:
    return {str(path.relative_to(estate)): path.read_bytes() for path in estate.rglob("*") if path.is_file()}


def test_equal_arguments_give_equal_bytes_and_another_seed_other_values(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        generate(tmp_path / name, cis=70, relations=300, tenants=2, days=2, every_minutes=60, seed=seed)

    one, two, other = (bytes_of(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    same = {name for name in one if one[name] == other[name]}
    assert {"estate.toml", "metric_def.parquet", "label.parquet", "incident.parquet"} >= same


def test_tenants_have_the_same_codes_and_other_values(several: Path) -> None:
    items = pl.read_parquet(several / "ci.parquet").filter(pl.col("valid_to").is_null())
    by_tenant = {
        tenant: frame.sort("ci_code") for (tenant,), frame in items.partition_by("tenant_id", as_dict=True).items()
    }

    assert ["demo", "demo-2", "demo-3"] == sorted(by_tenant)
    first, second, third = (by_tenant[name] for name in sorted(by_tenant))
    for one, two in ((first, second), (first, third), (second, third)):
        assert one["ci_code"].to_list() == two["ci_code"].to_list()
        assert one["owner"].to_list() != two["owner"].to_list()
    values = pl.scan_parquet(several / "metric/*.parquet").group_by("tenant_id").agg(pl.col("value").sum()).collect()
    assert 3 == values["value"].n_unique()
    opened = pl.read_parquet(several / "incident.parquet").filter(pl.col("incident_id") == "I0001").sort("tenant_id")
    assert [datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (10, 9, 8)] == opened["opened_at"].to_list()


async def test_what_was_planted_is_found_in_another_tenant_some_hours_earlier(tmp_path: Path) -> None:
    generate(tmp_path / "made", tenants=2, days=8)
    async with ciops.connect(tmp_path / "made", tenant="demo-2") as ops:
        run = await ops.run("triage", ci="app-erp-01", at="2026-03-02T09:00Z")

    assert (
        "sto-san-01 moved first (disk_latency, 2026-03-02T08:50:00Z), after change C-san" in run.findings.headline.text
    )


def test_the_first_tenant_is_the_same_in_any_company(several: Path, tmp_path: Path) -> None:
    generate(tmp_path / "alone", cis=300, relations=1_200, days=8, every_minutes=45)

    for path in (tmp_path / "alone").rglob("*.parquet"):
        alone, among = (
            pl.read_parquet(root / path.relative_to(tmp_path / "alone")) for root in (tmp_path / "alone", several)
        )
        assert alone.equals(among.filter(pl.col("tenant_id") == "demo")), path


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"cis": 0}, "cis=0: is not a whole number of at least 1"),
        ({"cis": 2.5}, "cis=2.5: is not a whole number"),
        ({"relations": -1}, "relations=-1: is not a whole number"),
        ({"seed": -1}, "seed=-1: is not a whole number of at least 0"),
        ({"days": 0}, "days=0: is not a whole number"),
        ({"days": 183}, "days=183: is more than 182: history is six months long"),
        ({"every_minutes": 0}, "every_minutes=0: is not a whole number"),
        ({"every_minutes": 1441}, "every_minutes=1441: is more than 1440"),
        ({"tenants": 0}, "tenants=0: is not a whole number"),
        ({"tenants": True}, "tenants=True: is not a whole number"),
        ({"tenant": " "}, "tenant=' ': is not a name"),
        ({"name": ""}, "name='': is not a name"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_made(bad: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadParameter) as refused:
        generate(tmp_path / "made", **bad)

    assert str(refused.value).startswith(says)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(EstateInvalid, match="not an empty folder"):
        generate(tmp_path, days=1)
    assert ["mine"] == [path.name for path in tmp_path.iterdir()]


def test_a_failure_halfway_leaves_nothing(tmp_path: Path) -> None:
    def tell(step: str, done: int, total: int) -> None:
        if step == "metrics" and done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "made", days=2, every_minutes=60, progress=tell)
    assert [] == list(tmp_path.iterdir())


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = defaultdict(list)
    generate(
        tmp_path / "made", cis=70, tenants=2, days=2, every_minutes=60,
        progress=lambda step, done, total: told[step].append((done, total)),
    )  # fmt: skip

    assert ["tables", "metrics"] == list(told)
    for steps in told.values():
        assert sorted(steps) == steps
        assert steps[-1][0] == steps[-1][1]
        assert steps[0][0] == 0
        assert 1 == len({total for _, total in steps})


def test_the_command_makes_what_the_function_makes(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ciops_nb.cli import app

    words = ["--cis", "70", "--relations", "300", "--tenants", "2", "--days", "1", "--every", "60", "--seed", "5"]
    done = CliRunner().invoke(app, ["generate", str(tmp_path / "command"), *words])
    assert (0, True) == (done.exit_code, (tmp_path / "command").is_dir()), done.output
    generate(tmp_path / "function", cis=70, relations=300, tenants=2, days=1, every_minutes=60, seed=5)
    assert bytes_of(tmp_path / "command") == bytes_of(tmp_path / "function")
