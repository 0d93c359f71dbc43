"""What is done to runs, and how it shows that nothing came of it: for tests of faults, and a soak.

Commands run in a copy of a process that has loaded the model, so that they can be killed at any
moment and started again at once.
"""

import gc
import io
import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from families import build, tokenizer
from planted import QUESTIONS

from skiploop.cli.main import main
from skiploop.runs import session

VERDICTS = "SELECT example_id, program, correct, answer FROM trials ORDER BY 1, 2"
ASKS = "SELECT * FROM asks ORDER BY source, example_id, step"
SEARCH = ("--limit", "16", "--budget", "12")
MENU = ("--size", "3", "--race-questions", "8", "--limit", "60", "--first-layer", "1")


def asked(folder):
    """Write a tiny model, and questions of which it answers some right; return the options."""
    build("llama").save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    lines = [json.dumps(line) + "\n" for line in json.loads(QUESTIONS.read_text())]
    (folder / "questions.jsonl").write_text("".join(lines))
    task = f"jsonl:{folder / 'questions.jsonl'}"
    return ["--model", str(folder / "model"), "--task", task, "--option", "shots=0"]


def rows(folder, query=VERDICTS):
    """Return rows of the trials of a run."""
    with closing(sqlite3.connect(Path(folder) / "trials.sqlite")) as store:
        return store.execute(query).fetchall()


def same(folder, whole):
    """Whether two runs have the same verdicts, and their searches asked the same."""
    return all(rows(folder, query) == rows(whole, query) for query in (VERDICTS, ASKS))


def command(*arguments):
    """Run one command in this process; return its exit code and the last line that it said."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main([str(one) for one in arguments])
    logging.getLogger("skiploop").handlers.clear()  # they write to what was redirected
    gc.collect()  # closes what the command left open
    return code, said.getvalue().rstrip().rpartition("\n")[2]


def memory_mb():
    """Return what this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def child(arguments, stack, log=None):
    """Run a command in a copy of this process, which has imported everything already."""
    process = os.fork()
    if process:
        return process
    session.load = lambda *_arguments, **_settings: stack
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os._exit(main(arguments))


def is_running(process):
    """Whether a copy still runs."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def ended(process):
    """Wait for a copy; return its exit code, or the signal that killed it, negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def damage(path, rng):
    """Cut a file off, or flip bits of it."""
    content = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del content[rng.randrange(len(content)) :]
    for place in rng.choices(range(len(content)), k=rng.choice([1, 3, 40])) if content else ():
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def take_recovered(folder):
    """Put the trials that `skiploop doctor` has recovered in the place of the damaged ones."""
    for name in ("trials.sqlite-wal", "trials.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "trials.recovered.sqlite").replace(folder / "trials.sqlite")


@contextmanager
def small_disk(folder, size="100k"):
    """Mount a small disk on a new folder; yields whether the system allows it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    is_there = bool(shutil.which("mount")) and not subprocess.run(command, check=False).returncode
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder, option):
    """Change the size of a small disk, or whether it can be written."""
    gc.collect()  # closes what the last command left open
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)
