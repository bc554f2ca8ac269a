"""Names in calls: those of the session's own tenant, quickly, and without a trace."""

from __future__ import annotations

import ast
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from IPython.core.completer import provisionalcompleter

import ciops_nb as ciops
from ciops_nb.extension import completion
from ciops_nb.session import Ops
from ciops_nb.tools.graph import VIEWS
from ciops_nb.tools.names import ASKED, CHOICES
from tests.worlds import Rows, write_world

Tab = Callable[..., list[str]]
HOSTILE = ["a'quote", 'a"quote', "a\\slash", "a\u202ertl", "a\nline", "a<b>&", "aאב", "a{brace}", "a\U0001f600"]


def estate(folder: Path, codes: dict[str, list[str]]) -> str:
    rows: Rows = {
        "ci": [
            {"tenant_id": tenant, "ci_id": f"{tenant}-{number}", "ci_code": code}
            for tenant, own in codes.items()
            for number, code in enumerate(own)
        ],
        "metric_def": [
            {"tenant_id": tenant, "metric": f"cpu of {tenant}", "unit": "%", "kind": "gauge"} for tenant in codes
        ],
    }
    return str(write_world(folder, rows))


@pytest.fixture
def tab(shell: Any) -> Tab:
    def press(code: str, *, after: str = "", ours: bool = True) -> list[str]:
        """The cells that Tab at the end of *code* leads to, of our own."""
        with provisionalcompleter():
            found = list(shell.Completer.completions(code + after, len(code)))
        return [code[: one.start] + one.text for one in found if (one._origin == "ciops_nb") == ours]

    return press


@pytest.fixture
def ops(shell: Any, demo: Path) -> Any:
    with ciops.connect(demo) as session:
        shell.user_ns["ops"] = session
        yield session


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('ops.graph_expand("app-erp-', ["app-erp-01", "app-erp-02", "app-erp-03"]),
        ("x = await ops.metric_series_table('response_time', ci='db-erp-", ["db-erp-01", "db-erp-02", "db-erp-03"]),
        ('ops.metric_series_table.sync("resp', ["response_time"]),
        ('ops.metric_aggregate(["cpu", "resp', ["response_time"]),
        ('ops.graph_path("app-erp-01", "db-pay-06', ["db-pay-06"]),
        ('ops.ci_get_by_code(["app-erp-01", "db-pay-06', ["db-pay-06"]),
        ('ops.ci_get("ci-0000008', ["ci-0000008"]),
        ('ops.graph_expand("x", relations=["DEP', ["DEPENDS_ON", "DEPLOYED_ON"]),
        ('ops.graph_expand("x", view="', list(VIEWS)),
        ('ops.graph_path("x", "y", direction="d', ["downstream"]),
        ('ops.history_recent(kinds=["ch', ["change"]),
        ('ops.ci_search(where={"tags.', ["tags.env", "tags.freeze", "tags.role"]),
        ('ops.ci_search(where={"ci_type": "HW", "owne', ["owner"]),
        ('ops.ci_search(where={"ci_type": "', ["HW", "SW", "SYSTEM"]),
        ('ops.ci_search(where={"owner": "x", "tags.role": ["app", "d', ["db"]),
        ('ops.run("tri', ["triage"]),
        ('await ops.run("triage", at="now", ci="app-erp-0', ["app-erp-01", "app-erp-02", "app-erp-03"]),
        ('ops.start("path", direction="ei', ["either"]),
        ('ops.tool("graph_p', ["graph_path"]),
        ('ops.tool("graph_expand").sync("db-pay-06', ["db-pay-06"]),
        ('ops.plan.sync("graph_expand", "db-pay-06', ["db-pay-06"]),
        ('ops.plan("graph_ex', ["graph_expand"]),
        ("ops.graph_expand('DB-PAY-06", ["db-pay-06"]),
    ],
)
def test_the_names_that_may_stand_there_are_offered(tab: Tab, ops: Ops, code: str, expected: list[str]) -> None:
    stem = code[: max(code.rfind("'"), code.rfind('"')) + 1]

    assert [stem + name for name in expected] == tab(code)[: len(expected)]
    assert [stem + name for name in expected] == tab(code, after='")')[: len(expected)]  # where quotes close themselves


def test_a_choice_is_offered_before_its_quote(tab: Tab, ops: Ops) -> None:
    assert [f'ops.graph_expand("x", view="{view}"' for view in VIEWS] == tab('ops.graph_expand("x", view=')
    assert [] == tab("ops.graph_expand(ci=")


