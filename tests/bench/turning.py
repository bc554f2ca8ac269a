"""A rule that is turned under one's hand, measured: from the movement of the slider to the picture being set."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import ciops_nb as ciops

DEMO = Path(__file__).parents[2] / "data/demo"
WEEKS = "2026-02-23/2026-03-09"
RULE = "{id: slow, when: {metric: response_time, op: '>', value: 1000}, for: 10m}"
MOVES = (700, 650, 600, 550, 500, 450, 400, 350, 300, 250, 900)
GOAL = 200


def lines() -> list[str]:
    """Rows for the table of ``make bench``: the worst of some movements counts."""
    with ciops.connect(DEMO) as ops:
        lab = ciops.RuleLab(ops, RULE, time_range=WEEKS)
        lab.wait.sync()
        took = []
        for value in MOVES:
            drawn = threading.Event()
            lab.picture.observe(lambda _, drawn=drawn: drawn.set(), "value")
            began = time.perf_counter()
            lab.threshold = value
            drawn.wait(10)
            took.append((time.perf_counter() - began) * 1e3)
            lab.picture.unobserve_all("value")
            lab.wait.sync()
        lab.close()
    worst = max(took[1:])
    name = "RuleLab, threshold moved to picture set, worst of ten, demo"
    return [f"| {name} | {worst:.0f} | | | {GOAL} ms | {'yes' if worst <= GOAL else 'no'} |"]


if __name__ == "__main__":
    print("\n".join(lines()))
