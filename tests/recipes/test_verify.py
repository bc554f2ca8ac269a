"""Reports and saved runs that are run again: the same, or what differs first; and what is refused."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.errors import BadBundle, BadParameter, EngineUnavailable, UnknownTool
from ciops_nb.estate.generate import generate
from ciops_nb.estate.times import parse_duration
from ciops_nb.execution.record import current
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.verify import verify

DEMO = Path(__file__).parents[2] / "data/demo"
PARAMS = {"ci": "app-erp-01", "at": "2026-03-02T10:00Z"}
pytestmark = pytest.mark.usefixtures("own_names")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of triage, saved and reported, and an estate in which one point and one change are others."""
    made = tmp_path_factory.mktemp("verify")
    with ciops.connect(DEMO) as ops:
        run = ops.run.sync("triage", **PARAMS)
    run.save(made / "x.ciops")
    run.report(made / "x.html")
    shutil.copytree(DEMO, made / "other")
    path = made / "other/change.parquet"
    changes = pl.read_parquet(path)
    changes.with_columns(title=pl.col("title") + pl.when(pl.col("change_id").str.starts_with("C-san")).then(pl.lit("!")).otherwise(pl.lit(""))).write_parquet(path)  # fmt: skip
    return made


@pytest.mark.parametrize(("name", "estate"), [("x.ciops", None), ("x.ciops", DEMO), ("x.html", DEMO)])
def test_what_was_not_changed_is_the_same(folder: Path, name: str, estate: Any) -> None:
    found = verify(folder / name, estate=estate and str(estate))

    assert (None, ()) == (found.difference, found.notes)
    assert str(found).startswith("same: triage ")
    assert 7 == len(found.run.calls)


@pytest.mark.parametrize("name", ["x.ciops", "x.html"])
def test_another_estate_is_told_by_the_first_call_that_differs(folder: Path, name: str) -> None:
    found = verify(folder / name, estate=str(folder / "other"))

    first = next(n for n, call in enumerate(found.run.calls, start=1) if call.tool == "history_recent")
    assert not found.same
    assert str(found.difference).startswith(f"call {first}, history_recent ")
    assert "title" in str(found.difference) if name == "x.ciops" else "its values differ" in str(found.difference)
    assert ["data version"] == [note.split(" was ")[0] for note in found.notes]


def test_another_engine_finds_the_same_and_is_noted(folder: Path) -> None:
    found = verify(folder / "x.html", estate=f"duckdb:{DEMO}")

    assert (True, ("engine was polars, and is duckdb",)) == (found.same, found.notes)


def altered(folder: Path, change: Callable[[dict[str, Any]], Any], path: Path, *, hashed: bool = True) -> Path:
    """The report with what it holds for verify changed, and hashed anew by who changed it."""
    page = (folder / "x.html").read_text(encoding="utf-8")
    before, rest = page.split('<pre id="ciops-run" hidden data-hash="')
    start, after = rest.split("</pre>")
    held = json.loads(html.unescape(start.split('">', 1)[1]))
    change(held)
    text = json.dumps(held, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest() if hashed else start[:64]
    path.write_text(
        f'{before}<pre id="ciops-run" hidden data-hash="{digest}">{html.escape(text, quote=False)}</pre>{after}',
        "utf-8",
    )
    return path


def _params(held: dict[str, Any]) -> None:
    held["calls"][2]["params"]["depth"] = 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda held: held["calls"][3].update(rows=99), "call 4, "),
        (lambda held: held["calls"][3].update(digest="00"), "its values differ"),
        (_params, "now it asks graph_expand"),
        (lambda held: held["calls"].pop(), "was not asked then"),
        (lambda held: held["calls"].append(held["calls"][0]), "not asked now"),
        (lambda held: held["findings"].__setitem__(0, ["headline", "00"]), "headline: now it is 'app-erp-01 at"),
        (lambda held: held["findings"].pop(), "parts against"),
        (lambda held: held.update(params={**held["params"], "depth": 1}), "call 2, graph_expand"),
        (
            lambda held: held.update(params={**held["params"], "window": "long"}),
            "not asked now; it failed with BadParameter",
        ),
        (lambda held: held.update(params={**held["params"], "ci": "none"}), "now it asks ci_search"),
    ],
)
def test_a_report_whose_run_was_another_is_told(folder: Path, tmp_path: Path, change: Any, says: str) -> None:
    found = verify(altered(folder, change, tmp_path / "x.html"), estate=str(DEMO))

    assert not found.same
    assert says in str(found.difference)


