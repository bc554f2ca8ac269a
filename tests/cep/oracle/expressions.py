"""Random PromQL on the metrics of ``data``.

The grammar keeps to what has one answer: sides that meet do so by labels of which one side has one series each,
choices among equal values are put together again, and what jumps (floor, ==, %) is asked of whole numbers or of values
moved off them, so that no last bit decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

__all__ = ["Expression", "comparison", "leaf_of", "vector"]

_WINDOWS = ("30s", "1m", "95s", "2m", "5m", "10m", "25m")
_OFFSETS = ("5s", "1m", "5m", "7m30s", "20m")
_OVER_TIME = ("avg", "min", "max", "sum", "count", "last", "stddev", "stdvar", "present")
_EXACT_OVER_TIME = ("min", "max", "count", "last", "present")
_MATCHERS = (
    'service="shop"',
    'service!="shop"',
    'service=~"sh.*|"',
    'zone=~".*[|].*"',
    'ci!~"srv-[02]"',
    'service=""',
    'ci=~".+"',
)
# The labels by which each kind of vector tells its series apart.
_LABELS = {
    "home": ("ci", "service", "zone"),
    "code": ("ci", "service", "zone", "code"),
    "pod": ("ci", "service", "zone", "pod"),
    "le": ("ci", "service", "zone", "le"),
    "job": ("ci", "job"),
    "ci": ("ci",),
    "none": (),
}
_METRICS = {
    "cpu": "home", "mem": "home", "queue": "home", "errs_total": "code", "pods": "pod", "up": "job", "lat_bucket": "le",
}  # fmt: skip
_WHOLE = ("queue", "pods", "up")


@dataclass(frozen=True)
class Expression:
    """An instant vector: its text, its *kind* (by which labels its series are told apart), whether its values are whole.

    *plain* says that it is a selector: only such has a timestamp of its own.
    """

    text: str
    kind: str
    whole: bool = False
    plain: bool = False

    def __str__(self) -> str:
        return self.text


def comparison(random: Random, inner: Expression, threshold: float) -> Expression:
    """What an alert asks: *inner* beyond *threshold*, which is none of its values."""
    return replace(
        inner, text=f"{_in(inner)} {random.choice(('>', '<', '>', '<', '>=', '!='))} {threshold!r}", plain=False
    )


def leaf_of(metric: str, like: Expression) -> Expression:
    """A recorded series, whose labels are those of what was recorded."""
    return replace(like, text=metric, plain=True)


def vector(random: Random, depth: int, leaves: tuple[Expression, ...] = ()) -> Expression:
    """A vector of *depth* at most; *leaves* are further series that it may ask for."""
    if depth <= 0:
        return _leaf(random, leaves)
    makers = _MAKERS if depth > 1 else _MAKERS[:4]
    return random.choice(makers)(random, depth - 1, leaves)


def _in(inner: Expression) -> str:
    return inner.text if inner.plain else f"({inner.text})"


def _moved(inner: Expression) -> str:
    """Whole numbers as they are, others away from whole numbers and each other."""
    return _in(inner) if inner.whole else f"({_in(inner)} * 1.00371 + 0.000371)"


def _leaf(random: Random, leaves: tuple[Expression, ...], metric: str | None = None) -> Expression:
    if leaves and metric is None and random.random() < 0.25:
        return random.choice(leaves)
    metric = metric or random.choice(("cpu", "cpu", "mem", "queue", "errs_total", "pods", "up"))
    return Expression(_selector(random, metric) + _offset(random), _METRICS[metric], metric in _WHOLE, True)


def _selector(random: Random, metric: str) -> str:
    return metric + (f"{{{random.choice(_MATCHERS)}}}" if random.random() < 0.2 else "")


def _offset(random: Random) -> str:
    return f" offset {random.choice(_OFFSETS)}" if random.random() < 0.2 else ""


# ── over time ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _over_time(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    """A function of a window of samples, or of what an expression would have been."""
    counter = random.random() < 0.4
    if random.random() < 0.25:
        inner = vector(random, min(depth, 1), leaves)
        # Moved by 7 s: no step of the subquery is on the edge of its window.
        window = (
            f"{_in(inner)}[{random.choice(('2m', '5m', '10m'))}:{random.choice(('15s', '30s', '1m', '45s'))}] offset 7s"
        )
    elif leaves and random.random() < 0.2:
        inner = random.choice(leaves)
        window = f"{inner.text}[{random.choice(_WINDOWS)}] offset 7s"
    else:
        metric = "errs_total" if counter else random.choice(tuple(_METRICS))
        inner = Expression("", _METRICS[metric], metric in _WHOLE)
        window = f"{_selector(random, metric)}[{random.choice(_WINDOWS)}]{_offset(random)}"
    return _of_window(random, window, inner)


def _of_window(random: Random, window: str, inner: Expression) -> Expression:
    name = random.choice(
        ("rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets", "more", "more", "more")
    )
    if name == "more":
        how = random.choice((*_OVER_TIME, "quantile", "predict", "absent"))
        if how == "quantile":
            return Expression(
                f"quantile_over_time({random.choice((0, 0.1, 0.5, 0.95, 1, 1.5, -1))}, {window})", inner.kind
            )
        if how == "predict":
            return Expression(f"predict_linear({window}, {random.choice((60, 600, -30))})", inner.kind)
        if how == "absent":
            return Expression(f"absent_over_time({window})", "none", True)
        whole = how in ("count", "present") or (inner.whole and how in _EXACT_OVER_TIME)
        return Expression(f"{how}_over_time({window})", inner.kind, whole)
    return Expression(
        f"{name}({window})", inner.kind, name in ("changes", "resets") or (name == "idelta" and inner.whole)
    )


# ── functions of values ─────────────────────────────────────────────────────────────────────────────────────────────


def _of_values(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    inner = vector(random, depth, leaves)
    name = random.choice(
        ("abs", "ceil", "floor", "round", "round to", "ln", "exp", "sqrt", "sgn", "clamp", "clamp_min", "clamp_max", "timestamp",
         "sort", "log2", "log10", "-", "scalar")
    )  # fmt: skip
    made = replace(inner, plain=False)
    if name in ("ceil", "floor", "round", "sgn"):
        return replace(made, text=f"{name}({_moved(inner)})", whole=True)
    if name == "round to":
        return replace(made, text=f"round({_moved(inner)}, {random.choice((5, 0.5, 10))})", whole=False)
    if name == "clamp":
        return replace(made, text=f"clamp({inner}, {random.choice((0, 1))}, {random.choice((2, 50, 0.5))})")
    if name in ("clamp_min", "clamp_max"):
        return replace(made, text=f"{name}({inner}, {random.choice((1, 50))})")
    if name == "timestamp":
        return replace(made, text=f"timestamp({inner})", whole=True)
    if name == "exp":
        return replace(made, text=f"exp({_in(inner)} / 100)", whole=False)
    if name == "-":
        return replace(made, text=f"-{_in(inner)}")
    if name == "scalar":
        return Expression(f"vector(scalar({inner}))", "none", inner.whole)
    return replace(made, text=f"{name}({inner})", whole=inner.whole and name in ("abs", "sort"))


def _labels(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    """New labels beside those that tell the series apart."""
    inner = vector(random, depth, leaves)
    if random.random() < 0.5:
        text = f'label_replace({inner}, "made", "{random.choice(("$1", "x-${1}y", "$2", "all"))}", "ci", "{random.choice(("srv-(.*)", "(.*)[02]", "none", ""))}")'
    else:
        text = f'label_join({inner}, "made", "{random.choice(("-", ""))}", "ci", "zone", "nothing")'
    return replace(inner, text=text, plain=False)


def _of_time(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    """Without series: of the clock, of numbers, and of what is not there."""
    del depth, leaves
    text = random.choice(
        (
            "vector(time() % 900)",
            "vector(time())",
            'absent(cpu{ci="srv-3"})',
            'absent(nothing{ci="srv-0", zone=~"x"})',
            "absent(sum(cpu))",
            "absent(queue)",
            'vector(scalar(up{ci="srv-0"}))',
            "vector(1) + minute()",
        )
    )
    return Expression(text, "none", True)


# ── put together ────────────────────────────────────────────────────────────────────────────────────────────────────


def _aggregated(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    inner = vector(random, depth, leaves)
    labels = _LABELS[inner.kind]
    # Each of these leaves the CI or nothing: so much is known of what comes out.
    kind = random.choice(("ci", "none")) if "ci" in labels else "none"
    grouped = "by (ci)" if kind == "ci" else random.choice(("", "by ()"))
    how = random.choice(
        (
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "stddev",
            "stdvar",
            "group",
            "quantile",
            "topk",
            "bottomk",
            "count_values",
            "without",
        )
    )
    if how == "quantile":
        return Expression(f"quantile {grouped} ({random.choice((0, 0.3, 0.9, 1))}, {inner})", kind)
    if how in ("topk", "bottomk"):
        # Which of equal values is chosen is open; how many and how much they are is not.
        outer = random.choice(("sum", "count", "min", "max"))
        return Expression(
            f"{outer} {grouped} ({how} {grouped} ({random.choice((1, 2, 5))}, {inner}))",
            kind,
            outer == "count" or (inner.whole and outer != "sum"),
        )
    if how == "count_values":
        counted = f'count_values {grouped} ("value", {inner})' if inner.whole else str(inner)
        return Expression(f"count {grouped} ({counted})", kind, True)
    if how == "without" and labels:
        # Nothing is left out that tells series apart, but for the last.
        return Expression(f"max without ({', '.join((*labels[1:], 'made'))}) ({inner})", "ci", inner.whole)
    how = "sum" if how == "without" else how
    return Expression(
        f"{how} {grouped} ({inner})", kind, how in ("count", "group") or (inner.whole and how in ("min", "max"))
    )


def _histogram(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    del depth, leaves
    window = random.choice(("1m", "5m", "10m"))
    inner, kind = random.choice(
        (
            (f"rate(lat_bucket[{window}])", "home"),
            (f"sum by (ci, le) (rate(lat_bucket[{window}]))", "ci"),
            (f"sum by (le) (increase(lat_bucket[{window}]))", "none"),
            ("lat_bucket", "home"),
            ('lat_bucket{le!="+Inf"}', "home"),
        )
    )
    return Expression(f"histogram_quantile({random.choice((0.5, 0.9, 0.99, 0, 1, 2))}, {inner})", kind)


def _joined(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    """Two vectors: arithmetic or comparison, one to one or many to one, or as sets."""
    left, right = vector(random, depth, leaves), vector(random, depth, leaves)
    if random.random() < 0.4:
        return _sets(random, left, right)
    # One series a CI is what may stand alone on a side.
    one = (
        Expression(f"{random.choice(('max', 'min', 'sum'))} by (ci) ({right})", "ci")
        if "ci" in _LABELS[right.kind]
        else right
    )
    op = random.choice(("+", "-", "*", "/", "^", ">", "<", ">= bool", "< bool"))
    below = _moved(one)
    if one.kind == "none" or "ci" not in _LABELS[left.kind]:
        alone = f"scalar(max({right}))"
        return replace(left, text=f"{_in(left)} {op} (1.00371 * {alone})", whole=False, plain=False)
    group = random.choice(("group_left ()", "group_left (nothing)"))
    if random.random() < 0.25:  # each CI has one series of these
        below, match = f"{random.choice(('cpu', 'mem'))}{_offset(random)}", "on (ci)"
        return replace(left, text=f"{_in(left)} {op} {match} group_left (zone) {below}", whole=False, plain=False)
    if random.random() < 0.2:
        group = group.replace("left", "right")
        return replace(left, text=f"{below} {op} on (ci) {group} {_in(left)}", whole=False, plain=False)
    ignored = [name for name in (*_LABELS[left.kind], "made") if name != "ci"]
    match = random.choice(("on (ci)", f"ignoring ({', '.join(ignored)})"))
    return replace(left, text=f"{_in(left)} {op} {match} {group} {below}", whole=False, plain=False)


def _sets(random: Random, left: Expression, right: Expression) -> Expression:
    op = random.choice(("and", "unless", "or"))
    some = replace(right, text=f"({_moved(right)} > 1.5)", plain=False)
    both = [name for name in _LABELS[left.kind] if name in _LABELS[right.kind]]
    match = random.choice(("", f"on ({', '.join(both)})", f"on ({', '.join(both[:1])})"))
    if op == "or":
        text = f"{_in(left)} or {some}"
        if left.kind != right.kind or "made" in text or "rec_" in text:
            return Expression(f"sum({text})", "none")  # what tells these series apart is not known
        return replace(left, text=text, whole=False, plain=False)
    return replace(left, text=f"{_in(left)} {op} {match} {some}", plain=False)


def _number(random: Random, depth: int, leaves: tuple[Expression, ...]) -> Expression:
    """A vector and a number."""
    inner = vector(random, depth, leaves)
    op = random.choice(("+", "-", "*", "/", "^", "%", "> bool", "<", ">=", "!=", "==", "atan2"))
    number = random.choice(("2", "0.5", "3", "-1.5", "1e2", "0x10", "Inf", "60"))
    if op in ("%", "==", "!="):
        number = random.choice(("2", "3", "1"))
    if op in ("%", "> bool", "<", ">=", "!=", "=="):
        return replace(inner, text=f"{_moved(inner)} {op} {number}", whole=inner.whole or op == "> bool", plain=False)
    if random.random() < 0.3 and op != "^":
        return replace(inner, text=f"{number} {op} {_in(inner)}", whole=False, plain=False)
    return replace(inner, text=f"{_in(inner)} {op} {number}", whole=False, plain=False)


_MAKERS: tuple[Callable[[Random, int, tuple[Expression, ...]], Expression], ...] = (
    _over_time, _over_time, _over_time, _of_time, _of_values, _of_values, _labels, _aggregated, _aggregated, _histogram,
    _joined, _joined, _number,
)  # fmt: skip
