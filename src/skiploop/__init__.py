"""skiploop: run a frozen LLM under programs that skip some of its layers and repeat others.

Public names are resolved on first use, so that `import skiploop` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from skiploop.errors import SkiploopError
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.programs.space import ProgramSpace

if TYPE_CHECKING:
    from skiploop.engine.completion import Completion
    from skiploop.engine.options import Options
    from skiploop.engine.sampling import Sampling
    from skiploop.loading import load
    from skiploop.policies.base import FixedPolicy, IdentityPolicy, Policy
    from skiploop.runs.ready import load_policy
    from skiploop.stack import LayerStack
    from skiploop.tasks import get_task
    from skiploop.tasks.base import Example, Grade
    from skiploop.trials.table import score_grid

__version__ = "0.2.0"

_HOMES = {
    "Completion": "skiploop.engine.completion",
    "Example": "skiploop.tasks.base",
    "FixedPolicy": "skiploop.policies.base",
    "Grade": "skiploop.tasks.base",
    "IdentityPolicy": "skiploop.policies.base",
    "LayerStack": "skiploop.stack",
    "Options": "skiploop.engine.options",
    "Policy": "skiploop.policies.base",
    "Sampling": "skiploop.engine.sampling",
    "get_task": "skiploop.tasks",
    "load": "skiploop.loading",
    "load_policy": "skiploop.runs.ready",
    "score_grid": "skiploop.trials.table",
}

__all__ = [
    "Completion",
    "Example",
    "FixedPolicy",
    "Grade",
    "IdentityPolicy",
    "LayerStack",
    "Options",
    "Policy",
    "Program",
    "ProgramSpace",
    "Sampling",
    "Segment",
    "SkiploopError",
    "get_task",
    "load",
    "load_policy",
    "score_grid",
]


if not TYPE_CHECKING:  # a checker that sees it takes every name for a public one

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
