"""Pictures of what the tools return: plain functions from a frame or a graph to a matplotlib Figure.

No pyplot, so nothing global is touched and nothing appears by itself. Colours are those of Okabe and Ito; whatever a
colour says, a shape or a word says too. An empty answer gives a figure that says so. How a figure becomes SVG is in
``svg``, where its nodes stand in ``layout``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from ciops_nb.answers import provenance
from ciops_nb.errors import BadParameter
from ciops_nb.views import result_plots, rule_plots
from ciops_nb.views.layout import focus_of, impact_of, layered, layers, reached
from ciops_nb.views.marks import DASHES, KINDS, Mark, kind_look, marks_of, thinned, value_axis, with_gaps
from ciops_nb.views.result_plots import call_times, ci_groups, injected, metric_groups, near_misses, paths
from ciops_nb.views.rule_plots import comparison, replay_timeline, sweep_map
from ciops_nb.views.sheet import (
    EM,
    WIDTH,
    Legend,
    amount,
    blank_sheet,
    clock,
    in_days,
    marker_sample,
    moment_of,
    nothing,
    padded,
    rows_of,
    span_text,
    time_axis,
    unit_of,
    width_of,
    window_of,
)
from ciops_nb.views.svg import Palette, palette, shorten, styled, text_columns, to_svg, visible

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EMPTY", "call_times", "ci_groups", "comparison", "draw", "injected", "metric_groups", "movers", "near_misses",
    "paths", "relation_looks", "replay_timeline", "series", "sweep_map", "timeline", "to_svg", "topology",
    "topology_diff", "type_looks",
]  # fmt: skip

EMPTY = {
    "topology": "No configuration items to draw.",
    "timeline": "No events, changes, maintenance or incidents in this range.",
    "series": "No points of these metrics in this range.",
    "movers": "No metric moved.",
    **rule_plots.EMPTY,
    **result_plots.EMPTY,
}

Place: TypeAlias = tuple[float, float]
Marked: TypeAlias = Mapping[str, str] | Iterable[str] | None

# --- topology -------------------------------------------------------------------------------------------------------

_CARDS = 90  # nodes up to which each is a card with its names; beyond, a dot
_COLUMNS = 9  # of cards side by side
_SMALL = 6.2  # points of the second line of a card
_FEW = 40  # edges up to which none need stand back
_SHAPES = {"SYSTEM": ("h", "purple"), "SW": ("o", "blue"), "HW": ("s", "orange")}
_HUES = ("blue", "vermillion", "green", "purple", "orange", "sky")
_MORE_SHAPES = ("^", "D", "p", "v", "P", "*", "X", "8")
_RELATIONS = {
    "DEPENDS_ON": ("blue", 0),
    "RUNS_ON": ("green", 1),
    "USES": ("orange", 2),
    "DEPLOYED_ON": ("purple", 3),
    "COMPOSED_OF": ("muted", 0),
    "CONNECTED_TO": ("muted", 2),
    "PROTECTED_BY": ("sky", 4),
}


@styled
def topology(
    graph: nx.MultiDiGraph[str],
    *,
    focus: str | None = None,
    highlight: Marked = None,
    note: str = "",
    theme: str = "light",
) -> Figure:
    """Draw how configuration items hang together: needs on the left, what is hurt when they fail on the right.

    Up to 90 items each is a card with its code; beyond that a dot, and the ones that matter are named.

    Args:
        graph: As ``graph_expand`` or ``graph_path`` returns it; ``graph.graph["frontier"]`` gives the "+n" badges.
        focus: The item to stand out; by default the one root of the graph.
        highlight: Codes of the items that are hurt, or a mapping from code to a short reason.
        note: A sentence to stand in the legend, such as what was left out.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ItemNotFound: *focus* is not in the graph.
        BadParameter: no such theme.
    """
    colours = palette(theme)
    if not len(graph):
        return nothing(EMPTY["topology"], colours)
    return _Topology(graph, focus_of(graph, focus), _reasons(highlight, graph), colours, note).draw()


def type_looks(types: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Marker and role of the colour of each ci_type, those known first; the same types look the same everywhere."""
    present = sorted({*types})
    others = [name for name in present if name not in _SHAPES]
    looks = {name: look for name, look in _SHAPES.items() if name in present}
    for i, name in enumerate(others):
        looks[name] = (_MORE_SHAPES[i % len(_MORE_SHAPES)], _HUES[(i + 2) % 6])
    return looks


def relation_looks(impacts: Mapping[str, str]) -> dict[str, tuple[str, int, bool]]:
    """Role of the colour, place in ``DASHES`` and whether there is an arrow, of each relation type.

    Args:
        impacts: What each says of who is hurt: target_to_source, source_to_target, both, none.
    """
    others = [name for name in sorted(impacts) if name not in _RELATIONS]
    looks = {}
    for name in sorted(impacts):
        place = others.index(name) if name in others else 0
        role, dash = _RELATIONS.get(name) or (_HUES[place % 6], (place + 1) % len(DASHES))
        looks[name] = (role, dash, impacts[name] in ("target_to_source", "source_to_target"))
    return looks


def _reasons(marked: Marked, graph: nx.MultiDiGraph[str]) -> dict[str, str]:
    if marked is None:
        return {}
    pairs = marked.items() if isinstance(marked, Mapping) else ((code, "") for code in marked)
    return {str(code): visible(reason or "") for code, reason in pairs if code in graph}