def test_words_that_were_changed_on_the_page_are_told(folder: Path, tmp_path: Path) -> None:
    page = (folder / "x.html").read_text(encoding="utf-8")
    (tmp_path / "x.html").write_text(page.replace("sto-san-01 moved first", "srv-erp-01 moved first"), "utf-8")

    found = verify(tmp_path / "x.html", estate=str(DEMO))

    assert str(found.difference).startswith("the page itself, line ")
    assert "srv-erp-01 moved first" in str(found.difference)


def _nothing(held: dict[str, Any]) -> None:
    held.clear()


@pytest.mark.parametrize(
    ("change", "hashed", "says"),
    [
        (lambda held: held["calls"].pop(), False, "is damaged"),
        (_nothing, True, "format None"),
        (lambda held: held.update(format=99), True, "format 99"),
        (lambda held: held.update(calls=7), True, "is not what a report holds"),
        (lambda held: held.update(calls=[{}]), True, "is not what a report holds"),
        (lambda held: held.update(tz="Mars/Olympus"), True, "no such time zone"),
        (lambda held: held.update(frames="dask"), True, "frames are 'dask'"),
        (lambda held: held.update(params=[1]), True, "have no names"),
    ],
)
def test_a_report_that_holds_something_else_is_refused(
    folder: Path, tmp_path: Path, change: Any, hashed: bool, says: str
) -> None:
    with pytest.raises(BadBundle, match=says):
        verify(altered(folder, change, tmp_path / "x.html", hashed=hashed), estate=str(DEMO))


@pytest.mark.parametrize("content", [None, b"", b"PK", b"PK\x03\x04", b"<html></html>", b"\xff\xfe\x00"])
def test_what_is_neither_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)

    with pytest.raises(BadBundle):
        verify(tmp_path / "x", estate=str(DEMO))


