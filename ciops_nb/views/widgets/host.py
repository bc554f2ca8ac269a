"""The page that a widget is in: whether it is dark, to what is styled from Python."""

from __future__ import annotations

__all__ = ["dark"]

# JupyterLab and Voila say by an attribute whether they are dark, VS Code by classes, where light high contrast has both
# of its own. A page that says nothing is as the machine is set. What draws in JavaScript asks ``js/src/host.ts``.
_DARK = ('[data-jp-theme-light="false"]', ".vscode-dark", ".vscode-high-contrast:not(.vscode-high-contrast-light)")
_UNTOLD = ":root:not(:has([data-jp-theme-light], .vscode-light, .vscode-high-contrast-light))"


def dark(selector: str, declarations: str) -> str:
    """Rules that give what fits *selector* these *declarations* where the page is dark."""
    known = ", ".join(f"{page} {selector}" for page in _DARK)
    untold = f"@media (prefers-color-scheme: dark) {{ {_UNTOLD} {selector} {{ {declarations} }} }}"
    return f"{known} {{ {declarations} }} {untold}"
