"""Verdicts on texts: strict numbers, choices, and mathematical equivalence.

`exact` and `choice` are pure and cheap and run where they are called. `math` decides in processes
of its own (`isolate`), because an answer of a model can cost unlimited time and memory.
"""

from __future__ import annotations

from skiploop.graders.choice import grade_choice
from skiploop.graders.exact import grade_first_number, grade_number, grade_text
from skiploop.graders.isolate import GraderPool, Job, shared_pool
from skiploop.graders.math import grade_math, truncate_after_first_box

__all__ = [
    "GraderPool",
    "Job",
    "grade_choice",
    "grade_first_number",
    "grade_math",
    "grade_number",
    "grade_text",
    "shared_pool",
    "truncate_after_first_box",
]
