"""What an analyst can ask. Importing this package registers the tools."""

from ciops_nb.tools import ci, estate, graph, history, metric

__all__ = ["ci", "estate", "graph", "history", "metric"]
