"""Investigations of owners."""

from __future__ import annotations

import asyncio
from typing import Any

import ciops_nb as ciops
from ciops_nb.recipes.findings import Findings, Section, Statement


@ciops.recipe
async def who_owns(ops: ciops.Ops, ci: str, *, least: int = 1) -> Findings:
    """Who owns this CI, and what else?"""
    items: Any
    items, owners = await asyncio.gather(ops.ci_get_by_code(ci), ops.tool("ci_owners")(least=least))
    owner = items["owner"].iloc[0]
    others = owners.loc[owners["owner"] == owner, "n"].iloc[0]
    ids = tuple(ciops.provenance(answer).call_id for answer in (items, owners))
    return Findings(
        Statement(f"{ci} is owned by {owner}, like {others} CIs in all.", ids),
        (),
        (Section("Owners", owners, ids[1:]),),
    )
