"""Sequences of events: rows that meet one step after another, in the order of the rows, within one group.

Pure functions of arrays; what a step asks of a row, and how rows are put into groups, is decided elsewhere. Two engines
give the words their meaning, and where they differ ``start`` says which one is meant:

- ``latest``: EQL's ``sequence by … with maxspan``. Each step holds one partial sequence, that which began last: a newer
  one takes its place, and a row that meets the next step takes it along. A row is tried at the last step first, so it
  never follows itself. ``within`` includes its end.
- ``earliest``: MATCH_RECOGNIZE of SQL, as Apache Flink runs it. The first row that begins a match wins, each step then
  takes the first row that meets it (rows in between are passed over unless the pattern is strict), and ``after`` says
  where the search goes on. ``within`` excludes its end.

A row that meets ``until`` ends what is open before it is tried as a step. Where each step takes a fixed number of
rows, the work is a sort and some binary searches; steps of a variable number are searched in Python, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from ciops_nb.cep.samples import Bools, Ints, unique

__all__ = ["After", "Matches", "Order", "Pattern", "Step", "first_after_each", "match", "pairs"]

After: TypeAlias = Literal["skip_past_last", "skip_to_next", "skip_to_first", "skip_to_last"]
Order: TypeAlias = Literal["a_before_b", "b_before_a", "either"]

_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Step:
    """How many rows one step takes: from *least* up to *most* (None: any number), *greedy* ones rather more."""

    least: int = 1
    most: int | None = 1
    greedy: bool = True


@dataclass(frozen=True)
class Pattern:
    """What a sequence is, apart from what its steps ask of a row.

    Attributes:
        steps: The steps in their order.
        within: How many microseconds the last row may come after the first; None is any number.
        start: ``latest`` or ``earliest``, see above.
        after: Where the search goes on after a match, if *start* is ``earliest``: after its last row, at the row after
            its first, or at the first or last row of the step *after_step*.
        strict: Whether the rows of a match follow one another without any other row of the group in between.
    """

    steps: tuple[Step, ...]
    within: int | None = None
    start: Literal["latest", "earliest"] = "latest"
    after: After = "skip_past_last"
    after_step: int | None = None
    strict: bool = False

    @property
    def fixed(self) -> bool:
        """Whether each step takes a fixed number of rows."""
        return all(step.least == step.most for step in self.steps)

    def problem(self, forbidden: Sequence[int] = ()) -> str | None:
        """Why this cannot be meant, if *forbidden* are the steps after which rows are forbidden; None if it can."""
        if any(step.least < 0 or (step.most is not None and step.most < max(step.least, 1)) for step in self.steps):
            return "a step takes at least one row, and not fewer at most than at least"
        if all(step.least == 0 for step in self.steps):
            return "no step has to be there, so that nothing would match everywhere. Give one of them a least number"
        if self.within is not None and not 0 <= self.within <= _LAST:
            return "'within' is not a length of time"
        if self.within == 0 and self.start == "earliest":
            return "with 'start: earliest' the end of 'within' is not part of it: nothing is within 0s"
        if self.start == "latest" and not self.fixed:
            return (
                "with 'start: latest' each step takes a fixed number of rows. Use 'start: earliest', or the same number"
            )
        if self.start == "latest" and self.after != "skip_past_last":
            return "'after' says where 'start: earliest' goes on; 'start: latest' has no use for it"
        if any(not 0 <= step < len(self.steps) for step in forbidden):
            return "what is forbidden before the first step has no beginning. Put 'not' after a step"
        if len(self.steps) - 1 in forbidden and self.within is None:
            return "'not' after the last step needs 'within': when it can be said that nothing came"
        return self._nowhere_to_go_on()

    def _nowhere_to_go_on(self) -> str | None:
        if self.after in ("skip_past_last", "skip_to_next"):
            return None if self.after_step is None else f"'after: {self.after}' does not go on at a step"
        if self.after_step is None or not 0 <= self.after_step < len(self.steps):
            return f"'after: {self.after}' needs a step of the sequence to go on at"
        if self.steps[self.after_step].least == 0:
            return f"'after: {self.after}' needs a step that is always there"
        if all(step.least == 0 for step in self.steps[: self.after_step]):
            return f"'after: {self.after}' of the first step would find the same match for ever. Use a later step"
        return None


@dataclass(frozen=True)
class Matches:
    """The matches by their last row, then their first.

    Attributes:
        steps: How many steps the pattern has.
        rows: The numbers of the rows taken, match by match and step by step.
        offsets: Where in *rows* each step of each match begins; one more at the end.
        at: When it was known: the time of the last row, or the end of ``within`` if nothing was to come after it.
    """

    steps: int
    rows: Ints
    offsets: Ints
    at: Ints

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def counts(self) -> Ints:
        """How many rows each step of each match took: a matrix of matches by steps."""
        return np.diff(self.offsets).reshape(len(self), self.steps)

    @cached_property
    def first(self) -> Ints:
        """The first row of each match."""
        return self.rows[self.offsets[:-1].reshape(len(self), self.steps)[:, 0]]

    @cached_property
    def last(self) -> Ints:
        """The last row of each match."""
        return self.rows[self.offsets[self.steps :: self.steps] - 1]

    def of(self, number: int, step: int) -> list[int]:
        """The rows that a step of a match took."""
        place = number * self.steps + step
        found: list[int] = self.rows[self.offsets[place] : self.offsets[place + 1]].tolist()
        return found


def match(
    pattern: Pattern,
    ts: Ints,
    group: Ints,
    hits: Sequence[Bools],
    *,
    until: Bools | None = None,
    forbidden: Mapping[int, Bools] | None = None,
    end: int | None = None,
) -> Matches:
    """Find *pattern* in rows.

    A million rows take some tenths of a second where each step takes a fixed number of rows (``pattern.fixed``).
    Otherwise each row that can begin a match is followed on its own: some microseconds for each row that is taken or
    tried. With ``skip_to_next`` and a step that takes any number of rows, that is the square of how many come together.

    Args:
        pattern: What to find, with no ``problem``.
        ts: Microseconds, ascending; rows of equal time are in the order that they are to have.
        group: The number of each row's group; -1 takes part in nothing.
        hits: For each step, which rows meet it. A row may meet several.
        until: Which rows end all that is open in their group.
        forbidden: By the number of a step, which rows must not come between its last row and the first of the next
            step; after the last step, until ``within`` has passed.
        end: The time up to which the rows are complete, needed where rows are forbidden after the last step.

    Returns:
        What was found. After the last step, what is not known by *end* is left out.
    """
    forbidden = dict(forbidden or {})
    problem = pattern.problem(tuple(forbidden))
    if problem is not None:
        raise ValueError(problem)
    asked = [group, *hits, *forbidden.values(), *([] if until is None else [until])]
    if len(hits) != len(pattern.steps) or any(len(flags) != len(ts) for flags in asked):
        raise ValueError("each step needs one flag a row")
    if len(ts) and (ts[1:] < ts[:-1]).any():
        raise ValueError("rows have to be in the order of their time")
    silence = forbidden.pop(len(pattern.steps) - 1, None)
    if silence is not None and end is None:
        raise ValueError("rows forbidden after the last step need the end of the data")
    rows = _Rows(pattern, ts, group, hits, until, forbidden, silence)
    if not pattern.fixed:
        taken, sizes = _Search(pattern, rows, None if silence is None else end).run()
        return _by_last(len(pattern.steps), rows, taken, sizes, pattern, silent=silence is not None)
    taken = _latest(rows, pattern) if pattern.start == "latest" else _earliest(rows, pattern)
    first, last = taken[:, 0], taken[:, -1]
    kept = rows.in_time(first, last)
    if silence is not None:
        assert end is not None
        kept &= rows.stays_silent(first, last, end)
        if pattern.start == "latest":
            kept[:-1] &= ~rows.meets(first[:-1], last[:-1], last[1:])
    taken = taken[kept]
    if pattern.start == "earliest" and pattern.after != "skip_to_next":
        taken = taken[_apart(taken[:, 0], _goes_on(pattern, taken))]
    sizes = np.tile(np.array([step.least for step in pattern.steps], dtype=np.int64), (len(taken), 1))
    return _by_last(len(pattern.steps), rows, taken.ravel(), sizes, pattern, silent=silence is not None)


def _by_last(steps: int, rows: _Rows, taken: Ints, sizes: Ints, pattern: Pattern, *, silent: bool) -> Matches:
    """Matches of the places *taken*, of which each step of each match has *sizes*."""
    total = sizes.sum(axis=1)
    ends = np.cumsum(total)
    begins = ends - total
    first, last = rows.number[taken[begins]], rows.number[taken[ends - 1]]
    order = np.lexsort((first, last))
    total, sizes, first, last = total[order], sizes[order], first[order], last[order]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    shift = np.repeat(begins[order] - (np.cumsum(total) - total), total)
    flat = rows.number[taken[np.arange(len(taken)) + shift]]
    at = rows.all_ts[last] if not silent else rows.all_ts[first] + (pattern.within or 0)
    return Matches(steps, flat, offsets, at)


class _Rows:
    """The rows that count, by group and then in their order; what is said of them below is said of their places.

    Attributes:
        number: The number that each row had.
        begin: The place of the first row of what each row can belong to: its group since the last ``until``.
        stop: The place after the last row of it.
        hits: For each step, the places of the rows that meet it.
        forbidden: By the number of a step, how many rows that are forbidden after it come before each place.
    """

    def __init__(
        self,
        pattern: Pattern,
        ts: Ints,
        group: Ints,
        hits: Sequence[Bools],
        until: Bools | None,
        forbidden: Mapping[int, Bools],
        silence: Bools | None,
    ) -> None:
        counts = group >= 0
        if not pattern.strict:  # then every row of the group counts, because it may stand between others
            others = [flags for flags in (until, silence, *forbidden.values()) if flags is not None]
            counts &= np.logical_or.reduce([*hits, *others])
        kept = np.flatnonzero(counts)
        own = group[kept]
        narrow = own.astype(np.uint16) if len(own) == 0 or own.max() < 2**16 else own  # sorted by radix
        order = np.argsort(narrow, kind="stable")
        own = own[order]
        self.number = kept[order]
        self.all_ts = ts
        self.ts = ts[self.number]
        self.within, self.closed = pattern.within, pattern.start == "latest"
        starts = np.ones(len(own), dtype=np.bool_)
        starts[1:] = own[1:] != own[:-1]
        self._group_stop = _stops(starts)
        if until is not None:
            starts |= until[self.number]
        self.begin = _begins(starts)
        self.stop = _stops(starts)
        self.hits = [np.flatnonzero(flags[self.number]) for flags in hits]
        self.forbidden = {step: _counted(flags[self.number]) for step, flags in forbidden.items()}
        self._silence = None if silence is None else np.flatnonzero(silence[self.number])

    def in_time(self, first: Ints, last: Ints) -> Bools:
        """Whether each of *last* comes at or after *first* and within the time."""
        if self.within is None:
            return np.ones(len(first), dtype=np.bool_)
        return self._soon_enough(self.ts[first], self.ts[last])

    def _soon_enough(self, first: Ints, last: Ints) -> Bools:
        assert self.within is not None
        apart = (last - first).view(np.uint64)  # right even where it is more than int64 holds
        found: Bools = apart <= np.uint64(self.within) if self.closed else apart < np.uint64(self.within)
        return found

    def undisturbed(self, step: int, left: Ints, right: Ints) -> Bools:
        """Whether no row that is forbidden after *step* is between *left* and *right*."""
        found: Bools = self.forbidden[step][right] == self.forbidden[step][left + 1]
        return found

    def meets(self, first: Ints, last: Ints, other: Ints) -> Bools:
        """Whether the place *other* is after *last*, of the same group and within the time from *first*."""
        there = other < self._group_stop[last]
        there[there] = self.in_time(first[there], other[there])
        return there

    def stays_silent(self, first: Ints, last: Ints, end: int) -> Bools:
        """Whether by *end* the time from *first* has passed, with no forbidden row and no ``until`` after *last*."""
        assert self._silence is not None
        next_one = np.append(self._silence, len(self.ts))[np.searchsorted(self._silence, last, "right")]
        passed = np.zeros(len(first), dtype=np.bool_)
        begun = self.ts[first] <= end
        passed[begun] = ~self._soon_enough(self.ts[first[begun]], np.full(int(begun.sum()), end))
        return passed & ~self.meets(first, last, next_one) & ~self.meets(first, last, self.stop[last])


def _begins(starts: Bools) -> Ints:
    """For each place, the last place up to it that is one of *starts*."""
    return np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0)) if len(starts) else np.empty(0, np.int64)


def _stops(starts: Bools) -> Ints:
    """For each place, the first place after it that is one of *starts*, or the end."""
    places = np.append(np.flatnonzero(starts), len(starts))
    return places[np.cumsum(starts)]


def _counted(flags: Bools) -> Ints:
    """How many are set before each place."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)])


