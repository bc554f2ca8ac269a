"""From YAML, dicts or a file to rules, with errors that name the place, the near names and what to write instead.

A word that this release does not replay is refused by its name: ignoring it would give another rule's answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from ciops_nb.cep.conditions import KINDS, Condition
from ciops_nb.cep.fields import Piece
from ciops_nb.cep.model import Rule
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.names import nearest

__all__ = ["load"]

M = TypeVar("M", bound=Piece)

_LONGEST = 1_000_000  # characters of YAML; ten thousand rules are well below
_MOST_NODES = 200_000  # after aliases are written out
_DEEPEST = 50

_LATER = frozenset(
    (
        "absent", "active", "at_least", "baseline", "clear", "common_upstream", "count", "count_of", "data_as_of",
        "distinct", "end", "flapping", "inhibit", "near", "promql", "rule", "sequence", "share", "together", "type",
        "window",
    )
)  # fmt: skip
_NOW = "This release replays metric, ratio, all, any and not"


def load(path_or_text: Any, format: str = "yaml") -> list[Rule]:  # noqa: A002  the name the design gave it
    """Read rules.

    Args:
        path_or_text: YAML text, the path of a YAML file (a Path, or a text that ends in .yaml or .yml), a dict, a Rule,
            or a list of dicts and Rules.
        format: ``yaml``.

    Returns:
        The rules, each with an id.

    Raises:
        BadRule: the text cannot be read, or a rule cannot be meant or is not supported; it says where.
    """
    if format in ("prometheus", "sigma"):
        raise BadRule(f"format={format!r}", "is not supported yet", "Write the rule as YAML, format='yaml'")
    if format != "yaml":
        raise BadParameter("format", format, "is not a format of rules", "Use yaml")
    raw = _parsed(path_or_text) if isinstance(path_or_text, (str, Path)) else path_or_text
    if isinstance(raw, (Rule, Mapping)):
        raw = [raw]
    if not isinstance(raw, (list, tuple)):
        raise BadRule("rules", f"a {type(raw).__name__} is not a rule", "Give a rule with 'when', or a list of rules")
    if not raw:
        raise BadRule("rules", "there is no rule", "Give a rule with 'when', or a list of rules")
    rules = [_rule(part, number) for number, part in enumerate(raw, start=1)]
    _check_ids(rules)
    return rules


def _check_ids(rules: list[Rule]) -> None:
    places: dict[str | None, int] = {}
    for number, rule in enumerate(rules, start=1):
        if rule.id in places:
            raise BadRule(
                f"rule {number} {rule.id!r}, id", f"is the id of rule {places[rule.id]} too", "Give each its own"
            )
        places[rule.id] = number


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(source: str | Path) -> Any:
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
    try:
        loader = yaml.SafeLoader(text)  # builds plain values only
    except yaml.YAMLError as error:
        raise BadRule(
            where, f"is not YAML: {str(error).splitlines()[0]}", "Remove the signs no YAML may hold"
        ) from None
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadRule(where, "there is no rule", "Give a rule with 'when', or a list of rules")
        _check_node(node, where)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else where
        raise BadRule(line, f"is not YAML: {error.problem or error.context}", _YAML_HINT) from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, BadRule):
            raise
        raise BadRule(where, f"is not YAML: {str(error).splitlines()[0]}", _YAML_HINT) from None
    except RecursionError:
        raise BadRule(where, "is nested too deeply", f"Nest less than {_DEEPEST} levels") from None
    finally:
        loader.dispose()


_YAML_HINT = "Quote operators and texts with signs in them, such as op: '>'"


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


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rule(raw: Any, number: int) -> Rule:
    if isinstance(raw, Rule):
        return raw if raw.id is not None else raw.model_copy(update={"id": f"rule-{number}"})
    name = raw.get("id") if isinstance(raw, Mapping) else None
    place = f"rule {number} {name!r}" if isinstance(name, str) else f"rule {number}"
    if not isinstance(raw, Mapping):
        raise BadRule(place, f"a {type(raw).__name__} is not a rule", "Write a mapping with 'when'")
    _check_fields(raw, _fields(Rule), f"{place}, ")
    if "when" not in raw:
        raise BadRule(place, "has no 'when'", "Say under 'when' which condition has to hold")
    fields = dict(raw) if raw.get("id") is not None else {**raw, "id": f"rule-{number}"}
    return _piece(Rule, fields, place, ", ", 0)


def _fields(model: type[Piece]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _check_fields(raw: Mapping[Any, Any], known: tuple[str, ...], prefix: str) -> None:
    for name in raw:
        if not isinstance(name, str):
            raise BadRule(f"{prefix}{name!r}", "is not a name", "YAML reads on, off, yes and no as true or false")
        if name in known:
            continue
        if name in _LATER:
            raise BadRule(f"{prefix}{name}", f"{name!r} is not supported yet by this release", _NOW)
        near = [repr(other) for other in nearest(name, {*known, *_LATER})]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}"
        raise BadRule(f"{prefix}{name}", "there is no such field", hint)


def _piece(model: type[M], raw: Mapping[Any, Any], place: str, joint: str, depth: int) -> M:
    """*raw* as *model*, its own pieces first, so that an error names the innermost place."""
    _check_fields(raw, _fields(model), f"{place}{joint}")
    fields = dict(raw)
    for name, of in model.PARTS.items():
        if name in fields:
            fields[name] = _nested(of, fields[name], f"{place}{joint}{name}", depth)
    return _made(model, fields, place, joint)


def _nested(of: type[Piece] | list[type[Piece]], raw: Any, place: str, depth: int) -> Any:
    if isinstance(of, list):
        (each,) = of
        if not isinstance(raw, (list, tuple)) or not raw:
            raise BadRule(place, f"is not a list of {each.NOUN}s", "Write one a line, each with a - before it")
        return tuple(_read(each, part, f"{place}[{n}]", depth + 1) for n, part in enumerate(raw, start=1))
    # What is no mapping may be meant all the same, as a number beside a metric: the model knows.
    return _read(of, raw, place, depth + 1) if isinstance(raw, Mapping) or of is Condition else raw


def _read(of: type[Piece], raw: Any, place: str, depth: int) -> Piece:
    if depth > _DEEPEST:
        raise BadRule(place, "is nested too deeply", f"Nest less than {_DEEPEST} levels")
    if isinstance(raw, of):
        return raw
    if not isinstance(raw, Mapping):
        raise BadRule(place, f"a {type(raw).__name__} is not a {of.NOUN}", f"Write a mapping such as {of.SUCH_AS}")
    return _piece(_kind(raw, place) if of is Condition else of, raw, place, ".", depth)


def _kind(raw: Mapping[Any, Any], place: str) -> type[Condition]:
    kinds = [kind for kind in KINDS if kind in raw]
    if not kinds:
        known = dict.fromkeys(name for model in KINDS.values() for name in _fields(model))
        _check_fields(raw, tuple(known), f"{place}.")
        raise BadRule(place, "says no condition", f"Use one of {', '.join(KINDS)}")
    if len(kinds) > 1:
        raise BadRule(place, f"has both {kinds[0]!r} and {kinds[1]!r}", "Put them together under 'all' or 'any'")
    return KINDS[kinds[0]]


def _made(model: type[M], fields: dict[str, Any], place: str, joint: str) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as failed:
        error = failed.errors(include_url=False)[0]
        at = place
        if error["loc"]:
            field, *deeper = error["loc"]
            at = f"{place}{joint}{field}" + "".join(f"[{n + 1}]" for n in deeper if isinstance(n, int))
        raise BadRule(at, *_problem(error)) from None


def _problem(error: Any) -> tuple[str, str]:
    kind, shown = error["type"], repr(error["input"])
    shown = shown if len(shown) <= 100 else shown[:97] + "..."
    if kind == "missing":
        return "is missing", "Write it beside the others"
    if kind == "value_error":
        problem, _, hint = str(error["ctx"]["error"]).partition(". ")
        return problem, hint
    if kind == "literal_error":
        return f"{shown} is not a choice", f"Choose {error['ctx']['expected']}; quote operators in YAML"
    if kind.startswith("float"):
        return f"{shown} is not a number", "Write a number, or a mapping with 'metric' where another metric is meant"
    return f"{shown}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""
