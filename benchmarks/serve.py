"""A server under load: many clients, each with a program of its own.

    python benchmarks/serve.py --clients 32 --requests 4 --out benchmarks/results/serve.json
    python benchmarks/serve.py --tiny

Three sides answer the same requests: `skiploop serve` with a program for each client, the same
server with one program of about as many layer passes for all, and Hugging Face `generate` on
program views, one request after the other, without HTTP: what a server does that knows one model at
a time, at its best. In float32 all texts must be equal.
"""

import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from measure import arguments, must_be_equal, n_differing, report, spread
from reference import written
from tiny import tiny_model, tokenizer

import skiploop
from skiploop import Program, ProgramSpace


def main():
    options = arguments(__doc__, clients=32, requests=4, tokens=32, peer=32, tiny=False)
    with tempfile.TemporaryDirectory() as folder:
        model = saved_tiny_model(Path(folder)) if options.tiny else "smollm2-135m"
        stack = skiploop.load(model, dtype=options.dtype)
        stack.tokenizer.pad_token = stack.tokenizer.pad_token or stack.tokenizer.eos_token
        programs, one = chosen_programs(stack, options.clients)
        prompts = questions(options.clients * options.requests)
        sides = {"mixed": programs, "one_program": [one] * options.clients}
        found = {}
        with server(options, model) as port:
            ask(port, prompts[0], one, options.tokens)  # warms up
            for name, their in sides.items():
                found[name] = [
                    loaded(port, prompts, their, options) for _ in range(options.repeats)
                ]
    peer = one_at_a_time(stack, prompts[: options.peer], programs, options)
    n_other = n_differing([text for text, _ in found["mixed"][0]["answers"]], peer["texts"])
    if n_other and must_be_equal(options):
        raise SystemExit(f"{n_other} of {len(peer['texts'])} answers differ from generate's")
    rate = {
        name: spread([turn["requests_per_s"] for turn in turns]) for name, turns in found.items()
    }
    passes = sum(program.n_slots for program in programs) / len(programs)
    mixed, alike = rate["mixed"]["median"], rate["one_program"]["median"]
    figures = {
        "clients": options.clients,
        "programs": len(set(programs)),
        "requests": len(prompts),
        "tokens": options.tokens,
        "requests_per_s": rate,
        "generate_requests_per_s": round(peer["requests_per_s"], 3),
        "over_generate": round(mixed / peer["requests_per_s"], 2),
        "over_one_program_per_layer_pass": round(mixed * passes / (alike * one.n_slots), 3),
        "first_token_s": {name: percentiles(turns) for name, turns in found.items()},
        "answers_differing": f"{n_other} of {len(peer['texts'])}",
    }
    report(options, [f"{name}: {value}" for name, value in figures.items()], figures)


def chosen_programs(stack, n):
    """Return different programs of one edit, and the one nearest to their mean length."""
    space = ProgramSpace(stack.n_layers, max_block=4, max_runs=2)
    edits = space.edits(Program.identity(stack.n_layers))
    identity = Program.identity(stack.n_layers)
    drawn = random.Random(0).sample([identity.with_edit(edit) for edit in edits], n)
    mean = sum(program.n_slots for program in drawn) / n
    return drawn, min(drawn, key=lambda program: abs(program.n_slots - mean))


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


@contextmanager
def server(options, model):
    """Run `skiploop serve` in a process of its own; give its port."""
    command = [sys.executable, "-c", "from skiploop.cli.main import run; run()", "serve"]
    command += ["--model", model, "--name", "m", "--port", "0", "--dtype", options.dtype]
    command += ["--threads", str(options.threads), "--device", options.device]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if found := re.search(r"serving m at http://127.0.0.1:(\d+)/", line):
                port = int(found[1])
                break
        else:
            raise SystemExit("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        wait_until_up(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_up(port):
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def loaded(port, prompts, programs, options):
    """Let all clients ask at once, each one question after the other."""
    each = [prompts[i :: len(programs)] for i in range(len(programs))]
    started = time.perf_counter()
    with ThreadPoolExecutor(len(programs)) as pool:
        clients = [
            pool.submit(lambda some, p: [ask(port, q, p, options.tokens) for q in some], some, p)
            for some, p in zip(each, programs, strict=True)
        ]
        found = [client.result() for client in clients]
    seconds = time.perf_counter() - started
    in_order = [found[i % len(programs)][i // len(programs)] for i in range(len(prompts))]
    return {"answers": in_order, "requests_per_s": len(prompts) / seconds}


def ask(port, prompt, program, n_tokens):
    """Return the text of one streamed answer, and the seconds to its first token."""
    body = {"prompt": prompt, "program": str(program), "max_tokens": n_tokens, "stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    started = time.perf_counter()
    connection.request(
        "POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    text, first = "", None
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        first = time.perf_counter() - started if first is None else first
        text += json.loads(line[6:])["choices"][0]["text"]
    connection.close()
    return text, first


def one_at_a_time(stack, prompts, programs, options):
    """Return what `generate` on views writes, and how many requests it answers in a second."""
    ends = stack.model.generation_config.eos_token_id
    views = [stack.view(programs[i % len(programs)]) for i in range(len(prompts))]
    written(views[0], stack, prompts[:1], 2, ends)
    started = time.perf_counter()
    tokens = [
        written(view, stack, [prompt], options.tokens, ends)[0]
        for view, prompt in zip(views, prompts, strict=True)
    ]
    seconds = time.perf_counter() - started
    texts = stack.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return {"texts": texts, "requests_per_s": len(prompts) / seconds}


def percentiles(turns):
    """Return the median and the 95th percentile of the seconds to a first token."""
    firsts = sorted(first for turn in turns for _, first in turn["answers"])
    return {f"p{share}": round(firsts[len(firsts) * share // 100], 3) for share in (50, 95)}


if __name__ == "__main__":
    main()
