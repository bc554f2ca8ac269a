"""No tool lets anything of another tenant out: in answers, counts, warnings, suggestions, provenance or errors."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.registry import all_tools
from tests.contract.examples import EXAMPLES
from tests.contract.test_every_tool import both_engines, every_tool, full, same
from tests.oracle import NOW
from tests.worlds import Rows, rich_world, write_world

SECRET = "hush"
_SHARED = {"tenant_id", "ci_code", "kind", "metric"}  # what both tenants have alike, beside what is secret


def with_secrets(seed: int) -> Rows:
    """A world whose tenant b has a secret in every text, and CIs, metrics, tags and labels called by one."""
    rows = rich_world(seed)
    for table, content in rows.items():
        for row in content:
            if row["tenant_id"] != "b":
                continue
            for name, value in row.items():
                if isinstance(value, str) and name not in _SHARED:
                    row[name] = f"{SECRET}-{value}"
        own = [row for row in content if row["tenant_id"] == "b"]
        for name in ("ci_code", "metric", "ci_id"):
            if own and name in own[0] and (table, name) != ("metric_def", "ci_id"):
                extra = {**own[0], name: f"{SECRET}-{name}"}
                content.append({**extra, "ci_id": f"{SECRET}-{name}"} if table == "ci" else extra)
    return rows


@functools.cache
def without_b(seed: int) -> Rows:
    return rich_world(seed, ("a",))


def everything(answer: Any) -> str:
    """All that an answer shows, and says of itself."""
    if isinstance(answer, nx.Graph):
        text = repr([list(answer.nodes(data=True)), list(answer.edges(keys=True, data=True)), answer.graph])
    elif pl.Object in answer.dtypes:
        text = repr(answer.to_dicts())
    else:
        text = answer.write_json()
    return text + json.dumps(ciops.provenance(answer)) + str(ciops.provenance(answer))


WRONG = {
    "ci": ["hush-ci_code", "hush-ci_cod", "ci-", "hush-b-0"],
    "ci_id": ["hush-ci_id", "hush-b-0", "hush-id-0", "b-0"],
    "ci_code": ["hush-ci_code", "hush-ci_cod"],
    "metric": ["hush-metric", "hush-metri"],
    "where": [{"tags.hush-role": "x"}, {"attributes.hush-core": "x"}, {"tags.hush-a.b %": 1}],
    "by": ["tags.hush-role", "label.hush-mountpoint", "label.hush-l", "attributes.hush-cores", "hush"],
    "measures": ["sum:attributes.hush-cores", "count_distinct:tags.hush-rol"],
    "relations": ["hush-DEPENDS_ON", "hush-UNDECLARED", "hush"],
    "source": ["hush-ci_code"],
    "target": ["hush-ci_code"],
    "sort": ["hush"],
    "rule": [{"when": {"metric": "hush-metric", "op": ">", "value": 1}}],
}


def questions(name: str) -> Iterator[dict[str, Any]]:
    """The example, the example without limits, and with each secret name, and near misses of them, put in."""
    yield full(name)
    cut = EXAMPLES[name].cut
    yield {**full(name), **({} if cut is None else {cut[0]: cut[1]})}
    parameters = all_tools()[name].signature.parameters
    if "keywords" in parameters:
        yield {"keywords": SECRET}
    for parameter in WRONG.keys() & parameters.keys():
        for wrong in WRONG[parameter]:
            yield {**full(name), parameter: wrong}


@pytest.fixture(scope="module")
def estates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("leak")
    return write_world(folder / "both", with_secrets(3)), write_world(folder / "alone", without_b(3))


@every_tool
@both_engines
def test_nothing_of_another_tenant_is_told(name: str, engine: str, estates: tuple[Path, Path]) -> None:
    both, _ = estates
    asked = 0
    with ciops.connect(f"{engine}:{both}", tenant="a", frames="polars", now=NOW) as ops:
        for question in questions(name):
            mine = re.findall(rf"{SECRET}[\w-]*", repr(question))
            try:
                text = everything(ops.tool(name).sync(**question))
            except ciops.errors.CiopsError as error:
                text = f"{error} {getattr(error, 'similar', '')}"
                asked += 1
            for word in sorted(mine, key=len, reverse=True):  # what was asked may be said back, and nothing more
                text = text.replace(word, "")
            assert SECRET not in text
    assert asked or not WRONG.keys() & all_tools()[name].signature.parameters.keys()


@every_tool
@both_engines
def test_another_tenant_changes_no_answer(name: str, engine: str, estates: tuple[Path, Path]) -> None:
    if name == "tenants":
        return
    answers = []
    for folder in estates:
        with ciops.connect(f"{engine}:{folder}", tenant="a", frames="polars", now=NOW) as ops:
            answers.append([ops.tool(name).sync(**question) for question in (*questions(name),)[:2]])
    for one, other in zip(*answers, strict=True):
        same(one, other)
        ours, theirs = ciops.provenance(one), ciops.provenance(other)
        assert (theirs.completeness, theirs.params, theirs.as_of) == (ours.completeness, ours.params, ours.as_of)


@both_engines
def test_the_clock_of_a_tenant_is_its_own(engine: str, tmp_path: Path) -> None:
    rows = rich_world(3)
    for row in rows["metric"]:
        if row["tenant_id"] == "b":
            row["ts"] = row["ts"].replace(year=2030)
    found = []
    for place, content in (("both", rows), ("alone", without_b(3))):
        with ciops.connect(f"{engine}:{write_world(tmp_path / place, content)}", tenant="a") as ops:
            found.append(ciops.provenance(ops.metric_list.sync()).as_of)
    assert found[0] == found[1]
