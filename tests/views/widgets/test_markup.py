"""HTML of widgets: what has a look has it on the page, and nothing else has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ciops_nb.views.report import Table
from ciops_nb.views.widgets import markup
from ciops_nb.views.widgets.markup import LIVE, style_sheet

VIEWS = Path(markup.__file__).parents[1]
LOOKS = {look: re.findall('class="(.*?)"', LIVE.open("p", look))[0] for look in markup._STYLES}


def own_classes() -> set[str]:
    """The classes that widgets give to boxes of their own, and that their style sheets name."""
    modules = [path for path in VIEWS.glob("widgets/*.py") if path.name != "markup.py"]
    sources = [*modules, *VIEWS.glob("js/src/*.ts"), *VIEWS.glob("js/src/*.css")]
    return {name for path in sources for name in re.findall(r"\bciops-[\w-]+", path.read_text(encoding="utf-8"))}


def named_looks() -> Iterator[tuple[str, str]]:
    """The looks that modules of widgets ask for by name, each with its module."""
    for path in VIEWS.glob("widgets/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("of", "said"):
                for name in node.args[1:2]:
                    if isinstance(name, ast.Constant) and isinstance(name.value, str):
                        yield name.value, path.name


def test_no_look_is_that_of_a_box_of_a_widget() -> None:
    own = own_classes()

    assert {"ciops-form", "ciops-line", "ciops-said", "ciops-view", "ciops-x"} <= own
    assert set() == own & set(LOOKS.values())


def test_every_look_that_is_used_is_in_the_style_sheet() -> None:
    cells = [[("a", "time"), ("b", "words"), ("c", "words short"), ("1", "number"), ("–", "null")]]
    heads = [("at", "time"), ("what", "words"), ("who", "words short"), ("many", "number"), ("none", "words")]
    wide = Table("one row", heads * 9, [cells[0] * 9], 1)
    shown = [LIVE.heading("a"), LIVE.listed(["b"]), LIVE.table(Table("t", heads, cells, 1)), LIVE.table(wide)]
    sheet = style_sheet()
    assert wide.record
    used = {name for html in shown for name in re.findall('class="(.*?)"', html)}

    assert len(used) > 8
    assert [] == [name for name in sorted({*used, *LOOKS.values()}) if f".ciops-view .{name} {{" not in sheet]
    assert [] == [(look, module) for look, module in named_looks() if look not in LOOKS]
    assert set() == set(re.findall(r"ciops-look-[\w-]+", sheet)) - set(LOOKS.values())