# ── steps of a fixed number of rows ─────────────────────────────────────────────────────────────────────────────────


def _singles(pattern: Pattern) -> Iterator[tuple[int, int | None]]:
    """Each row of the pattern after the first: its step, and the step before if that ends here."""
    for number, step in enumerate(pattern.steps):
        for place in range(step.least):
            if number or place:
                yield number, number - 1 if place == 0 else None


def _latest(rows: _Rows, pattern: Pattern) -> Ints:
    """The places of each match (matches by rows of the pattern), not yet looked at whether they are in time.

    A partial sequence that is out of time needs no taking away, as in EQL's engine: those that wait at later steps
    began earlier, so that it can only take the place of one which is out of time as well.
    """
    waiting = rows.hits[0]
    links: list[tuple[Ints, Ints]] = [(np.arange(len(waiting)), waiting)]
    for step, ended in _singles(pattern):
        here = rows.hits[step]
        newest = np.searchsorted(waiting, here, "left") - 1
        before = waiting[newest] if len(waiting) else np.full(len(here), -1)
        taken = np.concatenate([np.full(1, -1), here])[: len(here)]  # the row before took along what waited for it
        good = (newest >= 0) & (before >= rows.begin[here]) & (before >= taken)
        links.append(_linked(rows, pattern, ended, good, newest, before, here))
        waiting = links[-1][1]
    return _unrolled(links)


