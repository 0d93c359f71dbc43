"""Every causal language model that transformers registers: is it right, or refused by name?

A tiny random model of each family is given prompts of different length, three programs in one
batch, and continuations to score. What comes out is compared with the plain model, or with one
whose layers are physically copied, run from the first token for every new one, without a cache.

    python benchmarks/families.py                        # all of them
    python benchmarks/families.py --only bloom,rwkv
    python benchmarks/families.py --page docs/reference/families.md
"""

import argparse
import copy
import inspect
import json
import multiprocessing
import os
import time
import warnings
from collections import Counter
from functools import partial
from multiprocessing import connection
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tiny
import torch
import transformers

import skiploop
from skiploop.errors import SkiploopError
from skiploop.programs.program import Program

N_NEW = 6
PROMPTS = ["hello ab", "the quick brown fox ju"]
CONTINUATIONS = [" xyz", "mps over"]
PLAIN = Program.identity(tiny.N_LAYERS)
PROGRAMS = [Program.parse(text, tiny.N_LAYERS) for text in ("1:2x0", "1:3x2", "0:1x0 2:4x2")]
TOLERANCE = 5e-3  # of logits whose spread is about 1
SECONDS = 120  # that a family may take


class Judged:
    """The model of one family, and the truth about it."""

    def __init__(self, family):
        self.model = tiny.tiny_model(family)
        self.tokenizer = tiny.tokenizer()
        self.rows = [self.tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
        self.copies = {}

    def load(self):
        self.stack = skiploop.load(self.model, tokenizer=self.tokenizer)

    def true_model(self, program):
        """Return a model with the layers of a program, physically copied."""
        if program == PLAIN:
            return self.model
        if program not in self.copies:
            self.copies[program] = self.with_layers(program)
        return self.copies[program]

    def with_layers(self, program):
        """Return the model with copied layers, or, where it cannot run these, with places."""
        try:
            model = copied(self.model, self.stack.layers_path, program.path)
            plain_logits(model, self.rows[0])
        except Exception:  # noqa: BLE001  whatever a family raises
            return in_places(self.model, self.stack.layers_path, program.path)
        return model

    def check_answer(self, tokens, program, row):
        """Raise Wrong unless every token is the likeliest one, or all but as likely."""
        model, so_far = self.true_model(program), list(self.rows[row])
        if len(tokens) != N_NEW:
            raise Wrong(f"{len(tokens)} tokens")
        for place, token in enumerate(tokens):
            logits = plain_logits(model, so_far)[-1]
            lacking = (logits.max() - logits[token]).item()
            if not lacking < TOLERANCE * max(1.0, logits.std().item()):
                raise Wrong(f"token {place} of row {row} under {program} lacks {lacking:.2g}")
            so_far.append(token)

    def hugging_face(self):
        """What Hugging Face's own left-padded generation gives."""
        longest = max(map(len, self.rows))
        padding = [longest - len(row) for row in self.rows]
        ids = torch.tensor([[0] * n + row for n, row in zip(padding, self.rows, strict=True)])
        mask = torch.tensor([[0] * n + [1] * (longest - n) for n in padding])
        output = self.model.generate(
            ids, attention_mask=mask, max_new_tokens=N_NEW, do_sample=False, pad_token_id=0
        )
        for row, tokens in enumerate(output[:, longest:].tolist()):
            self.check_answer(tokens, PLAIN, row)

    def identity(self):
        for row, prompt in enumerate(PROMPTS):
            (answer,) = self.stack.generate([prompt], PLAIN, max_new_tokens=N_NEW)
            self.check_answer(answer.token_ids, PLAIN, row)

    def padded(self):
        for row, answer in enumerate(self.stack.generate(PROMPTS, PLAIN, max_new_tokens=N_NEW)):
            self.check_answer(answer.token_ids, PLAIN, row)

    def programs(self):
        pairs = [(row, program) for row in range(len(PROMPTS)) for program in PROGRAMS]
        answers = self.stack.generate(
            [PROMPTS[row] for row, _ in pairs],
            [program for _, program in pairs],
            max_new_tokens=N_NEW,
        )
        for answer, (row, program) in zip(answers, pairs, strict=True):
            self.check_answer(answer.token_ids, program, row)

    def loglikelihood(self):
        pairs = [(row, program) for row in range(len(PROMPTS)) for program in [PLAIN, *PROGRAMS]]
        texts = [PROMPTS[row] for row, _ in pairs], [CONTINUATIONS[row] for row, _ in pairs]
        together = self.stack.loglikelihood(*texts, [program for _, program in pairs])
        for at, (row, program) in enumerate(pairs):
            tail = self.tokenizer(CONTINUATIONS[row])["input_ids"]
            logits = plain_logits(self.true_model(program), self.rows[row] + tail)
            logprobs = logits.log_softmax(-1)[-len(tail) - 1 : -1]
            true = logprobs[range(len(tail)), tail].sum().item()
            (alone,) = self.stack.loglikelihood([texts[0][at]], [texts[1][at]], program)
            for name, found in (("in the batch", together[at]), ("alone", alone)):
                difference = abs(found - true)
                if not difference < len(tail) * TOLERANCE * max(1.0, logits.std().item()):
                    raise Wrong(f"row {row} under {program} {name} is off by {difference:.2g}")

    def view(self):
        for program in PROGRAMS:
            view = self.stack.view(program)
            row = self.rows[1]
            difference = (
                plain_logits(view, row) - plain_logits(self.true_model(program), row)
            ).abs()
            if not difference.max() < TOLERANCE:
                raise Wrong(f"logits under {program} are off by {difference.max():.2g}")
            options = {"max_new_tokens": N_NEW, "do_sample": False, "pad_token_id": 0}
            found = view.generate(torch.tensor([row]), **options)
            true = self.true_model(program).generate(torch.tensor([row]), **options)
            if found.tolist() != true.tolist():
                raise Wrong(f"generates other tokens under {program}")


class Wrong(Exception):
    """What came out is not what the truth says."""


CHECKS = {
    "identity": Judged.identity,
    "padded batch": Judged.padded,
    "three programs": Judged.programs,
    "loglikelihood": Judged.loglikelihood,
    "view": Judged.view,
}


@torch.no_grad()
def plain_logits(model, tokens):
    named = inspect.signature(model.forward).parameters
    options = {"use_cache": False} if {"use_cache", "kwargs"} & named.keys() else {}
    return model(input_ids=torch.tensor([tokens]), **options).logits[0].float()


def copied(model, path_of_layers, path):
    """Return a copy of a model with copies of its layers, as often and in the order of `path`."""
    model = copy.deepcopy(model)
    owner, _, name = path_of_layers.rpartition(".")
    old = model.get_submodule(path_of_layers)
    layers = torch.nn.ModuleList(copy.deepcopy(old[layer]) for layer in path)
    for slot, layer in enumerate(layers):
        for module in layer.modules():
            if "layer_idx" in vars(module):
                module.layer_idx = slot
    setattr(model.get_submodule(owner), name, layers)
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
    configs |= {id(c): c for c in [c.get_text_config(decoder=True) for c in configs.values()]}
    for config in configs.values():
        for name, value in list(vars(config).items()):
            if isinstance(value, list) and name.endswith("_indices"):
                setattr(config, name, [i for i, layer in enumerate(path) if layer in value])
            elif isinstance(value, list) and len(value) == len(old) and "layer" in name:
                setattr(config, name, [value[layer] for layer in path])
        for name in ("num_hidden_layers", "num_layers"):
            if getattr(config, name, None) == len(old):
                setattr(config, name, len(path))
    return model


class Place(torch.nn.Module):
    """Stands where a layer stands; the last one runs a path, with the arguments of each place."""

    def __init__(self, layers, index, path, seen):
        super().__init__()
        vars(self)["layers"], vars(self)["seen"] = layers, seen
        self.index, self.path = index, path

    def __getattr__(self, name):
        return getattr(vars(self)["layers"][self.index], name)

    def forward(self, states, *args, **kwargs):
        self.seen[self.index] = args, kwargs
        output = None
        for layer in self.path if self.index == len(self.layers) - 1 else ():
            args, kwargs = self.seen[layer]
            output = self.layers[layer](states, *args, **kwargs)
            states = output[0] if isinstance(output, tuple) else output
        if output is None:  # in the form in which a layer returns it
            output = self.layers[self.index](states, *args, **kwargs)
            return (states, *output[1:]) if isinstance(output, tuple) else states
        return output


def in_places(model, path_of_layers, path):
    """Return a copy of a model that runs layers as its loop calls them at their own places."""
    model = copy.deepcopy(model)
    owner, _, name = path_of_layers.rpartition(".")
    layers, seen = list(model.get_submodule(path_of_layers)), {}
    places = torch.nn.ModuleList(Place(layers, i, path, seen) for i in range(len(layers)))
    setattr(model.get_submodule(owner), name, places)
    return model


def judge(family):
    """Return verdicts on a family, each with a reason where it is not right."""
    try:
        judged = Judged(family)
        if not plain_logits(judged.model, judged.rows[0]).isfinite().all():
            raise Wrong("logits are not finite")
    except Exception as error:  # noqa: BLE001
        return {"family": family, "not_built": f"{type(error).__name__}: {one_line(error)}"}
    found = {"family": family, "hugging_face": verdict(judged.hugging_face)}
    refusal = verdict(judged.load)
    for name, check in CHECKS.items():
        found[name] = refusal if refusal[0] != "right" else verdict(partial(check, judged))
    if refusal[0] == "right":
        found["way"] = "ALONE" if judged.stack.exact else judged.stack.way.name
    return found


def verdict(check):
    """Return right, refused, wrong or raw, and why."""
    try:
        check()
    except Wrong as error:
        return "wrong", one_line(error)
    except SkiploopError as error:
        return "refused", one_line(error)
    except Exception as error:  # noqa: BLE001
        return "raw", f"{type(error).__name__}: {one_line(error)}"
    return "right", ""


def one_line(error):
    return " ".join(str(error).split())[:300]


def send(family, sender):
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    sender.send(judge(family))


def sweep(families, n_processes):
    """Yield what was found on each family, each in a process of its own."""
    context = multiprocessing.get_context("fork")
    waiting, running = list(reversed(families)), {}
    while waiting or running:
        while waiting and len(running) < n_processes:
            family = waiting.pop()
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=send, args=(family, sender))
            process.start()
            sender.close()
            running[receiver] = family, process, time.monotonic()
        connection.wait(running, timeout=1)
        for receiver, (family, process, started) in list(running.items()):
            is_late = time.monotonic() - started > SECONDS
            if not (receiver.poll() or is_late):
                continue
            try:
                if is_late and not receiver.poll():
                    raise EOFError
                yield receiver.recv()
            except EOFError:
                why = f"no verdict within {SECONDS} s" if is_late else "the process died"
                yield {"family": family, **dict.fromkeys(["hugging_face", *CHECKS], ("raw", why))}
            process.kill()
            process.join()
            del running[receiver]


