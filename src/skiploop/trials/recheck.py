"""Whether stored verdicts hold with versions, or on a device, that they were not made with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import chain

import torch
import transformers

from skiploop import __version__
from skiploop.errors import RunError
from skiploop.stack import LayerStack
from skiploop.tasks import SPLITS
from skiploop.tasks.base import Example, Task
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.store import TrialStore

N_EACH = 8
"""Right verdicts that are judged again, and wrong ones."""

_log = logging.getLogger("skiploop")


def recheck(
    stack: LayerStack,
    task: Task,
    store: TrialStore,
    *,
    remedy: str,
    examples: Iterable[Example] = (),
) -> None:
    """Judge some stored verdicts again if versions, device or number format changed since.

    Where all come out the same, the store notes what they hold with, and is not asked again.

    Args:
        stack: The frozen model.
        task: Gives questions, prompts and verdicts.
        store: What was judged before.
        remedy: What to do if a verdict differs.
        examples: Questions that may be asked beside those of the task.

    Raises:
        RunError: A verdict differs; the message says what else does.

    Cost:
        None if nothing changed, else that of 16 answers.
    """
    now = _made_with(stack)
    before = {name: value for name, value in store.facts().items() if name in now}
    if before == now:
        return
    everything = chain(examples, *map(task.examples, SPLITS))
    stored = store.sample(N_EACH, stack.n_layers)
    known = _by_id({trial.example_id for trial in stored}, everything)
    asked = [trial for trial in stored if trial.example_id in known]
    if asked:
        then_and_now = _differences(before, now)
        _log.info("judging %d verdicts again, as they were made with %s", len(asked), then_and_now)
        pairs = [(known[trial.example_id], trial.program) for trial in asked]
        again = Evaluator(stack, task).grade_pairs(pairs)
        n_differing = sum(old.correct != new.correct for old, new in zip(asked, again, strict=True))
        if n_differing:
            raise RunError(
                f"{store.path}: {n_differing} of {len(asked)} verdicts that were judged again "
                f"differ. They were made with {then_and_now}: go back to that, or {remedy}"
            )
    store.note_anew(now)


def _made_with(stack: LayerStack) -> dict[str, str]:
    """Return all by which the same model can give other numbers."""
    is_gpu = stack.device.type == "cuda"
    return {
        "skiploop": __version__,
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name(stack.device) if is_gpu else stack.device.type,
        "dtype": str(stack.dtype).removeprefix("torch."),
    }


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} {before.get(name, 'unknown')} (here {value})"
        for name, value in now.items()
        if before.get(name) != value
    )


def _by_id(ids: set[str], examples: Iterable[Example]) -> dict[str, Example]:
    """Return the questions of some ids; no more are looked at than it takes to find them."""
    found: dict[str, Example] = {}
    for example in examples:
        if len(found) == len(ids):
            break
        if example.id in ids:
            found[example.id] = example
    return found