def _earliest(rows: _Rows, pattern: Pattern) -> Ints:
    """The places of the match that begins at each row, not yet looked at whether they are in time."""
    links: list[tuple[Ints, Ints]] = [(np.arange(len(rows.hits[0])), rows.hits[0])]
    for step, ended in _singles(pattern):
        before = links[-1][1]
        here = np.append(rows.hits[step], len(rows.ts))[np.searchsorted(rows.hits[step], before, "right")]
        good = here < rows.stop[before]
        links.append(_linked(rows, pattern, ended, good, np.arange(len(before)), before, here))
    return _unrolled(links)


def _linked(
    rows: _Rows, pattern: Pattern, ended: int | None, good: Bools, source: Ints, before: Ints, here: Ints
) -> tuple[Ints, Ints]:
    """Those places *here* that may follow *before*, and from which one (*source*) each of them comes."""
    if pattern.strict:
        good = good & (before + 1 == here)
    place = np.flatnonzero(good)
    if ended in rows.forbidden:
        place = place[rows.undisturbed(ended, before[place], here[place])]
    return source[place], here[place]


def _unrolled(links: list[tuple[Ints, Ints]]) -> Ints:
    place = np.arange(len(links[-1][0]))
    columns = []
    for source, at in reversed(links):
        columns.append(at[place])
        place = source[place]
    return np.stack(columns[::-1], axis=1)