def overall(found):
    """Return the verdict on a family: the worst of its checks, but a view may be refused."""
    verdicts = [found[name][0] for name in CHECKS if name != "view"]
    view = found["view"][0]
    verdicts.append("right" if view == "refused" else view)
    return next(v for v in ("raw", "wrong", "refused", "right") if v in verdicts)


def count(results):
    """Return how many families got each verdict."""
    built = [found for found in results if "not_built" not in found]
    counts = Counter(map(overall, built))
    right = [found for found in built if overall(found) == "right"]
    return {
        "families": len(results),
        "hugging_face_right": sum(found["hugging_face"][0] == "right" for found in built),
        **{name: counts[name] for name in ("right", "refused", "wrong", "raw")},
        "not_built": len(results) - len(built),
        "right_with_views": sum(found["view"][0] == "right" for found in right),
        "ways": dict(Counter(found["way"].lower() for found in right)),
    }


def page(results, counts):
    """Return the table in Markdown."""
    lines = [
        "# Families",
        "",
        "Made by `python benchmarks/families.py --page docs/reference/families.md`: every causal "
        f"language model that transformers {transformers.__version__} registers, as a tiny random "
        "model, against the plain model or one with physically copied layers, run from the first "
        "token for every new one, without a cache.",
        "",
        f"Of {counts['families']} families {counts['right']} are right, {counts['refused']} are "
        f"refused by name, {counts['wrong']} are wrong and {counts['raw']} end in an error of "
        f"another library; {counts['not_built']} could not be built. Hugging Face's own "
        f"left-padded `generate` is right on {counts['hugging_face_right']}. "
        f"{counts['right_with_views']} of the right ones have views, too.",
        "",
        "- *alone*, *padded*: greedy tokens of the identity, one prompt at a time and two of "
        "different length in a call; *programs*: two prompts under three programs each in one "
        "call; *scores*: log-probabilities under four programs, in one call and alone; *view*: "
        "logits and greedy tokens of `stack.view(program)`.",
        "- *way*: how rows share a batch, found by the [check at load]"
        "(engine.md#the-check-at-load): rows of any length, of one length, or of one length and "
        "without a cache, which is slow.",
        "",
        "| family | Hugging Face | alone | padded | programs | scores | view | way |",
        "|---|---|---|---|---|---|---|---|",
    ]
    reasons = {}
    for found in sorted(results, key=lambda found: found["family"]):
        family = found["family"]
        if "not_built" in found:
            reasons[family] = "not built: " + found["not_built"]
            continue
        cells = [found[name][0] for name in ("hugging_face", *CHECKS)]
        way = found["way"].lower() if "way" in found else ""
        lines.append(f"| {family} | {' | '.join(cells)} | {way} |")
        why = [found[name][1] for name in CHECKS if found[name][1]]
        if why:
            reasons[family] = why[0]
    lines += ["", "## Why", ""]
    lines += [f"- {family}: {reason}" for family, reason in reasons.items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="families, separated by commas")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page", type=Path, help="write the table to this file")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    families = options.only.split(",") if options.only else tiny.FAMILIES
    started = time.perf_counter()
    judge("llama")  # imports what all families need, before processes are made
    results = []
    for found in sweep(families, options.processes):
        results.append(found)
        if "not_built" in found:
            print(f"{found['family']:26} not built: {found['not_built']}", flush=True)
            continue
        cells = " ".join(f"{found[name][0]:8}" for name in ["hugging_face", *CHECKS])
        why = next((found[name][1] for name in CHECKS if found[name][0] == overall(found)), "")
        way = found.get("way", "")
        print(f"{found['family']:26} {cells} {way:10} {why[:150]}", flush=True)
    counts = count(results)
    if options.page:
        options.page.write_text(page(results, counts))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))
    seconds = round(time.perf_counter() - started)
    print(json.dumps({"transformers": transformers.__version__, **counts, "seconds": seconds}))


if __name__ == "__main__":
    main()
