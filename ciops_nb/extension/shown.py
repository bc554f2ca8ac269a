"""The line under answers, put there by IPython's own display formatter: whatever makes the rest of what is shown.

The rest is asked for first, of pandas, itables, or a formatter of the analyst's, registered before or after us; the
line is added to what came. What is no answer is shown as ever.
"""

from __future__ import annotations

import functools
from html import escape
from typing import Any

from traitlets import Bool
from traitlets.config import Configurable

from ciops_nb import answers
from ciops_nb.answers import Provenance, provenance
from ciops_nb.extension.answered import Answered, kind_of
from ciops_nb.extension.line import Line, graph_words, line_of
from ciops_nb.views.svg import visible

__all__ = ["CiopsLine"]

_PLAIN, _HTML = "text/plain", "text/html"


class CiopsLine(Configurable):
    """The provenance line under answers of tools: ``%config CiopsLine``."""

    shown = Bool(True, help="Whether answers carry the line.").tag(config=True)
    times = Bool(
        False, help="Whether it also tells how long the answer took and how old it is: what differs with each run."
    ).tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(parent=shell)
        self._shell, self._answered = shell, Answered()
        self._formatter = shell.display_formatter
        self._own = self._formatter.__dict__.get("format")
        self._format = self._formatter.format
        self._active = True

        @functools.wraps(self._format)
        def format(obj: Any, include: Any = None, exclude: Any = None) -> Any:  # noqa: A001  it stands for it
            made = self._format(obj, include=include, exclude=exclude)
            return self._with_line(obj, made, include, exclude) if self._active and self.shown else made

        self._wrapped = format
        self._formatter.format = format
        shell.configurables.append(self)
        answers.watch(self._answered.note)

    def unload(self) -> None:
        """Show all as before."""
        self._active = False  # in case somebody has wrapped what we wrapped
        answers.watch(None)
        self._shell.configurables[:] = [one for one in self._shell.configurables if one is not self]
        if self._formatter.__dict__.get("format") is self._wrapped:
            if self._own is None:
                del self._formatter.format
            else:
                self._formatter.format = self._own

    def _with_line(self, obj: Any, made: Any, include: Any, exclude: Any) -> Any:
        try:
            record = _record_of(obj)
            if record is None:
                return made
            same = self._answered.compare(obj, record)
            what = "nodes" if kind_of(obj) == "graph" else "rows"
            line = line_of(record, what=what, same=same, times=self.times)
            data, about = made
            wanted = {kind for kind in (_PLAIN, _HTML) if self._wants(kind, include, exclude)}
            added = (
                _graph_with(obj, graph_words(obj, same=same), line, data)
                if kind_of(obj) == "graph"
                else _frame_with(line, data)
            )
            return {**data, **{kind: text for kind, text in added.items() if kind in data or kind in wanted}}, about
        except Exception:  # noqa: BLE001  what is shown must not fail because of what is added to it
            return made

    def _wants(self, kind: str, include: Any, exclude: Any) -> bool:
        enabled = bool(self._formatter.formatters[kind].enabled)
        return enabled and (not include or kind in include) and (not exclude or kind not in exclude)


def _record_of(obj: Any) -> Provenance | None:
    if kind_of(obj) is None:
        return None
    try:
        record = provenance(obj)
    except LookupError:
        return None
    return record if set(answers.FIELDS) <= set(record) else None


def _frame_with(line: Line, data: dict[str, str]) -> dict[str, str]:
    """The line below what is shown of a frame; by itself where the frame has shown itself already."""
    added = {}
    if _PLAIN in data or not data:
        added[_PLAIN] = _below(data.get(_PLAIN), line.plain())
    if _HTML in data or not data:
        added[_HTML] = _below(data.get(_HTML), line.html())
    return added


def _graph_with(graph: Any, words: str, line: Line, data: dict[str, str]) -> dict[str, str]:
    """What a graph is, where nobody else shows it, and the line below."""
    name = type(graph).__name__
    plain, html = data.get(_PLAIN), data.get(_HTML)
    if plain is None or ("__repr__" not in vars(type(graph)) and plain.endswith(f" at {id(graph):#x}>")):
        plain = f"{name}: {visible(words)}"  # an address says nothing, and differs each time
    if html is None:
        html = f"<div>{escape(name)}: {escape(visible(words))}</div>"
    return {_PLAIN: _below(plain, line.plain()), _HTML: _below(html, line.html())}


def _below(shown: str | None, line: str) -> str:
    return f"{shown.rstrip()}\n{line}" if shown else line
