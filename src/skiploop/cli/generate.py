"""`skiploop generate`: run one program on one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.options import Device, Dtype, Json, Memory, Model, Threads, unescaped
from skiploop.errors import ConfigError
from skiploop.packaged import DEFAULT_MODEL
from skiploop.program import Program

if TYPE_CHECKING:
    from skiploop.completion import Completion
    from skiploop.predictor.vote import Outcome
    from skiploop.tasks.base import Task


def generate(
    prompt: Annotated[str, typer.Argument(help="Text to continue.")],
    program: Annotated[
        list[str] | None, typer.Option(help="Text form of a program; may be given often.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Run folder whose selector or predictor chooses.")
    ] = None,
    vote: Annotated[
        int | None, typer.Option(help="So many programs of the policy answer and vote.", min=1)
    ] = None,
    abstain_below: Annotated[
        float, typer.Option(help="Give no answer if the vote is less sure.", min=0, max=1)
    ] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to add at most.", min=1)] = 32,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            help="Text that ends the answer; may be given often. \\n is a new line, \\t a tab, "
            "\\\\ a backslash."
        ),
    ] = None,
    model: Model = None,
    dtype: Dtype = None,
    temperature: Annotated[
        float, typer.Option(help="Draw tokens at random; 0 takes the most likely.", min=0)
    ] = 0.0,
    top_k: Annotated[int | None, typer.Option(help="Draw among so many tokens.", min=1)] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw among tokens of this probability. [1]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the draws; the same for every program. [0]")
    ] = None,
    device: Device = "cpu",
    memory: Memory = None,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Continue a prompt under one or several programs, in one batch.

    A prompt that starts with a dash comes last, after two dashes: skiploop generate -- "-5 + 3 ="

    Example: skiploop generate "2 + 3 =" --program identity --program "14:15x2"
    """
    if vote and policy is None:
        raise ConfigError("--vote needs a run folder whose programs vote: give --policy RUN")
    if abstain_below and not vote:
        raise ConfigError("--abstain-below is about the weight of a vote: give --vote K")
    if policy and program:
        raise ConfigError("--policy chooses the programs: give it or --program, not both")
    drawing = {"--top-k": top_k, "--top-p": top_p, "--seed": seed}
    given = [flag for flag, value in drawing.items() if value is not None]
    if given and not temperature:
        raise ConfigError(f"{', '.join(given)}: nothing is drawn, give --temperature above 0 too")
    texts = program or ["identity"]
    for text in texts:
        Program.read_edits(text)  # a typing error is told before the model is loaded

    from skiploop.cli.console import made_by, prepare, print_json, say
    from skiploop.engine.options import Options
    from skiploop.engine.sampling import Sampling
    from skiploop.loading import load
    from skiploop.policies import load_policy
    from skiploop.predictor.vote import voters
    from skiploop.run import Run

    sampling = (
        Sampling(temperature=temperature, top_k=top_k, top_p=1.0 if top_p is None else top_p)
        if temperature
        else None
    )
    stops = [unescaped(text) for text in stop or ()]
    Options(max_new_tokens=max_new_tokens, stop=stops)  # refuses before the model is loaded
    prepare(threads)
    stack = load(
        DEFAULT_MODEL if model is None else model,
        dtype=dtype,
        device=device,
        memory=memory,
    )
    if policy:
        programs = voters(load_policy(policy, stack), [prompt], vote or 1)[0]
    else:
        programs = [Program.parse(text, stack.n_layers) for text in texts]
    completions = stack.generate(
        [prompt] * len(programs),
        programs,
        max_new_tokens=max_new_tokens,
        stop=stops,
        sampling=sampling,
        seeds=[seed or 0] * len(programs) if sampling else (),
    )
    is_sure, figures = True, {}
    if vote and policy:
        outcome = _outcome(Run.open(policy).task, prompt, completions)
        completions = [completions[outcome.winner]]
        is_sure = outcome.confidence >= abstain_below
        figures = {"confidence": outcome.confidence, "abstained": not is_sure}
    if is_sure:
        for completion in completions:
            label = f"[{completion.program}] " if len(programs) > 1 else ""
            print(f"{label}{completion.text}")
    else:
        weight = f"{completions[0].text!r} has weight {figures['confidence']:.3g} of 1"
        say(f"no answer is sure enough: {weight}, below {abstain_below:g}")
    if as_json:
        facts = made_by(
            weights=stack.model_id,
            dtype=str(stack.dtype).removeprefix("torch."),
            device=device,
            n_threads=threads,
        )
        rows = [_row(completion) for completion in completions]
        print_json({"model": stack.name, "completions": rows, **figures, **facts})


def _row(completion: Completion) -> dict[str, object]:
    return {
        "program": str(completion.program),
        "text": completion.text,
        "n_tokens": len(completion.token_ids),
        "logprob": _logprob(completion),
        "stopped_by": completion.stopped_by,
    }


def _logprob(completion: Completion) -> float | None:
    return None if completion.stopped_by == "nan" else completion.logprob


def _outcome(task: Task, prompt: str, completions: Sequence[Completion]) -> Outcome:
    """Return which answer wins when each counts with its probability, as in `vote:K`."""
    from skiploop.evaluation.answering import extract
    from skiploop.predictor.vote import elect, probability

    texts = [completion.text for completion in completions]
    weights = [probability(_logprob(completion)) for completion in completions]
    return elect(extract(task, prompt, texts), texts, weights)
