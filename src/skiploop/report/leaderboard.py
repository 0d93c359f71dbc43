"""One page of many comparisons: a table, accuracy against time, filters; nothing from a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skiploop.evaluation.comparison import Comparison
from skiploop.evaluation.policy_table import REFERENCE
from skiploop.files import write_atomic
from skiploop.report.charts import CostPoint, cost_chart
from skiploop.report.comparison import ANSWERS, COSTS, NOTE, answer_cells, cost_cells
from skiploop.report.picture import Picture
from skiploop.report.render import render

PAGE = "index.html"


def write_leaderboard(folder: Path, found: Sequence[Comparison]) -> Path:
    """Write the page of some comparisons.

    Guarantees:
        A text from a comparison is shown as text. The page has one script, which is known by its
        content, and a browser is told to run nothing else (tests/unit/test_leaderboard.py).
    """
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(found, key=lambda one: (one.model, one.task, one.trained_on))
    write_atomic(folder / PAGE, page_text(ordered))
    return folder / PAGE


def page_text(found: Sequence[Comparison]) -> str:
    """Return the page of some comparisons, in their order."""
    return render(
        "leaderboard.html",
        script_hash=_hash(render("leaderboard.js")),
        header=("model", "task", "learned on", "method", *ANSWERS, *COSTS),
        note=NOTE,
        filters={
            "model": sorted({one.model for one in found}),
            "task": sorted({one.task for one in found}),
            "learned": ["the same task", "another task"],
            "method": sorted({row.method for one in found for row in one.rows}),
        },
        rows=[_row(one, i) for one in found for i in range(len(one.rows))],
        charts=[(_marks(one), _where(one), chart) for one in found if (chart := _chart(one))],
        made=[(_where(one), one.provenance) for one in found],
    )


def _row(one: Comparison, index: int) -> dict[str, Any]:
    row = one.rows[index]
    return {
        "marks": {**_marks(one), "method": row.method},
        "names": (one.model, one.task, one.trained_on, row.method),
        "cells": (*answer_cells(row), *cost_cells(row, one.n_layers)),
        "is_marked": row.saves_layers_not_time(one.n_layers),
    }


def _marks(one: Comparison) -> dict[str, str]:
    """Return what filters look at."""
    learned = "the same task" if one.is_in_distribution else "another task"
    return {"model": one.model, "task": one.task, "learned": learned}


def _chart(one: Comparison) -> Picture | None:
    """Return accuracy against time, of what was timed."""
    points = [
        CostPoint(
            row.method,
            row.cost.time_with_choosing or row.cost.time,
            row.accuracy,
            "plain" if row.method == REFERENCE else "chosen",
        )
        for row in one.rows
        if row.cost.time is not None
    ]
    title = f"{_where(one)}: right answers against wall time"
    return cost_chart(points, title, "wall time, plain model = 1") if points else None


def _where(one: Comparison) -> str:
    """Return what a comparison is about, in a line."""
    learned = "" if one.is_in_distribution else f", learned on {one.trained_on}"
    return f"{one.model}, {one.task}{learned}"


def _hash(text: str) -> str:
    """Return by what a browser knows a script within the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
