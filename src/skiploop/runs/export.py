"""From the selector of a run to a small policy in a folder of its own, with a card."""

from __future__ import annotations

from pathlib import Path

from skiploop.errors import RunError
from skiploop.files import write_atomic
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.packed import Kept, Origin, pack, save_packed
from skiploop.runs.session import Run
from skiploop.tasks.base import questions_id
from skiploop.tasks.prompt_form import PromptForm

CARD_FILE = "card.md"

_CARD = """\
# A policy for {model} on {task}

Chooses one of {n_programs} programs for each prompt, the plain model among them, by the states of
the prompt after {encoder}. Made by `skiploop export`.

- Model: `{model}` in {dtype}, {weights}. Others are refused.
- Questions: {questions}, put as that task puts them (`skiploop generate --ask`).
- Learned from: {summary}.
- Size: compares a prompt with {n_landmarks:,} of the questions it learned from.

Right answers out of fold are those of choices learned from other questions, with a gate tuned on
all of them. Judge the policy on held-out questions before you rely on it; it knows no other task.
"""


def export_selector(run: Run, n_landmarks: int, out: Path) -> Kept:
    """Write the selector of a run as a packed policy.

    Args:
        run: Holds a trained selector.
        n_landmarks: Questions that it keeps of those it learned from.
        out: A new or empty folder.

    Returns:
        What packing costs.

    Raises:
        RunError: There is no selector, it keeps the plain model, or the folder holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists already: give a new folder")
    config = run.finished("selector", SelectorConfig)
    made = run.config
    form = PromptForm(made.task, made.options, questions_id(run.task))
    policy, kept = pack(run.selector, run.stack, form, config, n_landmarks)
    save_packed(out, policy, Origin(model=made.model, dtype=made.dtype, form=form))
    spec = policy.features.encoder.spec
    layers = f"its first {spec['layer']} layers" if "layer" in spec else str(spec["name"])
    card = _CARD.format(
        model=made.model,
        task=run.task.name,
        n_programs=len(policy.menu.programs),
        encoder=layers,
        dtype=made.dtype,
        weights=policy.menu.weights_id,
        questions=form.questions,
        summary=kept.summary(),
        n_landmarks=len(policy.model.features_QF),
    )
    write_atomic(out / CARD_FILE, card)
    return kept
