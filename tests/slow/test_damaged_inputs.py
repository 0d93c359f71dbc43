"""A hundred thousand damaged inputs: each is read, or refused by an error of skiploop's own.

Run `pytest -m slow -s tests/slow/test_damaged_inputs.py` to see how many of each kind there were.
"""

import collections
import json
import random
import sys

import exchanged
import pytest

from skiploop import Program, get_task
from skiploop.config import apply_overrides, from_dict, load_file, to_dict
from skiploop.errors import SkiploopError
from skiploop.exchange.formats import names
from skiploop.menus.menu import MenuConfig
from skiploop.policies.polar.training import TrainConfig
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.runs.folder import RunConfig, RunFolder
from skiploop.runs.judging import EvaluateConfig
from skiploop.runs.ledger import Ledger
from skiploop.search.campaign import SearchConfig
from skiploop.trials.store import Trial, TrialStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

N_LAYERS = exchanged.N_LAYERS
PROGRAMS = ("identity", "1:3x0", "2:5x2 6:8x0", "0:1x0 4:6x3~0.5", "3:4x2~0.25@2")
CONFIGS = (RunConfig, SearchConfig, MenuConfig, TrainConfig, SelectorConfig, EvaluateConfig)
LETTERS = "0123456789:x~@ .-+{}[]()\"'\\,eE\n\t\0\ud800٣é∞aZ"
PIECES = (
    "null",
    "NaN",
    "1e999",
    "-1",
    "{}",
    "[[",
    '""',
    "9" * 400,
    "&a",
    "*a",
    "!!python/object:os",
)


def damaged(text, source):
    """Return a text with one to four changes: letters, pieces, and parts lost or twice."""
    for _ in range(source.randrange(1, 5)):
        start, stop = sorted(source.choices(range(len(text) + 1), k=2))
        new = source.choice(
            ["", text[start:stop] * 2, source.choice(LETTERS), source.choice(PIECES)]
        )
        stop = stop if source.random() < 0.3 else min(stop, start + 1)
        text = text[:start] + new + text[stop:]
    return text


def write(path, text):
    path.write_bytes(text.encode(errors="surrogatepass"))


def tried(kind, n_cases, case):
    """Let so many inputs be read; whatever is not skiploop's own error is raised with its seed."""
    count = collections.Counter()
    for seed in range(n_cases):
        try:
            case(random.Random(seed))
        except SkiploopError as error:
            assert "\n" not in str(error), seed
            count["refused"] += 1
        except BaseException as error:
            error.add_note(f"{kind}, seed {seed}")
            raise
        else:
            count["read"] += 1
    sys.stdout.write(f"{kind}: {n_cases} damaged, {dict(count)}\n")
    assert min(count["refused"], count["read"]) > n_cases / 100
    return count


def test_programs():
    def case(source):
        text = damaged(source.choice(PROGRAMS), source)
        program = Program.parse(text, N_LAYERS)
        assert Program.parse(str(program), N_LAYERS) == program

    tried("programs", 50_000, case)


def test_settings():
    made = [to_dict(config(**_needed(config))) for config in CONFIGS]

    def case(source):
        number = source.randrange(len(CONFIGS))
        try:
            data = json.loads(damaged(json.dumps(made[number]), source))
        except ValueError:
            data = {**made[number], source.choice(list(made[number])): source.choice(PIECES)}
        from_dict(CONFIGS[number], data)

    tried("settings", 20_000, case)


def test_overrides():
    def case(source):
        apply_overrides({}, [damaged("search.max_block=2", source), damaged("a=[1, x]", source)])

    tried("overrides", 15_000, case)


def test_files_of_settings(tmp_path):
    text = "run:\n  model: mine\n  options: [level=2]\nsearch: {budget: 4, limit: null}\n"

    def case(source):
        write(tmp_path / "c.yaml", damaged(text, source))
        load_file(tmp_path / "c.yaml")

    tried("files of settings", 5_000, case)


def test_files_of_questions(tmp_path):
    lines = [json.dumps({"question": f"question {i}?", "answer": str(i)}) for i in range(12)]

    def case(source):
        file = tmp_path / "q.jsonl"
        write(file, damaged("\n".join(lines), source))
        task = get_task(f"jsonl:{file}", shots=0)
        task.examples("train")

    tried("files of questions", 4_000, case)


def test_files_of_others(tmp_path):
    both = [name for name in names("import") if name in names("export")]
    wholes = {}
    for name in both:
        asked = exchanged.Contents(questions=exchanged.QUESTIONS[1:])
        try:
            path = exchanged.written(name, asked, tmp_path)
        except SkiploopError:  # it holds programs, one or several
            path = _of_programs(name, tmp_path)
        wholes[name] = path.read_text()

    def case(source):
        name = source.choice(both)
        path = tmp_path / "damaged"
        write(path, damaged(wholes[name], source))
        exchanged.read(name, path)

    tried("files of other projects", 6_000, case)


def test_run_folders(tmp_path):
    run = RunFolder(tmp_path, RunConfig())
    run.record("search", SearchConfig())
    Ledger(tmp_path).end("search", {"torch": "2.0"}, 1)
    trial = Trial("q", Program.identity(N_LAYERS), True, "7", "7", "", 1, -0.5, "stop", 1, 9, "x")
    run.store.add([trial])
    run.store.close()
    files = ["config.json", "provenance.json", "trials.sqlite"]
    wholes = {name: (tmp_path / name).read_bytes() for name in files}

    def case(source):
        name = source.choice(files)
        whole = wholes[name]
        if name.endswith(".json"):
            write(tmp_path / name, damaged(whole.decode(), source))
        else:
            (tmp_path / name).write_bytes(_damaged_bytes(whole, source))
        try:
            opened = RunFolder.open(tmp_path)
            opened.finished("search", SearchConfig)
            store = TrialStore(tmp_path / "trials.sqlite")
            try:
                store.verify()
                store.asked("search", N_LAYERS)
            finally:
                store.close()
        finally:
            for suffix in ("-wal", "-shm"):
                (tmp_path / f"trials.sqlite{suffix}").unlink(missing_ok=True)
            (tmp_path / name).write_bytes(whole)

    tried("run folders", 3_000, case)


def _needed(config):
    """Return values of the fields without a default."""
    return {"limit": 4, "budget": 2} if config is SearchConfig else {}


def _of_programs(name, folder):
    for some in (exchanged.PROGRAMS, exchanged.PROGRAMS[:2], exchanged.PROGRAMS[3:]):
        try:
            return exchanged.written(name, exchanged.Contents(programs=some), folder)
        except SkiploopError as error:
            refused = error
    raise refused


def _damaged_bytes(content, source):
    changed = bytearray(content)
    if source.random() < 0.3:
        del changed[source.randrange(len(changed)) :]
    for place in (
        source.choices(range(len(changed)), k=source.choice([1, 3, 40])) if changed else ()
    ):
        changed[place] ^= 1 << source.randrange(8)
    return bytes(changed)
