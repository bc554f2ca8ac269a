"""Saved runs: replayed without the estate, equal to the byte, and refused when they are not what was saved."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.errors import BadBundle, BadParameter, ItemNotFound, NotRecorded
from ciops_nb.execution.keep import error_from_json, error_to_json
from ciops_nb.recipes.bundle import load
from ciops_nb.recipes.findings import Findings, Section, Statement

DEMO = Path(__file__).parents[2] / "data/demo"
PARAMS = {"ci": "app-erp-01", "at": "2026-03-02T10:00Z"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with ciops.connect(DEMO) as ops:
        return ops.run.sync("triage", **PARAMS).save(tmp_path_factory.mktemp("saved") / "x.ciops")


def altered(saved: Path, folder: Path, change: Any) -> Path:
    """A copy of the bundle whose parts went through *change*, a function of a dict of names and bytes."""
    with zipfile.ZipFile(saved) as zipped:
        parts = {name: zipped.read(name) for name in zipped.namelist()}
    change(parts)
    path = folder / "altered.ciops"
    with zipfile.ZipFile(path, "w") as made:
        for name, data in parts.items():
            made.writestr(name, data)
    return path


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_a_replayed_run_finds_the_same_without_the_estate(tmp_path: Path, frames: Any) -> None:
    shutil.copytree(DEMO, tmp_path / "estate")
    with ciops.connect(tmp_path / "estate", frames=frames) as ops:
        run = ops.run.sync("triage", **PARAMS)
        path = run.save(tmp_path / "x.ciops")
        shutil.rmtree(tmp_path / "estate")
        again = ciops.replay(path, frames=frames)

        assert {"same"} == set(ops.compare(run, again)["status"])
    assert str(run.findings) == str(again.findings)
    assert run.id == again.id
    assert run.report(tmp_path / "a.html").read_bytes() == again.report(tmp_path / "b.html").read_bytes()


def test_what_is_saved_is_what_is_read(saved: Path, tmp_path: Path) -> None:
    assert saved.read_bytes() == load(saved).save(tmp_path / "again.ciops").read_bytes()


def test_ten_runs_in_ten_processes_give_equal_bytes_whatever_the_hash_seed(saved: Path, tmp_path: Path) -> None:
    code = """
import ciops_nb, sys
run = ciops_nb.connect(sys.argv[1]).run.sync("triage", ci="app-erp-01", at="2026-03-02T10:00Z")
run.save(sys.argv[2] + ".ciops"), run.report(sys.argv[2] + ".html")
"""

    def once(seed: int) -> tuple[bytes, bytes]:
        path = tmp_path / str(seed)
        subprocess.run(
            [sys.executable, "-c", code, str(DEMO), str(path)],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(DEMO.parents[1]), "HOME": str(tmp_path), "PATH": ""},
            check=True,
        )
        return path.with_suffix(".ciops").read_bytes(), path.with_suffix(".html").read_bytes()

    with ThreadPoolExecutor(2) as two:
        made = list(two.map(once, range(10)))

    assert {saved.read_bytes()} == {bundle for bundle, _ in made}
    assert 1 == len({report for _, report in made})
    assert made[0][1] == load(saved).report(tmp_path / "read.html").read_bytes()


def test_a_bundle_names_no_place_of_the_machine(saved: Path) -> None:
    text = saved.read_bytes()

    assert str(DEMO.parents[1]).encode() not in text
    assert b"pickle" not in text


def test_a_bundle_of_a_recipe_that_is_not_there_shows_what_was_found(tmp_path: Path) -> None:
    async def gone(ops: Any, *, word: str) -> Findings:
        """Search."""
        found = await ops.ci_search(word, limit=2)
        item = await ops.ci_get_by_code("app-erp-01")
        return Findings(Statement("found", ()), (), (Section("All", found), Section("One", item), Section("Text", "t")))

    with ciops.connect(DEMO) as ops:
        run = ops.run.sync(gone, word="erp")
    again = ciops.replay(run.save(tmp_path / "x.ciops"))

    assert "found" == again.findings.headline.text
    for one, other in zip(run.findings.sections[:2], again.findings.sections[:2], strict=True):
        pd.testing.assert_frame_equal(one.body, other.body)
    assert "t" == again.findings.sections[2].body


def test_a_replay_that_asks_something_else_says_so(saved: Path, tmp_path: Path) -> None:
    def other(parts: dict[str, bytes]) -> None:
        head = json.loads(parts["run.json"])
        head["params"]["ci"] = "app-erp-02"
        parts["run.json"] = json.dumps(head).encode()

    run = ciops.replay(altered(saved, tmp_path, other))

    assert "failed" == run.status
    with pytest.raises(NotRecorded, match="holds no answer to this call"):
        run.findings  # noqa: B018


def _flip(parts: dict[str, bytes]) -> None:
    name = next(name for name in parts if name.endswith(".parquet"))
    parts[name] = parts[name][:-1] + b"\0"


def _drop(parts: dict[str, bytes]) -> None:
    del parts[next(name for name in parts if name.startswith("calls/"))]


def _head(**fields: Any) -> Any:
    def change(parts: dict[str, bytes]) -> None:
        parts["run.json"] = json.dumps({**json.loads(parts["run.json"]), **fields}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_flip, "hash differs"),
        (_drop, "is missing"),
        (lambda parts: parts.pop("run.json"), "is missing"),
        (lambda parts: parts.update({"run.json": b"{"}), "is no JSON"),
        (lambda parts: parts.update({"run.json": b"[" * 100_000}), "is no JSON"),
        (_head(format=99), "format 99"),
        (_head(calls=[{"part": "../../etc/passwd", "hash": ""}]), "is missing"),
        (_head(calls=7), "is not what a run is saved as"),
        (_head(now="soon"), "is not what a run is saved as"),
        (_head(findings="00"), "hash differs"),
    ],
)
def test_a_bundle_that_is_not_what_was_saved_is_refused(saved: Path, tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(BadBundle, match=says):
        ciops.replay(altered(saved, tmp_path, change))


def test_a_bomb_is_refused_before_it_goes_off(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.ciops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("run.json", b"0" * 10_000_000)

    with pytest.raises(BadBundle, match="is compressed, as save never does"):
        load(path)


def test_a_frame_larger_than_any_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: Path
) -> None:
    monkeypatch.setattr("ciops_nb.execution.keep._MOST_CELLS", 3)

    with pytest.raises(BadBundle, match="more than any answer"):
        load(saved)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(place=st.integers(0, 10**9), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_gives_a_named_error_or_the_same_run(
    saved: Path, tmp_path: Path, place: int, byte: int, cut: bool
) -> None:
    data = bytearray(saved.read_bytes())
    place %= len(data)
    data = data[:place] if cut else data[:place] + bytes([byte]) + data[place + 1 :]
    path = tmp_path / "damaged.ciops"
    path.write_bytes(data)

    with contextlib.suppress(BadBundle):  # any other error fails
        assert str(load(saved).findings) == str(load(path).findings)


@pytest.mark.parametrize("content", [None, b"", b"not a zip"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "x.ciops"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadBundle):
        ciops.replay(path)


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(saved: Path, tmp_path: Path) -> None:
    run = load(saved)
    (tmp_path / "folder.ciops").mkdir()
    for place in ("no/x.ciops", "folder.ciops"):
        with pytest.raises(BadParameter, match="cannot be written"):
            run.save(tmp_path / place)
    assert ["folder.ciops"] == [path.name for path in tmp_path.iterdir()]


def test_a_process_killed_while_it_saves_leaves_the_old_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.ciops"
    shutil.copy(saved, path)
    code = """
