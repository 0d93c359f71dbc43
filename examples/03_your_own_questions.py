"""A whole run on questions of your own: search, train, evaluate. The folder resumes."""

import json
import tempfile
from pathlib import Path

import torch

from skiploop.policies.polar.training import TrainConfig
from skiploop.report.tables.policies import policies_table
from skiploop.runs import pipeline
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.search.campaign import SearchConfig

torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    questions = Path(folder, "questions.jsonl")
    with questions.open("w") as file:
        for a in range(1, 10):
            for b in range(1, 10):
                line = {"question": f"What is {a} plus {b}?", "answer": str(a + b)}
                file.write(json.dumps(line) + "\n")

    run = Run.create(Path(folder, "run"), RunConfig(task=f"jsonl:{questions}"))
    pipeline.search(run, SearchConfig(limit=8, budget=4))
    pipeline.train(run, TrainConfig(epochs=4, batch_size=8))
    report = pipeline.evaluate(run, pipeline.EvaluateConfig(policies=("polar",), limit=10, k=1))

    table = policies_table(report.policies, report.timing).transposed()
    for row in [table.header, *table.rows]:
        print(f"{row[0]:<40} {row[1]:>24} {row[2]:>24}")
    print("report:", sorted(path.name for path in run.folder.glob("report.*")))
