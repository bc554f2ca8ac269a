"""What rules are replayed on, read once: the same answers as of ``cep_simulate`` and ``cep_sweep``, again and again.

For whoever turns a rule and wants to see at once what comes of it. What is read does not depend on a threshold or on
how long it has to hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb.context import Context
from ciops_nb.estate.times import TimeRange
from ciops_nb.tools.rule_data import Past, incidents_of, maintenance_of, past_of, walks_relations
from ciops_nb.tools.scope import codes_of, scope_ids

if TYPE_CHECKING:
    from ciops_nb.cep import Rule
    from ciops_nb.cep.sweep import Levels

__all__ = ["NO_MAINTENANCE", "Ground", "ground_of", "only_of", "past_within"]

NO_MAINTENANCE = "this estate has no table 'maintenance': no alert is known to be suppressed"


@dataclass(frozen=True)
class Ground:
    """What some rules read, with the maintenance and the incidents of that time."""

    past: Past
    codes: list[str] | None
    maintenance: pl.DataFrame | None
    incidents: pl.DataFrame
    span: TimeRange
    warnings: tuple[str, ...] = ()

    def alerts(self, rules: list[Rule]) -> pl.DataFrame:
        """What ``cep_simulate`` returns of *rules*."""
        return self.answer(rules, worth=False)[0]

    def answer(self, rules: list[Rule], *, worth: bool) -> tuple[pl.DataFrame, dict[str, Any] | None]:
        """What ``cep_simulate`` returns of *rules*, and the row of ``cep_sweep`` for them as they are, if asked for.

        Raises:
            BadRule: a row is asked for, and the rule has no threshold to turn.
        """
        from ciops_nb.cep import replay
        from ciops_nb.cep.maintenance import in_maintenance
        from ciops_nb.cep.sweep import worth as worth_of

        found, row = replay(rules, **self.past.given()), None
        if worth:
            row = worth_of(
                rules, found, incidents=self.incidents, maintenance=self.maintenance,
                start=self.past.start, end=self.past.end,
            )  # fmt: skip
        shown = only_of(found, self.codes)
        if self.maintenance is not None:
            shown = in_maintenance(shown, self.maintenance, self.past.end)
        return shown.rename({"ci": "ci_code"}), row

    def levels(self, rules: list[Rule], stretches: int) -> Levels:
        """What the rule compares with its threshold."""
        from ciops_nb.cep.sweep import levels

        return levels(rules, stretches=stretches, **self.past.given())


async def ground_of(ctx: Context, rules: list[Rule], *, time_range: Any, ci: Any = None, hops: int = 0) -> Ground:
    """Read what *rules* read, as ``cep_simulate`` does, and the incidents, as ``cep_sweep`` does."""
    past, codes = await past_within(ctx, rules, ci, time_range)
    calm = await maintenance_of(ctx, None, past.start, past.end)
    if calm is None:
        ctx.warn(NO_MAINTENANCE)
    known = await incidents_of(ctx, await scope_ids(ctx, ci), None, hops)
    return Ground(past, codes, calm, known, ctx.range(time_range), tuple(ctx.notes.warnings))


async def past_within(ctx: Context, rules: list[Rule], ci: Any, time_range: Any) -> tuple[Past, list[str] | None]:
    """What *rules* read, and the codes whose alerts alone are asked for (None: all that there are)."""
    ids, codes = await scope_ids(ctx, ci), None
    if ids is not None and walks_relations(rules):
        ids, codes = None, codes_of(ci)
    return await past_of(ctx, rules, ids, ctx.range(time_range)), codes


def only_of(found: pl.DataFrame, codes: list[str] | None) -> pl.DataFrame:
    """The alerts of some CIs (None: of all), numbered anew."""
    if codes is None:
        return found
    return found.filter(pl.col("ci").is_in(codes)).with_columns(match=pl.int_range(1, pl.len() + 1).over("rule"))