class _Topology:
    """One picture of a graph, in inches."""

    def __init__(
        self, graph: nx.MultiDiGraph[str], focus: str | None, hurt: dict[str, str], colours: Palette, note: str = ""
    ) -> None:
        self.graph, self.focus, self.hurt, self.note, self.colours = graph, focus, hurt, note, colours
        self.hidden = {item["ci_code"]: int(item["count"]) for item in graph.graph.get("frontier") or ()}
        spots = layered(graph, focus=focus)
        self.codes = list(spots)
        xs, ys = np.array([spots[code] for code in self.codes]).T
        columns = float(xs.max() - xs.min()) + 1
        rows = float(ys.max() - ys.min()) + 1
        self.cards = len(spots) <= _CARDS and columns <= _COLUMNS
        if self.cards:
            pitch, row = min(2.3, max(1.32, WIDTH / columns)), 0.52
            self.half = ((pitch - 0.42) / 2, 0.185)
        else:
            pitch, row = WIDTH / max(columns, 6), min(0.26, 13 / rows)
            radius = min(0.075, row * 0.36, pitch * 0.2)
            self.half = (radius, radius)
        self.pitch = pitch
        self.legend = Legend(max(columns * pitch, 6.0))
        self.width = self.legend.width + 0.4
        self.head = 0.5 if focus is not None else 0.3
        self._fill_legend()
        self.foot = self.legend.height() + 0.1
        self.height = rows * row + self.head + self.foot
        left = (self.width - columns * pitch) / 2 + pitch / 2
        self.at = {
            code: (left + (x - xs.min()) * pitch, self.foot + (y - ys.min() + 0.5) * row)
            for code, x, y in zip(self.codes, xs.tolist(), ys.tolist(), strict=True)
        }

    # What things look like

    def _types(self) -> dict[str, tuple[str, str]]:
        """Shape and colour of each ci_type, those known first."""
        looks = type_looks(str(data.get("ci_type") or "?") for _, data in self.graph.nodes(data=True))
        return {name: (shape, getattr(self.colours, role)) for name, (shape, role) in looks.items()}

    def _relations(self) -> dict[str, tuple[str, Any, bool]]:
        """Colour, dashes and whether there is an arrow, of each relation type."""
        impacts = {
            str(d.get("relation_type") or "related"): impact_of(d.get("relation_type"), d) for *_, d in self._edges()
        }
        return {
            name: (getattr(self.colours, role), DASHES[dash], arrow)
            for name, (role, dash, arrow) in relation_looks(impacts).items()
        }

    def _edges(self) -> list[tuple[str, str, dict[str, Any]]]:
        edges = [(a, b, data) for a, b, data in self.graph.edges(data=True) if a != b]
        return sorted(edges, key=lambda e: (str(e[2].get("relation_type") or "related"), str(e[0]), str(e[1])))

    def _fill_legend(self) -> None:
        colours, legend = self.colours, self.legend
        for name, (shape, colour) in self._types().items():
            legend.add(name, marker_sample(shape, colour, colours.ink))
        self._add_marked()
        if self.focus is not None:
            legend.add("focus", marker_sample("o", colours.focus_tint, colours.blue, 70))
        for name, (colour, dashes, arrow) in self._relations().items():
            legend.add_line(name, colour, dashes, 1.3, arrow)
        if self.hidden:
            legend.notes.append("+n: n more neighbours of this item are not in the graph.")
        if self.note:
            legend.notes.append(visible(self.note))
        if not self.cards:
            legend.notes.append("")  # its place; said once it is known how many found room

    def _add_marked(self) -> None:
        if self.hurt:
            self.legend.add("hurt", marker_sample("o", self.colours.alarm_tint, self.colours.alarm, 70))

    def _sign(self, code: str) -> str:
        """What the badge of a marked item says."""
        return "!"

    def _marked_look(self, code: str) -> tuple[str, str]:
        """Face and frame of a marked item."""
        return self.colours.alarm_tint, self.colours.alarm

    def _badge_look(self, code: str) -> tuple[str, str]:
        """Face and ink of the badge of a marked item."""
        return self.colours.alarm, self.colours.surface

    def _word_tone(self) -> str:
        """The ink of what is said of marked items."""
        return self.colours.alarm

    def _stands_out(self, source: str, target: str, data: Mapping[str, Any]) -> bool:
        marked = {*self.hurt, *([self.focus] if self.hurt and self.focus else [])}
        central = self.focus is not None and self.graph.degree(self.focus) <= _FEW
        return (central and self.focus in (source, target)) or {source, target} <= marked

    # Drawing

    def draw(self) -> Figure:
        figure, self.axes = blank_sheet(self.width, self.height, self.colours)
        self._draw_head()
        self._draw_edges()
        if self.cards:
            self._draw_cards()
        else:
            self._draw_dots()
        self.legend.draw(self.axes, 0.2, self.foot - 0.1, self.colours)
        return figure

    def _draw_head(self) -> None:
        style: dict[str, Any] = {"fontsize": 7.5, "color": self.colours.muted, "va": "center_baseline"}
        if self.focus is None:
            self.axes.text(0.2, self.height - 0.16, "◀ what is needed", ha="left", **style)
            self.axes.text(self.width - 0.2, self.height - 0.16, "what is hurt when it fails ▶", ha="right", **style)
            return
        spans: dict[int, list[float]] = {}
        true = reached(self.graph, self.focus)
        beside: set[int] = set()
        for code, level in layers(self.graph, focus=self.focus).items():
            spans.setdefault(level, []).append(self.at[code][0])
            beside |= set() if code in true else {level}
        for level, xs in sorted(spans.items()):
            left, right = min(xs) - self.pitch * 0.42, max(xs) + self.pitch * 0.42
            text = _hops_text(level, right - left, level in beside)
            self.axes.text((left + right) / 2, self.height - 0.2, text, ha="center", **style)
            self.axes.plot([left, right], [self.height - 0.34] * 2, color=self.colours.faint, linewidth=1)

    def _draw_edges(self) -> None:
        from matplotlib.collections import PolyCollection
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        looks = self._relations()
        curves: dict[tuple[str, bool], list[tuple[Sequence[Place], Place]]] = {}
        ports = self._ports()
        few = len(ports) <= _FEW
        for number, (source, target, data) in enumerate(self._edges()):
            strong = few or self._stands_out(source, target, data)
            points, tip = self._curve(source, target, ports[number])
            name = str(data.get("relation_type") or "related")
            curves.setdefault((name, strong), []).append((points, tip))
        for (name, strong), found in sorted(curves.items()):
            colour, dashes, arrow = looks[name]
            alpha, width = (0.9, 1.2) if strong else (0.6, 0.8) if self.cards else (0.35, 0.6)
            vertices = [point for points, _ in found for point in points]
            codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4] * len(found)
            path = Path(vertices, codes)
            style: dict[str, Any] = {"linewidth": width, "linestyle": dashes, "alpha": alpha, "zorder": 2 + strong}
            self.axes.add_patch(PathPatch(path, facecolor="none", edgecolor=colour, **style))
            if arrow:
                size = 0.07 if self.cards else 0.045
                heads = [_arrow_head(points[-1], tip, size) for points, tip in found]
                self.axes.add_collection(
                    PolyCollection(heads, facecolors=colour, edgecolors="none", alpha=alpha, zorder=3), autolim=False
                )

    def _ports(self) -> list[tuple[float, float]]:
        """For each edge how far above the middle it leaves and enters, so that edges do not run together."""
        edges = self._edges()
        ends: dict[tuple[str, int], list[tuple[float, int, int]]] = {}
        for number, (source, target, _) in enumerate(edges):
            for which, (own, other) in enumerate(((source, target), (target, source))):
                side = self._side(own, other)
                ends.setdefault((own, side), []).append((self.at[other][1], number, which))
        offsets = [[0.0, 0.0] for _ in edges]
        room = self.half[1] * (1.3 if self.cards else 0.0)
        for found in ends.values():
            found.sort()
            step = min(0.09, room / max(1, len(found) - 1))
            for i, (_, number, which) in enumerate(found):
                offsets[number][which] = (i - (len(found) - 1) / 2) * step
        return [(a, b) for a, b in offsets]

    def _side(self, own: str, other: str) -> int:
        """On which side of *own* the edge to *other* leaves; two of one column are joined on their right."""
        return -1 if self.at[other][0] < self.at[own][0] - 1e-6 else 1

    def _curve(self, source: str, target: str, ports: tuple[float, float]) -> tuple[Sequence[Place], Place]:
        """A Bézier curve with level ends, and the direction in which it arrives."""
        side, far = self._side(source, target), self._side(target, source)
        x0, y0 = self.at[source][0] + side * self.half[0], self.at[source][1] + ports[0]
        x1, y1 = self.at[target][0] + far * self.half[0], self.at[target][1] + ports[1]
        if side == far:
            bend = min(0.36, 0.12 + 0.06 * abs(y1 - y0)) * 1.33 if self.cards else min(0.5, 0.1 + 0.2 * abs(y1 - y0))
        else:
            bend = max(0.5 * abs(x1 - x0), 0.05)
        return [(x0, y0), (x0 + side * bend, y0), (x1 + far * bend, y1), (x1, y1)], (-far, 0.0)

    def _draw_cards(self) -> None:
        from matplotlib.patches import FancyBboxPatch

        axes, colours, (w, h) = self.axes, self.colours, self.half
        self._draw_shapes(62, 0.8, -w + 0.15)
        texts = [self._kind_and_hops(code, data) for code, data in self.graph.nodes(data=True)]
        # All cards or none: the heading of a column tells the hops too, where there is a focus.
        self.tell_hops = all(width_of(text, 6.2) <= 2 * w - 0.34 for text in texts)
        for code in self.codes:
            x, y = self.at[code]
            face, edge, line = self._card_look(code)
            box = FancyBboxPatch(
                (x - w, y - h), 2 * w, 2 * h, boxstyle="round,pad=0,rounding_size=0.05",
                facecolor=face, edgecolor=edge, linewidth=line, zorder=4,
            )  # fmt: skip
            axes.add_patch(box)
            self._draw_lines(code, x - w + 0.29, y, 2 * w - 0.34)
            if code in self.hurt:
                self._badge(x + w, y + h, self._sign(code), *self._badge_look(code))
            if code in self.hidden:
                self._badge(x + w, y - h, f"+{self.hidden[code]}", colours.panel, colours.ink)

    def _draw_lines(self, code: str, x: float, y: float, room: float) -> None:
        """The two lines of a card: code and kind; a code too long for one takes both, for its ends tell it apart."""
        colours, name = self.colours, visible(code)
        second = self._second_line(code, self.graph.nodes[code])
        bold = code == self.focus or code in self.hurt
        points, columns = 7.0 if bold else 7.5, room / _SMALL / EM
        tone = self._word_tone() if self.hurt.get(code) else colours.muted
        if width_of(name, points) > room:
            points = _SMALL
        if text_columns(name) > columns and not self.hurt.get(code):
            cut = max(end for end in range(len(name)) if text_columns(name[:end]) <= columns)
            # Best torn where a word of it ends, if one ends near.
            cut = next((end for end in range(cut, max(cut - 9, 1), -1) if not name[end - 1].isalnum()), cut)
            name, second, tone = name[:cut], name[cut:].strip(), colours.ink
        style: dict[str, Any] = {"va": "center_baseline", "zorder": 6}
        first = shorten(name, room / points / EM)
        self.axes.text(
            x, y + 0.075, first, fontsize=points, weight="bold" if bold else "normal", color=colours.ink, **style
        )
        self.axes.text(x, y - 0.085, shorten(second, columns), fontsize=_SMALL, color=tone, **style)

    def _card_look(self, code: str) -> tuple[str, str, float]:
        colours = self.colours
        if code == self.focus:
            return self._marked_look(code)[0] if code in self.hurt else colours.focus_tint, colours.blue, 2.2
        if code in self.hurt:
            return *self._marked_look(code), 1.6
        return colours.panel, colours.faint, 1.0

    def _second_line(self, code: str, data: Mapping[str, Any]) -> str:
        if self.hurt.get(code):
            return self.hurt[code]
        return self._kind_and_hops(code, data) if self.tell_hops else _kind_text(data)

    def _kind_and_hops(self, code: str, data: Mapping[str, Any]) -> str:
        hops = data.get("hops")
        if code == self.focus or hops is None:
            return _kind_text(data)
        return f"{_kind_text(data)} · {hops} hop{'' if hops == 1 else 's'}"

    def _badge(self, x: float, y: float, text: str, face: str, ink: str) -> None:
        width = max(0.16, width_of(text, 6.2) + 0.09)
        from matplotlib.patches import FancyBboxPatch

        left = x - width + 0.06
        box = FancyBboxPatch(
            (left, y - 0.075), width, 0.15, boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=face, edgecolor=self.colours.muted, linewidth=0.8, zorder=7,
        )  # fmt: skip
        self.axes.add_patch(box)
        self.axes.text(
            left + width / 2,
            y - 0.004,
            text,
            fontsize=6.2,
            weight="bold",
            color=ink,
            ha="center",
            va="center_baseline",
            zorder=8,
        )

    def _draw_dots(self) -> None:
        axes, colours = self.axes, self.colours
        size = (self.half[0] * 2 * 72) ** 2
        self._draw_shapes(size, 0.5)
        rings = {edge: [c for c in sorted(self.hurt) if self._marked_look(c)[1] == edge] for edge in self._frames()}
        for codes, edge, scale in (
            *((codes, edge, 3.2) for edge, codes in rings.items()),
            ([self.focus] if self.focus else [], colours.blue, 5),
        ):
            if codes:
                xs, ys = zip(*(self.at[str(c)] for c in codes), strict=True)
                axes.scatter(
                    xs, ys, s=size * scale, marker="o", facecolors="none", edgecolors=edge, linewidths=1.8, zorder=6
                )
        self._name_dots()

    def _frames(self) -> list[str]:
        return sorted({self._marked_look(code)[1] for code in self.hurt})

    def _draw_shapes(self, size: float, line: float, shift: float = 0.0) -> None:
        for name, (shape, colour) in self._types().items():
            codes = [code for code in self.codes if str(self.graph.nodes[code].get("ci_type") or "?") == name]
            xs, ys = np.array([self.at[code] for code in codes]).T
            style: dict[str, Any] = {
                "facecolors": colour,
                "edgecolors": self.colours.ink,
                "linewidths": line,
                "zorder": 5,
            }
            self.axes.scatter(xs + shift, ys, s=size, marker=shape, **style)

    def _name_dots(self) -> None:
        """Name as many as find room, the focus and the hurt first, then the critical and the well connected."""
        named = 0
        taken = [(x - self.half[0], y - self.half[1], x + self.half[0], y + self.half[1]) for x, y in self.at.values()]
        boxes = np.array(taken)
        for code in sorted(self.codes, key=self._importance)[:120]:
            key = code == self.focus or code in self.hurt
            text = (f"{self._sign(code)} " if code in self.hurt else "") + shorten(visible(code), 24)
            if code in self.hidden:
                text += f" +{self.hidden[code]}"
            points = 7.5 if key else 6.5
            place = self._free(self.at[code], width_of(text, points) + 0.03, points / 72 * 1.25, boxes, key)
            if place is None:
                continue
            named += 1
            x0, y0, x1, y1 = place
            boxes = np.vstack([boxes, [place]])
            tone = self._word_tone() if code in self.hurt else self.colours.ink
            backing = {"facecolor": self.colours.surface, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
            self.axes.text(
                (x0 + x1) / 2, (y0 + y1) / 2, text, fontsize=points, weight="bold" if key else "normal", color=tone,
                ha="center", va="center_baseline", bbox=backing, zorder=8,
            )  # fmt: skip
        self.legend.notes[-1] = f"{named} of {len(self.codes)} items are named: the most important that found room."

    def _importance(self, code: str) -> tuple[Any, ...]:
        rank = self.graph.nodes[code].get("criticality")
        return code != self.focus, code not in self.hurt, -(rank or 0), -self.graph.degree(code), code

    def _free(
        self, at: Place, wide: float, high: float, boxes: Any, must: bool
    ) -> tuple[float, float, float, float] | None:
        x, y = at
        gap = self.half[0] + (0.07 if must else 0.02)
        corners = (
            (x + gap, y - high / 2),
            (x - gap - wide, y - high / 2),
            (x - wide / 2, y + gap),
            (x - wide / 2, y - gap - high),
        )
        inside = [c for c in corners if c[0] > 0.05 and c[0] + wide < self.width - 0.05]
        for left, low in inside:
            hit = (boxes[:, 0] < left + wide) & (boxes[:, 2] > left) & (boxes[:, 1] < low + high) & (boxes[:, 3] > low)
            if not hit.any():
                return left, low, left + wide, low + high
        if not must or not inside:
            return None
        return inside[0][0], inside[0][1], inside[0][0] + wide, inside[0][1] + high


def _kind_text(data: Mapping[str, Any]) -> str:
    return visible(data.get("ci_subtype") or data.get("ci_type") or "")


def _hops_text(level: int, room: float, beside: bool) -> str:
    """The heading of a column, as long as there is room for; *beside*: others stand in it too."""
    way = "upstream" if level < 0 else "downstream"
    hops = f"{abs(level)} hop{'' if abs(level) == 1 else 's'}"
    texts = [f"{hops} {way}", f"{abs(level)} {way}", f"{abs(level)} {way.removesuffix('stream')}", f"{level:+d}"]
    texts = texts if level else ["focus"]
    if beside:
        texts = [
            f"{texts[0]}, and others beside",
            *(f"{text} and others" for text in texts[:2]),
            *(f"{text}, …" for text in texts),
        ]
    return next((text for text in texts if width_of(text, 7.5) < room), texts[-1])


def _arrow_head(end: Place, way: Place, size: float) -> list[Place]:
    (x, y), dx = end, way[0]
    return [(x, y), (x - dx * size, y + size * 0.5), (x - dx * size, y - size * 0.5)]


# --- two topologies -------------------------------------------------------------------------------------------------

_STATES = {"new": "green", "gone": "alarm", "changed": "purple"}
_UNCOMPARED = {"hops", "ci_id"}  # the same item is as far from the focus as its relations are, which are compared
_RELATION_STATES = {  # role, dashes and whether it stands out
    "relation unchanged": ("muted", 0, False),
    "relation added": ("green", 0, True),
    "relation removed": ("alarm", 1, True),
}


@styled
def topology_diff(
    before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str], *, focus: str | None = None, theme: str = "light"
) -> Figure:
    """Draw what differs between two graphs, such as ``graph_expand`` of two moments: items and relations that came,
    went, or changed a field.

    Args:
        before: The graph of the earlier moment.
        after: The graph of the later moment. It gives the focus and the "+n" badges.
        focus: The item to stand out; by default the one root of the graph.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ItemNotFound: *focus* is in neither graph.
        BadParameter: no such theme.
    """
    colours = palette(theme)
    both, states = _united(before, after)
    if not len(both):
        return nothing(EMPTY["topology"], colours)
    return _Difference(both, focus_of(both, focus), states, colours).draw()


