"""Pictures of counts, paths, near misses, injected faults and the times of calls.

As in ``plots``, which hands these out too: plain functions from a frame or a graph to a matplotlib Figure. Most are
tables with bars in them: what is compared stands below each other, and each bar has its number beside it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from ciops_nb.answers import provenance
from ciops_nb.errors import BadParameter
from ciops_nb.views.pens import AxesPen
from ciops_nb.views.sheet import (
    EM,
    WIDTH,
    Legend,
    amount,
    blank_sheet,
    box_sample,
    length_text,
    marker_sample,
    nothing,
    rows_of,
    width_of,
)
from ciops_nb.views.svg import Palette, palette, shorten, styled, visible

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EMPTY", "call_times", "ci_groups", "injected", "metric_groups", "near_misses", "paths"]

EMPTY = {
    "ci_groups": "No configuration items to count.",
    "metric_groups": "No points of these metrics in this range.",
    "paths": "No path between them within so many hops.",
    "near_misses": "No series that these rules look at in this range.",
    "injected": "No rule would have seen it.",
    "call_times": "No calls.",
}

_ROWS = 30  # of one block of bars; more are counted
_PITCH = 0.26
_TEXT = 7.5
_NAMES = 3.6  # inches at most for the names of rows


def _incomplete(result: Any) -> list[str]:
    """That the answer lacks something, in the words of its record, where it has one."""
    try:
        whole = provenance(result).completeness
    except LookupError:
        return []
    if whole["status"] == "complete":
        return []
    why = "; ".join(f"{left['count']} {left['what']} left out ({left['why']})" for left in whole["left_out"])
    return [shorten(visible(f"This answer is {whole['status']}{f': {why}' if why else ''}."), 150)]


def _frame_of(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.DataFrame):
        return frame
    if not hasattr(frame, "columns"):
        raise BadParameter("frame", type(frame).__name__, "has no columns", "Give a frame, as the tool returned it")
    rows: pl.DataFrame = pl.from_pandas(frame)
    return rows


def _write(axes: Axes, x: float, y: float, text: str, colour: str, **style: Any) -> None:
    axes.text(x, y, text, color=colour, **{"fontsize": _TEXT, "va": "center_baseline", "zorder": 6, **style})


def _fitted(text: str, inches: float, points: float = _TEXT) -> str:
    return shorten(text, inches / points / EM + 0.01)  # what was measured to fit does, whatever the last bit


# --- bars of groups -------------------------------------------------------------------------------------------------

_MEASURE = re.compile(r"count|(?:count_distinct|min|max|mean|sum):.+", re.DOTALL)
_MEASURES = 5
_BLOCKS = 6
_LINES = 8  # of a panel, to be told apart and named
_UNSET = "not set"


@dataclass(frozen=True)
class _Group:
    name: str
    unset: bool  # one of its keys is null
    values: tuple[Any, ...]


@dataclass(frozen=True)
class _Block:
    """Groups below each other, and what was measured of each, with the largest and the least of the first five."""

    title: str
    measures: tuple[str, ...]
    groups: tuple[_Group, ...]


@styled
def ci_groups(frame: Any, *, measure: str | None = None, theme: str = "light") -> Figure:
    """Draw how many items there are in each group and what was measured of them, the biggest group first.

    Args:
        frame: As ``ci_aggregate`` returns it: the keys, then count, mean:FIELD and so on. Null is a group.
        measure: The one by which to order; by default the first. It is drawn first.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: the frame has no such measure, or none at all, or no such theme.
    """
    colours = palette(theme)
    rows = _frame_of(frame)
    measures = [name for name in rows.columns if _MEASURE.fullmatch(name)]
    if not measures:
        raise BadParameter(
            "frame", ", ".join(rows.columns), "has no measure such as count or mean:criticality",
            "Give a frame as ci_aggregate returns it",
        )  # fmt: skip
    if measure is not None and measure not in measures:
        raise BadParameter("measure", measure, "is no measure of this frame", f"It has {', '.join(measures)}")
    if rows.is_empty():
        return nothing(EMPTY["ci_groups"], colours)
    ordered = measures if measure is None else [measure, *(name for name in measures if name != measure)]
    keys = [name for name in rows.columns if name not in measures]
    return _draw_blocks([_block(" · ".join(keys) or "all", rows, keys, ordered)], _incomplete(frame), colours)


_POINTS = {"metric": True, "n": True}


@styled
def metric_groups(
    frame: Any, *, history: Any = None, at: Any = None, window: Any = None, theme: str = "light"
) -> Figure:
    """Draw the aggregates of metrics: bars for each group, the largest first, or lines over the time of buckets.

    Args:
        frame: As ``metric_aggregate`` returns it: the keys (``ts`` of buckets among them), metric, unit, n and a column
            an aggregate.
        history, at, window: As for ``series``, where there are buckets.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, or no such theme.
        BadTimeRange: *at* or an end of *window* is not a time.
    """
    colours = palette(theme)
    rows_of(frame, _POINTS, "frame")
    rows = _frame_of(frame)
    keys = rows.columns[: rows.columns.index("metric")]
    aggregates = rows.columns[rows.columns.index("n") + 1 :]
    if rows.is_empty() or not aggregates:
        return nothing(EMPTY["metric_groups"], colours)
    units = dict(rows.select("metric", "unit").iter_rows()) if "unit" in rows.columns else {}
    if "ts" in keys:
        lines = _lines(rows, [key for key in keys if key != "ts"], aggregates)
        from ciops_nb.views.plots import series  # which hands out what is here

        return series(lines, history=history, at=at, window=window, units=units, theme=theme)
    blocks = []
    for part in rows.partition_by("metric", maintain_order=True):
        name = str(part["metric"][0])
        unit = f" ({visible(units[name])})" if units.get(name) else ""
        blocks.append(_block(f"{visible(name)}{unit}", part, keys, aggregates))
    return _draw_blocks(blocks, _incomplete(frame), colours)


def _lines(rows: pl.DataFrame, keys: Sequence[str], aggregates: Sequence[str]) -> pl.DataFrame:
    """The aggregates below each other as ``series`` reads them: a panel for each, a line for each group.

    Of too many groups to be told apart those that reach highest, and the title says so.
    """
    named = []
    for part in rows.partition_by("metric", maintain_order=True):
        for name in aggregates:
            lines: dict[str, list[_Record]] = {}
            for row in part.iter_rows(named=True):
                lines.setdefault(_name_of(row, keys), []).append(row)
            highest = sorted(lines, key=lambda line: (-max(_peak(row[name]) for row in lines[line]), line))[:_LINES]
            title = name if len(highest) == len(lines) else f"{name}, the {len(highest)} highest of {len(lines)}"
            named += [
                {"ts": row["ts"], "ci_code": title, "metric": row["metric"], "series": line, "value": row[name]}
                for line in sorted(highest)
                for row in lines[line]
            ]
    schema = {"ts": rows.schema["ts"], "value": pl.Float64()}
    return pl.DataFrame(named, schema_overrides=schema, infer_schema_length=None, strict=False)


def _name_of(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    return " · ".join(_UNSET if row[key] is None else visible(row[key]) for key in keys) or "all"


def _peak(value: Any) -> float:
    return float(value) if _measured(value) else -math.inf


def _block(title: str, rows: pl.DataFrame, keys: Sequence[str], measures: Sequence[str]) -> _Block:
    groups = [
        _Group(_name_of(row, keys), any(row[key] is None for key in keys), tuple(row[name] for name in measures))
        for row in rows.iter_rows(named=True)
    ]
    groups.sort(key=lambda group: (not _measured(group.values[0]), -_number(group.values[0]), group.name))
    return _Block(visible(title), tuple(measures), tuple(groups))


def _measured(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _number(value: Any) -> float:
    return float(value) if _measured(value) else 0.0


def _said(value: Any) -> str:
    if value is None or value != value:
        return "no value"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return amount(float(value)) if isinstance(value, (int, float)) else visible(value)


def _draw_blocks(blocks: list[_Block], notes: list[str], colours: Palette) -> Figure:
    shown = blocks[:_BLOCKS]
    if len(shown) < len(blocks):
        notes = [*notes, f"{len(shown)} of {len(blocks)} metrics are drawn."]
    for block in shown:
        if len(block.groups) > _ROWS:
            whose = f" of {block.title}" if len(shown) > 1 else ""
            notes = [*notes, f"{_ROWS} of {len(block.groups)} groups{whose} are drawn, the largest first."]
        if len(block.measures) > _MEASURES and block is shown[0]:
            notes = [*notes, f"{_MEASURES} of {len(block.measures)} measures are drawn."]
    legend = Legend(WIDTH - 0.4, notes=notes)
    if any(group.unset for block in shown for group in block.groups[:_ROWS]):
        legend.add("hatched: a field of the group is not set", box_sample(colours.panel, colours.muted, "////"), 0.3)
    height = sum(0.5 + _PITCH * min(len(block.groups), _ROWS) for block in shown) + legend.height() + 0.1
    figure, axes = blank_sheet(WIDTH, height, colours)
    names = [group.name for block in shown for group in block.groups[:_ROWS]]
    titles = max(width_of(block.title, 8) for block in shown) * 1.1
    left = min(_NAMES, max(titles, *(width_of(name, _TEXT) for name in names))) + 0.4
    top = height - 0.05
    for block in shown:
        _draw_block(axes, block, left, top, colours)
        top -= 0.5 + _PITCH * min(len(block.groups), _ROWS)
    legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
    return figure


def _draw_block(axes: Axes, block: _Block, left: float, top: float, colours: Palette) -> None:
    groups, measures = block.groups[:_ROWS], block.measures[:_MEASURES]
    room = (WIDTH - left - 0.2) / len(measures)
    _write(axes, 0.2, top - 0.18, _fitted(block.title, (left - 0.35) / 1.1, 8), colours.ink, weight="bold", fontsize=8)
    for i, measure in enumerate(measures):
        x = left + i * room
        head = _fitted(visible(measure), room - 0.2)
        _write(axes, x, top - 0.18, head, colours.muted)
        values = [group.values[i] for group in groups]
        told = max(width_of(_said(value)[:24], _TEXT) for value in values) + 0.2
        known = [_number(value) for value in values if _measured(value)]
        low, high = min([0.0, *known]), max([0.0, *known])
        below = told if low < 0 else 0.0  # the number of a bar to the left stands left of it
        scale = max(room - told - below - 0.15, 0.1) / ((high - low) or 1.0)
        zero = x + below - low * scale
        axes.plot([zero] * 2, [top - 0.32, top - 0.34 - _PITCH * len(groups)], color=colours.faint, linewidth=1)
        for row, (group, value) in enumerate(zip(groups, values, strict=True)):
            y = top - 0.34 - (row + 0.5) * _PITCH
            if not i:
                name = _fitted(group.name, left - 0.35)
                _write(axes, left - 0.12, y, name, colours.muted if group.unset else colours.ink, ha="right")
            _draw_bar(axes, zero, y, _number(value) * scale, group.unset, colours)
            text, size = shorten(_said(value), 24), _number(value)
            tone, gap = colours.ink if _measured(value) else colours.muted, -0.07 if size < 0 else 0.07
            _write(axes, zero + size * scale + gap, y, text, tone, ha="right" if size < 0 else "left")


def _draw_bar(axes: Axes, left: float, y: float, length: float, unset: bool, colours: Palette) -> None:
    if unset:
        style: dict[str, Any] = {"color": colours.panel, "edgecolor": colours.muted, "hatch": "////", "linewidth": 0.6}
    else:
        style = {"color": colours.blue, "linewidth": 0}
    axes.barh([y], [length], left=left, height=_PITCH * 0.62, **style)


# --- paths ----------------------------------------------------------------------------------------------------------

_PATHS = 20
_CARD = 1.02  # inches at least


@styled
def paths(graph: nx.MultiDiGraph[str], *, theme: str = "light") -> Figure:
    """Draw the paths between two items below each other, step by step, the shortest first.

    An arrow points the way the relation is written, from its source to its target. What lies on all paths has a thick
    frame.

    Args:
        graph: As ``graph_path`` returns it: ``graph.graph["paths"]`` lists the codes of each path.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: the graph lists no paths (an empty list is no error), or no such theme.
    """
    colours = palette(theme)
    listed = graph.graph.get("paths")
    if listed is None:
        raise BadParameter("graph", type(graph).__name__, "lists no paths", "Give a graph as graph_path returns it")
    if not listed:
        return nothing(EMPTY["paths"], colours)
    return _Paths(graph, [[str(code) for code in path] for path in listed], _incomplete(graph), colours).draw()


@dataclass
class _Paths:
    """One picture of paths below each other."""

    graph: nx.MultiDiGraph[str]
    ways: list[list[str]]
    notes: list[str]
    colours: Palette
    shown: list[list[str]] = field(init=False)
    common: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.shown = self.ways[:_PATHS]
        self.common = set(self.ways[0][1:-1]).intersection(*self.ways) if len(self.ways) > 1 else set()

    def draw(self) -> Figure:
        colours, steps = self.colours, max(map(len, self.shown))
        left, gap = 0.85, 0.95
        wide = max(_CARD, min(1.9, (WIDTH - left - 0.2 + gap) / steps - gap))
        width = max(7.0, left + steps * (wide + gap) - gap + 0.25)
        legend = Legend(width - 0.4, notes=self.notes)
        legend.add("the two ends", box_sample(colours.focus_tint, colours.blue))
        if self.common:
            legend.add("thick frame: on every path", box_sample(colours.panel, colours.ink))
        legend.notes.append("An arrow points from the source of a relation to its target.")
        if len(self.shown) < len(self.ways):
            legend.notes.append(f"{len(self.shown)} of {len(self.ways)} paths are drawn, the shortest first.")
        pitch = 0.56
        height = len(self.shown) * pitch + legend.height() + 0.2
        figure, axes = blank_sheet(width, height, colours)
        for i, way in enumerate(self.shown):
            y = height - 0.1 - (i + 0.5) * pitch
            hops = len(way) - 1
            _write(axes, 0.2, y, f"{hops} hop{'' if hops == 1 else 's'}", colours.muted)
            for step, code in enumerate(way):
                x = left + step * (wide + gap)
                self._card(axes, code, x, y, wide)
                if step:
                    self._relation(axes, way[step - 1], code, x - gap, x, y)
        legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
        return figure

    def _card(self, axes: Axes, code: str, x: float, y: float, wide: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        colours, data = self.colours, self.graph.nodes[code] if code in self.graph else {}
        end = code in (self.ways[0][0], self.ways[0][-1])
        face, edge, line = colours.panel, colours.faint, 1.0
        if end:
            face, edge, line = colours.focus_tint, colours.blue, 1.6
        elif code in self.common:
            edge, line = colours.ink, 1.8
        style: dict[str, Any] = {"facecolor": face, "edgecolor": edge, "linewidth": line, "zorder": 4}
        axes.add_patch(FancyBboxPatch((x, y - 0.185), wide, 0.37, boxstyle="round,pad=0,rounding_size=0.05", **style))
        weight, name = "bold" if end or code in self.common else "normal", visible(code)
        points = 7.0 if width_of(name, 7.0) * (1.1 if weight == "bold" else 1) <= wide - 0.14 else 6.2
        room = (wide - 0.14) / (1.1 if weight == "bold" else 1)
        _write(axes, x + 0.07, y + 0.075, _fitted(name, room, points), colours.ink, fontsize=points, weight=weight)
        kind = visible(data.get("ci_subtype") or data.get("ci_type") or "")
        _write(axes, x + 0.07, y - 0.085, _fitted(kind, wide - 0.14, 6.2), colours.muted, fontsize=6.2)

    def _relation(self, axes: Axes, near: str, far: str, left: float, right: float, y: float) -> None:
        """The relations between two neighbours of a path, an arrow for each way in which there is one."""
        colours = self.colours
        along, against = (self._types(a, b) for a, b in ((near, far), (far, near)))
        axes.plot([left + 0.03, right - 0.03], [y, y], color=colours.muted, linewidth=1.2, zorder=3)
        for there, x, marker in ((along, right - 0.07, ">"), (against, left + 0.07, "<")):
            if there:
                axes.scatter([x], [y], s=26, marker=marker, color=colours.muted, linewidths=0, zorder=5)
        first, *others = dict.fromkeys([*along, *against, *([] if along or against else ["?"])])
        for text, above in ((first, 0.095), (", ".join(others), -0.105)):
            told = _fitted(text, right - left - 0.04, 5.8)
            _write(axes, (left + right) / 2, y + above, told, colours.ink, ha="center", fontsize=5.8)

    def _types(self, source: str, target: str) -> list[str]:
        found = self.graph.get_edge_data(source, target) or {}
        return sorted({visible(data.get("relation_type") or "related") for data in found.values()})


# --- near misses ----------------------------------------------------------------------------------------------------

_EXPLAINED = {
    "rule": True, "part": True, "ci_code": False, "ci": False, "labels": False, "state": True, "held_s": True,
    "needed_s": True, "best": True, "threshold": True, "margin": True, "best_at": True,
}  # fmt: skip
_STATES: dict[str, tuple[str, str, str]] = {  # its word, shape and role, those that came near first
    "too_short": ("not for long enough", "D", "orange"),
    "never": ("never held", "v", "blue"),
    "held": ("a part held, not the whole", "o", "green"),
    "fired": ("fired", "*", "vermillion"),
    "no_data": ("no data", "x", "muted"),
}

_Record: TypeAlias = dict[str, Any]


@styled
def near_misses(frame: Any, *, theme: str = "light") -> Figure:
    """Draw how far rules got: for how long their condition held, and how close its value came, the nearest miss first.

    Args:
        frame: As ``cep_explain`` returns it.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, or no such theme.
    """
    colours = palette(theme)
    rows = rows_of(frame, _EXPLAINED, "frame")
    cases = _cases(rows)
    if not cases:
        return nothing(EMPTY["near_misses"], colours)
    shown = cases[:_ROWS]
    legend = _legend(_STATES, (whole["state"] for whole, _ in cases), _incomplete(frame), colours)
    if len(shown) < len(cases):
        legend.notes.append(f"{len(shown)} of {len(cases)} are drawn, the nearest misses first.")
    names = [_case_name(whole) for whole, _ in shown]
    figure, axes, height, left = _lined_sheet(names, legend, colours)
    left += 0.22  # for the shapes
    closest, bar = WIDTH - 3.4, (left, WIDTH - 3.4 - 1.5)
    heads = ((left, "how long it held, of what it must"), (closest, "how close it came"))
    for x, head in heads:
        _write(axes, x, height - 0.18, head, colours.muted)
    for i, ((whole, parts), name) in enumerate(zip(shown, names, strict=True)):
        y = height - 0.34 - (i + 0.5) * _PITCH
        _, shape, role = _STATES[whole["state"]]
        _shape_sample(shape, role, colours)(AxesPen(axes), 0.3, y)
        _write(axes, left - 0.12, y, _fitted(name, left - 0.62), colours.ink, ha="right")
        axes.barh([y], [bar[1] - bar[0]], left=bar[0], height=_PITCH * 0.5, color=colours.panel, linewidth=0)
        colour = colours.vermillion if whole["state"] == "fired" else colours.orange
        axes.barh([y], [(bar[1] - bar[0]) * _share(whole)], left=bar[0], height=_PITCH * 0.5, color=colour, linewidth=0)
        _write(axes, bar[1] + 0.08, y, _held_text(whole), colours.ink)
        _write(axes, closest, y, _fitted(_closest(whole, parts), WIDTH - closest - 0.1), colours.ink)
    legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
    return figure


def _legend(
    kinds: Mapping[str, tuple[str, str, str]], found: Iterable[str], notes: list[str], colours: Palette
) -> Legend:
    """A legend of those of *kinds* that were *found*, and how often."""
    counts = Counter(found)
    legend = Legend(WIDTH - 0.4, notes=notes)
    for kind, (word, shape, role) in kinds.items():
        if counts[kind]:
            legend.add(f"{word} ({counts[kind]})", _shape_sample(shape, role, colours))
    return legend


def _lined_sheet(names: Sequence[str], legend: Legend, colours: Palette) -> tuple[Figure, Axes, float, float]:
    """A sheet with a line for each of *names* and room for the legend below, how high it is, and where names end."""
    height = 0.36 + _PITCH * len(names) + legend.height() + 0.1
    figure, axes = blank_sheet(WIDTH, height, colours)
    return figure, axes, height, min(_NAMES, max(width_of(name, _TEXT) for name in names)) + 0.4


def _shape_sample(shape: str, role: str, colours: Palette) -> Any:
    colour = getattr(colours, role)
    if shape == "x":
        return lambda pen, x, y: pen.axes.scatter([x], [y], s=26, marker="x", color=colour, linewidths=1.4, zorder=5)
    return marker_sample(shape, colour, colours.ink, 80 if shape == "*" else 34)


def _cases(rows: pl.DataFrame) -> list[tuple[_Record, list[_Record]]]:
    """Each whole condition with its parts, the nearest miss first."""
    found: dict[tuple[str, str], tuple[list[_Record], list[_Record]]] = {}
    for row in rows.iter_rows(named=True):
        row["ci_code"] = row["ci_code"] if row["ci_code"] is not None else row["ci"]
        key = (str(row["rule"]), str(row["ci_code"] or ""))
        found.setdefault(key, ([], []))[1 if row["part"] else 0].append(row)
    order = list(_STATES)
    cases = []
    for key, (wholes, parts) in found.items():
        # Where there are parts only, since they share no labels or are events, what stood in the way stands for all.
        for whole in wholes or [dict(_failing({"best": None}, parts) or parts[0])]:
            known = whole["state"] if whole["state"] in _STATES else "no_data"
            own = [part for part in parts if part["labels"] == whole["labels"]] or parts
            rank = (order.index(known), -_share(whole), -_nearness(whole, own), (*key, str(whole["labels"] or "")))
            cases.append((*rank, whole | {"state": known}, own))
    cases.sort(key=lambda case: case[:4])
    return [(whole, parts) for *_, whole, parts in cases]


def _share(whole: Mapping[str, Any]) -> float:
    """How much of its ``for`` the condition held."""
    held, needed = whole["held_s"], whole["needed_s"]
    if whole["state"] == "fired":
        return 1.0
    if held is None:
        return 0.0
    return min(1.0, held / needed) if needed else 1.0


def _failing(whole: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What stood in the way: the whole where it has a value of its own, else the part that missed by most."""
    if whole["best"] is not None:
        return whole
    failed = [part for part in parts if part["state"] != "held"]
    return min(failed, key=lambda part: (_relative(part), str(part["part"])), default=None)


