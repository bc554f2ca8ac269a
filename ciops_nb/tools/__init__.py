"""What an analyst can ask. Importing this package registers the tools."""

from ciops_nb.tools import cep, ci, estate, graph, history, metric

__all__ = ["cep", "ci", "estate", "graph", "history", "metric"]
