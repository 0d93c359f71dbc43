"""Thousands of damaged folders and GGUF files: each loads or is refused, soon and in little memory.

Run `pytest -m slow -s tests/slow/test_damaged_models.py` to see how many of each kind there were.
"""

import collections
import contextlib
import json
import random
import resource
import shutil
import signal
import sys

import pytest
from ggufs import model, tokenizer, write

import skiploop
from skiploop.errors import SkiploopError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

N_FOLDERS, N_GGUFS = 2500, 2500
SECONDS, GIGABYTE = 20, 2**20  # of one case; ru_maxrss counts in KiB
VALUES = (
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    10**12,
    2**63,
    -(2**63),
    0.5,
    1e300,
    float("nan"),
    "",
    "llama",
    "cuda:0",
    "../x",
    [],
    [1, 2],
    {},
    {"type": "linear"},
    {"a": {"b": []}},
)
NUMBERS = (b"\xff" * 8, b"\0" * 8, (2**60).to_bytes(8, "little"), (2**31).to_bytes(8, "little"))


@pytest.fixture(autouse=True)
def limits(tmp_path, monkeypatch):
    """A case that hangs ends with an error, and so does one that takes a gigabyte."""

    def stop(*_):
        raise TimeoutError("it hangs")

    monkeypatch.setenv("SKIPLOOP_CACHE", str(tmp_path / "cache"))
    signal.signal(signal.SIGALRM, stop)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIGABYTE


def ends(path, *, verify):
    """Load a model and return how it ended; whatever is not skiploop's own error is raised."""
    signal.alarm(SECONDS)
    try:
        skiploop.load(path, verify=verify)
    except SkiploopError as error:
        assert "\n" not in str(error)
        return "refused"
    finally:
        signal.alarm(0)
    return "loaded"


def damaged_bytes(content, source, region):
    changed = bytearray(content)
    kind = source.randrange(4)
    place = source.randrange(min(region, len(changed) - 8))
    if kind == 0:
        changed[place] = source.randrange(256)
    elif kind == 1:
        changed[place : place + 8] = source.choice(NUMBERS)
    elif kind == 2:
        del changed[place:]
    else:
        other = source.randrange(min(region, len(changed) - 8))
        changed[place : place + 4] = changed[other : other + 4]
    return bytes(changed)


def damaged_json(text, source):
    stated = json.loads(text)
    where = stated
    while True:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        key = source.choice(keys)
        inner = where[key]
        if not (isinstance(inner, dict | list) and inner) or source.random() < 0.3:
            break
        where = inner
    kind = source.randrange(4)
    if kind == 0:
        del where[key]
    elif kind == 1 and isinstance(where, dict):
        where[source.choice(VALUES[13:16]) or "x"] = where.pop(key)
    else:
        where[key] = source.choice(VALUES)
    return json.dumps(stated)


@contextlib.contextmanager
def named(case):
    try:
        yield
    except BaseException as error:
        error.add_note(case)
        raise


def report(kind, count):
    sys.stdout.write(f"{kind}: {sum(count.values())} damaged, {dict(count)}\n")


def test_damaged_folders_load_or_are_refused(tmp_path):
    whole = tmp_path / "whole"
    model().save_pretrained(whole, max_shard_size="30KB")
    tokenizer().save_pretrained(whole)
    files = sorted(path for path in whole.iterdir() if path.is_file())
    folder = tmp_path / "damaged"
    count = collections.Counter()
    for seed in range(N_FOLDERS):
        source = random.Random(seed)
        shutil.copytree(whole, folder)
        file = folder / source.choice([*files, whole / "config.json"]).name
        if file.suffix == ".json" and source.random() < 0.8:
            file.write_text(damaged_json(file.read_text(), source))
        else:
            file.write_bytes(damaged_bytes(file.read_bytes(), source, region=2000))
        with named(f"seed {seed}, {file.name}"):
            count[ends(folder, verify=seed % 10 == 0)] += 1
        shutil.rmtree(folder)
    report("folders", count)
    assert count["refused"] > N_FOLDERS / 10
    assert count["loaded"] > N_FOLDERS / 10


def test_damaged_gguf_files_load_or_are_refused(tmp_path):
    whole = write(tmp_path / "whole.gguf", model()).read_bytes()
    header = whole.index(b"tokenizer.ggml.tokens")
    file = tmp_path / "damaged.gguf"
    count = collections.Counter()
    for seed in range(N_GGUFS):
        source = random.Random(seed)
        region = header if source.random() < 0.7 else len(whole)
        file.write_bytes(damaged_bytes(whole, source, region))
        with named(f"seed {seed}"):
            count[ends(file, verify=seed % 10 == 0)] += 1
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    report("GGUF files", count)
    assert count["refused"] > N_GGUFS / 10
    assert count["loaded"] > N_GGUFS / 10
