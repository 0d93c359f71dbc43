"""`skiploop generate`: run one program on one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.options import Device, Dtype, Json, Memory, Threads, unescaped
from skiploop.errors import ConfigError
from skiploop.models.packaged import DEFAULT_MODEL
from skiploop.programs.program import Program

DEFAULT_LENGTH = 32
"""Tokens that are added at most, unless told otherwise."""

if TYPE_CHECKING:
    from skiploop.engine.completion import Completion
    from skiploop.engine.options import Options
    from skiploop.policies.vote import Outcome
    from skiploop.tasks.base import Task
    from skiploop.tasks.prompt_form import PromptForm


def generate(
    prompt: Annotated[str | None, typer.Argument(help="Text to continue.")] = None,
    ask: Annotated[
        str | None,
        typer.Option(help="A bare question, put as those that the policy learned from."),
    ] = None,
    program: Annotated[
        list[str] | None, typer.Option(help="Text form of a program; may be given often.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What chooses: a run folder, an exported one, or smollm2-135m/arithmetic and such."
        ),
    ] = None,
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
    model: Annotated[
        str | None,
        typer.Option(
            help="Packaged name, hub id, folder or .gguf file. [of the policy, or smollm2-135m]"
        ),
    ] = None,
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

    Example: skiploop generate --policy smollm2-135m/arithmetic --ask "65 + 38"
    """
    drawing = {"--top-k": top_k, "--top-p": top_p, "--seed": seed}
    given = [flag for flag, value in drawing.items() if value is not None]
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
        (
            given and not temperature,
            f"{', '.join(given)}: nothing is drawn, give --temperature above 0 too",
        ),
    ):
        if is_wrong:
            raise ConfigError(message)
    written = program or ["identity"]
    for text in written:
        Program.read_edits(text)  # a typing error is told before the model is loaded

    from skiploop.cli.console import made_by, prepare, print_json, say
    from skiploop.engine.sampling import Sampling
    from skiploop.loading import load
    from skiploop.policies.vote import voters
    from skiploop.runs.ready import load_policy, origin_of

    sampling = (
        Sampling(temperature=temperature, top_k=top_k, top_p=1.0 if top_p is None else top_p)
        if temperature
        else None
    )
    origin = origin_of(policy) if policy else None
    if origin and ask is not None:
        asked, limits = _put(origin.form, ask)
    else:
        asked, limits = prompt or "", _limits(max_new_tokens, stop or ())
    made_on = (origin.model, origin.dtype) if origin else (DEFAULT_MODEL, None)
    prepare(threads)
    stack = load(
        made_on[0] if model is None else model,
        dtype=made_on[1] if dtype is None else dtype,
        device=device,
        memory=memory,
    )
    if policy:
        programs = voters(load_policy(policy, stack), [asked], vote or 1)[0]
    else:
        programs = [Program.parse(text, stack.n_layers) for text in written]
    completions = stack.generate(
        [asked] * len(programs),
        programs,
        max_new_tokens=limits.max_new_tokens,
        stop=limits.stop,
        sampling=sampling,
        seeds=[seed or 0] * len(programs) if sampling else (),
    )
    figures: dict[str, object] = {}
    if vote and origin:
        outcome = _outcome(origin.form.made, asked, completions)
        completions = [completions[outcome.winner]]
        is_unsure = outcome.confidence < abstain_below
        figures = {"confidence": outcome.confidence, "abstained": is_unsure}
    if figures.get("abstained"):
        weight = f"{completions[0].text!r} has weight {figures['confidence']:.3g} of 1"
        say(f"no answer is sure enough: {weight}, below {abstain_below:g}")
    else:
        for one in completions:
            label = f"[{one.program}] " if len(programs) > 1 else ""
            print(label + (one.text if ask is None else one.text.strip()))
    if as_json:
        facts = made_by(
            weights=stack.model_id,
            dtype=str(stack.dtype).removeprefix("torch."),
            device=device,
            n_threads=threads,
        )
        rows = [_row(completion) for completion in completions]
        print_json({"model": stack.name, "completions": rows, **figures, **facts})


def _put(form: PromptForm, question: str) -> tuple[str, Options]:
    """Return the prompt of a bare question, and where its answer ends."""
    from skiploop.engine.options import Options

    prompt = form.prompt(question)
    return prompt, Options(max_new_tokens=form.max_new_tokens, stop=form.stop)


def _limits(max_new_tokens: int | None, stop: Sequence[str]) -> Options:
    """Return where an answer ends, refused before the model is loaded."""
    from skiploop.engine.options import Options

    stops = [unescaped(text) for text in stop]
    return Options(max_new_tokens=max_new_tokens or DEFAULT_LENGTH, stop=stops)


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
    from skiploop.policies.vote import elect, probability

    texts = [completion.text for completion in completions]
    weights = [probability(_logprob(completion)) for completion in completions]
    return elect(extract(task, prompt, texts), texts, weights)
