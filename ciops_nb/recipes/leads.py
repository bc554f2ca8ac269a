"""Where to look first: which of the CIs that are ill explains the illness of the one that hurts. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Illness", "Lead", "needs_of", "rank_leads"]

Standing = Literal["source", "reported", "itself", "changed", "apart", "explained"]
_ORDER: tuple[Standing, ...] = ("source", "reported", "itself", "changed", "apart", "explained")


@dataclass(frozen=True)
class Illness:
    """A sign that a CI is not well: since *moved_at* (None: since before the time looked at), give or take *step*."""

    ci_code: str
    moved_at: datetime | None
    score: float = 0.0
    step: timedelta = timedelta(0)
    reported: bool = False  # told by an event, not seen in a metric


@dataclass(frozen=True)
class Lead:
    """A CI to look at, and how it stands to the one that hurts."""

    ci_code: str
    standing: Standing
    hops: int
    moved_at: datetime | None = None
    score: float = 0.0
    step: timedelta = timedelta(0)
    linked: bool = False  # by a path of CIs none of which is known to be well
    explained_by: tuple[str, ...] = ()

    def like(self, other: Lead) -> bool:
        """Whether nothing but size tells the two apart: the same standing, and no order in time."""
        return self.standing == other.standing and not _later(self, other) and not _later(other, self)


def needs_of(graph: nx.MultiDiGraph[str]) -> dict[str, set[str]]:
    """What each CI of a graph of ``graph_expand`` needs directly, by what its relations say about impact."""
    impact: Mapping[str, str] = graph.graph["impact"]
    needs: dict[str, set[str]] = {code: set() for code in graph}
    for source, target, data in graph.edges(data=True):
        way = impact[data["relation_type"]]
        if way in ("target_to_source", "both"):
            needs[source].add(target)
        if way in ("source_to_target", "both"):
            needs[target].add(source)
    return needs


def rank_leads(
    ci: str,
    needs: Mapping[str, Collection[str]],
    *,
    hops: Mapping[str, int],
    ill: Iterable[Illness],
    measured: Collection[str],
    changed: Collection[str] = (),
) -> list[Lead]:
    """The CIs worth a look, the best lead first.

    The rule is the traversal that the PetShop benchmark has as a baseline (Hardt et al., The PetShop Dataset - Finding
    Causes of Performance Issues across Microservices, arXiv:2311.04806, 2024; baseline_anomaly_traversal.py of its
    repository): a lead is an ill CI that is linked to the one that hurts by a path of ill CIs and needs no ill CI
    itself. It is softened where a real estate is not as whole as a benchmark:

    - A CI that nobody measures may be ill as well as not, so that a path may lead through it.
    - Where CIs need each other, both stand, unless one was clearly ill before the other.
    - What was clearly later does not explain what was before it; and what was out all the time that was looked at
      does not explain what only then began.
    - A severe event is a sign of illness too, even where metrics of a CI between are quiet.

    Args:
        ci: The CI that hurts.
        needs: What each CI needs directly.
        hops: How far each CI is from *ci*, upstream; others are not looked at.
        ill: The signs of illness; several of a CI count as the earliest of them.
        measured: CIs whose metrics were compared: ill if a sign says so, else well.
        changed: CIs with a recorded change in time.

    Returns:
        Leads in the order of: ``source`` (ill, linked, and nothing it needs explains it), ``reported`` (a severe event
        on a CI that is not linked), ``itself`` (*ci*, where nothing explains it), ``changed`` (not measured, but
        changed), ``apart`` (ill, but not linked, or at a time at which it cannot have led to the illness of *ci*),
        ``explained`` (a CI it needs explains it); within these what moved first, then the farther from *ci*, then the
        size of the movement.
    """
    signs = _earliest(sign for sign in ill if sign.ci_code in hops)
    passable = {code for code in hops if code in signs or code not in measured} | {ci}
    within = {code: sorted(set(needs.get(code, ())) & passable) for code in sorted(passable)}
    reached = _reached(within, [code for code in sorted(signs) if code in passable])
    linked = _walk(ci, within)
    leads = []
    for code, sign in signs.items():
        by = tuple(sorted(other for other in reached[code] if _explains(signs[other], sign, code in reached[other])))
        standing: Standing = (
            "explained" if by
            else "itself" if code == ci
            else "source" if code in linked and _could_lead_to(signs.get(ci), sign)
            else "reported" if sign.reported and _could_lead_to(signs.get(ci), sign)
            else "apart"
        )  # fmt: skip
        leads.append(Lead(code, standing, hops[code], sign.moved_at, sign.score, sign.step, code in linked, by))
    told = {code for code in changed if code in hops and code not in signs and code not in measured and code != ci}
    leads += [Lead(code, "changed", hops[code], linked=code in linked) for code in sorted(told)]
    return sorted(leads, key=_place)


def _place(lead: Lead) -> tuple[int, bool, float, int, float, str]:
    """Known beginnings first, in order of time."""
    moved = lead.moved_at.timestamp() if lead.moved_at is not None else 0.0
    return _ORDER.index(lead.standing), lead.moved_at is None, moved, -lead.hops, -lead.score, lead.ci_code


def _earliest(signs: Iterable[Illness]) -> dict[str, Illness]:
    """One sign a CI: the earliest whose beginning is known, at the largest size; reported if any is."""
    found: dict[str, list[Illness]] = {}
    for sign in signs:
        found.setdefault(sign.ci_code, []).append(sign)
    merged = {}
    for code in sorted(found):
        held = found[code]
        first = min(held, key=lambda sign: (sign.moved_at is None, sign.moved_at.timestamp() if sign.moved_at else 0))
        merged[code] = Illness(
            code,
            first.moved_at,
            max(sign.score for sign in held),
            first.step,
            any(sign.reported for sign in held),
        )
    return merged


def _later(one: Illness | Lead, other: Illness | Lead) -> bool:
    """Whether *one* began clearly after *other*: by more than the points can tell."""
    if one.moved_at is None or other.moved_at is None:
        return one.moved_at is not None and other.moved_at is None
    return one.moved_at - other.moved_at > max(one.step, other.step)


def _could_lead_to(effect: Illness | None, cause: Illness) -> bool:
    """By time alone. What stood all the time explains nothing that began, nor what began something that stood."""
    if effect is None:
        return True
    return (cause.moved_at is None) == (effect.moved_at is None) and not _later(cause, effect)


def _explains(cause: Illness, effect: Illness, mutual: bool) -> bool:
    return _could_lead_to(effect, cause) and (not mutual or _later(effect, cause))


def _walk(start: str, within: Mapping[str, Sequence[str]]) -> set[str]:
    seen, front = {start}, [start]
    while front:
        front = [code for code in dict.fromkeys(n for here in front for n in within[here]) if code not in seen]
        seen.update(front)
    return seen


def _reached(within: Mapping[str, Sequence[str]], marked: Sequence[str]) -> dict[str, list[str]]:
    """For each of *marked*, which others of them it leads to.

    One pass over the components, the last first, with a bit a marked CI: all pairs at once.
    """
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(within)
    graph.add_edges_from((code, other) for code, others in within.items() for other in others)
    bit = {code: 1 << place for place, code in enumerate(marked)}
    held: dict[str, int] = {}
    components = nx.condensation(graph)
    for number in reversed(list(nx.topological_sort(components))):
        component = components.nodes[number]["members"]
        mask = 0
        for code in component:
            mask |= bit.get(code, 0)
            for other in within[code]:
                mask |= held.get(other, 0)
        held.update(dict.fromkeys(component, mask))
    return {code: [other for other in marked if other != code and held[code] & bit[other]] for code in marked}
