"""The commands: what goes wrong is one line on stderr and exit code 1, and leaves nothing half written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ciops_nb.cli import main
from tests.contract.examples import SEED
from tests.oracle import folder

TRIAGE = ["run", "triage", "--param", "ci=ci-0", "--param", "at=2026-03-01T10:00Z", "--estate"]


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[object, str, str]:
    """The exit code, stdout and stderr of one command."""
    monkeypatch.setattr(sys, "argv", ["ciops-nb", *words])
    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder(SEED), tmp_path / "estate"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["demo", "--estate", "{tmp}/none"], "EstateInvalid"),
        ([*TRIAGE, "{tmp}"], "estate.toml"),
        ([*TRIAGE, "{estate}"], "'a', 'b'"),
        ([*TRIAGE, "{estate}", "--tenant", "c"], "no tenant 'c'"),
        ([*TRIAGE, "{estate}", "--tenant", "a", "--param", "ci=nowhere"], "ItemNotFound"),
        ([*TRIAGE, "{estate}", "--tenant", "a", "--param", "at=noon"], "BadTimeRange"),
        ([*TRIAGE, "{estate}", "--tenant", "a", "--param", "nonsense"], "NAME=VALUE"),
        ([*TRIAGE, "{estate}", "--tenant", "a", "--param", "colour=red"], "no such parameter"),
        ([*TRIAGE, "{estate}", "--tenant", "a", "--out", "{tmp}/file/report.html"], "report.html"),
        ([*TRIAGE, "{estate}", "--tenant", "a", "--out", "{tmp}/none/report.html"], "report.html"),
        ([*TRIAGE, "duckdb:{tmp}/none", "--tenant", "a"], "EstateInvalid"),
        (["run", "triag", "--estate", "{estate}", "--tenant", "a"], "'triage'"),
        (["generate", "{tmp}/file/new"], "cannot be made"),
        (["generate", "{tmp}/none/new"], "cannot be made"),
        (["generate", "{estate}"], "not an empty folder"),
        (["generate", "{tmp}/new", "--cis", "-5"], "BadParameter"),
        (["generate", "{tmp}/new", "--every", "0"], "BadParameter"),
        (["import", "tables", "{tmp}/none", "{tmp}/new"], "none"),
        (["import", "tables", "{tmp}/csv", "{tmp}/file/new"], "cannot be made"),
        (["import", "tables", "{tmp}/csv", "{tmp}/new", "--mapping", "{tmp}/none.toml"], "none.toml"),
        (["import", "tables", "{tmp}/csv", "{tmp}/new", "--mapping", "{tmp}/wrong.toml"], "nonsense"),
        (["check", "{tmp}/none"], "EstateInvalid"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, estate: Path, words: list[str], says: str
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("x")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "ci.csv").write_text("ci_code\nx\n")
    (tmp_path / "wrong.toml").write_text('[tables.ci]\nfile = "ci.csv"\ncolumns = {ci_code = "nonsense"}\n')
    before = sorted(tmp_path.rglob("*"))
    code, _, err = command(monkeypatch, capsys, *(word.format(tmp=tmp_path, estate=estate) for word in words))
    assert 1 == code
    assert says in err
    assert "Traceback" not in err
    assert 1 == len(err.strip().splitlines())
    assert before == sorted(tmp_path.rglob("*"))


def test_a_damaged_estate_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], estate: Path
) -> None:
    path = estate / "ci.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    code, _, err = command(monkeypatch, capsys, *TRIAGE, str(estate), "--tenant", "a")
    assert (1, 1) == (code, len(err.strip().splitlines()))
    assert "ci.parquet" in err


def test_tools_lists_each_tool_and_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(monkeypatch, capsys, "tools")
    assert 0 == code
    assert {"ci_search", "graph_path", "triage"} <= {line.split()[0] for line in out.splitlines()}
