"""Spans as OpenTelemetry gets them: checked with its own in-memory exporter, in fresh processes (a provider is global)."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from ciops_nb.execution.trace import Trace

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "data/demo"

SET_UP = """
import asyncio, json, sys
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import ciops_nb as ciops
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
api.set_tracer_provider(provider)
ops = ciops.connect(sys.argv[1], frames="polars")

def told():
    return [
        {
            "name": span.name, "id": span.context.span_id, "trace": span.context.trace_id,
            "parent": None if span.parent is None else span.parent.span_id, "start": span.start_time,
            "end": span.end_time, "attributes": dict(span.attributes), "status": span.status.status_code.name,
            "description": span.status.description, "scope": span.instrumentation_scope.name,
        }
        for span in exporter.get_finished_spans()
    ]

def show():
    ours = [
        {"id": s.span_id, "parent": s.parent_id, "kind": s.kind, "name": s.name, "start": s.start_ns,
         "end": s.start_ns + s.duration_ns, "rows": s.rows, "cached": s.cached, "status": s.status, "error": s.error}
        for s in ops.trace.spans
    ]
    print(json.dumps({"ours": ours, "theirs": told()}))
"""


def python(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(DEMO)],
        capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


def test_each_span_is_exported_with_its_parent_times_attributes_and_status() -> None:
    found = python(
        SET_UP
        + """
async def main():
    with api.get_tracer("notebook").start_as_current_span("cell"):
        await ops.run("triage", ci="app-erp-01", at="2026-03-02T10:00Z")
        try:
            await ops.ci_get_by_code("app-erp-1")
        except LookupError:
            pass
asyncio.run(main())
show()
"""
    )
    ours, theirs = found["ours"], found["theirs"]
    (cell,) = (span for span in theirs if span["scope"] == "notebook")
    exported = {span["attributes"]["ciops.span_id"]: span for span in theirs if span["scope"] == "ciops_nb"}

    assert 15 < len(ours) == len(exported) == len(theirs) - 1
    for span in ours:
        other = exported[span["id"]]
        above = cell if span["parent"] is None else exported[span["parent"]]
        assert (span["name"], above["id"], cell["trace"]) == (other["name"], other["parent"], other["trace"])
        assert (span["start"], span["end"]) == (other["start"], other["end"])
        expected = {"kind": span["kind"], "rows": span["rows"], "cached": span["cached"], "status": span["status"]}
        assert expected == {name: other["attributes"].get(f"ciops.{name}") for name in expected}
        failed = span["error"] is not None
        assert ("ERROR" if failed else "UNSET", span["error"]) == (other["status"], other["description"])
    assert [("ci_get_by_code", "ItemNotFound")] == [
        (span["name"], span["attributes"]["error.type"]) for span in theirs if span["status"] == "ERROR"
    ]


def test_what_a_tool_traces_itself_hangs_under_it_and_cancelled_work_ends_its_spans() -> None:
    found = python(
        SET_UP
        + """
started = asyncio.Event()

@ciops.tool
async def fetching(ctx: ciops.Context, *, wait: bool = False) -> list:
    "Trace something, and wait."
    with api.get_tracer("http").start_as_current_span("GET"):
        if wait:
            loop.call_soon_threadsafe(started.set)
            await asyncio.Event().wait()
        return await ctx.run(ctx.tables.table("ci").select("ci_code"))

async def main():
    global loop
    loop = asyncio.get_running_loop()
    await ops.tool("fetching")()
    task = asyncio.ensure_future(ops.tool("fetching")(wait=True))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
asyncio.run(main())
assert api.get_current_span() is api.INVALID_SPAN
show()
"""
    )
    by_id = {span["id"]: span for span in found["theirs"]}
    names = [(span["name"], by_id[span["parent"]]["name"] if span["parent"] else None) for span in found["theirs"]]
    assert sorted([("query", "GET"), ("GET", "fetching"), ("GET", "fetching"), ("fetching", None), ("fetching", None)], key=str) == sorted(names, key=str)  # fmt: skip
    assert ["cancelled", "complete"] == sorted(
        span["attributes"]["ciops.status"] for span in found["theirs"] if span["name"] == "fetching"
    )


@pytest.mark.parametrize("before", ["", "import opentelemetry.trace"])
def test_nothing_is_loaded_where_it_is_not_there_or_no_provider_is_set(before: str) -> None:
    found = python(
        f"""
import json, sys
{before}
import ciops_nb as ciops
loaded = {{name for name in sys.modules if name.startswith("opentelemetry")}}
ciops.connect(sys.argv[1]).ci_search.sync("erp")
print(json.dumps(sorted({{name for name in sys.modules if name.startswith("opentelemetry")}} - loaded)))
"""
    )
    assert [] == found


def test_without_the_package_all_works() -> None:
    found = python(
        """
import json, sys
sys.modules["opentelemetry"] = None
import ciops_nb as ciops
ops = ciops.connect(sys.argv[1])
print(json.dumps([len(ops.ci_search.sync("erp db")), len(ops.trace.spans)]))
"""
    )
    assert found[0] > 0
    assert found[1] > 0


def test_a_hook_that_fails_is_a_warning_and_the_answer_stays() -> None:
    trace, told = Trace(), list[Any]()

    def fails(span: Any) -> None:
        raise OSError("the exporter is away")

    trace.add_begin(fails)
    trace.add_begin(lambda span: told.append)
    trace.add_hook(fails)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with trace.span("run", "a"):
            answer = 7

    assert (7, ["a"]) == (answer, [span.name for span in told])
    assert 2 == sum("the exporter is away" in str(warning.message) for warning in caught)
