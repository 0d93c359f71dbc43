"""Methods with routers that a run trains when it first needs them.

What they have learned is kept in `RUN/methods/NAME/` and read by a second making.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from skiploop.box import CLOSED_BOX
from skiploop.errors import ConfigError
from skiploop.jsontext import digest
from skiploop.menus.menu import Menu
from skiploop.models.held import read_held, read_tensor
from skiploop.models.resolve import fetch_hub, is_hub_id
from skiploop.policies.alone import AnswersAlone, check_limit
from skiploop.policies.base import Method, Policy
from skiploop.policies.drllm.network import Routers
from skiploop.policies.drllm.policy import RouterPolicy
from skiploop.policies.drllm.train import RouterConfig, label_of, told_by, train_routers
from skiploop.policies.flexidepth.layers import check_family
from skiploop.policies.flexidepth.method import FlexiDepth
from skiploop.policies.flexidepth.network import Skippers, is_of_router
from skiploop.policies.flexidepth.train import FLEXIDEPTH_TUNING, train_skippers
from skiploop.policies.mindskip.gates import Attentions, Gates
from skiploop.policies.mindskip.method import MindSkip
from skiploop.policies.mindskip.train import train_gates
from skiploop.policies.router_tuning import Lesson, TuningConfig
from skiploop.policies.weights import read_weights, write_weights
from skiploop.programs.program import Program
from skiploop.runs.methods.kept import Found, kept
from skiploop.runs.methods.make import Asked, ranked
from skiploop.runs.questions import checking_examples, menu_examples, searched_examples
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig
from skiploop.trials.score_table import collect

N_LESSONS = 1000
"""Training questions at most that routers learn from."""

N_CALIBRATED = 32
"""Validation questions at most by which thresholds keep to a limit."""


@ranked
def drllm(asked: Asked) -> Policy:
    """Train a router before each layer on the shortest right program of each question.

    Raises:
        RunError: The run has neither a finished search nor a finished menu.
        DataError: No question has a right program that routers can choose.
    """
    run, labels = asked.run, _labels(asked)
    stack, config = run.stack, RouterConfig(seed=run.config.seed)
    weights = _learned(
        run,
        "drllm",
        told_by(config, labels),
        lambda: train_routers(stack, labels, config).state_dict(),
    )
    routers = Routers(stack.n_layers, stack.width)
    routers.load_state_dict(weights)
    return RouterPolicy(stack, routers, asked.name)


def mindskip(asked: Asked) -> Method:
    """Train gates on attention, for a capacity that the limit leaves.

    Raises:
        ConfigError: The limit is lower than skipping all attention gets, or the task does not tell
            how a right answer is written.
        UnsupportedModelError: The model has layers whose attention cannot be left out.
    """
    run, limit = asked.run, float(asked.argument)
    attentions = Attentions(run.stack)
    check_limit(asked.name, limit, attentions.least_passes)
    capacity = attentions.capacity(limit)
    config, lessons = TuningConfig(seed=run.config.seed), _lessons(asked)
    made_from = {**_made_from(config, lessons), "capacity": capacity}
    weights = _learned(
        run,
        asked.name.replace(":", "-"),
        made_from,
        lambda: train_gates(run.stack, attentions, lessons, capacity, config).state_dict(),
    )
    gates = Gates(attentions.layers, weights["weight_AE"].shape[1])
    gates.load_state_dict(weights)
    method = MindSkip(run.stack, attentions, gates, name=asked.name)
    _keep_to_limit(asked, method, made_from)
    return method


def flexidepth(asked: Asked) -> FlexiDepth:
    """Train a router and an adapter for each layer of the second half.

    Raises:
        ConfigError: The task does not tell how a right answer is written.
        UnsupportedModelError: Tokens cannot skip the layers of the model.
    """
    stack = asked.run.stack
    check_family(stack)
    config, lessons = _flexidepth_recipe(asked)
    weights = _learned(
        asked.run,
        "flexidepth",
        _made_from(config, lessons),
        lambda: train_skippers(stack, lessons, config).weights(),
    )
    return FlexiDepth(stack, Skippers.from_weights(stack, weights, "flexidepth"), name=asked.name)


def limited_flexidepth(asked: Asked) -> Method:
    """Train the same, and raise the threshold until it keeps to the limit.

    Raises:
        ConfigError: As for `flexidepth`, or the limit is lower than skipping everything gets.
        UnsupportedModelError: As for `flexidepth`.
    """
    method = flexidepth(asked)
    _keep_to_limit(asked, method, _made_from(*_flexidepth_recipe(asked)))
    return method


def flexidepth_weights(asked: Asked) -> Method:
    """Read routers and adapters that were released, from a folder or the hub.

    Raises:
        RunError: They are for another model.
        DownloadError: They are on the hub and cannot be fetched.
        UnsupportedModelError: Tokens cannot skip the layers of the model, or the folder cannot be
            read.
    """
    stack, folder = asked.run.stack, Path(asked.argument)
    check_family(stack)
    if not folder.is_dir() and is_hub_id(asked.argument):
        folder = fetch_hub(asked.argument)
    held = {name: tensor for name, tensor in read_held(folder).items() if is_of_router(name)}
    weights = {name: read_tensor(tensor, name) for name, tensor in held.items()}
    return FlexiDepth(stack, Skippers.from_weights(stack, weights, str(folder)), name=asked.name)


def _learned(
    run: Run,
    name: str,
    made_from: Mapping[str, object],
    learn: Callable[[], Mapping[str, Tensor]],
) -> Mapping[str, Tensor]:
    """Return what was learned before under a name from the same data, or learn and keep it."""
    folder = run.folder / "methods" / name
    weights = read_weights(folder, run.stack, made_from)
    if weights is None:
        with torch.enable_grad():
            weights = dict(learn())
        write_weights(folder, run.stack, made_from, weights)
    return weights


def _labels(asked: Asked) -> dict[str, Program]:
    """Return the program that routers are to choose for each prompt that has one."""
    run = asked.run
    right: dict[str, list[Program]] = {}
    if run.has("menu"):
        examples, programs = menu_examples(run), Menu.load(run.folder).programs
        table = collect(run.runner(asked.progress), examples, programs)
        for example, row in zip(examples, table.right_QP, strict=True):
            right[run.task.prompt(example)] = [
                program for program, is_right in zip(programs, row, strict=True) if is_right == 1
            ]
    if run.has("search") or not run.has("menu"):
        run.finished("search", SearchConfig)
        found = run.store.asked("search", run.stack.n_layers)
        for example in searched_examples(run):
            trials = found.get(example.id, [])
            right.setdefault(run.task.prompt(example), []).extend(
                trial.program for trial in trials if trial.correct
            )
    labels = {prompt: label_of(programs) for prompt, programs in right.items()}
    return {prompt: program for prompt, program in labels.items() if program is not None}


def _lessons(asked: Asked) -> list[Lesson]:
    """Return training prompts with right answers and what ends them."""
    task = asked.run.task
    stop = next((string for string in task.stop if string != CLOSED_BOX), "")
    lessons = []
    for example in task.examples("train")[:N_LESSONS]:
        answer, end = (f" {example.gold}", "") if example.choices else (task.draft(example), stop)
        if not answer:
            raise ConfigError(
                f"{asked.name} learns from right answers, and {task.name} does not tell how they "
                "are written: use another task, or a method that learns from verdicts"
            )
        lessons.append(Lesson(task.prompt(example), answer + end))
    return lessons


def _made_from(config: TuningConfig, lessons: Sequence[Lesson]) -> dict[str, object]:
    """Return a recipe and a hash of the lessons, by which equal trainings are known."""
    return {**vars(config), "lessons": digest(lessons)}


def _flexidepth_recipe(asked: Asked) -> tuple[TuningConfig, list[Lesson]]:
    return replace(FLEXIDEPTH_TUNING, seed=asked.run.config.seed), _lessons(asked)


def _keep_to_limit(asked: Asked, method: AnswersAlone, made_from: Found) -> None:
    """Give a method the threshold at which validation questions keep to its limit."""
    run, limit = asked.run, float(asked.argument)
    examples = checking_examples(run)[:N_CALIBRATED]

    def find(known: Found | None) -> Found:
        if known is None:
            method.within(limit, [run.task.prompt(example) for example in examples])
        return known or {"threshold": method.threshold}

    settings = {**made_from, "n_calibrated": len(examples)}
    method.threshold = kept(run, asked.name.replace(":", "-"), settings, find)["threshold"]