def _relative(row: Mapping[str, Any]) -> float:
    if row["margin"] is None:
        return -math.inf
    return float(row["margin"]) / (abs(row["threshold"] or 0.0) or 1.0)


def _nearness(whole: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> float:
    failing = _failing(whole, parts)
    return _relative(failing) if failing is not None else -math.inf


def _case_name(whole: Mapping[str, Any]) -> str:
    labels = _labels(whole["labels"])
    return " · ".join(visible(part) for part in (whole["rule"], whole["ci_code"]) if part) + labels


def _labels(text: Any) -> str:
    """The labels beside the CI, which has its own place."""
    try:
        told = json.loads(text or "{}")
    except ValueError:
        return f" {visible(text)}"
    kept = {k: v for k, v in told.items() if k not in ("ci", "ci_code", "ci_id")} if isinstance(told, dict) else {}
    return " {" + ", ".join(f"{visible(k)}={visible(v)}" for k, v in sorted(kept.items())) + "}" if kept else ""


def _held_text(whole: Mapping[str, Any]) -> str:
    if whole["state"] == "no_data":
        return "no data"
    held = "not at all" if whole["held_s"] is None else length_text(whole["held_s"])
    return f"{held}, of {length_text(whole['needed_s'])}" if whole["needed_s"] else held


def _closest(whole: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> str:
    """``all[2]: 182 of 200, 18 short``: the value that came closest, what it had to pass, by how much it did."""
    row = _failing(whole, parts)
    if row is None:
        return ""
    where = f"{visible(row['part'])}: " if row["part"] else ""
    if row["best"] is None:
        return f"{where}{_STATES['no_data'][0] if row['state'] == 'no_data' else 'never held'}"
    text = f"{where}{amount(row['best'])}"
    if row["threshold"] is not None:
        text += f" of {amount(row['threshold'])}"
    if row["margin"] is not None:
        text += f", {amount(abs(row['margin']))} {'beyond' if row['margin'] > 0 else 'short'}"
    return text


# --- injected faults ------------------------------------------------------------------------------------------------

_INJECTED = {
    "rule": True, "ci_code": False, "ci": False, "labels": False, "status": True, "injected": True, "delay_s": True,
    "hops": True,
}  # fmt: skip
_SEEN: dict[str, tuple[str, str, str]] = {
    "fired": ("fired", "*", "vermillion"),
    "suppressed": ("suppressed", "P", "purple"),
    "pending_only": ("pending only", "D", "surface"),
}


@styled
def injected(frame: Any, *, theme: str = "light") -> Figure:
    """Draw what would have been seen of a fault: which rule, on which item, and how long after it began.

    Args:
        frame: As ``cep_inject`` returns it.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, or no such theme.
    """
    colours = palette(theme)
    rows = rows_of(frame, _INJECTED, "frame").with_columns(ci_code=pl.coalesce("ci_code", "ci"))
    new = rows.filter(pl.col("injected")).sort("delay_s", "hops", "rule", "ci_code", nulls_last=True)
    notes = _incomplete(frame)
    if new.height < rows.height:
        others = rows.height - new.height
        notes.append(f"{others} more alert{'' if others == 1 else 's'} of that time would have been there without it.")
    if new.is_empty():
        return nothing(" ".join([EMPTY["injected"], *notes]), colours)
    shown = list(new.head(_ROWS).iter_rows(named=True))
    legend = _legend(_SEEN, new["status"], notes, colours)
    if len(shown) < new.height:
        legend.notes.append(f"{len(shown)} of {new.height} alerts are drawn, the soonest first.")
    names = [_case_name(row) for row in shown]
    figure, axes, height, left = _lined_sheet(names, legend, colours)
    hops, start = left, left + 1.45
    end = WIDTH - 1.2
    longest = max([abs(row["delay_s"]) for row in shown if row["delay_s"] is not None], default=0.0) or 1.0
    _write(axes, hops, height - 0.18, "where", colours.muted)
    _write(axes, start, height - 0.18, "how long after the fault began", colours.muted)
    axes.plot([start] * 2, [height - 0.32, height - 0.34 - _PITCH * len(shown)], color=colours.faint, linewidth=1)
    for i, (row, name) in enumerate(zip(shown, names, strict=True)):
        y = height - 0.34 - (i + 0.5) * _PITCH
        _, shape, role = _SEEN.get(row["status"], _SEEN["pending_only"])
        _write(axes, left - 0.12, y, _fitted(name, left - 0.35), colours.ink, ha="right")
        _write(axes, hops, y, _hops_text(row["hops"]), colours.muted)
        if row["delay_s"] is None:
            _write(axes, start + 0.07, y, "when is not known", colours.muted)
            continue
        x = start + (end - start) * max(0.0, row["delay_s"]) / longest
        axes.plot([start, x], [y, y], color=colours.muted, linewidth=1.4, zorder=3)
        _shape_sample(shape, role, colours)(AxesPen(axes), x, y)
        _write(axes, x + 0.13, y, length_text(row["delay_s"]), colours.ink)
    legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
    return figure


def _hops_text(count: float | None) -> str:
    if count is None:
        return "was not struck"
    return f"{count:.0f} hop{'' if count == 1 else 's'} away" if count else "where it began"


# --- times of calls -------------------------------------------------------------------------------------------------

_TIMES = {
    "tool": True, "count": True, "errors": True, "hit_rate": True, "p50_ms": True, "p95_ms": True, "p99_ms": True,
}  # fmt: skip
_QUANTILES = (
    ("p50_ms", "half took no longer", "o", "blue"),
    ("p95_ms", "95 of 100 took no longer", "D", "orange"),
    ("p99_ms", "99 of 100 took no longer", "v", "vermillion"),
)


@styled
def call_times(frame: Any, *, theme: str = "light") -> Figure:
    """Draw how long the calls of each tool took, on a logarithmic axis, the slowest tool first.

    Args:
        frame: As ``ops.trace.summary()`` returns it.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, or no such theme.
    """
    colours = palette(theme)
    rows = rows_of(frame, _TIMES, "frame").sort("p95_ms", "tool", descending=[True, False])
    if rows.is_empty():
        return nothing(EMPTY["call_times"], colours)
    shown = list(rows.head(_ROWS).iter_rows(named=True))
    legend = Legend(WIDTH - 0.4)
    for _, word, shape, role in _QUANTILES:
        legend.add(word, marker_sample(shape, getattr(colours, role), colours.ink))
    if len(shown) < rows.height:
        legend.notes.append(f"{len(shown)} of {rows.height} tools are drawn, the slowest first.")
    names = [visible(row["tool"]) for row in shown]
    figure, axes, height, left = _lined_sheet(names, legend, colours)
    columns = ((left + 0.45, "calls"), (left + 1.05, "failed"), (left + 1.9, "from cache"))
    start, end = left + 2.2, WIDTH - 2.4
    for x, head in columns:
        _write(axes, x, height - 0.18, head, colours.muted, ha="right")
    _write(axes, WIDTH - 0.2, height - 0.18, "half / 95 % / 99 % within", colours.muted, ha="right")
    least, most = _decades([row[name] for row in shown for name, *_ in _QUANTILES])
    foot = height - 0.34 - _PITCH * len(shown)
    for power in range(least, most + 1):
        x = start + (end - start) * (power - least) / (most - least)
        axes.plot([x, x], [height - 0.3, foot], color=colours.faint, linewidth=0.6, zorder=1)
        _write(axes, x, height - 0.18, _ms(10.0**power), colours.muted, ha="center")
    for i, (row, name) in enumerate(zip(shown, names, strict=True)):
        y = height - 0.34 - (i + 0.5) * _PITCH
        _write(axes, left - 0.12, y, _fitted(name, left - 0.35), colours.ink, ha="right")
        failed = colours.alarm if row["errors"] else colours.muted
        for (x, _), text, tone in zip(
            columns, (str(row["count"]), str(row["errors"]), _percent(row["hit_rate"])),
            (colours.ink, failed, colours.ink), strict=True,
        ):  # fmt: skip
            _write(axes, x, y, text, tone, ha="right", weight="bold" if tone == colours.alarm else "normal")
        xs = [_along(row[name], least, most, start, end) for name, *_ in _QUANTILES]
        axes.plot([xs[0], xs[-1]], [y, y], color=colours.muted, linewidth=1.4, zorder=3)
        for x, (_, _, shape, role) in reversed(list(zip(xs, _QUANTILES, strict=True))):
            marker_sample(shape, getattr(colours, role), colours.ink, 30)(AxesPen(axes), x, y)
        told = " / ".join(_ms(row[name]) for name, *_ in _QUANTILES)
        _write(axes, WIDTH - 0.2, y, told, colours.ink, ha="right")
    legend.draw(AxesPen(axes), 0.2, legend.height(), colours)
    return figure


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _decades(values: Sequence[float | None]) -> tuple[int, int]:
    known = [value for value in values if value and value > 0] or [1.0]
    least = math.floor(math.log10(min(known)))
    return least, max(least + 1, math.ceil(math.log10(max(known))))


def _along(value: float | None, least: int, most: int, start: float, end: float) -> float:
    share = (math.log10(value) - least) / (most - least) if value and value > 0 else 0.0
    return start + (end - start) * share


def _ms(value: float | None) -> str:
    """Milliseconds as they are read: ``0.3 ms``, ``42 ms``, ``1.2 s``."""
    if value is None:
        return "–"
    return f"{amount(value / 1e3, digits=2)} s" if value >= 1e3 else f"{amount(value, digits=2)} ms"
