"""What an editor knows of a session, read by mypy in ``make types``: an ignore that is not needed is an error there."""

from __future__ import annotations

from typing import assert_type

import networkx as nx
import pandas as pd
import polars as pl

import ciops_nb as ciops
from ciops_nb.recipes.run import Run


async def asked(ops: ciops.Ops) -> None:
    assert_type(await ops.ci_search("erp", limit=3), pd.DataFrame | pl.DataFrame)
    assert_type(ops.ci_search.sync("erp", limit=3), pd.DataFrame | pl.DataFrame)
    assert_type(ops.graph_expand.sync("app-erp-01", view="impact"), nx.MultiDiGraph[str])
    assert_type(await ops.run("triage", ci="app-erp-01"), Run)


def refused(ops: ciops.Ops) -> None:
    ops.ci_search.sync("erp", limt=3)  # type: ignore[call-arg]
    ops.graph_path.sync("app-erp-01")  # type: ignore[call-arg]
    ops.metric_aggregate.sync("cpu_usage", agg=95)  # type: ignore[arg-type]
    ops.graph_expand.sync("app-erp-01", "impact")  # type: ignore[call-arg]
