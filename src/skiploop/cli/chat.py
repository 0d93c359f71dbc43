"""`skiploop chat`: talk with a model, and see which program wrote each answer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from skiploop.cli.answers import Answers
from skiploop.cli.drawing import Draws
from skiploop.cli.groups import with_groups
from skiploop.cli.machine import Machine
from skiploop.cli.options import POLICY_HELP, Dtype, ModelOfPolicy
from skiploop.errors import ConfigError, SkiploopError, one_line, unknown_name
from skiploop.policies.base import FixedPolicy
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.cli.conversation import Conversation
    from skiploop.engine.completion import Completion
    from skiploop.server.variants import Chooser
    from skiploop.stack import LayerStack

HELP = """\
/program TEXT  answer under this program, such as 3:5x0 6:8x2; identity is the plain model
/policy NAME   let a policy choose: a run folder, an exported one, smollm2-135m/words and such
/clear         forget what was said
/help          show this
/quit          leave, as Ctrl-D does; Ctrl-C stops an answer
A message that starts with a slash gets a space before it."""


@with_groups
def chat(
    *,
    program: Annotated[
        str | None, typer.Option(help="Text form of the program that answers. [identity]")
    ] = None,
    policy: Annotated[str | None, typer.Option(help=POLICY_HELP)] = None,
    system: Annotated[str, typer.Option(help="What the model is told first.")] = "",
    model: ModelOfPolicy = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of an answer at most.", min=1)] = 256,
    draws: Draws,
    dtype: Dtype = None,
    machine: Machine,
) -> None:
    """Talk with a model; a bar of its layers says which program wrote each answer.

    Example: skiploop chat --program "14:15x2"

    In the bar, = is a layer that runs once, a dot one that is skipped, 2 one that runs twice.
    /help lists what else can be typed. Without a terminal, every line of the input is a message:
    echo "Say hello." | skiploop chat
    """
    if policy and program:
        raise ConfigError("--policy chooses the programs: give it or --program, not both")
    if program is not None:
        Program.read_edits(program)  # a typing error is told before the model is loaded

    from skiploop.cli.conversation import Conversation
    from skiploop.engine.options import Options
    from skiploop.runs.ready import base_for, load_policy

    sampling = draws.sampling()
    base, made_in = base_for(policy, model, dtype)
    stack = machine.load(base, made_in)
    conversation = Conversation(
        stack,
        load_policy(policy, stack) if policy else _always(program or "identity", stack),
        Options(max_new_tokens=max_new_tokens, sampling=sampling),
        seed=draws.seed or 0,
        system=system,
    )
    _Chat(conversation, stack).run()


class _Chat:
    """Reads messages and commands, and shows answers."""

    def __init__(self, conversation: Conversation, stack: LayerStack) -> None:
        self._conversation = conversation
        self._stack = stack
        self._commands: Mapping[str, Callable[[str], None]] = {
            "program": lambda text: self._choose(_always(text, stack)),
            "policy": lambda name: self._choose(_policy(name, stack)),
            "clear": lambda _: conversation.clear(),
            "help": lambda _: _show(HELP),
        }

    def run(self) -> None:
        """Answer until the user leaves; in a script, a mistake ends it."""
        is_talk = sys.stdin.isatty()
        for line in _typed() if is_talk else map(str.rstrip, sys.stdin):
            if line in ("/quit", "/exit", "/bye"):
                return
            try:
                self._handle(line)
            except SkiploopError as error:
                if not is_talk:
                    raise
                _show(one_line(error))
            except KeyboardInterrupt:
                if not is_talk:
                    raise
                _show("stopped")

    def _handle(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name.startswith("/"):
            if name[1:] not in self._commands:
                known = [f"/{one}" for one in (*self._commands, "quit")]
                raise unknown_name("command", name, known)
            self._commands[name[1:]](rest.strip())
        elif line.strip():
            self._answer(line.strip())

    def _answer(self, message: str) -> None:
        shown = Answers(["answer"], strips=True)
        with shown.interruptible():
            completion = self._conversation.answer(message, shown.told)
        shown.finish([])
        _show(_made_how(completion))

    def _choose(self, policy: Chooser) -> None:
        self._conversation.policy = policy
        _show(f"{policy.name} answers from now on")


def _always(text: str, stack: LayerStack) -> Chooser:
    """Return a program as what chooses: every answer gets it."""
    program = Program.parse(text, stack.n_layers)
    return FixedPolicy([program], str(program))


def _policy(name: str, stack: LayerStack) -> Chooser:
    from skiploop.runs.ready import load_policy

    if not name:
        raise ConfigError("/policy needs the name of a policy: /policy smollm2-135m/words")
    return load_policy(name, stack)


def _typed() -> Iterator[str]:
    """Yield lines that the user types, with arrow keys where the system knows them."""
    with suppress(ImportError):
        importlib.import_module("readline")
    _show("/help lists commands, Ctrl-D leaves")
    while True:
        try:
            yield input("> ")
        except EOFError:
            _show("")
            return


def _made_how(completion: Completion) -> str:
    program = completion.program
    return (
        f"[{bar(program)}] {program}: {program.n_slots} layer passes instead of "
        f"{program.n_layers}, {len(completion.token_ids)} tokens"
    )


def bar(program: Program) -> str:
    """Return a character for each layer: how often it runs, with = for once and . for never."""
    runs = [program.path.count(layer) for layer in range(program.n_layers)]
    return "".join({0: ".", 1: "="}.get(n, str(n) if n < 10 else "+") for n in runs)


def _show(text: str) -> None:
    """Print what is no answer: on stderr, and pale in a terminal."""
    from rich.console import Console

    Console(stderr=True).print(text, style="dim", markup=False, highlight=False, soft_wrap=True)
