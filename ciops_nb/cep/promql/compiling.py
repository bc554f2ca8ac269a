"""From the tree of an expression to parts that can be asked for ticks, and to what they need of the past.

A rule is evaluated anew at each tick, so ``@ start()`` and ``@ end()`` are that tick; a query over a range has *span*.
A subquery is evaluated once, for all the ticks it is seen from, and is then samples like any others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np

from ciops_nb.cep.parts import COMPARED
from ciops_nb.cep.promql import tree
from ciops_nb.cep.promql.functions import DATES, MATH, clamped, greatest, least, rounded
from ciops_nb.cep.promql.grouping import Counted, Ranked, Reduced, keys
from ciops_nb.cep.promql.histograms import Quantile
from ciops_nb.cep.promql.labelling import joined, replaced
from ciops_nb.cep.promql.matching import ARITHMETIC, SETS, Both, Either, matched
from ciops_nb.cep.promql.parts import (
    NAME,
    Clock,
    Constant,
    Mapped,
    Merged,
    Part,
    Piecewise,
    Refuse,
    Sources,
    in_chunks,
    refusing,
    without,
)
from ciops_nb.cep.promql.selecting import Beneath, Instant, Windowed, fitting
from ciops_nb.cep.promql.windows import LEAST, WINDOWS
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels, Samples, Seen
from ciops_nb.estate.times import at_micros, format_time, micros_of

__all__ = ["Find", "Need", "compiled", "needs"]

Find: TypeAlias = Callable[[Sequence[tree.Matcher]], Sequence[Samples]]
Lookback: TypeAlias = Callable[[str], timedelta]
_MOST_TICKS = 20_000_000  # of a subquery
_MOST_CELLS = 500_000_000  # of a subquery, ticks times series


def compiled(
    expr: tree.Expr,
    find: Find,
    grid: Grid,
    lookback: Lookback,
    *,
    span: tuple[int, int] | None = None,
    named: bool = False,
) -> Part:
    """*expr* ready to be asked for ticks of *grid*.

    Args:
        expr: What ``parse`` read.
        find: Gets the samples of every metric whose name the matchers accept. It may give more, and need not look at
            the other matchers: what does not fit is left out here.
        grid: The ticks; its step is also that of a subquery that names none.
        lookback: How old a sample of a metric may be.
        span: What ``start()`` and ``end()`` are, in microseconds; without it the tick itself, as in a rule.
        named: Whether ``__name__`` stays among the labels where Prometheus keeps it. Without it, series that are the
            same but for their names are one, and an error where they are there at the same tick.

    Raises:
        BadRule: The expression fails at some tick (here or when the part is asked for it), or cannot be evaluated.
    """
    made = _Compiler(expr, find, lookback, grid, span)
    part = made.node(expr.root, grid, nested=False)
    if named:
        return part
    return Merged(part, [without(labels, (NAME,)) for labels in part.labels], refusing(expr, grid))


@dataclass(frozen=True)
class _Ranges:
    """What the windows of a range selector or a subquery are made of."""

    seens: list[Seen]
    pinned: bool
    beneath: Beneath | None = None


class _Compiler:
    def __init__(
        self, expr: tree.Expr, find: Find, lookback: Lookback, grid: Grid, span: tuple[int, int] | None
    ) -> None:
        self._expr, self._find, self._lookback, self._span = expr, find, lookback, span
        self._first, self._step = grid.start, grid.step
        self._chosen: dict[tuple[tree.Matcher, ...], list[Samples]] = {}
        self._seen: dict[Any, Seen] = {}
        self._widest = 0  # how many series the parts right below the one that is being made have

    def node(self, node: tree.Node, grid: Grid, *, nested: bool) -> Part:
        """*node* on *grid*; *nested* says that it stands in a subquery."""
        outside, self._widest = self._widest, 0
        part = self._node(tree.stripped(node), grid, nested)
        if self._widest > len(part.labels):
            part = Piecewise(part, self._widest)
        self._widest = max(outside, len(part.labels))
        return part

    def _node(self, node: tree.Node, grid: Grid, nested: bool) -> Part:
        if isinstance(node, tree.Number):
            return Constant(node.value)
        if isinstance(node, tree.Selector):
            return self._instant(node, grid, nested=nested)
        if isinstance(node, tree.Negated):
            return self._unnamed(Mapped(self.node(node.inner, grid, nested=nested), np.negative), grid)
        if isinstance(node, tree.Binary):
            return self._binary(node, grid, nested)
        if isinstance(node, tree.Aggregate):
            return self._aggregate(node, grid, nested)
        assert isinstance(node, tree.Call)
        return self._call(node, grid, nested)

    def _refuse(self, grid: Grid) -> Refuse:
        return refusing(self._expr, grid)

    def _unnamed(self, part: Part, grid: Grid) -> Part:
        self._widest = max(self._widest, len(part.labels))
        return Merged(part, [without(labels, (NAME,)) for labels in part.labels], self._refuse(grid))

    # ── selectors ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _samples(self, matchers: tuple[tree.Matcher, ...]) -> list[Samples]:
        if matchers not in self._chosen:
            found = [fitting(samples, matchers) for samples in self._find(matchers)]
            self._chosen[matchers] = sorted((one for one in found if one.labels), key=lambda one: one.metric)
        return self._chosen[matchers]

    def _see(self, samples: Samples, grid: Grid, over: int, offset: int) -> Seen:
        key = (id(samples), grid, over, offset)
        if key not in self._seen:
            self._seen[key] = Seen(samples, grid, over, offset, blind=self._span is None)
        return self._seen[key]

    def _check_known(self, offset: int, nested: bool) -> None:
        """A rule does not see what has not happened: the newest sample is exact, what is in ranges is refused."""
        if offset < 0 and nested and self._span is None:
            raise self._expr.refuse("a range that looks ahead is not evaluated in a rule", "Look back instead")

    def _pinned(self, at: tree.At, grid: Grid, nested: bool) -> Grid | None:
        """The one tick that ``@`` stands for, None for the tick itself."""
        if at is None:
            return None
        if isinstance(at, str):
            if self._span is None:
                if nested:
                    raise self._expr.refuse(
                        f"'@ {at}()' inside of a subquery is not evaluated here", "Put it behind the subquery"
                    )
                return None
            at = self._span[0] if at == "start" else self._span[1]
        if self._span is None and at > self._first:
            moment = format_time(at_micros(at))
            raise self._expr.refuse(
                f"'@' names {moment}, which had not come at the first tick", "Replay from then on, or later"
            )
        return Grid(at, grid.step, 1)

    def _instant(self, node: tree.Selector, grid: Grid, *, nested: bool, stamped: bool = False) -> Part:
        pinned = self._pinned(node.at, grid, nested)
        self._check_known(node.offset, nested)
        seens = [
            self._see(samples, pinned or grid, micros_of(self._lookback(samples.metric)), node.offset)
            for samples in self._samples(node.matchers)
        ]
        return Instant(seens, pinned=pinned is not None, stamped=stamped)

    def _ranges(self, node: tree.Node, grid: Grid, nested: bool) -> _Ranges:
        node = tree.stripped(node)
        if isinstance(node, tree.Range):
            pinned = self._pinned(node.selector.at, grid, nested)
            self._check_known(node.selector.offset, nested=True)
            seens = [
                self._see(samples.real, pinned or grid, node.over, node.selector.offset)
                for samples in self._samples(node.selector.matchers)
            ]
            return _Ranges(seens, pinned is not None)
        assert isinstance(node, tree.Subquery)
        pinned = self._pinned(node.at, grid, nested)
        self._check_known(node.offset, nested=True)
        seen_from = pinned or grid
        inner = self._subticks(node, seen_from)
        part = self.node(node.inner, inner, nested=True)
        samples = self._sampled(part, inner, node, seen_from)

        def beneath(series: Ints, moments: Ints) -> Sources:
            return part.sources(series, (moments - inner.start) // inner.step)

        # The points of a subquery lie on its ticks, where 2.42 and 3 differ: as in 2.42, the oldest one is seen.
        seens = [Seen(samples, seen_from, node.over, node.offset, closed=True)] if samples.labels else []
        return _Ranges(seens, pinned is not None, beneath)

    def _subticks(self, node: tree.Subquery, grid: Grid) -> Grid:
        """The multiples of the step of a subquery, as far as ticks see them."""
        step = node.step or self._step
        begin = -(-(grid.start - node.offset - node.over) // step) * step
        last = grid.start + (grid.count - 1) * grid.step - node.offset
        count = max(0, (last - begin) // step + 1)
        if count > _MOST_TICKS:
            raise self._expr.refuse(f"a subquery has {count:,} ticks", "Give it a longer step")
        return Grid(begin, step, count)

    def _sampled(self, part: Part, inner: Grid, node: tree.Subquery, grid: Grid) -> Samples:
        """What *part* gives at those ticks of *inner* that a tick of *grid* sees, as samples."""
        ticks = np.arange(inner.count, dtype=np.int64)
        moved = inner.moments(ticks) + node.offset
        ticks = ticks[grid.first_at(moved) < grid.first_at(moved + node.over + 1)]
        if len(ticks) * max(1, len(part.labels)) > _MOST_CELLS:
            raise self._expr.refuse(
                f"a subquery has {len(ticks):,} ticks of {len(part.labels):,} series", "Give it a longer step"
            )
        return _sampled(part, inner, ticks)

    # ── operators ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _binary(self, node: tree.Binary, grid: Grid, nested: bool) -> Part:
        left, right = (self.node(side, grid, nested=nested) for side in (node.left, node.right))
        op = node.op
        if op in SETS:
            if op == "or":
                return Either(left, right, node.matching)
            return Both(left, right, node.matching, inverted=op == "unless")
        left_scalar, right_scalar = tree.scalar(node.left), tree.scalar(node.right)
        if not left_scalar and not right_scalar:
            return matched(left, right, op, node.matching, self._expr, self._refuse(grid), as_bool=node.as_bool)
        if left_scalar and not right_scalar:
            return self._with_scalar(right, left, op, node.as_bool, grid, swapped=True)
        return self._with_scalar(left, right, op, node.as_bool, grid, swapped=False)

    def _with_scalar(self, part: Part, scalar: Part, op: str, as_bool: bool, grid: Grid, *, swapped: bool) -> Part:
        """A vector and a scalar, *swapped* if the scalar stands on the left."""
        function = ARITHMETIC.get(op) or COMPARED[op]

        def applied(value: Floats, other: Floats) -> Any:
            return function(other, value) if swapped else function(value, other)

        if op in ARITHMETIC:
            return self._unnamed(Mapped(part, applied, [scalar]), grid)
        if as_bool:
            return self._unnamed(Mapped(part, lambda *both: applied(*both).astype(np.float64), [scalar]), grid)
        return Mapped(part, lambda value, _: value, [scalar], keeps=applied)

    def _aggregate(self, node: tree.Aggregate, grid: Grid, nested: bool) -> Part:
        inner = self.node(node.inner, grid, nested=nested)
        param = None if node.param is None else tree.stripped(node.param)
        if node.op == "count_values":
            assert isinstance(param, tree.Text)
            return Counted(inner, param.value, node.labels, grid.count, self._expr.refuse, dropped=node.without)
        groups = keys(inner.labels, node.labels, dropped=node.without)
        given = None if param is None else self.node(param, grid, nested=nested)
        if node.op in ("topk", "bottomk"):
            assert given is not None
            return Ranked(inner, groups, node.op, given, self._refuse(grid))
        return Reduced(inner, groups, node.op, given)

    # ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _call(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        if node.name in WINDOWS:
            return self._windowed(node, grid, nested)
        special = getattr(self, f"_{node.name}", None)
        if special is not None:
            found: Part = special(node, grid, nested)
            return found
        if node.name in DATES and not node.args:
            return Mapped(Clock(grid), DATES[node.name])
        inner, *given = (self.node(arg, grid, nested=nested) for arg in node.args)
        return self._unnamed(Mapped(inner, (MATH | DATES)[node.name], given), grid)

    def _windowed(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        scalars = [self.node(arg, grid, nested=nested) for arg in node.args if tree.scalar(arg)]
        (ranged,) = (arg for arg in node.args if not tree.scalar(arg))
        ranges = self._ranges(ranged, grid, nested)
        found = Windowed(
            ranges.seens,
            WINDOWS[node.name],
            pinned=ranges.pinned,
            beneath=ranges.beneath,
            least=LEAST.get(node.name, 1),
            scalars=scalars,
            clock=grid.moments,
        )
        return found if node.name == "last_over_time" else self._unnamed(found, grid)

    def _time(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        return Clock(grid)

    def _pi(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        return Constant(float(np.pi))

    def _vector(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        return self.node(node.args[0], grid, nested=nested)

    def _scalar(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        return _Alone(self.node(node.args[0], grid, nested=nested))

    def _sort(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        return self.node(node.args[0], grid, nested=nested)

    _sort_desc = _sort

    def _timestamp(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner = tree.stripped(node.args[0])
        if isinstance(inner, tree.Selector):
            return self._unnamed(self._instant(inner, grid, nested=nested, stamped=True), grid)
        part = self.node(inner, grid, nested=nested)
        return self._unnamed(Mapped(part, lambda value, now: np.broadcast_to(now, value.shape), [Clock(grid)]), grid)

    def _round(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner, *given = (self.node(arg, grid, nested=nested) for arg in node.args)
        return self._unnamed(Mapped(inner, rounded, given or [Constant(1.0)]), grid)

    def _clamp(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner, *given = (self.node(arg, grid, nested=nested) for arg in node.args)
        return self._unnamed(Mapped(inner, clamped, given, keeps=lambda _, low, high: ~(high < low)), grid)

    def _clamp_min(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner, low = (self.node(arg, grid, nested=nested) for arg in node.args)
        return self._unnamed(Mapped(inner, greatest, [low]), grid)

    def _clamp_max(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner, high = (self.node(arg, grid, nested=nested) for arg in node.args)
        return self._unnamed(Mapped(inner, least, [high]), grid)

    def _histogram_quantile(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        share, inner = (self.node(arg, grid, nested=nested) for arg in node.args)
        return Quantile(inner, share)

    def _label_replace(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner = self.node(node.args[0], grid, nested=nested)
        return self._relabelled(inner, replaced(inner.labels, *_texts(node)), "label_replace", grid)

    def _label_join(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        inner = self.node(node.args[0], grid, nested=nested)
        target, separator, *names = _texts(node)
        return self._relabelled(inner, joined(inner.labels, target, separator, names), "label_join", grid)

    def _relabelled(self, part: Part, labels: list[Labels], name: str, grid: Grid) -> Part:
        return Merged(part, labels, self._refuse(grid), f"{name} gives two series the same labels")

    def _absent(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        return _Absent(self.node(node.args[0], grid, nested=nested), _asked(node.args[0]))

    def _absent_over_time(self, node: tree.Call, grid: Grid, nested: bool) -> Part:
        ranges = self._ranges(node.args[0], grid, nested)
        part = Windowed(ranges.seens, WINDOWS["present_over_time"], pinned=ranges.pinned, clock=grid.moments)
        return _Absent(part, _asked(node.args[0]))


def _texts(node: tree.Call) -> list[str]:
    return [text.value for arg in node.args if isinstance(text := tree.stripped(arg), tree.Text)]


def _asked(node: tree.Node) -> Labels:
    """The labels of what is absent: those that its selector fixes, each just once."""
    node = tree.stripped(node)
    selector = node.selector if isinstance(node, tree.Range) else node
    if not isinstance(selector, tree.Selector):
        return ()
    given = [one for one in selector.matchers if one.name != NAME]
    names = [one.name for one in given]
    fixed = [one for one in given if one.op == "=" and one.value and names.count(one.name) == 1]
    return tuple(sorted((one.name, one.value) for one in fixed))


def _sampled(part: Part, grid: Grid, ticks: Ints) -> Samples:
    """What *part* gives at *ticks*, as samples; their labels have the names that the part has."""
    rows, moments, values = [], [], []
    for some in in_chunks(len(part.labels), ticks):
        value, there = part.at(some)
        row, column = np.nonzero(there)
        rows.append(row)
        moments.append(grid.moments(some[column]))
        values.append(value[row, column])
    series = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    ts = np.concatenate(moments) if rows else np.zeros(0, dtype=np.int64)
    value = np.concatenate(values) if rows else np.zeros(0)
    order = np.argsort(series, kind="stable")  # chunks come in the order of time
    return Samples(
        "", tuple(part.labels), series[order], ts[order], value[order], np.zeros(len(series), dtype=np.bool_)
    )


class _Alone:
    """The value of a vector's only series, NaN if there are none or several."""

    labels: Sequence[Labels] = ((),)

    def __init__(self, inner: Part) -> None:
        self._inner = inner

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        alone = there.sum(axis=0) == 1
        with np.errstate(invalid="ignore"):  # of several, whose sum is not looked at
            found = np.where(there, value, 0.0).sum(axis=0)
        return np.where(alone, found, np.nan)[None, :], np.ones((1, len(ticks)), dtype=np.bool_)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return [[] for _ in series]


