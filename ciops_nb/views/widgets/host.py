"""HTML inside of a notebook: escaped, and in the colours of the page that it is in, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped,unused-ignore]

from ciops_nb.views.svg import css_variables, visible

__all__ = ["code_block", "dark", "html", "is_plain", "note", "panel", "quoted", "style_sheet", "table"]

# JupyterLab and Voila say by an attribute whether they are dark, VS Code by classes, where light high contrast has both
# of its own. A page that says nothing is as the machine is set. What draws in JavaScript asks ``js/src/host.ts``.
_DARK = ('[data-jp-theme-light="false"]', ".vscode-dark", ".vscode-high-contrast:not(.vscode-high-contrast-light)")
_UNTOLD = ":root:not(:has([data-jp-theme-light], .vscode-light, .vscode-high-contrast-light))"
_HOST = (
    "--surface: var(--jp-layout-color1, var(--vscode-editor-background, {surface})); "
    "--ink: var(--jp-content-font-color1, var(--vscode-editor-foreground, {ink}));"
)
_RULES = """
.ciops-view { color: var(--ink); font: 13px/1.45 var(--jp-content-font-family, var(--vscode-font-family, sans-serif)); }
.ciops-view svg { width: 100%; height: auto; display: block; }
.ciops-view p { margin: 0 0 2px; }
.ciops-view ul { margin: 0 0 2px; padding-left: 20px; }
.ciops-view .quiet { color: var(--muted); }
.ciops-view .wrong { color: var(--alarm); }
.ciops-view .wrong::before { content: "\\26A0\\FE0E  "; }
.ciops-view .scroll { overflow-x: auto; }
.ciops-view pre { margin: 0 0 6px; padding: 6px 8px; overflow-x: auto; background: var(--panel); color: var(--ink);
  font: 12px/1.4 var(--jp-code-font-family, var(--vscode-editor-font-family, monospace)); border-radius: 3px; }
.ciops-view table { border-collapse: collapse; font-size: 12px; }
.ciops-view th, .ciops-view td { padding: 2px 10px 2px 0; text-align: left; border-bottom: 1px solid var(--faint);
  color: var(--ink); background: transparent; white-space: nowrap; }
.ciops-view td.number { text-align: right; font-variant-numeric: tabular-nums; }
.ciops-old svg { opacity: .45; }
"""


def dark(selector: str, declarations: str) -> str:
    """Rules that give what fits *selector* these *declarations* where the page is dark."""
    known = ", ".join(f"{page} {selector}" for page in _DARK)
    untold = f"@media (prefers-color-scheme: dark) {{ {_UNTOLD} {selector} {{ {declarations} }} }}"
    return f"{known} {{ {declarations} }} {untold}"


def style_sheet() -> str:
    """What every view of ours needs once on its page."""
    from ciops_nb.views.svg import THEMES

    light, night = (
        f"{css_variables(theme)} {_HOST.format(surface=THEMES[theme].surface, ink=THEMES[theme].ink)}"
        for theme in ("light", "dark")
    )
    return f"<style>.ciops-view {{ {light} }} {dark('.ciops-view', night)}{_RULES}</style>"


def html(body: str = "", **layout: Any) -> ipywidgets.HTML:
    """A place for HTML that is ours: *body* is escaped already."""
    return ipywidgets.HTML(panel(body), layout=ipywidgets.Layout(margin="0", **layout))


def panel(body: str, kind: str = "") -> str:
    """*body* with the colours of the host."""
    return f'<div class="ciops-view{" " + kind if kind else ""}">{body}</div>' if body else ""


def quoted(text: Any) -> str:
    """*text* as it may stand in HTML: nothing in it is markup, and nothing is hidden."""
    return escape(visible(text), quote=True)


def note(text: Any, kind: str = "quiet") -> str:
    """A line of text: quiet, wrong, or of no kind."""
    return f'<p class="{kind}">{quoted(text)}</p>' if text else ""


def code_block(text: str) -> str:
    """*text* to be copied: as it is, but for what would not be seen."""
    return f"<pre>{escape(visible(text, keep=chr(10)))}</pre>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Rows of text; the columns *numbers* are set to the right."""
    top = "".join(f"<th>{quoted(head)}</th>" for head in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{"number" if at in numbers else ""}">{quoted(cell)}</td>' for at, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def is_plain(text: str) -> bool:
    """Whether Python reads *text* between three quotes as it is, and a reader sees all of it."""
    return "\\" not in text and '"""' not in text and not text.endswith('"') and visible(text, keep="\n") == text
