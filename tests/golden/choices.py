"""What a selector, and every policy of a run, choose; and the report on them."""

import json
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import planted
import torch

from skiploop import Program
from skiploop.jsontext import plain
from skiploop.menus.menu import Menu
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import PromptFeatures, SelectorPolicy, learn
from skiploop.runs.policies import POLICIES, entry_of
from skiploop.runs.session import Run
from skiploop.trials.score_table import ScoreTable

_CHOOSING = [name for name in POLICIES if entry_of(name).role != "sample"]
EVERY_POLICY = (*_CHOOSING, "fixed:2:4x2", "selector:5.5", "vote:3", "majority:3")
"""Those of the registry, and one of every pattern that answers questions with choices."""

REPORTED = ("selector", "selector:5.5", "vote:3", "static", "by-category")

N_KNOWN, N_NEW = 120, 40

_LEFT_OUT = ("title", "timing", "provenance")
"""Parts of `report.json` that tell of paths, the clock, the machine and versions."""


class _Numbers:
    """An encoder for which a prompt is the numbers that it spells."""

    def __init__(self):
        self.spec = {"kind": "numbers"}
        self.width = 3

    def encode(self, prompts):
        return [torch.tensor([list(map(float, prompt.split()))]) for prompt in prompts]


def selector():
    """Return what is learned from a table made of seeded numbers, and what is chosen by it."""
    programs = tuple(Program.parse(text, 8) for text in ("identity", "2:3x2", "4:6x0", "5:6x2"))
    rng = np.random.default_rng(0)
    points_QF = rng.normal(size=(N_KNOWN + N_NEW, 3)).round(3)
    expected_QP = np.c_[np.full(N_KNOWN, 0.4), 0.4 + 0.4 * np.tanh(2 * points_QF[:N_KNOWN])]
    score_QP = (expected_QP + rng.normal(0, 0.1, expected_QP.shape)).clip(0, 1).round(3)
    right_QP = (score_QP > 0.5).astype(float)
    ids = tuple(map(str, range(N_KNOWN)))
    table = ScoreTable(ids, programs, right_QP, score_QP, np.ones(N_KNOWN))
    features = PromptFeatures(_Numbers())
    prompts = [" ".join(map(str, point)) for point in points_QF]
    known, new = prompts[:N_KNOWN], prompts[N_KNOWN:]
    data = learn(features.of(known), table, SelectorConfig(), n_raced=20)
    policy = SelectorPolicy(Menu(programs, "weights", (0.1,) * 4), features, data)
    ranking = {
        "best two": policy,
        "best two, 7.5 layer passes": policy.within(7.5, "selector:7.5"),
        "best two, no gate": policy.ungated("ungated"),
    }
    return {
        "ridge": data.ridge,
        "gate": [policy.gate.margin, policy.gate.layer_cost],
        "validation": plain(policy.validation),
        "chosen in turn": data.chosen_Q.reshape(-1, 20).tolist(),
        "expected": policy.expected(new).tolist(),
        **{
            name: [list(map(str, two)) for two in one.rank(new, 2)] for name, one in ranking.items()
        },
    }


def search():
    """Return by source and question the programs that a search asked for, with their verdicts."""
    run = Run.open(planted.finished_run())
    return {
        f"{source}, {example_id}": [[str(trial.program), trial.correct] for trial in trials]
        for source in ("search", "random")
        for example_id, trials in run.store.asked(source, run.stack.n_layers).items()
    }


def _evaluated(names, file):
    """Return the text of a file that an evaluation of some policies writes."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(shutil.copytree(planted.finished_run(), Path(folder) / "run"))
        asked = ["--policy", ",".join(names), "--limit", 24, "--k", 3]
        planted.command("evaluate", "--run", run, *asked)
        return (run / file).read_text()


def policies():
    """Return by policy and question what each ranked program answered, and its layer passes."""
    rows = defaultdict(lambda: defaultdict(list))
    for record in map(json.loads, _evaluated(EVERY_POLICY, "records.jsonl").splitlines()):
        answer = [record[name] for name in ("program", "correct", "text", "confidence")]
        passes = record["n_slots"] + record["extra_passes"]
        rows[record["policy"]][record["example_id"]].append([*answer, passes])
    return rows


def report():
    """Return `report.json` without what differs from run to run."""
    found = json.loads(_evaluated(REPORTED, "report.json"))
    return {key: part for key, part in found.items() if key not in _LEFT_OUT}