import os, signal, sys, zipfile
from ciops_nb.recipes.bundle import load
run = load(sys.argv[1])
zipfile.ZipFile.close = lambda self: os.kill(os.getpid(), signal.SIGKILL)
run.save(sys.argv[2])
"""
    killed = subprocess.run([sys.executable, "-c", code, str(saved), str(path)], capture_output=True, check=False)

    assert -9 == killed.returncode
    assert saved.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_an_error_that_a_recipe_caught_is_raised_again_in_a_replay(
    tmp_path: Path, frames: Any, own_names: None
) -> None:
    @ciops.recipe
    async def careful(ops: Any, *, ci: str) -> Findings:
        """Look a CI up, and say what is near if there is none."""
        try:
            await ops.ci_get_by_code(ci)
        except ciops.errors.ItemNotFound as error:
            await ops.ci_search("erp", limit=1)
            return Findings(Statement(f"{error} {list(error.similar)}"))
        raise AssertionError

    with ciops.connect(DEMO, frames=frames) as ops:
        run = ops.run.sync("careful", ci="app-erp-1")
        again = ciops.replay(run.save(tmp_path / "x.ciops"))
        assert {"same"} == set(ops.compare(run, again)["status"])
        resumed = ops.run.sync("careful", ci="app-erp-1", resume=tmp_path / "x.ciops")

    assert "app-erp-01" in run.findings.headline.text
    assert run.findings == again.findings == resumed.findings
    assert load(tmp_path / "x.ciops").save(tmp_path / "y.ciops").read_bytes() == (tmp_path / "x.ciops").read_bytes()


@pytest.mark.parametrize(
    "error",
    [
        ItemNotFound("a", ("b", "c"), when="2026-03-01T00:00:00Z"),
        BadParameter("limit", {1, 2}, "is wrong", "Give another"),
        ciops.errors.ToolTimedOut("ci_get", 3.0),
        ciops.errors.EngineUnavailable("polars", "gone", "Look"),
    ],
)
def test_errors_come_back_as_they_were(error: Any) -> None:
    again = error_from_json(json.loads(json.dumps(error_to_json(error))))

    assert str(error) == str(again)
    assert isinstance(again, type(error) if not isinstance(error, BadParameter) else ciops.errors.CiopsError)


def test_an_error_of_another_s_kind_is_never_made() -> None:
    told = {"kind": "SystemExit", "text": "bye", "fields": {}}

    assert (ciops.errors.CiopsError, "bye") == (type(error_from_json(told)), str(error_from_json(told)))
