"""The report of a run: one HTML file that reads without scripts and without a network.

Everything that came from the data is escaped, and what would hide or turn text is written out. The same run gives the
same bytes: nothing is in it that depends on when or how fast it ran, or on what the cache held.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import inspect
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import format_time
from ciops_nb.recipes.evidence import counted
from ciops_nb.recipes.findings import Findings, Picture, Section
from ciops_nb.views.svg import css_variables, shorten, themed, to_svg, visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

__all__ = ["Asked", "Cited", "Drawn", "Part", "Run", "Table", "drawn", "in_context", "part", "render", "write"]

COMPLETE = "complete"
ROWS = 50
_SHORT = 28  # characters of a cell that stay on one line
_LONG = 120  # characters beyond which a parameter is folded away
_WIDE = 6  # columns beyond which the one row of a table is told as a list
_FOLDED = 10  # rows beyond which a table beside its picture is folded away


class Run(Protocol):
    """What a report is made of. *calls* are provenance records in the order of asking."""

    @property
    def id(self) -> str: ...
    @property
    def recipe(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def findings(self) -> Findings: ...
    @property
    def calls(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def tenant(self) -> str: ...
    @property
    def estate(self) -> str: ...
    @property
    def data_version(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def ciops_version(self) -> str: ...


def render(run: Run, *, rows: int = ROWS, explorer: bool = False) -> str:
    """The report of *run* as one HTML page.

    Args:
        run: A finished, failed or cancelled run.
        rows: How many rows of each table to show; a table that has more says so.
        explorer: Put an explorer below each picture of a topology, for readers who allow scripts. It is half a
            megabyte, whatever the number of pictures.

    Raises:
        BadParameter: a section asks for a picture that its body cannot give, *rows* is not a count, or this is a
            checkout without the bundled explorer.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise BadParameter("rows", rows, "is not a count of rows", "Give a whole number of at least 1")
    calls = [Asked(number, record) for number, record in enumerate(run.calls, 1)]
    cited, prose = Cited(calls), _Prose(run.findings)
    parts = [part(number, section, rows, cited) for number, section in enumerate(in_context(run.findings), 1)]
    if explorer:
        parts = [replace(one, world=_world(one.section)) for one in parts]
    explored = any(one.world for one in parts)
    css, script = _css(explored), _script() if explored else ""
    page = _environment(cited, prose).get_template("report.html.j2")
    findings = run.findings
    text = page.render(
        run=run,
        params=_pairs(run.params),
        findings=findings,
        parts=parts,
        contents=_contents(findings, parts),
        calls=calls,
        gaps=[call for call in calls if call.status != COMPLETE],
        day=prose.day,
        css=css,
        css_hash=_source_hash(css),
        script=script,
        script_hash=_source_hash(script),
    )
    from ciops_nb.recipes.verify import embedded

    return embedded(text, run, rows, explorer)


