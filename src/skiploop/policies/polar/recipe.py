"""The whole training of one predictor: questions with graded programs in, a policy out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from skiploop.errors import DataError
from skiploop.policies.encoders import make_encoder
from skiploop.policies.polar.checkpoint import Metrics
from skiploop.policies.polar.policy import PREDICTOR_FOLDER, Origin, PredictorPolicy
from skiploop.policies.polar.targets import QuestionPrograms, TargetCounts, build_targets
from skiploop.policies.polar.training import TrainConfig, fit
from skiploop.programs.space import ProgramSpace
from skiploop.stack import LayerStack

_log = logging.getLogger("skiploop")


def train(
    stack: LayerStack,
    questions: Sequence[QuestionPrograms],
    validation: Sequence[QuestionPrograms],
    space: ProgramSpace,
    config: TrainConfig,
    run: Path,
    progress: Callable[[Metrics], None] | None = None,
) -> PredictorPolicy:
    """Train a predictor and store it in a run folder; an interrupted training goes on.

    Args:
        stack: The model whose programs these are.
        questions: To learn from.
        validation: To choose the best epoch by; without any, the last one is taken.
        space: What the predictor can express; programs outside are left out and counted.
        config: The recipe.
        run: The run folder; the predictor goes into `predictor` in it.
        progress: Called after each epoch with its line of `metrics.jsonl`.

    Returns:
        The stored policy; its `origin` tells how many questions and programs were of use.

    Raises:
        DataError: No question has a valid program inside the space.
        RunError: The folder holds an unfinished training with other settings or data.

    Cost:
        Every question with a target is encoded once, then see `fit`.
    """
    targets, counts = build_targets(questions, space, rules=config.targets, seed=config.seed)
    if not targets:
        raise DataError(_nothing_to_learn(counts, space))
    if counts.n_outside_space:
        _log.warning(
            "%d right programs are left out: the predictor knows skips and plain loops of at "
            "most %d layers and %d passes",
            counts.n_outside_space,
            space.max_block,
            space.max_runs,
        )
    validation_targets, validation_counts = build_targets(
        validation, space, rules=config.targets, seed=config.seed
    )
    encoder = make_encoder(stack, text_encoder=config.text_encoder, layer=config.layer)
    prompts = list(dict.fromkeys(one.prompt for one in (*targets, *validation_targets)))
    network = fit(
        targets,
        validation_targets,
        dict(zip(prompts, encoder.encode(prompts), strict=True)),
        space=space,
        config=config,
        out=run / PREDICTOR_FOLDER,
        device=str(stack.device),
        progress=progress,
    )
    origin = Origin(
        model=stack.name,
        weights_id=stack.model_id,
        dtype=str(stack.dtype).removeprefix("torch."),
        config=config,
        training=counts,
        validation=validation_counts,
    )
    policy = PredictorPolicy(network, encoder, space, origin=origin)
    policy.save(run)
    return policy


def _nothing_to_learn(counts: TargetCounts, space: ProgramSpace) -> str:
    """Return why no question can be learned from, and what to do about it."""
    start = f"none of {counts.n_questions_without} questions has a valid program inside {space}"
    if counts.n_outside_space:
        return f"{start}; {counts.n_outside_space} are outside: train with the space of the search"
    return f"{start}: search again with a larger --budget, or choose an easier task or level"
