"""A soak: one process works for hours, a fault hits it every minute, and its results stay the same.

    python benchmarks/soak.py --minutes 120 --every 60

Every round is a run of its own: a search, and the table of a menu, on a tiny random model. A fault
hits it, then the same commands are given again until they end well. Trials, what the search asked
and the menu must be those of a run that nothing happened to. Faults take turns in random order.

This process is the driver, or what the driver is copied from where a fault stops it. So its memory
tells what is left behind: the slope is that of all rounds but the first of each fault. SIGTERM ends
the soak early, with its report. It mounts small disks, so it needs root.
"""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
from measure import arguments, report

HELPERS = str(Path(__file__).parents[1] / "tests" / "model")
sys.path.insert(0, HELPERS)

import knocks  # noqa: E402 (stands with the tests)

from skiploop.runs.session import Run  # noqa: E402

ROOMY = "50m"


class Wrong(Exception):
    """What should not have come of a fault."""


def expect(what, *, is_true):
    if not is_true:
        raise Wrong(what)


class Soak:
    """A run's commands, what comes of them undisturbed, and what can happen to them.

    A fault is a method: it starts the run in a folder, hurts it, and returns how often it hit.
    """

    def __init__(self, folder, rng):
        self.folder, self.rng, self.whole = folder, rng, folder / "whole"
        about = knocks.asked(folder)
        search, menu = ["search", *about, *knocks.SEARCH], ["menu", "build", *about, *knocks.MENU]
        self.stages = [[*search, "--out"], [*menu, "--out"]]
        self.left = Path(tempfile.mkdtemp(dir=folder))
        self.complete(self.whole)
        started = time.perf_counter()
        self.complete(folder / "again")
        self.seconds = time.perf_counter() - started
        expect("two undisturbed runs differ", is_true=self.is_whole(folder / "again"))
        self.stack = Run.open(self.whole).stack
        self.questions = sorted({row[1] for row in knocks.rows(self.whole, knocks.ASKS)})

    def codes(self, run, *more):
        return [knocks.command(*stage, run, *more)[0] for stage in self.stages]

    def complete(self, run, *more):
        """Give the commands of a run, which have to end well."""
        for stage in self.stages:
            code, said = knocks.command(*stage, run, *more)
            expect(f"{stage[0]} ended with {code}: {said}", is_true=code == 0)

    def is_whole(self, run):
        menus = [(one / "menu.json").read_text() for one in (run, self.whole)]
        return knocks.same(run, self.whole) and menus[0] == menus[1]

    def stop_a_copy(self, run, *signals):
        """Run the commands in a copy of this process that gets signals at a random moment."""
        moment = time.perf_counter() + self.rng.uniform(0, self.seconds)
        for stage in self.stages:
            process = knocks.child([*stage, str(run)], self.stack)
            while knocks.is_running(process) and time.perf_counter() < moment:
                time.sleep(0.02)
            for number in signals if knocks.is_running(process) else ():
                os.kill(process, number)
                time.sleep(0.02)
            if code := knocks.ended(process):
                return code
        return 0

    def with_hurt_workers(self, run, replica, **settings):
        factory = mock.patch("skiploop.runs.workers.FACTORY", f"hurt_replicas:{replica}")
        with factory, mock.patch.dict(os.environ, PYTHONPATH=HELPERS, **settings):
            self.complete(run, "--workers", "2")

    def kill_of_the_driver(self, run):
        return [self.stop_a_copy(run, signal.SIGKILL) for _ in range(3)].count(-signal.SIGKILL)

    def ctrl_c(self, run):
        code = self.stop_a_copy(run, *[signal.SIGINT] * self.rng.choice([1, 2]))
        expect(f"it ended with {code}", is_true=code in (0, 130))
        return int(code == 130)

    def kill_of_a_worker(self, run):
        (self.left / "once").touch()
        about = {"DEADLY": str(self.left), "DEADLY_QUESTION": self.rng.choice(self.questions)}
        self.with_hurt_workers(run, "deadly", **about)
        return int(not any(self.left.iterdir()))

    def out_of_memory(self, run):
        self.with_hurt_workers(run, "small")
        return 1

    def full_disk(self, run):
        knocks.remount(run.parent, f"size={self.rng.randrange(60, 160)}k")
        codes = self.codes(run)
        expect(f"the commands ended with {codes}", is_true={*codes} <= {0, 2})
        knocks.remount(run.parent, f"size={ROOMY}")
        return codes.count(2)

    def read_only_folder(self, run):
        self.stop_a_copy(run, signal.SIGKILL)
        knocks.remount(run.parent, "ro")
        codes = self.codes(run)
        expect(f"the commands ended with {codes}", is_true=codes == [2, 2])
        knocks.remount(run.parent, "rw")
        return 1

    def bit_flip(self, run):
        self.complete(run)
        knocks.damage(run / "trials.sqlite", self.rng)
        if knocks.command("doctor", run)[0] == 0:
            return 0
        knocks.take_recovered(run)
        return 1

    def clock_jump(self, run):
        with mock.patch("time.time", lambda: self.rng.uniform(-1e9, 1e10)):
            self.complete(run)
        return 1

    FAULTS = (
        kill_of_the_driver, ctrl_c, kill_of_a_worker, out_of_memory, full_disk, read_only_folder,
        bit_flip, clock_jump,
    )  # fmt: skip

    def round(self, fault):
        """Let a fault hit a run on a disk of its own, finish it, and tell what came of it."""
        disk, found = self.folder / "disk", {"fault": fault.__name__, "hits": 0, "wrong": ""}
        with knocks.small_disk(disk, ROOMY) as is_there:
            try:
                expect("no disk can be mounted: run this as root", is_true=is_there)
                found["hits"] = fault(self, disk / "run")
                self.complete(disk / "run")
                expect("other results", is_true=self.is_whole(disk / "run"))
            except Wrong as wrong:
                found["wrong"] = str(wrong)
        disk.rmdir()
        return found


def slope(rounds):
    """Return MB an hour of a line through some rounds, and its standard error."""
    if len(rounds) < 4:
        return None
    hours, memory = [one["minute"] / 60 for one in rounds], [one["mb"] for one in rounds]
    line, errors = np.polyfit(hours, memory, 1, cov=True)
    return {"mb_an_hour": round(line[0], 2), "standard_error": round(errors[0, 0] ** 0.5, 2)}


def main():
    options = arguments(__doc__, minutes=120.0, every=60.0, seed=0)
    rng, over, started = random.Random(options.seed), threading.Event(), time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    rounds, turn = [], []
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), rng)
        while not over.is_set() and (at := time.monotonic()) - started < options.minutes * 60:
            turn = turn or rng.sample(Soak.FAULTS, len(Soak.FAULTS))
            found = soak.round(turn.pop())
            found["minute"] = round((time.monotonic() - started) / 60, 2)
            rounds.append({**found, "mb": round(knocks.memory_mb(), 1)})
            print(*rounds[-1].values(), sep="  ", flush=True)
            over.wait(max(0, at + options.every - time.monotonic()))
    figures = {
        "hits": Counter(one["fault"] for one in rounds for _ in range(one["hits"])),
        "wrong": [one for one in rounds if one["wrong"]],
        "slope": slope(rounds[len(Soak.FAULTS) :]),
        "cpu_s": round(sum(os.times()[:4])),
        "rounds": rounds,
    }
    report(options, [f"{len(rounds)} rounds, {len(figures['wrong'])} wrong"], figures)


if __name__ == "__main__":
    main()
