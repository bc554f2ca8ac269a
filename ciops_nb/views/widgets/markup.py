"""HTML for widgets and their twins: escaped, without scripts, styled by a name that stands for a few declarations.

A live widget carries one style sheet and classes; a twin carries the declarations inline, since GitHub and mails drop
style sheets. Colours are those of the host, with our own where it has none. The root of every live widget has the class
``ciops-view``, and ``ciops-dense`` where words stand between fields and pictures: what is read is then smaller.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ciops_nb.views.report import Table
from ciops_nb.views.svg import THEMES, css_variables, visible
from ciops_nb.views.widgets.host import dark

__all__ = ["LIVE", "Markup", "style_sheet", "text"]

_EDGE = "1px solid var(--jp-border-color2, #8888)"
_MUTED = "color: var(--jp-ui-font-color2, inherit)"
_STYLES = {
    "body": "max-width: 100%; line-height: 1.45; overflow-wrap: anywhere",
    "headline": "margin: 4px 0 8px; font-size: 1.15em; font-weight: 600; line-height: 1.35",
    "group": "margin: 10px 0 2px; font-weight: 600",
    "list": "margin: 0; padding-left: 1.4em",
    "said": "margin: 2px 0",
    "line": "margin: 4px 0",
    "state": "font-weight: 600; overflow-wrap: anywhere",
    "quiet": f"margin: 4px 0; font-size: 0.9em; {_MUTED}",
    "evidence": f"font-size: 0.85em; white-space: nowrap; {_MUTED}",
    "alarm": "margin: 4px 0; padding: 6px 10px; border-left: 4px solid var(--jp-error-color1, #a83f00); "
    "background: var(--jp-layout-color2, transparent); overflow-wrap: anywhere",
    "notice": "margin: 4px 0; padding: 6px 10px; border-left: 4px solid var(--jp-warn-color0, #e69f00); "
    "background: var(--jp-layout-color2, transparent); overflow-wrap: anywhere",
    "scroll": "max-width: 100%; overflow-x: auto",
    "table": "border-collapse: collapse; margin: 4px 0; font-size: 0.92em",
    "caption": "caption-side: top; text-align: left; padding: 2px 0; white-space: nowrap",
    "head": f"padding: 3px 10px 3px 0; text-align: left; font-weight: 600; border-bottom: {_EDGE}; white-space: nowrap",
    "head-number": f"padding: 3px 10px 3px 0; text-align: right; font-weight: 600; border-bottom: {_EDGE}; "
    "white-space: nowrap",
    "cell": "padding: 2px 10px 2px 0; text-align: left; vertical-align: top; max-width: 60ch",
    "cell-short": "padding: 2px 10px 2px 0; text-align: left; vertical-align: top; white-space: nowrap",
    "cell-number": "padding: 2px 10px 2px 0; text-align: right; vertical-align: top; white-space: nowrap; "
    "font-variant-numeric: tabular-nums",
    "code": "margin: 4px 0; padding: 8px 10px; overflow-x: auto; white-space: pre; "
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px); "
    "background: var(--jp-layout-color2, transparent); color: inherit",
    "paper": "max-width: 100%; overflow-x: auto; background: #ffffff; color: #1b1f24",
    "picture": "max-width: 100%; overflow-x: auto",
    "bar": "width: 160px; vertical-align: middle; accent-color: var(--jp-brand-color1, #0072b2)",
}
# Of cells there are many: inline, they say what the host's own style for tables would get wrong.
_BRIEF = {
    "head": "text-align: left; white-space: nowrap", "head-number": "text-align: right; white-space: nowrap",
    "cell": "text-align: left", "cell-short": "text-align: left; white-space: nowrap",
    "cell-number": "text-align: right",
}  # fmt: skip


def text(value: object) -> str:
    """*value* as text in HTML, with nothing hidden in it."""
    return escape(visible(value, keep="\n"))


class Markup:
    """Makes elements whose look has a name.

    Args:
        inline: Put the declarations into each element; else a class, for a page that has ``style_sheet()``.
    """

    def __init__(self, *, inline: bool) -> None:
        self.inline = inline

    def open(self, tag: str, look: str, attributes: str = "") -> str:
        """The opening tag of an element; *attributes* are HTML."""
        style = _STYLES[look]
        # The prefix is of looks alone: what a widget calls its own boxes gets none of them by chance.
        how = f'style="{escape(_BRIEF.get(look, style))}"' if self.inline else f'class="ciops-look-{look}"'
        return f"<{tag} {how}{attributes}>"

    def of(self, tag: str, look: str, inside: str, attributes: str = "") -> str:
        """An element; *inside* and *attributes* are HTML."""
        return f"{self.open(tag, look, attributes)}{inside}</{tag}>"

    def said(self, tag: str, look: str, value: object) -> str:
        """An element with a text."""
        return self.of(tag, look, text(value))

    def heading(self, value: str) -> str:
        """A heading that no table of contents of a notebook picks up."""
        return self.of("div", "group", text(value), ' role="heading" aria-level="4"')

    def listed(self, items: Iterable[str]) -> str:
        """A list; the items are HTML."""
        return self.of("ul", "list", "".join(self.of("li", "said", item) for item in items))

    def table(self, table: Table, *, counted: bool = True) -> str:
        """A table of the report, with what it is called and, if *counted*, how much of it is shown."""
        scope = ' scope="row"'
        caption = f"<strong>{text(table.caption)}</strong>{text(f' · {table.said}') if counted else ''}"
        if table.record:
            facts = "".join(
                f"<tr>{self.of('th', 'head', text(fact.name), scope)}{self.of('td', 'cell', text(fact.text))}</tr>"
                for fact in table.record
            )
            inside = f"{self.of('caption', 'caption', caption)}<tbody>{facts}</tbody>"
        else:
            heads = "".join(
                self.of("th", "head-number" if kind == "number" else "head", text(name), ' scope="col"')
                for name, kind in table.columns
            )
            rows = "".join(
                f"<tr>{''.join(self.of('td', _cell(kind), text(value)) for value, kind in row)}</tr>"
                for row in table.rows
            )
            head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
            inside = f"{self.of('caption', 'caption', caption)}{head}<tbody>{rows}</tbody>"
        attributes = f' tabindex="0" role="region" aria-label="Table: {text(table.caption)}"'
        padded = ' cellpadding="4"' if self.inline else ""  # for hosts without a style for tables
        return self.of("div", "scroll", self.of("table", "table", inside, padded), attributes)

    def rows(self, caption: str, heads: Iterable[tuple[str, str]], rows: Iterable[Iterable[str]]) -> str:
        """A table of texts, all of them; *heads* are names and kinds (number, words)."""
        columns = list(heads)
        cells = [[(value, kind) for value, (_, kind) in zip(row, columns, strict=True)] for row in rows]
        return self.table(Table(caption, columns, cells, len(cells)), counted=False)


def _cell(kind: str) -> str:
    if kind == "number":
        return "cell-number"
    return "cell-short" if kind in ("time", "words short", "null") else "cell"


LIVE = Markup(inline=False)

_HOST = (
    "--surface: var(--jp-layout-color1, var(--vscode-editor-background, {surface})); "
    "--ink: var(--jp-content-font-color1, var(--vscode-editor-foreground, {ink}));"
)
_RULES = """
.ciops-view .ciops-form { margin-left: 2px }
.ciops-view .widget-html { min-width: 0; height: auto }
.ciops-view .widget-html-content { min-width: 0; max-width: 100%; line-height: 1.45 }
.ciops-view .ciops-look-picture svg, .ciops-view .ciops-look-paper svg { max-width: max(100%, 680px); height: auto }
.ciops-view .ciops-old svg { opacity: .45 }
.ciops-view .widget-tab > .lm-TabBar { height: auto; overflow: visible }
.ciops-view .widget-tab > .lm-TabBar .lm-TabBar-content { flex-wrap: wrap }
.ciops-view .widget-tab > .lm-TabBar .lm-TabBar-tab { flex: 0 0 auto; min-width: 0; max-width: none;
  color: var(--jp-ui-font-color1, inherit) }
