"""What a run came to, as pieces of HTML and text for a panel and for its twin: plain functions without any widget."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ciops_nb.answers import describe
from ciops_nb.errors import CiopsError
from ciops_nb.estate.times import format_time
from ciops_nb.execution.trace import Span
from ciops_nb.recipes.evidence import counted
from ciops_nb.recipes.findings import Section, Statement
from ciops_nb.recipes.run import Run
from ciops_nb.views.report import COMPLETE, Asked, Cited, Drawn, Part, drawn, in_context, part
from ciops_nb.views.svg import visible
from ciops_nb.views.widgets.markup import Markup, text
from ciops_nb.views.widgets.twin import Twin, explained

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["Outcome", "code_of", "said_of", "steps", "twin_of"]

_TAG = re.compile(r"<[^<>]*>")  # what was written as text has neither
LARGEST = 190_000  # bytes of a twin: a notebook is to stay small
TWIN_ROWS = 20
_NAMED = 3  # calls of a statement that are told with their tools; of more, the numbers


class Outcome:
    """A run that has ended, looked at once for all that shows it. Pictures are drawn when they are first asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls = [Asked(number, record) for number, record in enumerate(run.calls, 1)]
        self._by_id = {str(call.record["call_id"]): call for call in self.calls}
        self._cited = Cited(self.calls)
        done = run.status == "done"
        self.sections: Sequence[Section] = in_context(run.findings) if done else ()
        self._drawing = threading.Lock()
        self._drawn: dict[int, Drawn | str | None] = {}

    def drawn(self, number: int) -> Drawn | str | None:
        """The picture of the section *number* (from 1), in words why it could not be drawn, None if it has none."""
        with self._drawing:
            if number not in self._drawn:
                try:
                    self._drawn[number] = drawn(self.sections[number - 1], f"r{self.run.id}n{number}")
                except Exception as error:  # noqa: BLE001  the tables beneath are worth seeing all the same
                    self._drawn[number] = f"The picture could not be drawn: {explained(error)}"
            return self._drawn[number]

    def part(self, number: int, rows: int) -> Part:
        """The section *number* with the first *rows* rows of each table, without its picture."""
        return part(number, self.sections[number - 1], rows, self._cited, draw=False)

    @property
    def gaps(self) -> list[Asked]:
        """The calls whose answers are not whole."""
        return [call for call in self.calls if call.status != COMPLETE]

    def asked(self, params: Mapping[str, Any]) -> str:
        """What was asked, as a call."""
        return asked(self.run.recipe, params)

    # ── findings ────────────────────────────────────────────────────────────────────────────────────────────────────

    def findings(self, markup: Markup) -> str:
        """What was found, each statement with the calls that it rests on; or how it ended, and what was answered."""
        if self.run.status != "done":
            return self._cut_short(markup)
        found = self.run.findings
        shown = [markup.of("div", "headline", self._statement(markup, found.headline))]
        for title, statements in found.groups():
            shown += [markup.heading(title), markup.listed(self._statement(markup, one) for one in statements)]
        cited = {str(key) for one in found.all_statements() for key in one.calls}
        if any(str(call.record["call_id"]) in cited for call in self.gaps):
            shown.append(markup.said("p", "quiet", "* an answer that is not complete"))
        return "".join(shown)

    def _cut_short(self, markup: Markup) -> str:
        run = self.run
        if run.status == "failed":
            problem = "it failed" if run.error is None else explained(run.error)
            shown = [markup.of("div", "alarm", f"<strong>The run failed.</strong> {text(problem)}")]
        else:
            shown = [markup.of("div", "notice", "<strong>The run was cancelled</strong> and has no findings.")]
        if not self.calls:
            return "".join([*shown, markup.said("p", "line", "Nothing had been answered before that.")])
        return "".join([*shown, self.answered(markup, "What had been answered before that")])

    def _statement(self, markup: Markup, statement: Statement) -> str:
        return f"{text(statement.text)} {self.evidence(markup, statement.calls)}"

    def evidence(self, markup: Markup, ids: Iterable[str]) -> str:
        """The calls of these *ids* as numbers, with their tools where they are few."""
        keys = list(dict.fromkeys(map(str, ids)))
        calls = sorted((self._by_id[key] for key in keys if key in self._by_id), key=lambda call: call.number)
        lost = [f"call {key} is not in this run" for key in keys if key not in self._by_id]
        named = len(calls) <= _NAMED
        told = [f"{_number(call)} {call.tool}" for call in calls] if named else _stretches(calls)
        said = ", ".join([*told, *lost])
        if not said:
            return ""
        tools = "; ".join(f"{call.number}: {call.tool}, {call.status}" for call in calls)
        return markup.of("span", "evidence", text(f"[{said}]"), f' title="{text(tools)}"')

    def answered(self, markup: Markup, caption: str) -> str:
        """The calls that were answered, as a table."""
        heads = [("call", "number"), ("tool", "words short"), ("asked", "words"), ("answer", "words short")]
        rows = [
            (str(call.number), call.tool, _asked(call), f"{call.status}, {call.extent}") for call in self.calls
        ]  # fmt: skip
        return markup.rows(caption, heads, rows)

    # ── sections ────────────────────────────────────────────────────────────────────────────────────────────────────

    def section(self, markup: Markup, number: int, rows: int) -> str:
        """The text and tables of a section, and where they come from; its picture stands above them."""
        shown = self.part(number, rows)
        said = [markup.said("p", "line", paragraph) for paragraph in shown.paragraphs]
        said += [markup.table(table) for table in shown.tables]
        return "".join([*said, self.provenance(markup, shown.section.calls)])

    def picture(self, markup: Markup, number: int, prefix: str = "") -> str:
        """The picture of a section: live in the colours of the page, for a twin on paper.

        Args:
            markup: Decides which.
            number: Which section.
            prefix: Put before the ids in it where one page may show the same picture twice.
        """
        found = self.drawn(number)
        if found is None or isinstance(found, str):
            return "" if found is None else markup.said("div", "alarm", found)
        paper = markup.inline or found.paper
        svg = _renamed(found.svg if paper else found.themed(), f"r{self.run.id}n{number}", prefix)
        if markup.inline:  # where nothing can be scrolled, as on paper, it is made to fit
            svg = svg.replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)
        label = f' tabindex="0" role="region" aria-label="Picture: {text(self.sections[number - 1].title)}"'
        return markup.of("div", "paper" if paper else "picture", svg, label)

    def provenance(self, markup: Markup, ids: Iterable[str]) -> str:
        """Where a section comes from, a quiet line for each call."""
        said = []
        for key in dict.fromkeys(map(str, ids)):
            call = self._by_id.get(key)
            line = f"call {key} is not in this run" if call is None else f"{call.number} {_quiet(call.record)}"
            said.append(markup.said("p", "quiet", line))
        return "".join(said)

    # ── completeness ────────────────────────────────────────────────────────────────────────────────────────────────

    def completeness(self, markup: Markup) -> str:
        """What is left out and why, of each answer that is not whole; and every warning."""
        gaps, said = self.gaps, []
        if self.run.status != "done":
            said.append(markup.said("div", "notice", f"This run is not complete: it {_ended(self.run)}."))
        if gaps:
            told = (
                f"{len(gaps)} of {counted(len(self.calls), 'call')} {'is' if len(gaps) == 1 else 'are'} not complete."
            )
            said.append(markup.said("div", "notice", told))
            said.append(markup.listed(self._gap(call) for call in gaps))
        elif self.calls:
            whole = (
                "The one answer is complete" if len(self.calls) == 1 else f"All {len(self.calls)} answers are complete"
            )
            said.append(markup.said("p", "line", f"{whole}: nothing is left out of them."))
        else:
            said.append(markup.said("p", "line", "No call was answered."))
        warned = [(call, warning) for call in self.calls for warning in call.warnings]
        said.append(markup.heading("Warnings") if warned else markup.said("p", "line", "There are no warnings."))
        if warned:
            said.append(markup.listed(text(f"{_name(call)}: {warning}") for call, warning in warned))
        return "".join([*said, self.answered(markup, "All calls") if self.calls else ""])

    def _gap(self, call: Asked) -> str:
        left_out = "; ".join(call.left_out)
        why = f"Left out: {left_out}." if left_out else "What is left out is not known."
        fallback = call.record.get("fallback")
        if fallback and not left_out:
            why = f"Answered by {fallback['source']}, because {fallback['reason']}."
        return text(f"{_name(call)}: {call.status}, {call.extent}. {why}")

    # ── trace ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def trace(self, markup: Markup) -> str:
        """Durations and hits of the cache, by tool."""
        return by_tool(self.run.spans, markup)

    def text(self) -> list[str]:
        """What was found, in lines, or how it ended; nothing in it depends on how long it took."""
        run = self.run
        answers = counted(len(self.calls), "call", none="no")
        if run.status == "done":
            state = run.completeness
            gaps = f", {len(self.gaps)} of them not complete" if self.gaps else ""
            return [*str(run.findings).splitlines(), "", f"{answers}{gaps}: {state}"]
        problem = f": {explained(run.error)}" if run.error is not None else ""
        return [f"It {_ended(run)}{problem}", f"{answers} before that: {run.completeness}"]