class _Absent:
    """One, while nothing is there."""

    def __init__(self, inner: Part, labels: Labels) -> None:
        self._inner = inner
        self.labels: Sequence[Labels] = (labels,)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        missing: Bools = ~np.any(self._inner.at(ticks)[1], axis=0, keepdims=True)
        return np.ones(missing.shape), missing

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return [[] for _ in series]


# ── what is needed ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Need:
    """What a selector reads: samples with start < ts <= end, in microseconds, of one metric or (None) of any."""

    metric: str | None
    start: int
    end: int


def needs(expr: tree.Expr, grid: Grid, lookback: Lookback, *, span: tuple[int, int] | None = None) -> list[Need]:
    """What has to be read for *expr* on *grid*: for each metric one stretch of time, None for a name not fixed.

    Args:
        expr, grid, lookback, span: As for ``compiled``. Where a name is not fixed, ``lookback("")`` is asked.
    """
    found: dict[str | None, tuple[int, int]] = {}

    def add(node: tree.Node, first: int, last: int) -> None:
        if isinstance(node, tree.Selector):
            metric = exact(node.matchers)
            over = micros_of(lookback(metric or ""))
            put(metric, *shifted(node, first, last, over))
        elif isinstance(node, tree.Range):
            put(exact(node.selector.matchers), *shifted(node.selector, first, last, node.over))
        elif isinstance(node, tree.Subquery):
            add(node.inner, *shifted(node, first, last, node.over))
        else:
            for inner in tree.parts(node):
                add(inner, first, last)

    def shifted(node: tree.Selector | tree.Subquery, first: int, last: int, over: int) -> tuple[int, int]:
        if isinstance(node.at, int):
            first = last = node.at
        elif node.at is not None and span is not None:
            first = last = span[0] if node.at == "start" else span[1]
        return first - node.offset - over, last - node.offset

    def put(metric: str | None, first: int, last: int) -> None:
        known = found.get(metric, (first, last))
        found[metric] = min(first, known[0]), max(last, known[1])

    add(expr.root, grid.start, grid.start + (grid.count - 1) * grid.step)
    return [Need(metric, *stretch) for metric, stretch in sorted(found.items(), key=lambda item: item[0] or "")]


def exact(matchers: Sequence[tree.Matcher]) -> str | None:
    """The one metric that *matchers* ask for by its name."""
    return next((one.value for one in matchers if one.name == NAME and one.op == "="), None)


def names(expr: tree.Expr) -> set[str] | None:
    """The metrics that *expr* reads, None if it asks for a name in other ways than as it is."""
    found = {exact(node.matchers) for node in tree.walk(expr.root) if isinstance(node, tree.Selector)}
    return None if None in found else {name for name in found if name is not None}
