"""`skiploop generate`: run one program on one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from skiploop.cli.answers import Answers
from skiploop.cli.console import made_by, print_json, say, show_log
from skiploop.cli.drawing import Draws
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import ASK_HELP, POLICY_HELP, Dtype, Json, ModelOfPolicy, unescaped
from skiploop.errors import ConfigError
from skiploop.policies.base import Answer, FixedPolicy, Ranked
from skiploop.programs.program import Program
from skiploop.tasks.asked import AskedTask
from skiploop.tasks.base import Task

DEFAULT_LENGTH = 32
"""Tokens that are added at most, unless told otherwise."""


@with_groups
def generate(
    *,
    prompt: Annotated[str | None, typer.Argument(help="Text to continue.")] = None,
    ask: Annotated[str | None, typer.Option(help=ASK_HELP)] = None,
    program: Annotated[
        list[str] | None, typer.Option(help="Text form of a program; may be given often.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help=POLICY_HELP)] = None,
    vote: Annotated[
        int | None, typer.Option(help="So many programs of the policy answer and vote.", min=1)
    ] = None,
    abstain_below: Annotated[
        float, typer.Option(help="Give no answer if the vote is less sure.", min=0, max=1)
    ] = 0.0,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(help="Tokens to add at most. [32; of --ask that of its task]", min=1),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            help="Text that ends the answer; may be given often. \\n is a new line, \\t a tab, "
            "\\\\ a backslash."
        ),
    ] = None,
    model: ModelOfPolicy = None,
    dtype: Dtype = None,
    draws: Draws,
    machine: Machine,
    as_json: Json = False,
) -> None:
    """Continue a prompt under one or several programs, in one batch.

    A prompt that starts with a dash comes last, after two dashes: skiploop generate -- "-5 + 3 ="

    Example: skiploop generate "2 + 3 =" --program identity --program "14:15x2"

    Example: skiploop generate --policy smollm2-135m/arithmetic --ask "65 + 38"
    """
    for is_wrong, message in (
        ((prompt is None) == (ask is None), "give a prompt to continue or a question to --ask"),
        (
            ask is not None and not policy,
            "--ask puts a question as a policy knows it: give --policy too",
        ),
        (
            ask is not None and (stop or max_new_tokens),
            "--ask takes the end and the length of the answer from the policy: leave out --stop "
            "and --max-new-tokens",
        ),
        (vote and not policy, "--vote needs a policy whose programs vote: give --policy RUN"),
        (
            abstain_below and not vote,
            "--abstain-below is about the weight of a vote: give --vote K",
        ),
        (policy and program, "--policy chooses the programs: give it or --program, not both"),
    ):
        if is_wrong:
            raise ConfigError(message)
    written = program or ["identity"]
    for text in written:
        Program.read_edits(text)  # a typing error is told before the model is loaded

    from skiploop.runs.asking import answer_asked
    from skiploop.runs.ready import base_for, load_policy, origin_of
    from skiploop.trials.evaluator import Evaluator

    sampling = draws.sampling()
    form = origin_of(policy).form if policy and (vote or ask is not None) else None
    reader = form.made if form and vote else None
    if form and ask is not None:
        task = _asked(form.prompt(ask), form.max_new_tokens, form.stop, reader)
    else:
        stops = [unescaped(text) for text in stop or ()]
        task = _asked(prompt or "", max_new_tokens or DEFAULT_LENGTH, stops, reader)
    show_log()
    base, made_in = base_for(policy, model, dtype)
    stack = machine.load(base, made_in)
    shown = Answers([] if vote else [policy] if policy else written, strips=ask is not None)
    evaluator = Evaluator(stack, task, sampling=sampling, seed=draws.seed or 0, told=shown.told)
    with shown.interruptible():
        if policy:
            answers = answer_asked(load_policy(policy, stack), task, evaluator, vote)
        else:
            fixed = FixedPolicy([Program.parse(text, stack.n_layers) for text in written], "fixed")
            (answers,) = Ranked(fixed, len(written)).answer([task.asked], evaluator)
    figures = _vote(answers, abstain_below) if vote else {}
    if not figures.get("abstained"):
        shown.finish(answers[:1] if vote else answers)
    if as_json:
        facts = made_by(
            weights=stack.model_id,
            dtype=str(stack.dtype).removeprefix("torch."),
            device=machine.device,
            n_threads=machine.threads,
        )
        rows = [_row(answer) for answer in (answers[:1] if vote else answers)]
        print_json({"model": stack.name, "completions": rows, **figures, **facts})


def _asked(prompt: str, max_new_tokens: int, stop: Sequence[str], reader: Task | None) -> AskedTask:
    """Return the prompt as a task; what ends its answer is refused before the model is loaded."""
    from skiploop.engine.options import Options

    limits = Options(max_new_tokens=max_new_tokens, stop=stop)
    return AskedTask(prompt, max_new_tokens=limits.max_new_tokens, stop=limits.stop, reader=reader)


def _vote(answers: Sequence[Answer], abstain_below: float) -> dict[str, object]:
    """Say how a vote ended, and return it as figures."""
    won = answers[0]
    confidence = won.confidence or 0.0
    votes = "; ".join(f"{one.program}: {one.text.strip()!r}" for one in answers)
    say(f"the vote has weight {confidence:.2g} of 1; {votes}")
    if confidence < abstain_below:
        say(f"no answer is sure enough: {won.text!r} has less weight than {abstain_below:g}")
    return {"confidence": confidence, "abstained": confidence < abstain_below}


def _row(answer: Answer) -> dict[str, object]:
    return {
        "program": str(answer.program),
        "text": answer.text,
        "n_tokens": answer.n_tokens,
        "logprob": answer.logprob,
        "stopped_by": answer.stopped_by,
        "n_passes": answer.cost.n_passes,
        "kv_bytes": answer.cost.kv_bytes,
    }