def _goes_on(pattern: Pattern, taken: Ints) -> Ints:
    """The place at which the search goes on after each match."""
    if pattern.after_step is None:
        return taken[:, -1] + 1
    begins = np.cumsum([0, *(step.least for step in pattern.steps)])
    return taken[
        :, begins[pattern.after_step] if pattern.after == "skip_to_first" else begins[pattern.after_step + 1] - 1
    ]


def _apart(first: Ints, goes_on: Ints) -> Bools:
    """Those that are met when the search begins at the first one and goes on after each.

    Each leads to one other; the ways are followed by doubling their length, not one by one.
    """
    count = len(first)
    leads = np.append(np.searchsorted(first, goes_on, "left"), count)
    met = np.zeros(count + 1, dtype=np.bool_)
    met[:1] = True
    while (leads[:count] < count).any():
        met[leads[met]] = True
        leads = leads[leads]
    return met[:count]


# ── steps of a variable number of rows ──────────────────────────────────────────────────────────────────────────────

_Taken: TypeAlias = "tuple[_Taken | None, int, int]"  # what was taken before, then a step and the place taken for it


@dataclass(frozen=True)
class _Move:
    """To the *count*-th row of *step*, unless the row meets one of the steps *kept_for*."""

    step: int
    count: int
    kept_for: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Way:
    """A match so far, the place at which it goes on, and what it may take there, best first."""

    taken: _Taken
    place: int
    moves: tuple[_Move, ...]
    ends: bool


