"""skiploop: run a frozen LLM under programs that skip some of its layers and repeat others.

Public names are resolved on first use, so that `import skiploop` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from skiploop.errors import SkiploopError
from skiploop.program import Program
from skiploop.segment import Segment
from skiploop.space import ProgramSpace

if TYPE_CHECKING:
    from skiploop.completion import Completion
    from skiploop.engine.options import Options
    from skiploop.engine.sampling import Sampling
    from skiploop.loading import load
    from skiploop.policy import FixedPolicy, IdentityPolicy, Policy
    from skiploop.ready import load_policy
    from skiploop.search.grid import score_grid
    from skiploop.stack import LayerStack
    from skiploop.tasks import get_task
    from skiploop.tasks.base import Example, Grade

__version__ = "0.1.0"

_HOMES = {
    "Completion": "skiploop.completion",
    "Example": "skiploop.tasks.base",
    "FixedPolicy": "skiploop.policy",
    "Grade": "skiploop.tasks.base",
    "IdentityPolicy": "skiploop.policy",
    "LayerStack": "skiploop.stack",
    "Options": "skiploop.engine.options",
    "Policy": "skiploop.policy",
    "Sampling": "skiploop.engine.sampling",
    "get_task": "skiploop.tasks",
    "load": "skiploop.loading",
    "load_policy": "skiploop.ready",
    "score_grid": "skiploop.search.grid",
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


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