@pytest.mark.parametrize(
    "code",
    [
        'print("app-', 'ops.ci_search("app-', 'ops.graph_expand("x", view=["', 'ops.graph_expand(nobody="', 'ops.none("',
        'other.graph_expand("app-', 'ops.graph_expand.sync.more("', 'ops.run("triage", "app-', 'ops.run(["tri', 'ops["x"].ci_get("',
        'ops.history_recent(where="', 'ops.history_recent(kinds={"ch', 'ops.graph_expand(b"app-', 'ops.graph_expand("zzz',
        'ops.run("lookup", text="app-', 'ops.ci_search(where={"criticality": "', 'ops.ci_search(where={"none": "',
        'ops.graph_expand({"ci_type": "', 'ops.ci_search(where={"tags.none": "', 'ops.run("no such", ci="app-', 'ops.suggest("app-', '"app-', "ops.graph_expand(ci",
    ],
)  # fmt: skip
def test_nothing_is_offered_where_it_would_be_false(tab: Tab, ops: Ops, code: str) -> None:
    assert [] == tab(code)


def test_each_parameter_of_these_names_belongs_to_a_tool_or_recipe() -> None:
    from ciops_nb.recipes.run import all_recipes
    from ciops_nb.registry import all_tools

    taken = {name for tool in all_tools().values() for name in tool.signature.parameters}
    assert {*ASKED, *CHOICES} <= taken
    assert all_recipes()


def test_two_sessions_offer_each_their_own_tenant(tab: Tab, shell: Any, tmp_path: Path) -> None:
    source = estate(tmp_path, {"a": ["both", "only-a"], "b": ["both", "only-b"]})
    with ciops.connect(source, tenant="a") as one, ciops.connect(source, tenant="b") as two:
        shell.user_ns.update(one=one, two=two)

        assert ["one.graph_expand('both", "one.graph_expand('only-a"] == tab("one.graph_expand('")
        assert ["two.graph_expand('both", "two.graph_expand('only-b"] == tab("two.graph_expand('")
        assert ["two.metric_aggregate('cpu of b"] == tab("two.metric_aggregate('")


@pytest.mark.parametrize("engine", ["", "duckdb:"])
@pytest.mark.parametrize("quote", ["'", '"', '"""'])
def test_a_hostile_code_becomes_valid_python(tab: Tab, shell: Any, tmp_path: Path, quote: str, engine: str) -> None:
    with ciops.connect(engine + estate(tmp_path, {"a": HOSTILE})) as ops:
        shell.user_ns["ops"] = ops
        cells = tab(f"ops.graph_expand({quote}a")

        assert sorted(HOSTILE) == sorted(
            ast.parse(f"{cell}{quote})", mode="eval").body.args[0].value  # type: ignore[attr-defined]
            for cell in cells
        )
        assert all(cell.isprintable() for cell in cells)
        assert [f"ops.graph_expand({quote}a{chr(92)}u202ertl"] == tab(f"ops.graph_expand({quote}a{chr(92)}u202e")
        assert ["ops.graph_expand(f'a{{brace}}"] == tab("ops.graph_expand(f'a{{")


def test_trace_and_cache_stay_as_they_are(tab: Tab, ops: Ops) -> None:
    for code in (
        "ops.graph_expand('app",
        "ops.metric_list(ci='db",
        "ops.ci_search(where={'tag",
        "ops.graph_expand('', relations='D",
    ):
        assert tab(code)

    assert (0, 0, ()) == (len(ops.trace), len(ops.cache), ops.runs)


def test_at_most_fifty_and_it_is_said_of_how_many(tab: Tab, shell: Any, tmp_path: Path) -> None:
    with ciops.connect(estate(tmp_path, {"a": [f"ci-{number:04}" for number in range(1234)]})) as ops:
        shell.user_ns["ops"] = ops
        with provisionalcompleter():
            found = list(shell.Completer.completions("ops.graph_expand('", 18))

    assert (50, {"CI, 50 of 1,234"}, "ci-0000") == (len(found), {one.type for one in found}, found[0].text)


