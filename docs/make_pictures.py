"""Draws the pictures of the README: `python docs/make_pictures.py`.

A program as `skiploop show` draws it, and accuracy against layer passes from a dated result.
"""

import json
import re
from io import StringIO
from pathlib import Path

from rich.console import Console

from skiploop import Program
from skiploop.cli.show import draw
from skiploop.evaluation.policy_table import REFERENCE
from skiploop.report.charts import CostPoint, cost_chart
from skiploop.stats import Share

DOCS = Path(__file__).parent
RESULT = "2026-11-27-choosing-arithmetic-8000.json"
POLICIES = (
    "identity",
    "selector",
    "selector:28.5",
    "selector:27",
    "surface",
    "by-category",
    "static",
)


def main() -> None:
    """Write both pictures."""
    console = Console(record=True, width=60, file=StringIO())
    console.print(draw(Program.parse("3:5x0 6:8x2", n_layers=10)), highlight=False)
    picture = console.export_svg(title='skiploop show "3:5x0 6:8x2" --layers 10')
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # fetches nothing
    (DOCS / "images" / "program.svg").write_text(picture)

    report = json.loads((DOCS.parent / "benchmarks" / "results" / RESULT).read_text())
    rows = {row["policy"]: row for row in report["policies"]}
    points = []
    for name in POLICIES:
        share = rows[name]["accuracy"]
        label = f"{name}, {100 * share['value']:.1f} %"
        share_of_all = Share(share["count"], share["total"])
        look = "plain" if name == REFERENCE else "chosen"
        points.append(CostPoint(label, rows[name]["mean_slots"], share_of_all, look))
    chart = cost_chart(points, "Right answers against layer passes", "mean layer passes")
    (DOCS / "images" / "accuracy-against-layers.svg").write_text(chart.svg())


if __name__ == "__main__":
    main()