class _Search:
    """Matches one after another, as Flink finds them.

    From its first row a match is followed on all ways that it can take, row by row, and the first way that ends is the
    match; of ways that end at the same row, the one that takes more for earlier steps. A greedy step of more than one
    row keeps each row that it can take, and at the end of a pattern goes on as long as it can. Unless the pattern is
    strict, rows are passed over that meet nothing that could come next, and only those.
    """

    def __init__(self, pattern: Pattern, rows: _Rows, end: int | None) -> None:
        self._pattern, self._rows, self._end = pattern, rows, end
        self._steps = pattern.steps
        count = len(rows.ts)
        # By step, for each place the first place from there on that meets it.
        self._next = [
            np.append(here, count)[np.searchsorted(here, np.arange(count + 1))].tolist() for here in rows.hits
        ]
        self._forbidden = {step: counted.tolist() for step, counted in rows.forbidden.items()}
        self._stop, self._ts = rows.stop.tolist(), rows.ts.tolist()
        self._entry = self._entered(0)
        self._moves: dict[tuple[int, int], list[_Move | None]] = {}
        self._lost: set[tuple[int, int, int]] = set()  # ways that end nowhere, whatever the first row

    def run(self) -> tuple[Ints, Ints]:
        """The places taken, and how many of them are of each step (matches by steps)."""
        steps = len(self._steps)
        places: list[int] = []
        sizes: list[list[int]] = []
        goes_on = 0
        for first in self._firsts().tolist():
            if first < goes_on:
                continue
            found = self._from(first)
            if found is None:
                continue
            places += [place for _, place in found]
            size = [0] * steps
            for step, _ in found:
                size[step] += 1
            sizes.append(size)
            goes_on = self._after(found)
        return np.array(places, dtype=np.int64), np.array(sizes, dtype=np.int64).reshape(-1, steps)

    def _firsts(self) -> Ints:
        return unique(np.concatenate([self._rows.hits[move.step] for move in self._entry if move is not None]))

    def _after(self, found: list[tuple[int, int]]) -> int:
        if self._pattern.after == "skip_to_next":
            return found[0][1] + 1
        if self._pattern.after == "skip_past_last":
            return found[-1][1] + 1
        places = [place for step, place in found if step == self._pattern.after_step]
        return places[0] if self._pattern.after == "skip_to_first" else places[-1]

    def _entered(self, step: int, kept_for: tuple[int, ...] = ()) -> list[_Move | None]:
        """What may come once the steps before *step* are done, best first; None is the end."""
        if step == len(self._steps):
            return [None]
        asked = self._steps[step]
        enters = _Move(step, 1, kept_for)
        if asked.least:
            return [enters]
        keeps = asked.greedy and asked.most != 1
        return [enters, *self._entered(step + 1, (*kept_for, step) if keeps else kept_for)]

    def _moved(self, step: int, count: int) -> list[_Move | None]:
        """What may come after the *count*-th row of *step*, best first."""
        if (step, count) in self._moves:
            return self._moves[step, count]
        asked = self._steps[step]
        again: list[_Move | None] = []
        if asked.most is None:
            again = [_Move(step, min(count + 1, max(asked.least, 1)))]  # beyond the least, all counts are alike
        elif count < asked.most:
            again = [_Move(step, count + 1)]
        # In a strict pattern the row after the most rows must not meet the step either, for Flink.
        keeps = asked.greedy and asked.most not in (1, asked.least) and bool(again or self._pattern.strict)
        on = self._entered(step + 1, (step,) if keeps else ()) if count >= asked.least else []
        self._moves[step, count] = again + on
        return self._moves[step, count]

    def _from(self, first: int) -> list[tuple[int, int]] | None:
        """The steps and places of the match that begins at *first*."""
        seen: set[tuple[int, int, int]] = set()
        moves = [move for move in self._entry if move is not None and self._next[move.step][first] == first]
        begun = _Way((None, -1, -1), first, self._unkept(moves, first), ends=False)
        ways = self._taken(begun, first, seen)
        while ways:
            for way in ways:
                if way.ends:
                    return _path(way.taken)
            ways = [way for way in ways if way.moves]
            place = min((way.place for way in ways), default=-1)
            ways = [after for way in ways for after in (self._taken(way, first, seen) if way.place == place else [way])]
        if self._pattern.within is None and self._end is None:
            self._lost |= seen
        return None

    def _taken(self, way: _Way, first: int, seen: set[tuple[int, int, int]]) -> list[_Way]:
        """*way* gone on, without what a better one came to as well."""
        before = way.taken if way.taken[1] >= 0 else None
        found = []
        for move in way.moves:
            like = (move.step, move.count, way.place)
            if like not in seen and like not in self._lost:
                seen.add(like)
                found.append(self._way((before, move.step, way.place), move.count, first))
        return found

    def _way(self, taken: _Taken, count: int, first: int) -> _Way:
        """What may come in a match from *first* after *taken*, of which the last row is the *count*-th of its step."""
        _, step, here = taken
        stop, after = self._stop[here], here + 1
        could = self._moved(step, count)
        there: dict[int, int] = {}  # by step, the next place that could be of it
        for move in could:
            if move is None:
                continue
            place = self._next[move.step][after]
            possible = place < stop if not self._pattern.strict else place == after < stop
            if possible and self._in_time(first, place) and self._may_follow(step, move.step, here, place):
                there[move.step] = place
        place = min(there.values(), default=-1)
        moves = self._unkept([move for move in could if move is not None and there.get(move.step) == place], place)
        ends = None in could and not any(self._steps[move.step].greedy for move in moves)
        return _Way(taken, place, moves, ends and self._stays_silent(first, here))

    def _unkept(self, moves: list[_Move], place: int) -> tuple[_Move, ...]:
        return tuple(move for move in moves if all(self._next[step][place] != place for step in move.kept_for))

    def _may_follow(self, step: int, next_step: int, here: int, there: int) -> bool:
        return all(
            self._forbidden[ended][there] == self._forbidden[ended][here + 1]
            for ended in range(step, next_step)
            if ended in self._forbidden
        )

    def _in_time(self, first: int, last: int) -> bool:
        return self._rows.within is None or self._ts[last] - self._ts[first] < self._rows.within

    def _stays_silent(self, first: int, last: int) -> bool:
        if self._end is None:
            return True
        return bool(self._rows.stays_silent(np.array([first]), np.array([last]), self._end)[0])


