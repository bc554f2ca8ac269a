"""The demo as a newcomer meets it: the estate is what the generator makes, and its incident is found and reported."""

from __future__ import annotations

import filecmp
import subprocess
import sys
from pathlib import Path

import pytest

import ciops_nb as ciops
from ciops_nb.estate.generate import generate

DEMO = Path(__file__).parents[1] / "data/demo"


def test_the_demo_is_what_the_generator_makes(tmp_path: Path) -> None:
    generate(tmp_path / "demo")

    names = sorted(str(path.relative_to(DEMO)) for path in DEMO.rglob("*") if path.is_file())
    assert names == sorted(
        str(path.relative_to(tmp_path / "demo")) for path in (tmp_path / "demo").rglob("*") if path.is_file()
    )
    same, different, missing = filecmp.cmpfiles(DEMO, tmp_path / "demo", names, shallow=False)
    assert (names, [], []) == (same, different, missing)


def test_the_demo_has_the_promised_shape() -> None:
    with ciops.connect(DEMO, frames="polars") as ops:
        kinds = dict(ops.ci_aggregate.sync("ci_type").iter_rows())
        tables = {row["table"]: row["rows"] for row in ops.estate.sync().iter_rows(named=True)}
        path = ops.graph_path.sync("app-erp-01", "sto-san-01", direction="upstream").graph["paths"]

    assert kinds == {"SYSTEM": 8, "HW": 75, "SW": 197}
    assert 680 <= tables["relation"] <= 760
    assert path == [["app-erp-01", "db-erp-01", "srv-erp-01", "sto-san-01"]]


@pytest.mark.parametrize(
    ("ci", "at", "says"),
    [
        (
            "app-erp-01",
            "2026-03-02T10:00Z",
            "sto-san-01 moved first (disk_latency, 2026-03-02T09:50:00Z), after change C-san",
        ),
        ("app-shop-03", "2026-02-26T14:00Z", "mw-shop-03 moved first (queue_length"),
        ("app-bi-02", "2026-03-04T03:00Z", "srv-bi-02 moved first (disk_usage"),
        (
            "app-crm-04",
            "2026-02-28T00:05Z",
            "app-crm-04 moved first (error_rate, 2026-02-28T00:00:00Z), after event E-cert-0 on idp-04",
        ),
        ("app-mail-05", "2026-03-06T16:20Z", "app-mail-05 moved first (response_time, 2026-03-06T16:20:00Z); the best"),
    ],
)
def test_triage_names_what_is_known_to_be_the_cause(ci: str, at: str, says: str) -> None:
    with ciops.connect(DEMO) as ops:
        run = ops.run.sync("triage", ci=ci, at=at)

    assert says in run.findings.headline.text
    assert "the best lead" in run.findings.headline.text
    known = {call.call_id for call in run.calls}
    assert all(known >= set(statement.calls) for statement in run.findings.all_statements())


def test_the_demo_command_finds_the_cause_and_writes_a_report_without_scripts(tmp_path: Path) -> None:
    reports = []
    for seed in ("1", "2"):
        out = tmp_path / f"report-{seed}.html"
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from ciops_nb.cli import main; main()",
                "demo",
                "--estate",
                str(DEMO),
                "--out",
                str(out),
            ],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": str(DEMO.parents[1]), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "sto-san-01 moved first (disk_latency" in done.stdout
        assert "after change C-san" in done.stdout
        reports.append(out.read_text(encoding="utf-8"))
    assert reports[0] == reports[1]
    assert "<script" not in reports[0]
    assert 'http-equiv="Content-Security-Policy"' in reports[0]
    assert "sto-san-01" in reports[0]


def test_an_unknown_ci_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from ciops_nb.cli import main; main()",
            "run",
            "triage",
            "--estate",
            str(DEMO),
            "--param",
            "ci=app-erp-1",
            "--param",
            "at=2026-03-02T10:00Z",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 1
    assert "ItemNotFound" in done.stderr
    assert "'app-erp-01'" in done.stderr
    assert "Traceback" not in done.stderr
