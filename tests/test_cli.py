from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from ciops_nb import cli
from ciops_nb.estate.importer import import_tables

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data/demo"
TRIAGE = ["run", "triage", "--estate", str(DEMO), "--param", "ci=app-erp-01", "--param", "at=2026-03-02T10:00Z"]


def run(*arguments: str) -> int:
    """The exit code of a command."""
    old, sys.argv = sys.argv, ["ciops-nb", *arguments]
    try:
        with pytest.raises(SystemExit) as left:
            cli.main()
    finally:
        sys.argv = old
    return int(left.value.code or 0)


def in_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(
        cli,
        "_out",
        Console(file=screen, force_terminal=True, width=width, highlight=False, soft_wrap=True, no_color=True),
    )
    return screen


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "Usage: No such command 'nosuch'. See ciops-nb --help."),
        (["run", "triage"], "Usage: Missing option '--estate'. See ciops-nb run --help."),
        (["generate", "x", "--cis", "a"], "See ciops-nb generate --help."),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, said, capsys):
    assert 2 == run(*arguments)

    told = capsys.readouterr()
    assert ("", 1) == (told.out, told.err.count("\n"))
    assert said in told.err


def test_a_report_can_have_the_explorer(tmp_path, capsys):
    assert 2 == run(*TRIAGE, "--explorer")
    assert "--explorer: is for the report: name its file with --out" in capsys.readouterr().err

    assert 0 == run(*TRIAGE, "--out", str(tmp_path / "x.html"), "--explorer")
    assert 3 == (tmp_path / "x.html").read_text("utf-8").count("<script")  # two graphs and what explores them


def test_an_error_is_one_line_and_exit_code_1_with_no_line_before_it(capsys):
    assert 1 == run(*TRIAGE[:-3], "ci=app-erp-1", *TRIAGE[-2:])

    told = capsys.readouterr().err
    assert told.startswith("ItemNotFound: ")
    assert 1 == told.count("\n")


def test_without_a_command_the_help_is_shown(capsys):
    assert 2 == run()
    assert "Usage: ciops-nb [OPTIONS] COMMAND [ARGS]..." in capsys.readouterr().out


def test_the_help_of_run_shows_how_to_give_a_parameter(capsys):
    assert 0 == run("run", "--help")

    told = " ".join(capsys.readouterr().out.split())
    assert "--param ci=app-erp-01" in told
    assert "NAME=VALUE" in told
    assert "ciops-nb tools" in told


def test_recipes_are_listed_with_their_parameters(capsys):
    assert 0 == run("tools")

    assert "Parameters: ci, at, window=2h, depth=3, baseline=24h, normal, history=6h." in capsys.readouterr().out


def test_in_a_terminal_lines_are_broken_between_words_under_their_beginning(monkeypatch):
    screen = in_terminal(monkeypatch, 80)
    assert 0 == run(*TRIAGE)

    lines = screen.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(("  - ", "    ")) for line in lines[lines.index("Found:") + 1 :] if line[:1] == " ")
    assert any(line.startswith("    ") for line in lines)
    assert "sto-san-01," in " ".join(lines).split()


def test_in_a_pipe_each_statement_is_one_line(capsys):
    assert 0 == run(*TRIAGE)

    lines = capsys.readouterr().out.splitlines()
    assert "moved first" in lines[0]
    assert lines[0].endswith(".")
    assert "It rests on 7 calls, all complete." == lines[-1]


def test_what_would_steer_the_terminal_is_written_out(monkeypatch):
    screen = in_terminal(monkeypatch, 80)
    cli._say("red \x1b[31m and \u202eback [bold]not bold[/] :smile:\nReport: forged", "  - ")

    assert "  - red ⟨U+001B⟩[31m and ⟨U+202E⟩back [bold]not bold[/] :smile:⟨U+000A⟩Report:\n    forged\n" == (
        screen.getvalue()
    )


def test_check_counts_in_words(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    pl.DataFrame({"ci_code": ["a"], "ci_name": ["A"]}).write_csv(tmp_path / "in/ci.csv")
    import_tables(tmp_path / "in", tmp_path / "estate")

    assert 0 == run("check", str(tmp_path / "estate"))
    assert "no findings" == capsys.readouterr().out.splitlines()[-1]


def test_a_pipe_that_closes_early_leaves_no_traceback():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{sys.executable} -c 'from ciops_nb.cli import main; main()' tools | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env=environment, timeout=60
    )

    assert done.stdout.startswith("cep_compare")
    assert "" == done.stderr
