"""Whether a saved run, or the report of one, still says what it said: run it again, and tell what differs first.

A saved run has its answers with it and can be replayed on them, or run again on an estate. A report has none: what is
needed to run it again stands in it as JSON, in an element that is not shown, with digests in place of the answers.
"""

from __future__ import annotations

import hashlib
import html
import importlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ciops_nb import sync
from ciops_nb.errors import BadBundle, BadParameter
from ciops_nb.execution.keep import digest, from_json, to_json
from ciops_nb.execution.record import Recorded
from ciops_nb.recipes import bundle
from ciops_nb.recipes.run import Run, compare, parts, run_recipe
from ciops_nb.session import connect

__all__ = ["Verdict", "embedded", "verify"]

_OPEN = '<pre id="ciops-run" hidden data-hash="'
_BLOCK = re.compile(re.escape(_OPEN) + r'([0-9a-f]{64})">([^<]*)</pre>')
_MOST_BYTES = 512 * 1024**2  # of a report
_PICTURE = re.compile(r"<svg\b.*?</svg>", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """What came of running it again.

    Attributes:
        run: The new run.
        how: On what it ran.
        difference: What differs first; None if nothing does.
        notes: What else is to be known, such as that the data are others by now.
    """

    run: Run
    how: str
    difference: str | None
    notes: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return self.difference is None

    def __str__(self) -> str:
        told = f"{self.run.recipe} {self.run.id}, {len(self.run.recorded)} calls, {self.how}"
        return f"same: {told}" if self.same else f"differs: {self.difference} ({told})"


def verify(path: str | os.PathLike[str], *, estate: str | None = None, tenant: str | None = None) -> Verdict:
    """Run again what was saved at *path*, and compare.

    Args:
        path: A saved run, or a report.
        estate: Where to run it, as for ``connect``. A saved run without one is replayed on its own answers.
        tenant: Whose data; None is the tenant it was of.

    Raises:
        BadBundle: there is no such file, it is damaged, or it is neither.
        BadParameter: it did not come to its end, or a report is to be verified without an estate.
        UnknownTool: its recipe is not there.
        EstateInvalid, TenantNeeded, EngineUnavailable: the estate cannot be opened.
    """
    place = os.fspath(path)
    data = _read(place)
    if data.startswith(b"PK"):
        return _verify_bundle(place, estate, tenant)
    return _verify_report(place, data, estate, tenant)


def _read(place: str) -> bytes:
    try:
        if Path(place).stat().st_size > _MOST_BYTES and not _begins_as_zip(place):
            raise BadBundle(place, "is larger than any report", "Name a saved run or a report")
        with Path(place).open("rb") as file:
            data = file.read(2)
            return data if data == b"PK" else data + file.read()
    except OSError as error:
        raise BadBundle(place, f"cannot be read ({error.strerror or error})", "Check the path") from None


def _begins_as_zip(place: str) -> bool:
    with Path(place).open("rb") as file:
        return file.read(2) == b"PK"


# ── a saved run ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _verify_bundle(place: str, estate: str | None, tenant: str | None) -> Verdict:
    saved = bundle.load(place)
    if saved.status not in ("done", "failed"):
        raise BadParameter("path", place, f"the run is {saved.status} and found nothing to verify", "Run it to its end")
    if estate is None:
        if tenant is not None:
            raise BadParameter("tenant", tenant, "a run that is replayed has its own", "Name an estate too")
        again, how = bundle.replayed(saved, place), "replayed on its own answers"
    else:
        again, how = _run_again(saved, estate, tenant), f"run again on {estate}"
    found = compare(saved, again).rows(named=True)
    first = next((row for row in found if row["status"] != "same"), None)
    told = None if first is None else _told(first, again)
    return Verdict(again, how, told, _notes(saved, again))


def _told(row: Mapping[str, Any], again: Run) -> str:
    if row["tool"] is None:
        return f"{row['what']}{_why(again)}"
    what = {"only_left": f"not asked now{_why(again)}", "only_right": "was not asked then"}.get(
        row["status"], row["what"]
    )
    return f"{_named(row['place'], row['tool'], row['params'])}: {what}"


def _named(number: int, tool: str, params: str) -> str:
    return f"call {number}, {tool} {params}"


def _why(again: Run) -> str:
    return f"; it failed with {type(again.error).__name__}: {again.error}" if again.error is not None else ""


def _run_again(saved: Run, estate: str, tenant: str | None) -> Run:
    told = saved.settings
    with connect(
        estate, tenant=tenant or saved.tenant, frames=told.frames, now=saved.now, tz=told.tz, strict=told.strict
    ) as ops:
        return sync.run(run_recipe(ops, saved.recipe, saved.params))


def _notes(saved: Run, again: Run) -> tuple[str, ...]:
    facts = {"data version": "data_version", "engine": "engine", "tenant": "tenant", "ciops_nb": "ciops_version"}
    pairs = {name: (getattr(saved, field), getattr(again, field)) for name, field in facts.items()}
    return tuple(f"{name} was {then}, and is {now}" for name, (then, now) in pairs.items() if then != now)


# ── a report ────────────────────────────────────────────────────────────────────────────────────────────────────────


def embedded(page: str, run: Any, rows: int, explorer: bool) -> str:
    """*page*, the report of *run* with *rows* rows a table, with what is needed to run it again.

    What is no run of a session is left as it is.
    """
    if not isinstance(run, Run) or run.status != "done":
        return page
    held = {
        **bundle.head(run),
        "rows": rows,
        "explorer": explorer,
        "findings": [[name, _short(text)] for name, text in parts(run.findings)],
        "calls": [_call(entry) for entry in run.recorded],
    }
    text = json.dumps(held, sort_keys=True, allow_nan=False)
    block = f'{_OPEN}{hashlib.sha256(text.encode()).hexdigest()}">{html.escape(text, quote=False)}</pre>\n'
    before, end, after = page.rpartition("</body>")
    return f"{before}{block}{end}{after}"


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _call(entry: Recorded) -> dict[str, Any]:
    call, answer = entry.call, entry.answer
    return {
        "tool": call.tool, "version": call.version, "params": to_json(call.params), "rows": answer.rows,
        "total": answer.total, "left_out": to_json(list(answer.left_out)), "warnings": list(answer.warnings),
        "digest": digest(answer.value),
    }  # fmt: skip


def _verify_report(place: str, data: bytes, estate: str | None, tenant: str | None) -> Verdict:
    def bad(problem: str) -> BadBundle:
        return BadBundle(place, problem, "Name a saved run, or a report as run.report wrote it")

    page = data.decode("utf-8", "replace")
    held = _block(page, bad)
    saved = bundle.from_head(held, bad)
    try:
        rows, explorer = int(held["rows"]), bool(held.get("explorer", False))
        told = [(str(name), str(short)) for name, short in held["findings"]]
        then = [{name: call[name] for name in _TOLD} for call in held["calls"]]
    except (KeyError, TypeError, ValueError) as error:
        raise bad(f"is not what a report holds ({type(error).__name__}: {error})") from None
    if estate is None:
        raise BadParameter("estate", None, "a report holds no answers to replay", "Name the estate with --estate")
    again = _run_again(saved, estate, tenant)
    difference = _calls_differ(then, again)
    if difference is None and again.status != "done":
        difference = f"the run is done against {again.status}{_why(again)}"
    if difference is None:
        difference = _said_otherwise(told, again)
    if difference is None and again.id == saved.id:
        difference = _pages_differ(page, again, rows, explorer)
    return Verdict(again, f"run again on {estate}", difference, _notes(saved, again))


def _block(page: str, bad: Any) -> Any:
    found = _BLOCK.findall(page)
    if not found:
        raise bad("is neither a saved run nor a whole report with what is needed to run it again")
    if len(found) > 1:
        raise bad("holds two runs")
    ((expected, shown),) = found
    text = html.unescape(shown)
    if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != expected:
        raise bad("is damaged: what is needed to run it again is not what was written")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad(f"holds no JSON ({error})") from None


_TOLD = ("tool", "version", "params", "rows", "total", "left_out", "warnings", "digest")


def _calls_differ(then: list[dict[str, Any]], again: Run) -> str | None:
    """The first call that was asked otherwise or answered otherwise, in the order of asking."""
    now = [_call(entry) for entry in again.recorded]
    for number, (old, new) in enumerate(zip_longest(then, now), start=1):
        if new is None or (old is not None and (old["tool"], old["params"]) != (new["tool"], new["params"])):
            instead = (
                f"not asked now{_why(again)}" if new is None else f"now it asks {new['tool']} {_json(new['params'])}"
            )
            return f"{_named(number, old['tool'], _json(old['params']))}: {instead}"
        if old is None:
            return f"{_named(number, new['tool'], _json(new['params']))}: was not asked then"
        for name in _TOLD:
            if old[name] != new[name]:
                what = f"{name}: {old[name]!r} against {new[name]!r}" if name != "digest" else "its values differ"
                return f"{_named(number, old['tool'], _json(old['params']))}: {what}"
    return None


def _json(value: Any) -> str:
    return json.dumps(from_json(value), sort_keys=True)


def _said_otherwise(told: list[tuple[str, str]], again: Run) -> str | None:
    now = parts(again.findings)
    for (name, short), (other, text) in zip(told, now, strict=False):
        if name != other or short != _short(text):
            return f"{other}: now it is {text!r}" if name == other else f"{name} against {other}"
    return None if len(told) == len(now) else f"{len(told)} parts against {len(now)}"


def _pages_differ(page: str, again: Run, rows: int, explorer: bool) -> str | None:
    """Whether the words on the page are those of the run: somebody may have changed them.

    Pictures are left out: they depend on the release of the library that drew them, and what they show is compared.
    """
    # Views stand above recipes and import them; this one step goes up, as that of Run.report.
    fresh: str = importlib.import_module("ciops_nb.views.report").render(again, rows=rows, explorer=explorer)
    old, new = (_PICTURE.sub("", text).splitlines() for text in (page, fresh))
    for number, (a, b) in enumerate(zip_longest(old, new, fillvalue=""), start=1):
        if a != b:
            return f"the page itself, line {number} without its pictures: {_cut(a)!r} against {_cut(b)!r}"
    return None


def _cut(line: str) -> str:
    return line if len(line) <= 200 else line[:197] + "..."