.ciops-view tbody tr:hover { background: var(--jp-layout-color2, #8881) }
.ciops-view [tabindex="0"]:focus-visible { outline: 2px solid var(--jp-brand-color1, #0072b2); outline-offset: 1px }
.ciops-dense .widget-html { margin: 0 }
.ciops-dense .widget-html > .widget-html-content { color: var(--ink);
  font: 13px/1.45 var(--jp-content-font-family, var(--vscode-font-family, sans-serif)) }
.ciops-dense svg { width: 100%; height: auto; display: block }
.ciops-dense :is(.ciops-look-line, .ciops-look-quiet, .ciops-look-alarm) { margin: 0 0 2px; font-size: inherit }
.ciops-dense .ciops-look-quiet { color: var(--muted) }
.ciops-dense .ciops-look-alarm { padding: 0; border: none; background: none; color: var(--alarm) }
.ciops-dense .ciops-look-alarm::before { content: "\\26A0\\FE0E  " }
.ciops-dense .ciops-look-code { margin: 0 0 6px; padding: 6px 8px; white-space: pre-wrap; border-radius: 3px;
  background: var(--panel); color: var(--ink);
  font: 12px/1.4 var(--jp-code-font-family, var(--vscode-editor-font-family, monospace)) }
.ciops-dense .ciops-look-table { margin: 0; font-size: 12px }
.ciops-dense .ciops-look-caption { padding: 0 0 2px; font-size: 13px }
.ciops-dense .ciops-look-caption strong { font-weight: inherit }
.ciops-dense :is(th, td)[class] { padding: 2px 10px 2px 0; border-bottom: 1px solid var(--faint);
  background: transparent; color: var(--ink) }
"""


def style_sheet() -> str:
    """What a live widget needs once on its page."""
    own = {theme: css_variables(theme) for theme in THEMES}
    light, night = (f"{own[name]} {_HOST.format(surface=one.surface, ink=one.ink)}" for name, one in THEMES.items())
    looks = "\n".join(f".ciops-view .ciops-look-{look} {{ {style} }}" for look, style in _STYLES.items())
    picture = ".ciops-view .ciops-look-picture"  # of a recipe: it looks as in the report
    return (
        f"<style>.ciops-view {{ {light} }} {dark('.ciops-view', night)}\n{looks}\n"
        f"{picture} {{ {own['light']} }} {dark(picture, own['dark'])}{_RULES}</style>"
    )
