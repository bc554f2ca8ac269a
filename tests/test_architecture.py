"""The tree is the architecture: imports point one way, and each library has its place."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "ciops_nb"

# From each part to the parts it may import.
BELOW = {
    "errors": set(),
    "parameters": {"errors"},
    "kinds": set(),
    "sync": {"errors"},
    "estate": {"errors", "parameters"},
    "topology": {"errors", "estate"},
    "cep": {"errors", "estate", "topology"},
    "engines": {"errors", "estate"},
    "answers": {"errors", "estate"},
    "present": set(),
    "plugins": set(),
    "flights": set(),
    "ways": set(),
    "context": {"errors", "parameters", "sync", "flights", "ways", "estate", "engines"},
    "registry": {"errors", "sync", "plugins", "ways", "estate", "context"},
    "execution": {"errors", "sync", "flights", "present"},
    "tools": {"errors", "parameters", "sync", "ways", "estate", "engines", "topology", "cep", "context", "registry"},
    "source": {"errors", "sync", "engines", "ways", "context"},
    "session": {
        "errors",
        "parameters",
        "sync",
        "estate",
        "engines",
        "answers",
        "present",
        "context",
        "registry",
        "execution",
        "tools",
        "source",
        "ways",
    },
    "recipes": {
        "errors",
        "kinds",
        "parameters",
        "sync",
        "plugins",
        "estate",
        "answers",
        "present",
        "execution",
        "engines",
        "tools",
        "session",
    },
    "views": {
        "errors",
        "kinds",
        "parameters",
        "sync",
        "estate",
        "cep",
        "answers",
        "present",
        "execution",
        "registry",
        "tools",
        "session",
        "recipes",
    },
    "extension": {"sync", "answers", "context", "registry", "session", "tools", "recipes", "views"},
    "cli": {"errors", "estate", "recipes", "registry", "tools", "views"},
}
# The step up, made where it is needed and not when the module is loaded.
UPWARD = {("session", "recipes")}
LIBRARIES = {
    "matplotlib": {"views"},
    "ipywidgets": {"views"},
    "anywidget": {"views"},
    "jinja2": {"views"},
    "voila": {"views"},
    "duckdb": {"engines"},
    "networkx": {"tools", "topology", "context", "execution", "recipes", "views"},
    "promql_parser": {"cep"},
    "pydantic": {"cep"},
    "yaml": {"cep"},
    "sigma": {"cep"},
    "greenlet": {"sync"},
    "opentelemetry": {"execution"},
    "rich": {"cli"},
    "typer": {"cli"},
}


@functools.cache
def imports() -> tuple[tuple[str, str, str], ...]:
    """Each import as (file, part of ours that it is in, what is imported)."""
    return tuple(_imports())


def _imports() -> Iterator[tuple[str, str, str]]:
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        part = place.parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                # ``from ciops_nb import sync`` names a part in what it takes.
                names = (
                    [f"ciops_nb.{alias.name}" for alias in node.names] if node.module == "ciops_nb" else [node.module]
                )
            else:
                continue
            for name in names:
                yield str(place), part, name


def test_imports_point_one_way() -> None:
    wrong = []
    for file, part, name in imports():
        library, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if library == "ciops_nb" and other and other != part and (part, other) not in UPWARD:
            assert part in BELOW, f"{file}: give {part!r} its place in BELOW"
            if other not in BELOW[part]:
                wrong.append(f"{file} imports {name}")
    assert [] == wrong


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_in_its_place_only(library: str) -> None:
    found = {(part, file) for file, part, name in imports() if name.split(".")[0] == library}

    assert [] == sorted(file for part, file in found if part not in LIBRARIES[library])