def _path(taken: _Taken | None) -> list[tuple[int, int]]:
    path = []
    while taken is not None:
        taken, step, place = taken
        path.append((step, place))
    return path[::-1]


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def pairs(
    a_ts: Ints, a_group: Ints, b_ts: Ints, b_group: Ints, *, within: int, order: Order = "a_before_b"
) -> tuple[Ints, Ints]:
    """All pairs of one group with at most *within* (microseconds, included) between them, in any order of equal times.

    The two sides may be the same rows, or rows repeated for each of several groups; a row that is on both sides makes
    a pair with itself. The answer takes 16 bytes a pair.

    Returns:
        The numbers of the a and of the b of each pair, by a and then the time of b.
    """
    side = _Side(b_ts, b_group)
    low = a_ts if order == "a_before_b" else _moved_by(a_ts, -within)
    high = a_ts if order == "b_before_a" else _moved_by(a_ts, within)
    begin, stop = side.places(a_group, low, "left"), side.places(a_group, high, "right")
    length = np.maximum(stop - begin, 0)
    a = np.repeat(np.arange(len(a_ts)), length)
    ends = np.cumsum(length)
    return a, side.order[np.arange(len(a)) + np.repeat(begin - (ends - length), length)]


def first_after_each(a_ts: Ints, a_group: Ints, b_ts: Ints, b_group: Ints, *, within: int) -> tuple[Ints, Ints]:
    """For each a the first b of its group that comes later (at equal times it does not) and at most *within* later.

    Returns:
        The numbers of those a that have such a b, and of the b; of equal times, the first in the order given.
    """
    side = _Side(b_ts, b_group)
    begin = side.places(a_group, a_ts, "right")
    stop = side.places(a_group, _moved_by(a_ts, within), "right")
    a = np.flatnonzero(begin < stop)
    return a, side.order[begin[a]]


class _Side:
    """Rows by group and time, to be looked up by both."""

    def __init__(self, ts: Ints, group: Ints) -> None:
        self._groups, own = np.unique(group, return_inverse=True)
        self._times, rank = np.unique(ts, return_inverse=True)
        self._width = len(self._times) + 1
        key = own * self._width + rank
        self.order = np.argsort(key, kind="stable")
        self._key = key[self.order]

    def places(self, group: Ints, ts: Ints, side: Literal["left", "right"]) -> Ints:
        """How many rows come before (*side* left) or up to (right) *ts* of *group*; alike for an unknown group."""
        own = np.searchsorted(self._groups, group, "left")
        known = (group >= 0) & (np.append(self._groups, -1)[own] == group)
        asked = own * self._width + np.searchsorted(self._times, ts, side)
        return np.where(known, np.searchsorted(self._key, asked, "left"), 0)


def _moved_by(ts: Ints, by: int) -> Ints:
    """*ts* moved, as far as there are times."""
    limit = np.iinfo(np.int64)
    if by < 0:
        return np.where(ts < limit.min - by, limit.min, ts + by)
    return np.where(ts > limit.max - by, limit.max, ts + by)