def write(run: Run, path: Path, *, rows: int = ROWS, explorer: bool = False) -> Path:
    """Write the report of *run* to *path*, whole or not at all.

    Args:
        run: A finished, failed or cancelled run.
        path: The file to write; its folder must exist. A file that is there is replaced.
        rows: How many rows of each table to show.
        explorer: As for ``render``.

    Returns:
        *path*.

    Raises:
        BadParameter: the file cannot be written there, or as for ``render``.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise BadParameter("path", str(path), "its folder does not exist", f"Make the folder {path.parent} first")
    if path.is_dir():
        raise BadParameter("path", str(path), "is a folder", "Name a file, such as report.html")
    text = render(run, rows=rows, explorer=explorer)
    try:
        _replace(path, text.encode())
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise BadParameter(
            "path", str(path), f"cannot be written: {problem}", "Choose a place you may write to"
        ) from error
    return path


def _replace(path: Path, content: bytes) -> None:
    number, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # mkstemp makes a file only its owner may read
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


# --- what was called --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One call for the page: everything of its provenance that does not change from run to run."""

    number: int
    record: Mapping[str, Any]

    @property
    def anchor(self) -> str:
        return f"call-{self.number}"

    @property
    def tool(self) -> str:
        return str(self.record["tool"])

    @property
    def completeness(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.record["completeness"]
        return found

    @property
    def status(self) -> str:
        return str(self.completeness["status"])

    @property
    def extent(self) -> str:
        """How much came back, in words."""
        returned, total = self.completeness["returned"], self.completeness["total"]
        if total is None:
            return f"{_count(returned)}, of an unknown number"
        return f"{_count(returned)} of {_count(total)}"

    @property
    def left_out(self) -> list[str]:
        return [f"{_count(item['count'])} {item['what']} ({item['why']})" for item in self.completeness["left_out"]]

    @property
    def warnings(self) -> list[str]:
        return [str(text) for text in self.record.get("warnings") or ()]

    @property
    def facts(self) -> list[_Fact]:
        """What is told of the call; not if it was cached, when it ran or how long: the same run, the same bytes."""
        record = self.record
        facts = [
            ("call", record["call_id"]),
            ("tool version", record["tool_version"]),
            ("tenant", record["tenant"]),
            ("engine", record["engine"]),
            ("data version", record["data_version"]),
            ("as of", record["as_of"]),
        ]
        fallback = record.get("fallback")
        if fallback:
            facts.append(("answered by", f"{fallback['source']}, because {fallback['reason']}"))
        return [_Fact(name, _plain(value)) for name, value in facts]

    @property
    def params(self) -> list[_Fact]:
        return _pairs(self.record["params"])


class Cited:
    """Turns the ids of calls into links to their provenance."""

    def __init__(self, calls: Iterable[Asked]) -> None:
        self._by_id = {str(call.record["call_id"]): call for call in calls}

    def __call__(self, ids: Iterable[str]) -> Markup:
        from markupsafe import Markup

        keys = list(dict.fromkeys(str(key) for key in ids))
        links = [self._link(calls) for calls in self._stretches(keys)]
        links += [self._lost(key) for key in keys if key not in self._by_id]
        return Markup('<span class="evidence">{}</span>').format(Markup(" ").join(links)) if links else Markup("")

    def incomplete(self, ids: Iterable[str]) -> bool:
        """Whether an answer among those of *ids* is not complete, or not in the run."""
        return any(key not in self._by_id or self._by_id[key].status != COMPLETE for key in map(str, ids))

    def _stretches(self, keys: Iterable[str]) -> list[list[Asked]]:
        """The calls in the order of asking; three or more that follow each other stand together."""
        stretches: list[list[Asked]] = []
        for call in sorted((self._by_id[key] for key in keys if key in self._by_id), key=lambda call: call.number):
            if stretches and stretches[-1][-1].number == call.number - 1:
                stretches[-1].append(call)
            else:
                stretches.append([call])
        return [part for calls in stretches for part in ([calls] if len(calls) > 2 else [[call] for call in calls])]

    def _link(self, calls: Sequence[Asked]) -> Markup:
        from markupsafe import Markup

        first, last = calls[0], calls[-1]
        gaps = [call for call in calls if call.status != COMPLETE]
        if first is last:
            shown, told = str(first.number), f"call {first.number}, {first.tool}"
            told += f", {first.status}" if gaps else ""
        else:
            tools = ", ".join(dict.fromkeys(call.tool for call in calls))
            shown, told = f"{first.number}–{last.number}", f"calls {first.number} to {last.number}, {tools}"
            told += f", {len(gaps)} of them not complete" if gaps else ""
        return Markup('<a href="#{}" aria-label="evidence: {}">{}{}</a>').format(
            first.anchor, visible(told), shown, "*" if gaps else ""
        )

    def _lost(self, key: str) -> Markup:
        from markupsafe import Markup

        return Markup(
            '<span class="lost" title="No call of this run has this id.">call {} is not in this run</span>'
        ).format(visible(key))


@dataclass(frozen=True)
class _Fact:
    """A name and its value; *brief* stands for a value that is too long to be read at once."""

    name: str
    text: str
    brief: str = ""


def _pairs(values: Mapping[str, Any]) -> list[_Fact]:
    return [_Fact(str(name), _plain(value), _brief(value)) for name, value in values.items()]


def _brief(value: Any) -> str:
    text = _plain(value)
    if len(text) <= _LONG:
        return ""
    if isinstance(value, (list, tuple)):
        return f"{_count(len(value))} values, {shorten(_plain(value[0]), 30)} to {shorten(_plain(value[-1]), 30)}"
    return f"{shorten(text, 60)} ({_count(len(text))} characters)"


def _plain(value: Any) -> str:
    """A parameter as text: times in UTC, structures as JSON with sorted keys."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return format_time(value if value.tzinfo else value.replace(tzinfo=UTC))
    return json.dumps(_jsonable(value), ensure_ascii=False, sort_keys=True)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_jsonable(inner) for inner in value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return _plain(value) if isinstance(value, datetime) else str(value)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


# --- prose ----------------------------------------------------------------------------------------------------------

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(?:\.\d+)?)?Z")
_WORD = re.compile(r"(\s+)")
_AROUND = ".,;:!?()[]“”\"'"


class _Prose:
    """Statements as a person reads them: no code or time is torn apart, and a day that all share is said once.

    The words are those of the statement; a time keeps its full form in the ``datetime`` of its element.
    """

    def __init__(self, findings: Findings) -> None:
        days = {stamp[1] for said in findings.all_statements() for stamp in _STAMP.finditer(said.text)}
        self.day = days.pop() if len(days) == 1 else ""
        self._codes = {str(code) for part in findings.sections if _is_graph(part.body) for code in part.body.nodes}

    def __call__(self, text: str) -> Markup:
        from markupsafe import Markup

        return Markup("").join(self._word(word) for word in _WORD.split(text))

    def _word(self, word: str) -> Markup:
        from markupsafe import Markup, escape

        stamp = _STAMP.search(word)
        if stamp:
            before, after = word[: stamp.start()], word[stamp.end() :]
            return Markup("{}{}{}").format(visible(before), self._time(stamp), visible(after))
        core = word.strip(_AROUND)
        start = word.find(core)
        before, middle, after = (visible(text, keep="\n") for text in (word[:start], core, word[start + len(core) :]))
        whole = Markup(' class="whole"') if len(word) <= _SHORT and "-" in word else ""
        if core in self._codes:
            return Markup("{}<b{}>{}</b>{}").format(before, whole, middle, after)
        if whole:
            return Markup("{}<span{}>{}</span>{}").format(before, whole, middle, after)
        return escape(before + middle + after)

    def _time(self, stamp: re.Match[str]) -> Markup:
        from markupsafe import Markup

        day, minute, rest = stamp[1], stamp[2], stamp[3] or ""
        clock = minute if rest in ("", ":00") else minute + rest
        shown = f"{clock} UTC" if day == self.day else f"{day} {clock} UTC"
        return Markup('<time class="whole" datetime="{}">{}</time>').format(stamp[0], shown)


# --- sections ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A frame as text: *kinds* says per column whether it holds numbers, times or words."""

    caption: str
    columns: list[tuple[str, str]]
    rows: list[list[tuple[str, str]]]
    total: int
    blank: list[str] = field(default_factory=list)

    @property
    def record(self) -> list[_Fact]:
        """The one row of a wide table as names and values, which need no sideways scrolling."""
        if self.total != 1 or len(self.columns) <= _WIDE:
            return []
        return [_Fact(name, text) for (name, _), (text, _) in zip(self.columns, self.rows[0], strict=True)]

    @property
    def said(self) -> str:
        if not self.total:
            return "No rows."
        if len(self.rows) < self.total:
            return f"{_count(len(self.rows))} of {_count(self.total)} rows shown"
        nothing = f"; nothing in {', '.join(self.blank)}" if self.blank else ""
        return f"{counted(self.total, 'row', none='no')}, all shown{nothing}"


@dataclass(frozen=True)
class Part:
    """One section for the page."""

    number: int
    section: Section
    picture: str = ""
    paper: bool = False
    account: str = ""
    tables: list[Table] = field(default_factory=list)
    folded: bool = False
    words: str = ""
    world: str = ""  # of the explorer, as JSON

    @property
    def anchor(self) -> str:
        return f"part-{self.number}"

    @property
    def paragraphs(self) -> list[str]:
        return [text for text in re.split(r"\n\s*\n", f"{self.section.text}\n\n{self.words}") if text.strip()]


def in_context(findings: Findings) -> list[Section]:
    """The sections, each picture over time with what the others know of that time, where its recipe says nothing.

    What happened is drawn over every series, and the timeline is as long as what was looked into.
    """
    known: dict[str, Any] = {}
    for section in findings.sections:
        if section.picture == "timeline" and section.body is not None:
            known.setdefault("history", section.body)
        if section.picture in ("series", "timeline") and section.options.get("window") is not None:
            known.setdefault("window", section.options["window"])
    wanted = {"series": ("history",), "timeline": ("window",)}
    return [
        replace(section, options={name: known[name] for name in names if name in known} | section.options)
        if (names := wanted.get(str(section.picture)))
        else section
        for section in findings.sections
    ]


def part(number: int, section: Section, rows: int, cited: Cited, *, draw: bool = True) -> Part:
    """A section as it is shown, with the first *rows* rows of its tables, and without its picture if not *draw*."""
    body = section.body
    drawing = drawn(section, f"p{number}-") if draw else None
    picture, account, paper = ("", "", False)
    if drawing is not None:
        picture, account, paper = drawing.themed(), drawing.account, drawing.paper
    if _is_figure(body):
        return Part(number, section, picture=picture, paper=paper)
    if section.picture and body is not None and not len(body):
        return Part(number, section, words=_nothing(section, cited))
    if _is_graph(body):
        return Part(number, section, picture, account=account, tables=_graph_tables(body, rows), folded=bool(picture))
    if hasattr(body, "columns"):
        table = _table(body, section.title, rows)
        folded = bool(picture) and len(table.rows) > _FOLDED
        return Part(number, section, picture, account=account, tables=[table], folded=folded)
    return Part(number, section, words="" if body is None else str(body))


def _nothing(section: Section, cited: Cited) -> str:
    """What is said in place of an empty picture, and whether that it is empty can be relied on."""
    from ciops_nb.views.plots import EMPTY

    if not section.calls:
        why = "There was nothing to ask, so no call was made for it."
    elif cited.incomplete(section.calls):
        why = "An answer that this rests on is not complete, so there may be some."
    else:
        why = "The answers that this rests on are complete: there are none."
    return f"{EMPTY[str(section.picture)]} {why}"


def _is_graph(body: Any) -> bool:
    return hasattr(body, "nodes") and hasattr(body, "edges")


def _is_figure(body: Any) -> bool:
    return hasattr(body, "savefig") and hasattr(body, "axes")


@dataclass(frozen=True)
class Drawn:
    """The picture of a section, in the colours of the light theme, and what it shows in words.

    *paper*: it is a figure of the recipe's own, of which nothing is known but that it was drawn on white.
    """

    svg: str
    account: str = ""
    paper: bool = False

    def themed(self) -> str:
        """It in colours that follow the reader's theme."""
        return self.svg if self.paper else themed(self.svg)


def drawn(section: Section, prefix: str) -> Drawn | None:
    """The picture of *section*; None if it has none, or nothing to draw.

    Args:
        section: With the options of ``in_context``.
        prefix: Begins every id in it: must differ between two pictures of one page.

    Raises:
        BadParameter: it asks for a picture that there is not, or that its body cannot give.
    """
    from ciops_nb.views import plots

    if _is_figure(section.body):
        return Drawn(to_svg(section.body, section.title, prefix=prefix), paper=True)
    if not section.picture:
        return None
    drawings: dict[str, Callable[..., Figure]] = {name: getattr(plots, name) for name in get_args(Picture)}
    if section.picture not in drawings:
        raise BadParameter(
            "picture", section.picture, "there is no such picture", f"Choose one of {', '.join(drawings)}"
        )
    if section.body is None:
        raise BadParameter("picture", section.picture, f"section {section.title!r} has no body to draw", "Give it one")
    draw = drawings[section.picture]
    known = [name for name in list(inspect.signature(draw).parameters)[1:] if name != "theme"]
    unknown = sorted(set(section.options) - set(known))
    if unknown:
        raise BadParameter(
            "options", unknown[0], f"is no option of {section.picture}", f"It has {', '.join(known) or 'none'}"
        )
    if not len(section.body):
        return None
    account = _account(section)
    return Drawn(
        to_svg(draw(section.body, **section.options), section.title, description=account, prefix=prefix), account
    )


# What each picture of a frame is of, and how it shows it.
_SHOWN: dict[str, tuple[str, str]] = {
    "timeline": ("record", "on an axis of time"),
    "series": ("point", "as lines over time, one panel for each item and metric"),
    "movers": ("metric", "by how far each left its usual range"),
    "replay_timeline": ("alert", "on an axis of time, a lane for each rule and item"),
    "sweep_map": ("cell", "by threshold and duration"),
    "comparison": ("alert", "of an old rule and a new one, the same ones counted once"),
    "ci_groups": ("group", "with a bar for each measure"),
    "metric_groups": ("row", "of aggregates as bars or as lines over time"),
    "near_misses": ("row", "of conditions, how long each held and how close it came"),
    "injected": ("alert", "by how long after the fault"),
    "call_times": ("tool", "by how long its calls took"),
}


def _account(section: Section) -> str:
    """What a picture shows, for those who hear it."""
    body, count = section.body, len(section.body)
    if section.picture == "topology":
        relations = counted(body.number_of_edges(), "relation", none="no")
        return f"{counted(count, 'configuration item', none='no')} and {relations}; the tables below list them."
    if section.picture == "paths":
        ways = counted(len(body.graph.get("paths") or ()), "path", none="no")
        return f"{ways} step by step, the shortest first; the tables below list items and relations."
    noun, how = _SHOWN[str(section.picture)]
    return f"{counted(count, noun, none='no')} {how}; the table below lists them."


def _world(section: Section) -> str:
    """The graph of a section for its explorer; nothing where it has none."""
    if not _is_graph(section.body) or not len(section.body):
        return ""
    from ciops_nb.views.inlined import world

    return world(section.body, **{name: section.options.get(name) for name in ("focus", "highlight")})


_NODE_COLUMNS = ("ci_code", "ci_name", "ci_type", "ci_subtype", "status", "criticality", "hops")


def _graph_tables(graph: Any, rows: int) -> list[Table]:
    nodes = [{"ci_code": code, **data} for code, data in graph.nodes(data=True)]
    nodes.sort(key=lambda node: (node.get("hops") or 0, str(node["ci_code"])))
    edges = sorted((str(a), str(data.get("relation_type", "")), str(b)) for a, b, data in graph.edges(data=True))
    hidden = [[item["ci_code"], item["count"], item["why"]] for item in graph.graph.get("frontier") or ()]
    columns = [name for name in _NODE_COLUMNS if any(name in node for node in nodes)] or ["ci_code"]
    tables = [
        _tabulated(
            "Configuration items", columns, ([node.get(name) for name in columns] for node in nodes[:rows]), len(nodes)
        ),
        _tabulated(
            "Relations", ["source", "relation_type", "target"], (list(edge) for edge in edges[:rows]), len(edges)
        ),
    ]
    if hidden:
        tables.append(
            _tabulated(
                "Items with neighbours that are not in the graph",
                ["ci_code", "neighbours", "why"],
                hidden[:rows],
                len(hidden),
            )
        )
    return tables


def _table(frame: Any, caption: str, rows: int) -> Table:
    return _tabulated(caption, [str(name) for name in frame.columns], _first_rows(frame, rows), len(frame))


def _first_rows(frame: Any, rows: int) -> Iterator[list[Any]]:
    head = frame.head(rows)
    tuples = head.iter_rows() if hasattr(head, "iter_rows") else head.itertuples(index=False, name=None)
    return (list(row) for row in tuples)


def _tabulated(caption: str, columns: Sequence[str], rows: Iterable[list[Any]], total: int) -> Table:
    held = [[None if _missing(value) else value for value in row] for row in rows]
    blank: list[str] = []
    if 1 < len(held) == total:  # what holds nothing at all need not take room from what does
        empty = [all(row[i] is None or row[i] == "" for row in held) for i in range(len(columns))]
        blank = [name for name, nothing in zip(columns, empty, strict=True) if nothing]
        held = [[value for value, nothing in zip(row, empty, strict=True) if not nothing] for row in held]
        columns = [name for name, nothing in zip(columns, empty, strict=True) if not nothing]
    kinds = [_kind([row[i] for row in held if row[i] is not None]) for i in range(len(columns))]
    heads = [(f"{name} (UTC)" if kind == "time" else name, kind) for name, kind in zip(columns, kinds, strict=True)]
    cells = [
        [(text, _class(text, value, kind)) for text, value, kind in zip(map(_cell, row), row, kinds, strict=True)]
        for row in held
    ]
    return Table(caption, heads, cells, total, blank)


def _class(text: str, value: Any, kind: str) -> str:
    if value is None:
        return "null"
    # A code must not be torn apart at its hyphens to make a column narrow.
    return "words short" if kind == "words" and len(text) <= _SHORT and "\n" not in text else kind


def _missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Real) and not isinstance(value, Integral) and math.isnan(float(value))


