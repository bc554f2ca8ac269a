"""Text to plain values: YAML read safely and within limits, and the lines on which its values stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from ciops_nb.errors import BadRule

__all__ = ["DEEPEST", "Lines", "documents", "parsed", "text_of"]

DEEPEST = 50
_LONGEST = 1_000_000  # characters of YAML; ten thousand rules are well below
_MOST_NODES = 200_000  # after aliases are written out
_HINT = "Quote operators and texts with signs in them, such as op: '>'"
_MARKS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class Lines:
    """On which line of a text its values stand; of values that were never text nothing is known."""

    def __init__(self, root: yaml.Node | None = None) -> None:
        self._root = root

    def of(self, *path: str | int) -> int | None:
        """The line of the value at *path* (keys, and places counted from 0), or of the last part that is there."""
        node, line = self._root, None if self._root is None else self._root.start_mark.line + 1
        for part in path:
            found = _step(node, part)
            if found is None:
                break
            line, node = found
        return line

    def span(self, *path: str | int) -> tuple[int, int] | None:
        """From which character to which the value at *path* is written; None if there is none."""
        node = self._node(path)
        return None if node is None else (node.start_mark.index, node.end_mark.index)

    def before(self, *path: str | int) -> tuple[int, int, bool] | None:
        """Where the key of the value at *path* begins: its character, its column, and whether it is inside of {}."""
        *above, last = path
        mapping = self._node(above)
        if not isinstance(mapping, yaml.MappingNode):
            return None
        for key, _ in reversed(mapping.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(last):
                return key.start_mark.index, key.start_mark.column, bool(mapping.flow_style)
        return None

    def _node(self, path: Iterable[str | int]) -> yaml.Node | None:
        node = self._root
        for part in path:
            found = _step(node, part)
            if found is None:
                return None
            _, node = found
        return node


def _step(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        child = node.value[part]
        return child.start_mark.line + 1, child
    if isinstance(node, yaml.MappingNode):
        # The last one counts, as it does for the values: what a merge brings comes before what is written.
        for key, child in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return key.start_mark.line + 1, child
    return None


class _Texts(yaml.SafeLoader):
    """Leaves scalars as they were written: 0x10, yes and 1.0 are texts, and only what is empty is None."""


_Texts.yaml_implicit_resolvers = {
    first: kept
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (kept := [(tag, pattern) for tag, pattern in resolvers if tag in _MARKS])
}


def text_of(source: str | Path) -> tuple[str, str]:
    """Where a text of rules comes from, in words, and the text; a path is that of ``parsed``."""
    where, text = "rules", source
    if isinstance(source, Path) or ("\n" not in source and source.strip().endswith((".yaml", ".yml"))):
        where = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise BadRule(where, f"cannot be read: {error.strerror or error}", "Check the path") from None
        except ValueError:
            raise BadRule(where, "is not UTF-8 text", "Save it as UTF-8") from None
    assert isinstance(text, str)
    if len(text) > _LONGEST:
        raise BadRule(where, f"is longer than {_LONGEST:,} characters", "Give fewer rules at a time")
    return where, text


def parsed(source: str | Path, *, texts: bool = False) -> tuple[Any, Lines]:
    """The value of one YAML document, and its lines.

    Args:
        source: YAML text, or the path of a file (a Path, or a text that ends in .yaml or .yml).
        texts: Leave every scalar as it was written, as a text.

    Raises:
        BadRule: there is no such file, it is no YAML, or it is too much.
    """
    (one,) = _read(source, _Texts if texts else yaml.SafeLoader, several=False)
    return one


def documents(source: str | Path) -> list[Any]:
    """The values of all YAML documents in a text or file, as ``parsed``."""
    return [value for value, _ in _read(source, yaml.SafeLoader, several=True)]


def _read(source: str | Path, loaded_by: type[yaml.SafeLoader], *, several: bool) -> list[tuple[Any, Lines]]:
    where, text = text_of(source)
    try:
        loader = loaded_by(text)  # builds plain values only
    except yaml.YAMLError as error:
        raise BadRule(
            where, f"is not YAML: {str(error).splitlines()[0]}", "Remove the signs no YAML may hold"
        ) from None
    try:
        nodes = list(_nodes(loader)) if several else [loader.get_single_node()]
        found = []
        for node in nodes:
            if node is None:
                raise BadRule(where, "there is no rule", "Give a rule with 'when', or a list of rules")
            _check_node(node, where)
            found.append((loader.construct_document(node), Lines(node)))
        if not found:
            raise BadRule(where, "there is no rule", "Give a rule, or several with --- between them")
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else where
        raise BadRule(line, f"is not YAML: {error.problem or error.context}", _HINT) from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, BadRule):
            raise
        raise BadRule(where, f"is not YAML: {str(error).splitlines()[0]}", _HINT) from None
    except RecursionError:
        raise BadRule(where, "is nested too deeply", f"Nest less than {DEEPEST} levels") from None
    finally:
        loader.dispose()


def _nodes(loader: yaml.SafeLoader) -> Iterator[yaml.Node | None]:
    while loader.check_node():
        yield loader.get_node()


def _check_node(root: yaml.Node, where: str) -> None:
    """Refuse what is small as text and huge as data, what contains itself, and keys that are there twice."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = _MOST_NODES + 1  # what is met again while it is counted contains itself
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
        return sizes[id(node)]

    if size(root) > _MOST_NODES:
        raise BadRule(where, f"has more than {_MOST_NODES:,} values once its aliases are written out", "Use fewer")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for child in node.value:
        if isinstance(child, tuple):
            yield from child
        else:
            yield child


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise BadRule(f"line {key.start_mark.line + 1}", f"{key.value!r} is there twice", "Keep one of them")
            seen.add(key.value)
