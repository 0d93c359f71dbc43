"""A server under load: many clients, each with a program of its own.

    python benchmarks/serve.py --clients 32 --requests 4 --out benchmarks/results/serve.json
    python benchmarks/serve.py --tiny

Four sides answer the same questions over HTTP, in turns; the servers of the others wait meanwhile:

- `mixed`: `skiploop serve`, all clients at once, a program for each;
- `one_program`: the same server, all clients with one program of about as many layer passes;
- `peer`: `transformers serve` on physical checkpoints, program by program, as it runs one model at
  a time. It gets some of the programs, and the time to load them is not counted;
- `peer_batch`: `transformers serve --continuous-batching` on one checkpoint, all clients at once.

Answers of `mixed` are compared with Hugging Face `generate` on program views before anything is
timed, and those of all sides with each other afterwards. In float32 all texts must be equal.
"""

import os
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from clients import PATIENCE_S, Turn, all_at_once, ask, serving
from measure import arguments, must_be_equal, ratio, report, spread
from reference import written
from tiny import tiny_model, tokenizer

import skiploop
from skiploop import Program, ProgramSpace
from skiploop.exchange import checkpoint
from skiploop.exchange.contents import Contents

IN_BATCHES = ["--continuous-batching", "--cb-num-blocks", "256", "--cb-block-size", "32"]
"""Room for 8,192 tokens; by itself transformers takes most of the memory of the machine."""


def main():
    options = arguments(__doc__, clients=32, requests=4, tokens=32, peer=8, tiny=False)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # transformers has no option for it
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        load = Load(options, Path(folder), servers)
        sides = [load.mixed, load.one_program, load.peer, load.peer_batch]
        turns = {side.__name__: [] for side in sides}
        load.check()
        for _ in range(options.repeats):
            for side in sides:
                turn = side()
                turns[side.__name__].append(turn)
                told = f"{side.__name__}: {turn.s_each:.3f} s each, {turn.cpu_s_each:.3f} s of CPU"
                print(told, file=sys.stderr, flush=True)
    differing = {
        "peer": must_agree(turns["mixed"], turns["peer"], options),
        "peer_batch": must_agree(turns["one_program"], turns["peer_batch"], options),
    }
    passes = sum(program.n_slots for program in load.programs) / len(load.programs)
    figures = {
        "clients": options.clients,
        "programs": len(set(load.programs)),
        "requests": len(load.prompts),
        "tokens": options.tokens,
        "requests_per_s": {k: spread([1 / turn.s_each for turn in v]) for k, v in turns.items()},
        "cpu_s_each": {k: spread([turn.cpu_s_each for turn in v]) for k, v in turns.items()},
        "mixed_over": {name: over(turns[name], turns["mixed"]) for name in list(turns)[1:]},
        "layer_passes_over_one_program": round(passes / load.one.n_slots, 3),
        "first_token_s": {name: percentiles(done) for name, done in turns.items()},
        "answers_differing": differing,
    }
    report(options, [f"{name}: {value}" for name, value in figures.items()], figures)