def _kind(values: list[Any]) -> str:
    if values and all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
        return "number"
    return "time" if values and all(isinstance(value, datetime) for value in values) else "words"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        return moment.strftime("%Y-%m-%d %H:%M:%S") + (
            f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
        )
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return f"{float(value):.6g}"
    if isinstance(value, (str, date, timedelta)):
        return str(value)
    return json.dumps(
        _jsonable(value.tolist() if hasattr(value, "tolist") else value), ensure_ascii=False, sort_keys=True
    )


# --- page -------------------------------------------------------------------------------------------------------------


def _environment(cited: Cited, prose: _Prose) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """Every value on its way into the page; a line break may stay, since the page shows it as one."""
        return value if isinstance(value, Markup) else visible(value, keep="\n")

    environment = Environment(
        loader=PackageLoader("ciops_nb.views"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["cited"] = cited
    environment.globals["prose"] = prose
    environment.globals["svg"] = Markup  # the pictures are ours and escaped where they are made
    environment.globals["ours"] = Markup  # and so are the graphs for the explorer
    return environment


def _contents(findings: Findings, parts: Iterable[Part]) -> list[tuple[str, str]]:
    fixed = [
        ("found", "What was found", findings.statements),
        ("next", "Next steps", findings.next_steps),
        ("ruled-out", "Ruled out", findings.ruled_out),
        ("unknown", "What is not known", findings.unknown),
    ]
    contents = [(anchor, title) for anchor, title, statements in fixed if statements]
    return [*contents, *((part.anchor, part.section.title) for part in parts), ("provenance", "Where this comes from")]


def _script() -> Markup:
    """What explores the graphs; it is ours, and holds no value of a run."""
    from markupsafe import Markup

    from ciops_nb.views.inlined import script

    return Markup(script())  # noqa: S704


def _css(explored: bool) -> Markup:
    """The style sheet with the colours of both themes; it is ours, and holds no value of a run."""
    from importlib.resources import files

    from markupsafe import Markup

    text = files("ciops_nb.views").joinpath("templates/report.css").read_text("utf-8")
    # Links are blue text: the blue of Okabe and Ito has the contrast for it in both themes.
    light, dark = (f"{colours} --link: var(--blue);" for colours in (css_variables("light"), css_variables("dark")))
    text = text.replace("LIGHT", light).replace("DARK", dark)
    if explored:
        from ciops_nb.views.inlined import sheet

        text += sheet()
    return Markup(text)  # noqa: S704


def _source_hash(text: str) -> str:
    """As a content security policy names the one piece of inline *text* that it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