def test_a_report_that_was_cut_short_is_refused_wherever_it_was_cut(folder: Path, tmp_path: Path) -> None:
    data = (folder / "x.html").read_bytes()
    end = data.index(b"</pre>\n</body>")
    for place in [*range(0, end, end // 12), end]:
        (tmp_path / "x.html").write_bytes(data[:place])
        with pytest.raises(BadBundle):
            verify(tmp_path / "x.html", estate=str(DEMO))


def test_a_report_needs_an_estate_and_a_replayed_run_no_tenant(folder: Path) -> None:
    with pytest.raises(BadParameter, match="--estate"):
        verify(folder / "x.html")
    with pytest.raises(BadParameter, match="Name an estate too"):
        verify(folder / "x.ciops", tenant="t")


def test_a_run_of_a_recipe_that_is_not_there_is_not_called_the_same(tmp_path: Path) -> None:
    async def unregistered(ops: Any) -> Findings:
        """Say one."""
        return Findings(Statement("one"))

    with ciops.connect(DEMO) as ops:
        path = ops.run.sync(unregistered).save(tmp_path / "x.ciops")

    with pytest.raises(UnknownTool, match="'unregistered'"):
        verify(path)


async def local_hour(ops: Any, *, since: str, flip: bool = False) -> Findings:
    """What happened since a local time?"""
    found = await ops.history_recent(time_range=f"{since}/PT1H")
    if flip and current() is not None and ops.source != str(DEMO):
        await ops.tenants()
    return Findings(Statement(f"{len(found)} records"), sections=(Section("All", found),))


def test_a_run_in_another_zone_and_another_kind_of_frame_is_replayed_as_it_was(tmp_path: Path) -> None:
    with ciops.connect(DEMO, tz="Asia/Kolkata", frames="polars") as ops:
        run = ops.run.sync(ciops.recipe(local_hour), since="2026-03-02T15:00")
    assert "2026-03-02T09:30:00Z/2026-03-02T10:30:00Z" == run.calls[0].params.time_range
    bundle, report = run.save(tmp_path / "x.ciops"), run.report(tmp_path / "x.html")

    assert verify(bundle).same
    assert verify(bundle, estate=str(DEMO)).same
    assert verify(report, estate=str(DEMO)).same
    assert bundle.read_bytes() == ciops.replay(bundle).save(tmp_path / "y.ciops").read_bytes()


@pytest.mark.parametrize("length", [timedelta(hours=6), pd.Timedelta("6h"), timedelta(hours=6, microseconds=1)])
@pytest.mark.parametrize("name", ["what_changed", "triage"])
def test_a_run_with_a_length_of_time_is_replayed(tmp_path: Path, name: str, length: timedelta) -> None:
    with ciops.connect(DEMO) as ops:
        run = ops.run.sync(name, window=length, **PARAMS)
    path = run.save(tmp_path / "x.ciops")

    assert ("done", length) == (run.status, parse_duration(run.params["window"]))
    assert verify(path).same
    assert verify(path, estate=str(DEMO)).same
    assert verify(run.report(tmp_path / "x.html"), estate=str(DEMO)).same


def test_a_report_with_the_explorer_is_the_same_and_a_script_of_others_is_told(tmp_path: Path) -> None:
    with ciops.connect(DEMO) as ops:
        path = ops.run.sync("triage", **PARAMS).report(tmp_path / "x.html", explorer=True)

    assert verify(path, estate=str(DEMO)).same
    text = path.read_text("utf-8")
    assert 1 == text.count('<script type="module">')
    path.write_text(text.replace('<script type="module">', '<script type="module">alert(1);'), "utf-8")
    told = verify(path, estate=str(DEMO)).difference or ""
    assert told.startswith("the page itself, line ")
    assert "alert(1);" in told


def test_a_recipe_that_asks_more_when_it_is_replayed_is_told_with_its_error(tmp_path: Path) -> None:
    with ciops.connect(DEMO) as ops:
        path = ops.run.sync(ciops.recipe(local_hour), since="2026-03-02T09:00", flip=True).save(tmp_path / "x.ciops")

    assert "the run is done against failed; it failed with NotRecorded" in str(verify(path).difference)


def test_a_run_that_failed_is_the_same_if_it_fails_the_same_way(tmp_path: Path) -> None:
    with ciops.connect(DEMO) as ops:
        path = ops.run.sync("triage", ci="app-erp-1", at=PARAMS["at"]).save(tmp_path / "x.ciops")

    assert verify(path, estate=str(DEMO)).same


def test_a_run_whose_data_changed_meanwhile_is_replayed_as_it_was_answered(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "estate")

    async def twice(ops: Any) -> Findings:
        """Ask before and after the data changed."""
        first = await ops.ci_search("erp db")
        if current() is not None and (tmp_path / "estate").exists():
            frame = pl.read_parquet(tmp_path / "estate/ci.parquet")
            frame.with_columns(pl.col("owner").fill_null("nobody")).write_parquet(tmp_path / "estate/ci.parquet")
        second = await ops.ci_aggregate("owner")
        ids = [ciops.provenance(answer).call_id for answer in (first, second)]
        return Findings(Statement(f"{len(first)} and {len(second)}", tuple(ids)))

    ciops.recipe(twice)
    with pytest.MonkeyPatch.context() as patch, ciops.connect(tmp_path / "estate") as ops:
        patch.setattr("ciops_nb.estate.files._LOOK_AGAIN", -1.0)
        run = ops.run.sync("twice")
    assert 2 == len({call.data_version for call in run.calls})
    path = run.save(tmp_path / "x.ciops")
    shutil.rmtree(tmp_path / "estate")

    found = verify(path)

    assert found.same
    assert run.findings.headline.calls == found.run.findings.headline.calls


def test_a_run_answered_by_a_fallback_while_the_estate_was_away_is_replayed(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "estate")
    with pytest.MonkeyPatch.context() as patch, ciops.connect(tmp_path / "estate") as ops:
        ops.fall_back_to(DEMO)
        patch.setattr("ciops_nb.engines.polars.PolarsEngine.data_version", _away(tmp_path))
        run = ops.run.sync(ciops.recipe(local_hour), since="2026-03-02T09:00")
    assert (None, "fallback") == (run.data_version, run.completeness)

    found = verify(run.save(tmp_path / "x.ciops"))

    assert (True, run.id, "fallback") == (found.same, found.run.id, found.run.completeness)


def _away(folder: Path) -> Any:
    from ciops_nb.engines.polars import PolarsEngine

    whole = PolarsEngine.data_version

    def version(self: Any) -> str:
        if str(folder) in self.source:
            raise EngineUnavailable("polars", "the disk is away")
        return whole(self)

    return version


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def ciops_nb(*words: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from ciops_nb.cli import main; main()", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=DEMO.parents[1],
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_command_says_it_by_its_exit_code(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "run.ciops"
    code, out, _ = ciops_nb(
        "run", "triage", "--estate", DEMO, "--param", "ci=app-erp-01", "--param", "at=2026-03-02T10:00Z", "--save", saved
    )  # fmt: skip
    assert (0, f"Saved: {saved}") == (code, out.splitlines()[-1])
    assert saved.read_bytes() == (folder / "x.ciops").read_bytes()

    code, out, error = ciops_nb("verify", saved)
    assert (0, "", "same: ") == (code, error, out[:6])
    code, out, error = ciops_nb("verify", saved, "--estate", folder / "other")
    assert (1, "differs: call ", "note: data version was ") == (code, out[:14], error[:23])
    saved.write_bytes(saved.read_bytes()[:-30])
    code, out, error = ciops_nb("verify", saved)
    assert (2, "", 1) == (code, out, len(error.splitlines()))
    assert error.startswith("BadBundle: ")


def test_a_tenant_can_be_named(tmp_path: Path) -> None:
    generate(tmp_path / "estate", cis=40, days=1, tenants=2)
    with ciops.connect(tmp_path / "estate", tenant=_tenants(tmp_path / "estate")[0]) as ops:
        path = ops.run.sync(ciops.recipe(local_hour), since="2026-03-02T09:00").report(tmp_path / "x.html")
    ours, other = _tenants(tmp_path / "estate")

    assert verify(path, estate=str(tmp_path / "estate")).same
    found = verify(path, estate=str(tmp_path / "estate"), tenant=other)
    assert f"tenant was {ours}, and is {other}" in found.notes


def _tenants(folder: Path) -> list[str]:
    return sorted(pl.read_parquet(folder / "ci.parquet")["tenant_id"].unique())


def test_the_part_for_verify_is_not_shown_and_holds_no_markup(folder: Path) -> None:
    page = (folder / "x.html").read_text(encoding="utf-8")
    block = page[page.index('<pre id="ciops-run"') : page.rindex("</pre>")]

    assert 'hidden data-hash="' in block
    assert 1 == block.count("<")
    assert block.isascii()
    with zipfile.ZipFile(folder / "x.ciops") as zipped:
        assert len(json.loads(zipped.read("run.json"))["calls"]) == block.count('"digest"')
