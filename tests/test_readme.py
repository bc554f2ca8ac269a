"""The README does what it says: its code runs, its commands work, and it names every tool and recipe."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import ciops_nb.tools
from ciops_nb.recipes.run import all_recipes
from ciops_nb.registry import all_tools

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new folder with the data of the repository beside it, as a reader has it."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_code_runs_in_a_kernel_from_top_to_bottom(folder: Path) -> None:
    cells = [nbformat.v4.new_code_cell(code) for language, code in BLOCKS if language == "python"]
    assert cells

    done = NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=120, kernel_name="python3").execute()

    assert all(cell["execution_count"] for cell in done.cells)


def commands() -> list[str]:
    """The lines that a reader would type, but for make, which runs these tests."""
    lines = [line for language, code in BLOCKS if language in ("sh", "console") for line in code.splitlines()]
    return [line for line in lines if "ciops-nb" in line and not line.startswith("pip ")]


def test_the_commands_work_in_their_order(folder: Path) -> None:
    assert commands()
    for line in commands():
        words = shlex.split(line, comments=True)
        assert words[0].endswith("ciops-nb"), line
        done = subprocess.run(
            [sys.executable, "-c", "from ciops_nb.cli import main; main()", *words[1:]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr if done.returncode else ""), line


@pytest.mark.parametrize("name", sorted({*all_tools(), *all_recipes()}))
def test_every_tool_and_recipe_is_named(name: str) -> None:
    assert ciops_nb.tools.__name__
    assert f"`{name}" in TEXT
