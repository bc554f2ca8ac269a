"""What a recipe hands in: a headline, statements with their evidence, and sections to look at.

Plain values only. How they are drawn is for ``views``: a section names the picture that suits its body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Findings", "Picture", "Section", "Statement"]

Picture = Literal[
    "topology", "timeline", "series", "movers", "replay_timeline", "sweep_map", "comparison", "ci_groups",
    "metric_groups", "paths", "near_misses", "injected", "call_times",
]  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One sentence, and the ids of the calls whose answers it rests on."""

    text: str
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """One part of a report: a text, a frame or a graph, with the calls it rests on.

    *picture* names the drawing that goes with the body: ``topology`` (a graph), ``timeline`` (a frame of
    ``history_recent``), ``series`` (a frame of ``metric_series_table``), ``movers`` (a frame with ci_code,
    metric and score), ``replay_timeline`` (a frame of ``cep_simulate``), ``sweep_map`` (of ``cep_sweep``),
    ``comparison`` (of ``cep_compare``), ``ci_groups`` (of ``ci_aggregate``), ``metric_groups`` (of
    ``metric_aggregate``), ``paths`` (a graph of ``graph_path``), ``near_misses`` (of ``cep_explain``), ``injected``
    (of ``cep_inject``), ``call_times`` (of ``ops.trace.summary()``). *options* are handed to that drawing, such as
    ``{"focus": "app-erp-01"}``.
    """

    title: str
    body: Any
    calls: tuple[str, ...] = ()
    text: str = ""
    picture: Picture | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """The outcome of a recipe."""

    headline: Statement
    statements: tuple[Statement, ...] = ()
    sections: tuple[Section, ...] = ()
    ruled_out: tuple[Statement, ...] = ()
    unknown: tuple[Statement, ...] = ()
    next_steps: tuple[Statement, ...] = ()

    def all_statements(self) -> Iterator[Statement]:
        """Every statement, in reading order."""
        yield self.headline
        yield from self.statements
        yield from self.ruled_out
        yield from self.unknown
        yield from self.next_steps

    def groups(self) -> Iterator[tuple[str, tuple[Statement, ...]]]:
        """The statements under the headline, with what to call them; those that there are."""
        for title, group in (
            ("Found", self.statements),
            ("Ruled out", self.ruled_out),
            ("Not known", self.unknown),
            ("Next", self.next_steps),
        ):
            if group:
                yield title, group

    def __str__(self) -> str:
        lines = [self.headline.text]
        for title, group in self.groups():
            lines += ["", f"{title}:", *(f"  - {statement.text}" for statement in group)]
        return "\n".join(lines)