def _of_tools(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """The calls by the names of their tools."""
    calls: dict[str, list[Span]] = {}
    for span in spans:
        if span.kind == "tool":
            calls.setdefault(span.name, []).append(span)
    return calls


def by_tool(spans: Sequence[Span], markup: Markup) -> str:
    """The calls of each tool: how many, how many from the cache, how long."""
    heads = [("tool", "words short"), *((name, "number") for name in ("calls", "from the cache", "errors", "rows"))]
    heads += [("median ms", "number"), ("longest ms", "number"), ("all ms", "number")]
    rows = []
    for tool, found in sorted(_of_tools(spans).items()):
        took = sorted(span.duration_ns / 1e6 for span in found)
        median = (took[(len(took) - 1) // 2] + took[len(took) // 2]) / 2
        rows.append((
            tool, str(len(found)), str(sum(span.cached for span in found)),
            str(sum(span.status == "error" for span in found)), f"{sum(span.rows or 0 for span in found):,}",
            f"{median:,.1f}", f"{took[-1]:,.1f}", f"{sum(took):,.1f}",
        ))  # fmt: skip
    if not rows:
        return markup.said("p", "line", "No span of this run is known.")
    return markup.rows("By tool", heads, rows)


def steps(spans: Sequence[Span], markup: Markup) -> str:
    """Where a run is while it goes on: of each tool what has been answered, and what is waited for."""
    rows = []
    for tool, found in _of_tools(spans).items():
        open_ = [span for span in found if span.status == "running"]
        failed = sum(span.status == "error" for span in found)
        ended = len(found) - len(open_)
        state = f"{ended - failed} of {len(found)} answered" + (f", {failed} failed" if failed else "")
        waits = max((span.duration_ns for span in open_), default=0) / 1e9
        rows.append((tool, state, f"waiting, {waits:.1f} s" if open_ else "", f"{sum(s.rows or 0 for s in found):,}"))
    heads = [("step", "words short"), ("state", "words short"), ("", "words short"), ("rows", "number")]
    return markup.rows("Steps", heads, rows) if rows else markup.said("p", "line", "Nothing was asked yet.")


# ── code ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def code_of(ops: Ops, recipe: str, function: Callable[..., Any], params: Mapping[str, Any], *, run: Run | None) -> str:
    """The Python that gives the same run again.

    Args:
        ops: The session.
        recipe: The name of the recipe; one that is not registered is named without quotes.
        function: The recipe.
        params: What it was given, as plain values; what it takes anyway is left out.
        run: The run, whose clock is told where the estate is a live one; None before there is one.
    """
    from ciops_nb.recipes.run import all_recipes

    opened = dict(ops.opened_with)
    source = opened.pop("source", ops.source)
    if run is not None and "now" not in opened and ops.is_live():
        opened["now"] = format_time(run.now)
    defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    given = {name: value for name, value in params.items() if name not in defaults or not _same(value, defaults[name])}
    registered = all_recipes().get(recipe) is function
    what = [_literal(recipe) if registered else recipe, *_keywords(given)]
    asked = f"run = await ops.run({', '.join(what)})"
    if len(asked) > 100:
        asked = "run = await ops.run(\n" + "".join(f"    {one},\n" for one in what) + ")"
    opening = ", ".join([_literal(source), *_keywords(opened)])
    lines = ["import ciops_nb as ciops", "", f"ops = ciops.connect({opening})", asked]
    return "\n".join(lines) + "\n"


def _keywords(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in values.items()]


def _literal(value: Any) -> str:
    """A plain value as Python reads it; what cannot be seen in a text is written as an escape."""
    if isinstance(value, str):
        shown = repr(value)
        return f'"{shown[1:-1]}"' if '"' not in shown and shown[0] == "'" else shown
    if isinstance(value, datetime):
        return _literal(format_time(value) if value.tzinfo else value.isoformat())
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(value)


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


# ── the twin ────────────────────────────────────────────────────────────────────────────────────────────────────────


def twin_of(
    recipe: str | None, params: Mapping[str, Any], state: str, outcome: Outcome | None, error: BaseException | None,
    code: str,
) -> Twin:  # fmt: skip
    """A panel where no kernel runs; the same run gives the same bytes.

    Args:
        recipe: The one that is chosen, or was run.
        params: What it was given.
        state: Of the panel.
        outcome: Of the run, if there was one that has ended.
        error: Why it failed, or could not begin.
        code: The Python that runs it again, if it was run.
    """
    called = "no recipe is chosen" if recipe is None else asked(recipe, params)
    said = {"idle": "not run", "running": "running", "cancelling": "being cancelled"}.get(state, state)
    lines = [f"RecipePanel: {called}: {said}"]
    if outcome is not None:
        lines += ["", *outcome.text()]
    elif error is not None:
        lines += ["", f"It could not begin. {explained(error)}"]
    markup = Markup(inline=True)
    begin = markup.said("div", "quiet", lines[0])
    if outcome is None:
        rest = "".join(markup.said("div", "alarm", line) for line in lines[2:])
        return Twin("\n".join(map(visible, lines)), html=markup.of("div", "body", begin + rest))
    end = (
        markup.heading("Completeness")
        + outcome.completeness(markup)
        + markup.heading("Code")
        + markup.said("pre", "code", code)
    )
    middle = outcome.findings(markup)
    room = LARGEST - sum(len(part.encode()) for part in (begin, middle, end))
    html = markup.of("div", "body", begin + middle + _sections(outcome, markup, room) + end)
    return Twin("\n".join(map(visible, lines)), html=html)


def _sections(outcome: Outcome, markup: Markup, room: int) -> str:
    """The sections with their pictures, as many of both as there is *room* for, in bytes; what is left out is said."""
    numbers = range(1, len(outcome.sections) + 1)
    heads = [markup.heading(section.title) for section in outcome.sections]
    why = "left out here: it would make this too large. The report of the run has it."
    lost, bare = (markup.said("p", "quiet", f"{what} {why}") for what in ("This section is", "The picture is"))
    bodies = []
    room -= sum(len((head + lost + bare).encode()) for head in heads)  # so that there is room to say so
    for number in numbers:
        body = outcome.section(markup, number, TWIN_ROWS)
        size = len(body.encode())
        bodies.append(body if size <= room else lost)
        room -= size if size <= room else 0
    shown = []
    for number, head, body in zip(numbers, heads, bodies, strict=True):
        picture = "" if body is lost else outcome.picture(markup, number)
        size = len(picture.encode())
        if size > room:
            picture = bare
        else:
            room -= size
        shown.append(head + picture + body)
    return "".join(shown)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def asked(recipe: str, params: Mapping[str, Any]) -> str:
    """A recipe and its parameters, as a call."""
    return f"{recipe}({', '.join(_keywords(params))})"


def said_of(error: BaseException) -> str:
    """An error as a person reads it: ours say what to do, and need no name."""
    return (
        explained(error).partition(": ")[2] or explained(error) if isinstance(error, CiopsError) else explained(error)
    )


def _number(call: Asked) -> str:
    return f"{call.number}{'' if call.status == COMPLETE else '*'}"


def _stretches(calls: Sequence[Asked]) -> list[str]:
    """Calls in the order of asking as numbers, those that follow each other as one stretch."""
    stretches: list[list[Asked]] = []
    for call in calls:
        if stretches and stretches[-1][-1].number == call.number - 1:
            stretches[-1].append(call)
        else:
            stretches.append([call])
    return [
        _number(part[0]) if len(part) == 1 else f"{_number(part[0])}–{_number(part[-1])}" for part in stretches
    ]  # fmt: skip


def _name(call: Asked) -> str:
    return f"Call {call.number}, {call.tool}"


def _asked(call: Asked) -> str:
    return ", ".join(f"{fact.name}={fact.brief or fact.text}" for fact in call.params if fact.text != "–")


def _quiet(record: Mapping[str, Any]) -> str:
    """The line of ``describe``, without what differs from run to run."""
    return describe({**record, "cached": False})


def _ended(run: Run) -> str:
    return {"failed": "failed", "cancelled": "was cancelled"}.get(run.status, "still runs")


def _renamed(svg: str, old: str, prefix: str) -> str:
    """*svg* with *prefix* before every id that begins with *old*; its texts are left alone."""
    return _TAG.sub(lambda tag: tag[0].replace(old, prefix + old), svg) if prefix else svg