class Load:
    """The same questions for all sides.

    Args:
        options: Of the command line.
        folder: Of checkpoints and of what servers say.
        servers: Ends them.
    """

    def __init__(self, options, folder, servers):
        self.options = options
        self.folder = folder
        self.model = saved_tiny_model(folder / "model") if options.tiny else "smollm2-135m"
        self.stack = skiploop.load(self.model, dtype=options.dtype)
        self.programs = chosen_programs(self.stack, options.clients)
        self.one = self.programs[0]
        self.prompts = questions(options.clients * options.requests)
        log = folder / "log.txt"
        self.ours = servers.enter_context(serving(self._skiploop(), log))
        self.theirs = servers.enter_context(serving(self._transformers(), log))
        in_batches = [*self._transformers(), *IN_BATCHES]
        self.theirs_in_batches = servers.enter_context(serving(in_batches, log))
        asked = [{"model": self._checkpoint(one)} for one in self.programs[: options.peer]]
        self.peer_fields = [{**fields, "temperature": 0} for fields in asked]
        for server, fields in (
            (self.ours, {"program": str(self.one)}),
            *((self.theirs, fields) for fields in self.peer_fields),
            (self.theirs_in_batches, self.peer_fields[0]),
        ):
            ask(server.port, self.prompts[0], options.tokens, **fields)  # loads and warms up

    def mixed(self):
        return self._all([{"program": str(program)} for program in self.programs], self.ours)

    def one_program(self):
        return self._all([{"program": str(self.one)}] * self.options.clients, self.ours)

    def peer(self):
        """Ask one program after the other; its questions come one after the other, too."""
        turn = Turn({}, 0.0, 0.0)
        for client, fields in enumerate(self.peer_fields):
            own = all_at_once(self.theirs, [(self._of(client), fields)], self.options.tokens)
            turn.answers |= own.answers
            turn.seconds += own.seconds
            turn.cpu_s += own.cpu_s
        return turn

    def peer_batch(self):
        return self._all(self.peer_fields[:1] * self.options.clients, self.theirs_in_batches)

    def check(self):
        """Compare what the server writes under every program with `generate` on its view."""
        served = self.mixed().answers
        ends = self.stack.model.generation_config.eos_token_id
        tokenizer = self.stack.tokenizer
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        for client, program in enumerate(self.programs):
            view, prompt = self.stack.view(program), self.prompts[client]
            (tokens,) = written(view, self.stack, [prompt], self.options.tokens, ends)
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            if text != served[client][0] and must_be_equal(self.options):
                raise SystemExit(f"under {program} generate writes {text!r}, not {served[client]}")

    def _all(self, variants, server):
        clients = [(self._of(client), fields) for client, fields in enumerate(variants)]
        return all_at_once(server, clients, self.options.tokens)

    def _of(self, client):
        """Return the questions of a client by their place."""
        places = range(client, len(self.prompts), self.options.clients)
        return {place: self.prompts[place] for place in places}

    def _skiploop(self):
        command = [sys.executable, "-c", "from skiploop.cli.main import run; run()", "serve"]
        command += ["--model", self.model, "--name", "m", "--dtype", self.options.dtype]
        command += ["--threads", str(self.options.threads), "--device", self.options.device]
        return [*command, "--seconds", str(PATIENCE_S)]

    def _transformers(self):
        command = [str(Path(sys.executable).parent / "transformers"), "serve"]
        command += ["--model-timeout", str(PATIENCE_S)]
        return [*command, "--dtype", self.options.dtype, "--device", self.options.device]

    def _checkpoint(self, program):
        """Return the folder of a program as a model of its own."""
        folder = self.folder / str(self.programs.index(program))
        checkpoint.write(folder, Contents(programs=(program,)), self.stack)
        return str(folder)


def must_agree(ours, theirs, options):
    """Return how many answers of two sides differ."""
    pairs = [
        (characters(turn.answers[place][0]), characters(text))
        for turn, other in zip(ours, theirs, strict=True)
        for place, (text, _) in other.answers.items()
    ]
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    if differing and must_be_equal(options):
        raise SystemExit(f"{len(differing)} of {len(pairs)} answers differ: {differing[0]}")
    return f"{len(differing)} of {len(pairs)}"


def characters(text):
    """Return a text without what is no whole character, which transformers' streams leave out."""
    return text.replace("\N{REPLACEMENT CHARACTER}", "")


def over(others, ours):
    """Return how many times more requests we answer in a second, and in a processor second."""
    pairs = {
        "by_wall": [[turn.s_each for turn in turns] for turns in (others, ours)],
        "by_cpu": [[turn.cpu_s_each for turn in turns] for turns in (others, ours)],
    }
    return {name: ratio(*pair) for name, pair in pairs.items()}


def chosen_programs(stack, n):
    """Return different programs of one edit, that nearest to their mean length first."""
    space = ProgramSpace(stack.n_layers, max_block=4, max_runs=2)
    identity = Program.identity(stack.n_layers)
    all_of_them = [identity.with_edit(edit) for edit in space.edits(identity)]
    drawn = random.Random(0).sample(all_of_them, n)
    mean = sum(program.n_slots for program in drawn) / n
    return sorted(drawn, key=lambda program: abs(program.n_slots - mean))


def questions(n):
    """Return prompts of the arithmetic task."""
    task = skiploop.get_task("arithmetic", level="1,2")
    return [task.prompt(example)[-100:] for example in task.examples("train", n)]


def saved_tiny_model(folder):
    """Write a tiny random model and its tokenizer; return the folder's name."""
    model = tiny_model("llama")
    model.save_pretrained(folder)
    tokenizer(model.config.vocab_size).save_pretrained(folder)
    return str(folder)


def percentiles(turns):
    """Return the median and the 95th percentile of the seconds to a first token."""
    firsts = sorted(first for turn in turns for _, first in turn.answers.values())
    return {f"p{share}": round(firsts[len(firsts) * share // 100], 3) for share in (50, 95)}


if __name__ == "__main__":
    main()
