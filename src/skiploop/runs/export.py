"""What leaves skiploop: a selector as a small policy with a card, programs, searched questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from skiploop.exchange.contents import Contents, Judged
from skiploop.exchange.formats import Format
from skiploop.files import check_new, filling, write_atomic
from skiploop.loading import load
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.models.identity import check_model
from skiploop.models.recipe import Recipe, is_within_weights
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.packed import Kept, Origin, pack, save_packed
from skiploop.programs.program import Program
from skiploop.runs.questions import searched_examples
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.stack import LayerStack
from skiploop.tasks.prompt_form import PromptForm

CARD_FILE = "card.md"
N_LANDMARKS = 800
"""Questions that a selector keeps where nobody says how many."""

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


def export_selector(run: Run, n_landmarks: int, max_slots: float | None, out: Path) -> Kept:
    """Write the selector of a run as a packed policy, with the recipe of its model.

    Args:
        run: Holds a trained selector.
        n_landmarks: Questions that it keeps of those it learned from.
        max_slots: Layer passes that it keeps to on average; None for no limit.
        out: A new or empty folder.

    Returns:
        What packing costs.

    Raises:
        RunError: There is no selector, it keeps the plain model, or the folder is within that of
            other weights.
        ConfigError: The folder holds something, or no choice from the menu is so short.
    """
    check_new(out)
    _check_place(out, run.stack)
    config = run.finished("selector", SelectorConfig)
    made = run.config
    form = PromptForm.carried(made.task, made.options, run.task)
    whole = run.selector
    if max_slots is not None:
        whole = whole.within(max_slots, f"selector:{max_slots:g}")
    policy, kept = pack(whole, run.stack, form, config, n_landmarks, max_slots)
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
    with filling(out) as folder:
        save_packed(folder, policy, Origin(model=made.model, dtype=made.dtype, form=form))
        Recipe(model=made.model, dtype=made.dtype, weights=policy.menu.weights_id).save(folder)
        write_atomic(folder / CARD_FILE, card)
    return kept


def export_programs(stack: LayerStack, programs: Sequence[str], to: Format, out: Path) -> None:
    """Write programs of a model in a format of others.

    Raises:
        ProgramError: One is no program, or the format cannot say what it does.
        RunError: It goes within the folder of other weights.
        ConfigError: There is something at `out`, or the format holds no programs.
    """
    parsed = [Program.parse(text, stack.n_layers) for text in programs]
    _write(Contents(programs=tuple(dict.fromkeys(parsed))), stack, to, out)


def export_run(run: Run, to: Format, out: Path) -> None:
    """Write what a run found in a format of others: searched questions, or the programs of a menu.

    Raises:
        RunError: The run has no finished search, or no menu.
        ProgramError: The format cannot say what a program does.
        ConfigError: There is something at `out`.
    """
    if to.holds == "questions":
        contents = Contents(questions=tuple(_searched(run)))
    else:
        run.finished("menu", MenuConfig)
        contents = Contents(programs=Menu.load(run.folder).programs)
    _write(contents, run.stack, to, out)


def _write(contents: Contents, stack: LayerStack, to: Format, out: Path) -> None:
    check_new(out)
    _check_place(out, stack)
    out.parent.mkdir(parents=True, exist_ok=True)
    to.write(out, contents, stack)


def _check_place(out: Path, stack: LayerStack) -> None:
    """Refuse to write within the folder of a model's weights what is not for that model."""
    if not is_within_weights(out):
        return
    there = load(out.parent, dtype=stack.dtype, verify=False)
    remedy = f"give the folder of {stack.name}, or a new one"
    check_model(stack.model_id, there, f"what goes into {out} is for", remedy)


def _searched(run: Run) -> Iterator[Judged]:
    """Yield the questions of the search with all verdicts on them."""
    run.finished("search", SearchConfig)
    trials = run.store.asked("search", run.stack.n_layers)
    for example in searched_examples(run):
        asked = trials.get(example.id, ())
        right, wrong = (
            tuple(one.program for one in asked if one.correct is correct)
            for correct in (True, False)
        )
        yield Judged(example.question, example.gold, right, wrong)
