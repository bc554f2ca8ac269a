"""From the text of an expression to its tree, with errors that name the expression and the place.

The library reads the grammar and the types. It tells no places: they are found in the text again, where what it
complains of is there just once. What it reads and Prometheus does not, or what is not evaluated here, is refused.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

from ciops_nb.cep.promql import tree
from ciops_nb.cep.promql.functions import FUNCTIONS
from ciops_nb.cep.promql.regex import PatternRefused, translated
from ciops_nb.errors import BadRule, did_you_mean
from ciops_nb.estate.times import micros, micros_of

__all__ = ["parse"]

AGGREGATIONS = frozenset(
    ("sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values", "group")
)
_LONGEST = 100_000
_MOST_SIGNS = 500  # operators and brackets: the library's own stack ends at some thousand
_DEEPEST = 100
_OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
    |(?P<word>[A-Za-z_:][\w:]*)|(?P<number>\.?\d[\w.]*)|(?P<space>\s+)|(?P<sign>=~|!~|[=!<>]=|.)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_LONGEST_TIME = timedelta(days=365 * 1000)
_LATEST = 253_402_300_799  # the last second of the year 9999
_HINT = "Write it as Prometheus reads it"
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def parse(text: str, where: str = "promql") -> tree.Expr:
    """Read an expression.

    Args:
        text: What Prometheus would evaluate.
        where: Its place in the rules, for errors.

    Raises:
        BadRule: It cannot be read, or is not evaluated here; says what is wrong and, where known, at which place.
    """
    if not isinstance(text, str):
        raise BadRule(where, f"a {type(text).__name__} is not an expression", "Write it as text")
    return _Reader(text, where).read()


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._tokens = [
            (found.lastgroup, found.group(), found.start())
            for found in _TOKEN.finditer(text[: _LONGEST + 1])
            if found.lastgroup not in ("space", "comment")
        ]

    def read(self) -> tree.Expr:
        self._check_size()
        self._check_numbers()
        from promql_parser import parse as read

        try:
            root = self._node(read(self._text), 1)
        except BadRule:
            raise
        except ValueError as error:
            raise self._unread(str(error)) from None
        except OverflowError:
            raise self._refuse("has a time that is too long or too late", "Use one of less than 1000 years") from None
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # what a fault inside the library becomes; no Exception
                raise
            raise self._refuse("cannot be read", "Write it in a simpler way") from None
        inner = tree.stripped(root)
        if isinstance(inner, tree.Range | tree.Subquery):
            raise self._refuse("is a range of samples, not one value", "Aggregate it, such as avg_over_time(...)")
        if isinstance(inner, tree.Text):
            raise self._refuse("is a text and not a number", "Give an expression on metrics")
        return tree.Expr(self._text, self._where, root, "scalar" if tree.scalar(root) else "vector")

    # ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, problem: str, hint: str = "", at: int | None = None) -> BadRule:
        shown = " ".join(self._text.split())
        shown = repr(shown if len(shown) <= 300 else f"{shown[:297]}...")
        return BadRule(f"{self._where} {shown}{'' if at is None else self._place(at)}", problem, hint)

    def _place(self, at: int) -> str:
        line = self._text.count("\n", 0, at) + 1
        return f", line {line}, column {at - self._text.rfind(chr(10), 0, at)}"

    def _word(self, name: str, *, called: bool = False) -> int | None:
        """Where *name* stands, if it is there just once."""
        found = [
            at
            for number, (_, text, at) in enumerate(self._tokens)
            if text == name and (not called or self._follows(number))
        ]
        return found[0] if len(found) == 1 or (called and found) else None

    def _follows(self, number: int) -> bool:
        after = self._tokens[number + 1 : number + 2]
        return bool(after) and (after[0][1] == "(" or after[0][1] in ("by", "without"))

    def _unread(self, problem: str) -> BadRule:
        unknown = re.fullmatch(r"unknown function with name '(.*)'", problem, re.DOTALL)
        if unknown:
            return self._not_ours(unknown[1])
        quoted = re.findall(r"'([^']*)'", problem)
        places = [place for name in quoted if (place := self._word(name)) is not None]
        if problem == "invalid promql query":
            problem = "is not an expression that Prometheus reads"
        if problem == "unclosed left parenthesis":
            places = [self._unclosed()]
        if problem.startswith("illegal regex for "):
            problem = f"the pattern {problem[18:]!r} cannot be used"
        return self._refuse(problem, _HINT, places[0] if places else None)

    def _unclosed(self) -> int:
        open_: list[int] = []
        for _, text, at in self._tokens:
            if text == "(":
                open_.append(at)
            elif text == ")" and open_:
                open_.pop()
        return open_[-1] if open_ else 0

    def _not_ours(self, name: str) -> BadRule:
        from ciops_nb.estate.names import nearest

        near = nearest(name, [*FUNCTIONS, *AGGREGATIONS])
        hint = did_you_mean(near, "Say it with other functions")
        return self._refuse(f"the function {name!r} is not evaluated here", hint, self._word(name, called=True))

    # ── before the library ──────────────────────────────────────────────────────────────────────────────────────────

    def _check_size(self) -> None:
        if len(self._text) > _LONGEST:
            raise BadRule(self._where, f"is longer than {_LONGEST:,} characters", "Give a shorter expression")
        words = ("and", "or", "unless", "atan2")
        count = sum((kind == "sign" and text not in ",)]}") or text.lower() in words for kind, text, _ in self._tokens)
        if count > _MOST_SIGNS:
            raise self._refuse(f"has more than {_MOST_SIGNS} operators and brackets", "Split it into several rules")

    def _check_numbers(self) -> None:
        """Refuse what the library takes for infinite, or panics over."""
        of_time = ("@", "offset", "[", ":")
        before = ("", "")
        for kind, text, at in self._tokens:
            timely = before[1] in of_time or (before[1] in ("+", "-") and before[0] in of_time)
            value = _number(text) if kind in ("number", "word") else None
            if kind == "sign" and text == "-" and before[1] == "@":
                raise self._refuse("'@' before 1970 is not evaluated here", "Give a later moment", at)
            if value is not None and ((timely and not value <= _LATEST) or (kind == "number" and value == math.inf)):
                raise self._refuse(f"{text} is too large a number here", "Use a smaller one", at)
            before = (before[1], text)

    # ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _node(self, found: Any, depth: int) -> tree.Node:
        if depth > _DEEPEST:
            raise self._refuse(f"nests more than {_DEEPEST} levels", "Split it into several rules")
        build = getattr(self, f"_{type(found).__name__.lower()}", None)
        if build is None:
            raise self._refuse(f"a {type(found).__name__} is not evaluated here")
        node: tree.Node = build(found, depth + 1)
        return node

    def _parenexpr(self, found: Any, depth: int) -> tree.Node:
        return tree.Parens(self._node(found.expr, depth))

    def _numberliteral(self, found: Any, depth: int) -> tree.Node:
        return tree.Number(float(found.val))

    def _stringliteral(self, found: Any, depth: int) -> tree.Node:
        return tree.Text(found.val)

    def _unaryexpr(self, found: Any, depth: int) -> tree.Node:
        return tree.Negated(self._node(found.expr, depth))

    def _vectorselector(self, found: Any, depth: int) -> tree.Selector:
        if getattr(found.matchers, "or_matchers", None):
            raise self._refuse("'or' between matchers is not PromQL", "Use =~ with a|b", self._word("or"))
        matchers = [tree.Matcher(one.name, _OPS[str(one.op)], one.value) for one in found.matchers.matchers]  # type: ignore[arg-type]
        for one in matchers:
            if one.op in ("=~", "!~"):
                self._pattern(one.value)
        if found.name is not None:
            matchers.insert(0, tree.Matcher("__name__", "=", found.name))
        return tree.Selector(tuple(matchers), _micros(found.offset) or 0, _moment(found.at))

    def _pattern(self, pattern: str) -> None:
        try:
            translated(pattern)
        except PatternRefused as error:
            raise self._refuse(f"the pattern {pattern!r} cannot be used: {error}", "Write RE2 syntax") from None

    def _matrixselector(self, found: Any, depth: int) -> tree.Node:
        over = _micros(found.range)
        assert over
        return tree.Range(self._vectorselector(found.vector_selector, depth), over)

    def _subqueryexpr(self, found: Any, depth: int) -> tree.Node:
        over = _micros(found.range)
        assert over
        return tree.Subquery(
            self._node(found.expr, depth), over, _micros(found.step), _micros(found.offset) or 0, _moment(found.at)
        )

    def _aggregateexpr(self, found: Any, depth: int) -> tree.Node:
        op = str(found.op)
        if op not in AGGREGATIONS:
            raise self._not_ours(op)
        param = None if found.param is None else self._node(found.param, depth)
        if op == "count_values":
            name = tree.stripped(param) if param else None
            if not isinstance(name, tree.Text) or not _LABEL.fullmatch(name.value):
                raise self._refuse("count_values needs the name of a label", 'Write count_values("name", ...)')
        modifier = found.modifier
        labels = () if modifier is None else tuple(modifier.labels)
        without = modifier is not None and str(modifier.type).endswith("Without")
        return tree.Aggregate(op, self._node(found.expr, depth), param, labels, without)

    def _binaryexpr(self, found: Any, depth: int) -> tree.Node:
        modifier, matching, as_bool = found.modifier, tree.Matching(), False
        if modifier is not None:
            fill = getattr(modifier, "fill_values", None)
            if fill is not None and (fill.lhs, fill.rhs) != (None, None):
                raise self._refuse("'fill' is not evaluated here", "Use 'or' to give missing values", self._filled())
            as_bool = bool(modifier.return_bool)
            given = modifier.matching
            many = {"ManyToOne": "left", "OneToMany": "right"}.get(str(modifier.card).rpartition(".")[2])
            matching = tree.Matching(
                given is not None and str(given.type).endswith("Include"),
                () if given is None else tuple(given.labels),
                many,  # type: ignore[arg-type]
                tuple(modifier.group_labels or ()),
            )
        op = str(found.op)
        return tree.Binary(op, self._node(found.lhs, depth), self._node(found.rhs, depth), matching, as_bool)

    def _filled(self) -> int | None:
        places = [at for _, text, at in self._tokens if text in ("fill", "fill_left", "fill_right")]
        return places[0] if places else None

    def _call(self, found: Any, depth: int) -> tree.Node:
        name = found.func.name
        if name not in FUNCTIONS:
            raise self._not_ours(name)
        args = tuple(self._node(arg, depth) for arg in found.args)
        self._check_labels(name, args)
        return tree.Call(name, args)

    def _check_labels(self, name: str, args: tuple[tree.Node, ...]) -> None:
        texts = [inner.value for arg in args if isinstance(inner := tree.stripped(arg), tree.Text)]
        if name == "label_replace":
            self._pattern(texts[3])
        if name in ("label_replace", "label_join") and not _LABEL.fullmatch(texts[0]):
            raise self._refuse(f"{name}: {texts[0]!r} is not the name of a label", "Use letters, digits and _")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _micros(length: timedelta | None) -> int | None:
    if length is not None and abs(length) > _LONGEST_TIME:
        raise OverflowError
    return None if length is None else micros_of(length)


def _moment(given: Any) -> tree.At:
    if given is None:
        return None
    kind = str(given.type).rpartition(".")[2]
    if kind == "At":
        return micros(given.at)
    return "start" if kind == "Start" else "end"
