"""An expression as a tree of plain values, whatever library read it. All lengths are microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ciops_nb.cep.promql.regex import translated
from ciops_nb.errors import BadRule

__all__ = [
    "Aggregate", "At", "Binary", "Call", "Expr", "Matcher", "Matching", "Negated", "Node", "Number", "Parens", "Range",
    "Selector", "Subquery", "Text", "parts", "scalar", "stripped", "walk",
]  # fmt: skip

At: TypeAlias = int | Literal["start", "end"] | None
"""The moment after ``@``."""


@dataclass(frozen=True)
class Matcher:
    """What is asked of one label; a label that a series does not have is empty."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def accepts(self, texts: list[str]) -> list[bool]:
        """For each of *texts* whether it is what is asked for."""
        if self.op in ("=", "!="):
            return [(text == self.value) == (self.op == "=") for text in texts]
        import polars as pl

        # Its engine takes time in proportion to the text; that of Python could go back and forth for ever.
        found = pl.Series(texts, dtype=pl.String).str.contains(translated(self.value)).to_list()
        return [hit == (self.op == "=~") for hit in found]


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class Text:
    value: str


@dataclass(frozen=True)
class Selector:
    """A vector selector; its name is a matcher of ``__name__``."""

    matchers: tuple[Matcher, ...]
    offset: int = 0
    at: At = None


@dataclass(frozen=True)
class Range:
    """A range selector; offset and ``@`` are those of the selector in it."""

    selector: Selector
    over: int


@dataclass(frozen=True)
class Subquery:
    inner: Node
    over: int
    step: int | None
    offset: int = 0
    at: At = None


@dataclass(frozen=True)
class Parens:
    """Kept, since ``absent((up))`` does not look into them for labels."""

    inner: Node


@dataclass(frozen=True)
class Negated:
    inner: Node


@dataclass(frozen=True)
class Matching:
    """How the series of two vectors find each other; *many* is the side of which several may meet one."""

    on: bool = False
    labels: tuple[str, ...] = ()
    many: Literal["left", "right"] | None = None
    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binary:
    op: str
    left: Node
    right: Node
    matching: Matching = Matching()
    as_bool: bool = False


@dataclass(frozen=True)
class Aggregate:
    op: str
    inner: Node
    param: Node | None = None
    labels: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True)
class Call:
    name: str
    args: tuple[Node, ...]


Node: TypeAlias = Number | Text | Selector | Range | Subquery | Parens | Negated | Binary | Aggregate | Call


@dataclass(frozen=True)
class Expr:
    """An expression that was read; *where* is its place in the rules, for errors."""

    text: str
    where: str
    root: Node
    kind: Literal["scalar", "vector"]

    def refuse(self, problem: str, hint: str = "") -> BadRule:
        shown = " ".join(self.text.split())
        return BadRule(f"{self.where} {shown!r}", problem, hint)


def stripped(node: Node) -> Node:
    """*node* without the parentheses around it."""
    while isinstance(node, Parens):
        node = node.inner
    return node


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes right below *node*."""
    if isinstance(node, Range):
        return (node.selector,)
    if isinstance(node, Subquery | Parens | Negated):
        return (node.inner,)
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Aggregate):
        return (node.inner,) if node.param is None else (node.param, node.inner)
    return node.args if isinstance(node, Call) else ()


def walk(node: Node) -> Iterator[Node]:
    yield node
    for inner in parts(node):
        yield from walk(inner)


def scalar(node: Node) -> bool:
    """Whether *node* is one number a tick and not a vector."""
    node = stripped(node)
    if isinstance(node, Number):
        return True
    if isinstance(node, Negated):
        return scalar(node.inner)
    if isinstance(node, Binary):
        return scalar(node.left) and scalar(node.right)
    return isinstance(node, Call) and node.name in ("time", "scalar", "pi")