def test_cis_that_have_ended_are_told_apart_once_it_is_known_what_time_it_is(shell: Any, ops: Ops) -> None:
    def kinds() -> dict[str, str]:
        with provisionalcompleter():
            return {one.text: one.type for one in shell.Completer.completions("ops.graph_expand('srv-", 22)}

    assert {"CI"} == {kind.partition(",")[0] for kind in kinds().values()}
    there = set(ops.ci_search.sync(limit=None)["ci_code"])
    told = kinds()
    assert {code: code not in there for code in told} == {code: "ended" in kind for code, kind in told.items()}


def test_an_engine_that_stalls_does_not_hold_tab(tab: Tab, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    release, begun = threading.Event(), threading.Event()
    tables = type(ops._first.engine.tables("demo"))
    run = tables.run

    def stall(self: Any, lazy: Any) -> Any:
        begun.set()
        assert release.wait(30)
        return run(self, lazy)

    monkeypatch.setattr(tables, "run", stall)
    start = time.monotonic()
    assert [] == tab("ops.graph_expand('app-erp-")
    assert begun.is_set()
    assert [] == tab("ops.graph_expand('app-erp-")  # no second reading beside the first
    assert time.monotonic() - start < 5
    release.set()
    deadline = time.monotonic() + 30
    while not (found := tab("ops.graph_expand('app-erp-")):
        assert time.monotonic() < deadline
    assert "ops.graph_expand('app-erp-01" == found[0]


def test_an_estate_that_is_away_gives_no_names_and_no_error(
    tab: Tab, shell: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ciops.connect(estate(tmp_path / "gone", {"a": ["x"]})) as ops:
        shell.user_ns["ops"] = ops
        (tmp_path / "gone/ci.parquet").write_bytes(b"PAR1")
        (tmp_path / "gone").rename(tmp_path / "away")
        assert [] == tab("ops.graph_expand('")
    assert [] == tab("ops.graph_expand('")  # closed
    assert ("", "") == capfd.readouterr()


def test_an_error_of_ours_shows_nothing(
    tab: Tab, ops: Ops, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(code: str) -> None:
        raise ZeroDivisionError(code)

    monkeypatch.setattr(completion, "place_of", fail)

    assert [] == tab("ops.graph_expand('app")
    assert ("", "") == capfd.readouterr()


def test_no_object_of_the_notebook_is_asked_for_anything(tab: Tab, shell: Any) -> None:
    asked = []

    class Trap:
        def __getattribute__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattribute__(name)

    shell.user_ns["trap"] = Trap()
    shell.Completer.use_jedi, use = False, shell.Completer.use_jedi
    try:
        place = completion.place_of("trap.graph_expand('a")
        assert place is not None
        assert completion._meant(place, shell.user_ns) is None
    finally:
        shell.Completer.use_jedi = use
    assert [] == asked


def test_other_completion_goes_on(tab: Tab, ops: Ops, shell: Any) -> None:
    shell.user_ns["abacus"] = {"key one": 1}
    shell.user_ns["run"] = ops.run.sync("lookup", text="app")

    assert "abacus" in tab("abac", ours=False)
    assert "ops.ci_search" in tab("ops.ci_sea", ours=False)
    assert "run.findings" in tab("run.fin", ours=False)
    assert [] == tab('abacus["', ours=True)
    assert any("key one" in cell for cell in tab('abacus["', ours=False))
    assert [] == tab('ops.graph_expand("app-erp-0', ours=False)  # no files


@pytest.mark.usefixtures("own_names")
def test_tools_and_recipes_of_others_are_completed_by_what_their_parameters_are(tab: Tab, ops: Ops) -> None:
    @ciops.tool
    async def mine(ctx: ciops.Context, ci: Any, source: str, *, way: Literal["fast", "slow"] = "fast") -> ciops.Frame:
        """Mine."""
        raise NotImplementedError

    @ciops.recipe
    async def my_way(ops: Ops, ci: str) -> ciops.Findings:
        """Mine too."""
        raise NotImplementedError

    assert ["ops.tool('mine"] == tab("ops.tool('mi")
    assert ["ops.tool('mine')('db-pay-06"] == tab("ops.tool('mine')('db-pay-06")
    assert ["ops.tool('mine')(way='fast", "ops.tool('mine')(way='slow"] == tab("ops.tool('mine')(way='")
    assert [] == tab("ops.tool('mine')('x', 'db-pay-06")  # who knows what a source is to them
    assert ["ops.run('my_way"] == tab("ops.run('my_")
    assert ["ops.run('my_way', ci='db-pay-06"] == tab("ops.run('my_way', ci='db-pay-06")