def _united(
    before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str]
) -> tuple[nx.MultiDiGraph[str], dict[str, tuple[str, str]]]:
    """Both graphs in one, and the state of each item that differs with what to say of it."""
    import networkx as nx

    both: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for graph in (before, after):
        both.graph.update(graph.graph or {})
    states: dict[str, tuple[str, str]] = {}
    for code in sorted({*before, *after}):
        old, new = (graph.nodes[code] if code in graph else None for graph in (before, after))
        both.add_node(code, **(new or old or {}))
        if old is None or new is None:
            states[code] = ("new" if old is None else "gone", "")
        elif changes := _changes(old, new):
            states[code] = ("changed", changes)
    old_edges, new_edges = ({(a, b, _type_of(d)): d for a, b, d in g.edges(data=True)} for g in (before, after))
    for key in sorted({*old_edges, *new_edges}):
        state = "unchanged" if key in old_edges and key in new_edges else "added" if key in new_edges else "removed"
        impact = impact_of(key[2], new_edges.get(key) or old_edges[key])
        both.add_edge(key[0], key[1], key=key[2], relation_type=f"relation {state}", impact=impact)
    return both, states


def _type_of(data: Mapping[str, Any]) -> str:
    return str(data.get("relation_type") or "related")


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """``status active → retired``, for each field that differs."""
    fields = sorted(({*old, *new}) - _UNCOMPARED)
    differing = [name for name in fields if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {_known(old.get(name))} → {_known(new.get(name))}" for name in differing)


def _known(value: Any) -> str:
    return "–" if value is None else str(value)


class _Difference(_Topology):
    """One picture of two graphs in one."""

    def __init__(
        self, graph: nx.MultiDiGraph[str], focus: str | None, states: dict[str, tuple[str, str]], colours: Palette
    ) -> None:
        self.states = {code: state for code, (state, _) in states.items()}
        super().__init__(graph, focus, {code: visible(said) for code, (_, said) in states.items()}, colours)

    def _add_marked(self) -> None:
        for state, role in _STATES.items():
            if count := sum(found == state for found in self.states.values()):
                self.legend.add(
                    f"{state} ({count})", marker_sample("o", self.colours.panel, getattr(self.colours, role), 70)
                )
        if not self.states and all(d["relation_type"] == "relation unchanged" for *_, d in self._edges()):
            self.legend.notes.append("Nothing differs.")

    def _sign(self, code: str) -> str:
        return self.states[code]

    def _marked_look(self, code: str) -> tuple[str, str]:
        face = self.colours.alarm_tint if self.states[code] == "gone" else self.colours.panel
        return face, getattr(self.colours, _STATES[self.states[code]])

    def _badge_look(self, code: str) -> tuple[str, str]:
        return self.colours.panel, self.colours.ink

    def _word_tone(self) -> str:
        return self.colours.ink  # the hues are too pale for small text

    def _relations(self) -> dict[str, tuple[str, Any, bool]]:
        return {
            name: (getattr(self.colours, role), DASHES[dashes], True)
            for name, (role, dashes, _) in _RELATION_STATES.items()
            if any(data["relation_type"] == name for *_, data in self._edges())
        }

    def _stands_out(self, source: str, target: str, data: Mapping[str, Any]) -> bool:
        return _RELATION_STATES[data["relation_type"]][2]


# --- timeline -------------------------------------------------------------------------------------------------------

_KIND_ROWS = 8


@styled
def timeline(history: Any, *, at: Any = None, window: Any = None, theme: str = "light") -> Figure:
    """Draw what happened when: a lane for each kind, a marker for each record, a bar where it took time.

    Args:
        history: A frame of ``history_recent``: start_at, end_at, kind, type, ci_code, severity, title.
        at: The moment in question, drawn as a line.
        window: (start, end) of what was looked into: all of it is within the axis, so that quiet is seen to be quiet.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, *window* is not a pair, or no such theme.
        BadTimeRange: *at* or an end of *window* is not a time.
    """
    colours = palette(theme)
    marks, moment, asked = marks_of(history), moment_of(at), window_of(window)
    if not marks:
        return nothing(EMPTY["timeline"], colours)
    ends = [m.end or m.start for m in marks] + ([moment] if moment else []) + list(asked or ())
    start, end = padded(min([m.start for m in marks] + list(asked or ())), max(ends))
    kinds = [k for k in KINDS if any(m.kind == k for m in marks)]
    kinds += sorted({m.kind for m in marks} - set(kinds))
    room = WIDTH - 1.35
    lanes = {kind: _stack([m for m in marks if m.kind == kind], start, end, room) for kind in kinds}
    unnamed = sum(not m.label for m in marks)
    return _draw_timeline(lanes, marks, (start, end), moment, unnamed, colours)


def _stack(marks: list[Mark], start: datetime, end: datetime, room: float) -> int:
    """Give the marks of one lane rows so that neither they nor their titles overlap; the number of rows.

    Where there are too many, the lesser ones go without a title.
    """
    for least in (0, 3, 4, 5, 10):
        for mark in marks:
            mark.label = mark.name() if mark.weight >= least else ""
        rows = _pack(marks, start, end, room)
        if rows <= _KIND_ROWS:
            return rows
    for mark in marks:
        mark.row = min(mark.row, _KIND_ROWS - 1)
    return _KIND_ROWS


def _pack(marks: list[Mark], start: datetime, end: datetime, room: float) -> int:
    scale = room / ((end - start) / timedelta(days=1))
    first = in_days(start)
    taken: list[list[tuple[float, float]]] = []
    for mark in marks:
        left = (in_days(mark.start) - first) * scale
        right = room if mark.open else (in_days(mark.end or mark.start) - first) * scale
        wide = width_of(mark.label, 6.5) + 0.1 if mark.label else 0.0
        tight = mark.open or right + 0.1 + wide > room
        mark.leftward = tight and left - 0.1 - wide >= 0
        mark.over = tight and not mark.leftward  # no room on either side: on its own bar
        beyond = max(right, left + 0.03 + wide) if mark.over else right + 0.01 + wide
        low, high = (left - 0.1 - wide, right + 0.09) if mark.leftward else (left - 0.09, beyond + 0.09)
        for row, spans in enumerate(taken):
            if all(high <= a or low >= b for a, b in spans):
                mark.row = row
                spans.append((low, high))
                break
        else:
            mark.row = len(taken)
            taken.append([(low, high)])
    return len(taken)


def _draw_timeline(
    lanes: dict[str, int],
    marks: list[Mark],
    span: tuple[datetime, datetime],
    moment: datetime | None,
    unnamed: int,
    colours: Palette,
) -> Figure:
    pitch, gap = 0.19, 0.12
    legend = Legend(WIDTH - 0.4)
    for word, face in (
        ("severity 4–5", colours.vermillion),
        ("severity 3", colours.orange),
        ("lower or none", colours.surface),
    ):
        legend.add(word, marker_sample("o", face, colours.ink))
    for kind in lanes:
        legend.add(kind, marker_sample(kind_look(kind, colours)[0], colours.muted, colours.ink))
    if any(mark.open for mark in marks):
        legend.notes.append("A dashed bar: not resolved by the end of the picture.")
    if unnamed:
        legend.notes.append(f"{unnamed} of {len(marks)} records are drawn without their title, for want of room.")
    inside = sum(lanes.values()) * pitch + gap * len(lanes)
    foot, head = legend.height() + 0.5, 0.25
    height = inside + foot + head
    figure, sheet = blank_sheet(WIDTH, height, colours)
    axes = figure.add_axes((1.15 / WIDTH, foot / height, (WIDTH - 1.35) / WIDTH, inside / height), facecolor="none")
    axes.set_ylim(inside, 0)
    top = 0.0
    for number, (kind, rows) in enumerate(lanes.items()):
        deep = rows * pitch + gap
        if number % 2 == 0:
            axes.axhspan(top, top + deep, color=colours.panel, linewidth=0, zorder=0)
        count = sum(m.kind == kind for m in marks)
        sheet.text(
            1.05,
            foot + inside - top - deep / 2,
            f"{shorten(visible(kind), 12)} ({count})",
            ha="right",
            va="center_baseline",
            fontsize=8,
            color=colours.ink,
        )
        _draw_marks(
            axes,
            [m for m in marks if m.kind == kind],
            top + gap / 2 + pitch / 2,
            pitch,
            span,
            colours,
            ground=colours.surface if number % 2 else colours.panel,
        )
        top += deep
    time_axis(axes, *span, colours)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(span_text(*span), fontsize=7, color=colours.muted)
    if moment is not None:
        axes.axvline(in_days(moment), color=colours.ink, linewidth=1.4, zorder=3)
        axes.text(
            in_days(moment),
            -0.05,
            f"at {clock(moment, span[1] - span[0])}",
            fontsize=7,
            color=colours.ink,
            ha="center",
            va="bottom",
        )
    legend.draw(sheet, 0.2, legend.height(), colours)
    return figure


def _draw_marks(
    axes: Axes,
    marks: list[Mark],
    first: float,
    pitch: float,
    span: tuple[datetime, datetime],
    colours: Palette,
    ground: str,
) -> None:
    scale = (WIDTH - 1.35) / (in_days(span[1]) - in_days(span[0]))
    for mark in marks:
        x, y = in_days(mark.start), first + mark.row * pitch
        shape, colour, size = kind_look(mark.kind, colours)
        stop = in_days(mark.end) if mark.end else in_days(span[1]) if mark.open else x
        if stop > x:
            dashes = (0, (0.8, 0.4)) if mark.open else "-"
            axes.plot(
                [x, stop],
                [y, y],
                color=colour,
                linewidth=5,
                alpha=0.55,
                solid_capstyle="butt",
                linestyle=dashes,
                zorder=2,
            )
        grade = mark.severity or 0
        face = colours.vermillion if grade >= 4 else colours.orange if grade == 3 else colours.surface
        area = (34 + 7 * max(0, grade - 2)) * size
        axes.scatter([x], [y], s=area, marker=shape, facecolors=face, edgecolors=colours.ink, linewidths=0.8, zorder=5)
        if mark.label:
            where, side = (x - 0.1 / scale, "right") if mark.leftward else (stop + 0.1 / scale, "left")
            if mark.over:
                where = x + 0.12 / scale
            backing = {"facecolor": ground, "edgecolor": "none", "alpha": 0.85, "pad": 0.4}
            tone = colours.ink if grade >= 4 or mark.weight >= 6 else colours.muted
            axes.text(
                where, y, mark.label, fontsize=6.5, color=tone, ha=side, va="center_baseline", bbox=backing, zorder=4
            )


# --- series ---------------------------------------------------------------------------------------------------------

_PANELS = 24
_NAMED = 9  # series of one panel up to which each is named in it
_CROWD = 12  # records of other items beyond which they are ticks: more lines than that hide the series
_NARROW = 0.25  # share of the axis below which the window has an axis of its own
_SERIES = {"ts": True, "ci_code": True, "metric": True, "series": False, "value": True}


@styled
def series(
    frame: Any,
    *,
    history: Any = None,
    at: Any = None,
    window: Any = None,
    units: Mapping[str, str] | None = None,
    theme: str = "light",
) -> Figure:
    """Draw series as small multiples over one axis of time, with what happened drawn over every one.

    Where *window* would be a small part of the axis, or far from the other points, it has an axis of its own, and the
    other points, what is usual, stand beside it on theirs.

    Args:
        frame: A frame of ``metric_series_table`` (not wide): ts, ci_code, metric, value, and series if there is one.
        history: A frame of ``history_recent``. Records of the panel's own item stand out; events below severity 4 are
            ticks at its foot.
        at: The moment in question, drawn as a line.
        window: (start, end) of what was looked into: shaded, and always within the axis.
        units: What each metric is measured in, by its name.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, *window* is not a pair, or no such theme.
        BadTimeRange: *at* or an end of *window* is not a time.
    """
    colours = palette(theme)
    rows = rows_of(frame, _SERIES, "frame").filter(pl.col("ts").is_not_null())
    marks = [] if history is None else marks_of(history)
    moment, shaded = moment_of(at), window_of(window)
    if rows.is_empty():
        return nothing(EMPTY["series"], colours)
    ends = [rows["ts"].min(), rows["ts"].max(), moment, *(shaded or ())]
    times = [end for end in ends if isinstance(end, datetime)]
    span, usual = padded(min(times), max(times), 0.01), None
    if shaded is not None and shaded[1] - shaded[0] < (span[1] - span[0]) * _NARROW:
        first, last = (pick(*shaded, moment or shaded[0]) for pick in (min, max))
        span = padded(first, last, 0.01)
        others = rows.filter(~pl.col("ts").is_between(*span))["ts"]
        usual = None if others.is_empty() else padded(others.min(), others.max(), 0.01)  # type: ignore[arg-type]
    panels = rows.with_columns(pl.col("series").cast(pl.String).fill_null("")).sort("ci_code", "metric", "series", "ts")
    groups = panels.partition_by("ci_code", "metric", maintain_order=True)
    return _Series(groups, marks, moment, shaded, span, usual, units, colours).draw()


@dataclass
class _Series:
    """One picture of small multiples."""

    groups: list[pl.DataFrame]
    marks: list[Mark]
    at: datetime | None
    window: tuple[datetime, datetime] | None
    span: tuple[datetime, datetime]
    usual: tuple[datetime, datetime] | None
    units: Mapping[str, str] | None
    colours: Palette

    def draw(self) -> Figure:
        shown = self.groups[:_PANELS]
        columns = self.columns()
        lines = -(-len(shown) // columns)
        legend = self._legend(len(shown))
        panel, space = 1.35 if columns == 1 else 1.15, 0.4
        foot, head = legend.height() + 0.52, 0.06
        height = lines * (panel + space) + foot + head
        figure, sheet = blank_sheet(WIDTH, height, self.colours)
        left, gap = 0.62, 0.7
        wide = (WIDTH - left - 0.2 - gap * (columns - 1)) / columns
        for i, group in enumerate(shown):
            column, line = i // lines, i % lines
            x, y = left + column * (wide + gap), foot + (lines - 1 - line) * (panel + space)
            part = wide * 0.28 if self.usual else 0.0
            axes = figure.add_axes(
                ((x + part) / WIDTH, y / height, (wide - part) / WIDTH, panel / height), facecolor="none"
            )
            last = line == lines - 1 or i == len(shown) - 1
            self._panel(axes, group, last)
            if self.usual:
                box = (x / WIDTH, y / height, (part - 0.1) / WIDTH, panel / height)
                self._usual(figure.add_axes(box, facecolor="none", sharey=axes), group, last)
            unit = unit_of(self.units, group["metric"][0])
            title = f"{visible(group['ci_code'][0])} · {visible(group['metric'][0])}" + (f" ({unit})" if unit else "")
            sheet.text(
                x,
                y + panel + 0.2,
                shorten(title, wide / 8 / EM),
                fontsize=8,
                weight="bold",
                color=self.colours.ink,
                va="center_baseline",
            )
        legend.draw(sheet, 0.2, legend.height(), self.colours)
        return figure

    def columns(self) -> int:
        return 1 if len(self.groups) <= 3 else 2

    def named(self) -> int:
        """How many lines of a panel are named side by side."""
        return 3 if self.columns() > 1 else 6

    def _legend(self, shown: int) -> Legend:
        colours, legend = self.colours, Legend(WIDTH - 0.4)
        if self.at is not None:
            legend.add_line(f"at {clock(self.at, self.span[1] - self.span[0])}", colours.ink, "-", 1.4)
        if self.window is not None:
            legend.add("looked into", marker_sample("s", colours.panel, colours.faint, 70))
        for kind in sorted(
            {m.kind for m in self._inside()}, key=lambda k: (list(KINDS).index(k) if k in KINDS else 9, k)
        ):
            shape, colour, _ = kind_look(kind, colours)
            legend.add(kind, marker_sample(shape, colour, colours.ink))
        if self.usual:
            legend.notes.append(
                f"The narrow part on the left: what is usual, {span_text(*self.usual)}, on its own axis."
            )
        if self._inside():
            others = "ticks at the top: the many of others" if self._crowded() else "hollow and pale: of others"
            legend.notes.append(f"Filled markers: of this item; {others}. Ticks at the foot: events below severity 4.")
        if shown < len(self.groups):
            legend.notes.append(f"{shown} of {len(self.groups)} series are drawn.")
        return legend

    def _inside(self) -> list[Mark]:
        start, end = self.span
        return [m for m in self.marks if m.start <= end and (m.end or m.start) >= start]

    def _crowded(self) -> bool:
        return sum(not mark.minor for mark in self._inside()) > _CROWD

    def _usual(self, axes: Axes, group: pl.DataFrame, last: bool) -> None:
        """The part of a panel that shows the time to compare with."""
        assert self.usual is not None
        time_axis(axes, *self.usual, self.colours, labels=last, most=3)
        if last:
            axes.set_xlabel("usual", fontsize=7, color=self.colours.muted, labelpad=2)
        for number, line in enumerate(group.partition_by("series", maintain_order=True)):
            self._line(axes, line.filter(pl.col("ts").is_between(*self.usual)), number, named=False)
        self._dress(axes, group)

    def _panel(self, axes: Axes, group: pl.DataFrame, last: bool) -> None:

        colours = self.colours
        time_axis(axes, *self.span, colours, labels=last)
        if last:
            axes.set_xlabel(span_text(*self.span), fontsize=7, color=colours.muted, labelpad=2)
        if self.window is not None:
            axes.axvspan(in_days(self.window[0]), in_days(self.window[1]), color=colours.panel, linewidth=0, zorder=0)
        lines = group.partition_by("series", maintain_order=True)
        for number, line in enumerate(lines):
            here = line.filter(pl.col("ts").is_between(*self.span)) if self.usual else line
            self._line(axes, here, number, named=len(lines) > 1)
        self._dress(axes, group)
        if self.usual:
            axes.tick_params(axis="y", labelleft=False)
        if not group["value"].cast(pl.Float64).is_finite().any():
            axes.text(0.5, 0.5, "only gaps", transform=axes.transAxes, ha="center", color=colours.muted)
            axes.set_yticks([])
        if len(lines) > _NAMED:
            many = f"{len(lines)} series, too many to be named here"
            axes.text(0.01, 0.97, many, transform=axes.transAxes, va="top", fontsize=6.5, color=colours.ink, zorder=5)
        elif len(lines) > 1:
            axes.legend(
                fontsize=6.5,
                loc="upper left",
                ncols=self.named(),
                frameon=False,
                labelcolor=colours.ink,
                handlelength=1.6,
                borderaxespad=0.7,
            )
        self._overlay(axes, visible(group["ci_code"][0]))
        if self.at is not None:
            axes.axvline(in_days(self.at), color=colours.ink, linewidth=1.4, zorder=4)

    def _dress(self, axes: Axes, group: pl.DataFrame) -> None:
        values = group["value"].cast(pl.Float64)
        known = values.filter(values.is_finite()).to_numpy()
        if self.usual and len(known):
            low, high = float(known.min()), float(known.max())
            room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
            axes.set_ylim(low - room, high + room)  # both parts: neither may cut the other
        value_axis(axes, self.colours)
        lines = group["series"].n_unique()
        if len(known) and lines > 1:  # room for their names above them
            low, high = axes.get_ylim()
            names = -(-lines // self.named()) if lines <= _NAMED else 1
            axes.set_ylim(low, high + (high - low) * 0.12 * names)

    def _line(self, axes: Axes, line: pl.DataFrame, number: int, named: bool) -> None:
        x, y = with_gaps(line["ts"], line["value"].cast(pl.Float64))
        hues = self.colours.hues()
        style: dict[str, Any] = {
            "color": hues[number % 6],
            "linestyle": DASHES[number // 6 % len(DASHES)],
            "linewidth": 1.2,
            "zorder": 3,
        }
        name = shorten(visible(line["series"][0]), 24) or "–"
        axes.plot(*thinned(x, y), label=(name if not name.startswith("_") else f" {name}") if named else None, **style)
        # A point between two gaps has no line to be seen by.
        known = np.isfinite(y)
        alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
        if alone.any():
            axes.scatter(x[alone], y[alone], s=7, color=style["color"], linewidths=0, zorder=3)

    def _overlay(self, axes: Axes, code: str) -> None:
        colours, top, crowded = self.colours, axes.get_xaxis_transform(), self._crowded()
        ticks: dict[tuple[bool, str, bool], list[float]] = {}
        for mark in self._inside():
            own = mark.code == code
            if mark.minor or (crowded and not own):
                colour = colours.muted if mark.minor else kind_look(mark.kind, colours)[1]
                ticks.setdefault((mark.minor, colour, own), []).append(in_days(mark.start))
            else:
                self._mark(axes, mark, own)
        for (minor, colour, own), xs in sorted(ticks.items()):
            ends = (0.0, 0.07) if minor else (0.93, 1.0)
            axes.plot(  # one path for all, broken by NaN: a few bytes each
                np.repeat(xs, 3), np.tile([*ends, np.nan], len(xs)), transform=top, color=colour,
                linewidth=1.3 if own else 0.7, alpha=1 if own else 0.5,
            )  # fmt: skip

    def _mark(self, axes: Axes, mark: Mark, own: bool) -> None:
        colours, x = self.colours, in_days(mark.start)
        shape, colour, size = kind_look(mark.kind, colours)
        if mark.end is not None and mark.end > mark.start:
            axes.axvspan(x, in_days(mark.end), color=colour, alpha=0.2 if own else 0.1, linewidth=0, zorder=1)
        axes.axvline(
            x, color=colour, linewidth=1.1 if own else 0.7, linestyle=(0, (3, 2)), alpha=0.9 if own else 0.45, zorder=2
        )
        axes.scatter(
            [x], [1.0], s=30 * size, marker=shape, transform=axes.get_xaxis_transform(),
            facecolors=colour if own else colours.surface, edgecolors=colours.ink if own else colour, linewidths=0.7,
            clip_on=False, zorder=6,
        )  # fmt: skip


# --- movers ---------------------------------------------------------------------------------------------------------

_BARS = 30
_POWERS = 1000  # the longest bar to the shortest beyond which lengths are logarithms
_MOVERS = {
    "ci_code": True, "metric": True, "series": False, "score": True, "direction": False, "moved_at": False,
    "before": False, "worst": False,
}  # fmt: skip


@styled
def movers(frame: Any, *, units: Mapping[str, str] | None = None, theme: str = "light") -> Figure:
    """Draw which metrics moved most, and when each moved first.

    Args:
        frame: ci_code, metric, score (the further from usual the larger), direction (up, down), moved_at; series,
            before and worst (the usual value and the one furthest from it) where there are any.
        units: What each metric is measured in, by its name.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        BadParameter: a column is missing, or no such theme.
    """
    colours = palette(theme)
    rows = rows_of(frame, _MOVERS, "frame").filter(pl.col("score").cast(pl.Float64).is_finite())
    if rows.is_empty():
        return nothing(EMPTY["movers"], colours)
    size = pl.col("score").cast(pl.Float64).abs()
    rows = rows.with_columns(size.alias("size")).sort("size", "ci_code", "metric", descending=[True, False, False])
    shown = list(rows.head(_BARS).iter_rows(named=True))
    notes = [f"{len(shown)} of {rows.height} metrics are drawn."] if rows.height > len(shown) else []
    values = [_from_to(row, unit_of(units, row["metric"])) for row in shown]
    return _draw_movers(shown, values, notes, colours)


def _from_to(row: Mapping[str, Any], unit: str) -> str:
    """The usual value and the one furthest from it."""
    if row["before"] is None or row["worst"] is None:
        return ""
    return f"{amount(row['before'])} → {amount(row['worst'])} {shorten(unit, 12)}".rstrip()


def _draw_movers(shown: list[dict[str, Any]], values: list[str], notes: list[str], colours: Palette) -> Figure:
    told = max(width_of(text, 7.5) for text in values)
    pitch, width = 0.3, WIDTH if told else 9.0
    legend = Legend(width - 0.4, notes=notes)
    legend.add("rose above its usual", marker_sample("^", colours.vermillion, colours.ink))
    legend.add("fell below its usual", marker_sample("v", colours.blue, colours.ink))
    height = pitch * len(shown) + legend.height() + 0.45
    figure, axes = blank_sheet(width, height, colours)
    names = [shorten(_mover_name(row), 44) for row in shown]
    left = max(width_of(name, 7.5) for name in names) + 0.35
    times = [r["moved_at"] for r in shown if r["moved_at"] is not None]
    days = {t.date() for t in times}
    stamps = max(width_of(_moved_heading(days), 7.5), width_of("2026-03-02 10:00 first", 7.5) * 1.1) + 0.3
    room = width - left - 0.6 - stamps - (told + 0.35 if told else 0.0)
    share, scale = _bar_lengths([row["size"] for row in shown])
    style: dict[str, Any] = {"va": "center_baseline", "fontsize": 7.5}
    for x, side, text in (
        (left, "left", f"deviations from the usual{scale}"),
        (width - 0.2 - stamps, "right", "usual → furthest" if told else ""),
        (width - 0.2, "right", _moved_heading(days)),
    ):
        axes.text(x, height - 0.17, text, ha=side, color=colours.muted, **style)
    for i, (row, name) in enumerate(zip(shown, names, strict=True)):
        y = height - 0.3 - (i + 0.5) * pitch
        down = row["direction"] == "down"
        colour, arrow = (colours.blue, "v") if down else (colours.vermillion, "^")
        length = room * share[i]
        axes.text(left - 0.12, y, name, ha="right", va="center_baseline", fontsize=7.5, color=colours.ink)
        axes.barh([y], [length], left=left, height=pitch * 0.62, color=colour, linewidth=0, hatch=None)
        axes.scatter(
            [left + length + 0.13], [y], s=30, marker=arrow, facecolors=colour, edgecolors=colours.ink, linewidths=0.7
        )
        axes.text(
            left + length + 0.25,
            y,
            amount(row["size"], digits=3),
            va="center_baseline",
            fontsize=7.5,
            color=colours.ink,
        )
        axes.text(width - 0.2 - stamps, y, values[i], ha="right", color=colours.ink, **style)
        if row["moved_at"] is not None:
            stamp = f"{row['moved_at']:%H:%M:%S}" if len(days) == 1 else f"{row['moved_at']:%Y-%m-%d %H:%M}"
            first = " first" if row["moved_at"] == min(times) and len(times) > 1 else ""
            weight = "bold" if first else "normal"
            axes.text(
                width - 0.2,
                y,
                stamp + first,
                ha="right",
                va="center_baseline",
                fontsize=7.5,
                weight=weight,
                color=colours.ink,
            )
    legend.draw(axes, 0.2, legend.height(), colours)
    return figure


def _bar_lengths(sizes: list[float]) -> tuple[list[float], str]:
    """Each bar as a share of the longest, and what to say of the scale: logarithms where one would hide the others."""
    longest, least = sizes[0] or 1.0, min((size for size in sizes if size > 0), default=1.0)
    if longest / least <= _POWERS:
        return [size / longest for size in sizes], ""
    span = np.log(longest / least)
    return [float(0.05 + 0.95 * np.log(size / least) / span) if size > 0 else 0.0 for size in sizes], " (logarithmic)"


def _mover_name(row: Mapping[str, Any]) -> str:
    series = f" [{visible(row['series'])}]" if row["series"] else ""
    return f"{visible(row['ci_code'])} · {visible(row['metric'])}{series}"


def _moved_heading(days: set[date]) -> str:
    if not days:
        return "when it moved is not known"
    return f"moved at, {min(days)} UTC" if len(days) == 1 else "moved at, UTC"


# --- whatever a tool returned ---------------------------------------------------------------------------------------

_PICTURES: dict[str, Callable[..., Any]] = {
    "cep_compare": comparison,
    "cep_explain": near_misses,
    "cep_inject": injected,
    "cep_simulate": replay_timeline,
    "cep_sweep": sweep_map,
    "ci_aggregate": ci_groups,
    "graph_expand": topology,
    "graph_path": paths,
    "history_recent": timeline,
    "metric_aggregate": metric_groups,
    "metric_series_table": series,
}


def draw(result: Any, **options: Any) -> Figure:
    """Draw what a tool returned in the picture that suits it, which its record of origin tells.

    Args:
        result: A frame or a graph as a tool returned it.
        options: Those of the picture, such as ``theme="dark"`` or ``focus=`` of a topology.

    Raises:
        BadParameter: *result* carries no record of a tool that has a picture, or the picture has no such option.
    """
    try:
        tool = provenance(result).tool
    except LookupError:
        raise BadParameter(
            "result", type(result).__name__, "does not say which tool returned it",
            f"Choose a picture yourself: {', '.join(sorted(name for name in EMPTY))}",
        ) from None  # fmt: skip
    picture = _PICTURES.get(str(tool))
    if picture is None:
        raise BadParameter(
            "result", tool, "is a tool whose answers have no picture", f"There are pictures of {', '.join(_PICTURES)}"
        )
    known = list(inspect.signature(picture).parameters)[1:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise BadParameter("options", unknown[0], f"is no option of {picture.__name__}", f"It has {', '.join(known)}")
    figure: Figure = picture(result, **options)
    return figure
