"""Workers give what one process gives, whoever of them runs what."""

import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict

import pytest
import torch
from inline import InlineBackend
from tallies import Raises

from skiploop import Program
from skiploop.errors import ConfigError, JobsFailedError
from skiploop.menus.menu import MenuConfig
from skiploop.runs import pipeline, provenance
from skiploop.runs.folder import RunConfig
from skiploop.runs.session import Run
from skiploop.runs.workers import WorkersConfig
from skiploop.search.campaign import SearchConfig
from skiploop.stack import LayerStack
from skiploop.tasks import get_task
from skiploop.trials.memory import LEAST_BYTES
from skiploop.trials.plain import examples_in, examples_out

SEARCH = SearchConfig(limit=12, budget=4)
MENU = MenuConfig(size=4, race_questions=8, limit=60, first_layer=1, max_block=2)
EVALUATE = pipeline.EvaluateConfig(policies=("static",), limit=6, k=1)
VERDICTS = "SELECT example_id, program, correct, answer FROM trials ORDER BY 1, 2"
TRIALS = "SELECT * FROM trials ORDER BY example_id, program"
ASKS = "SELECT * FROM asks ORDER BY source, example_id, step"


@pytest.fixture(scope="module")
def config(llama_folder):
    return RunConfig(model=llama_folder, options=("level=2",))


def rows(folder, query):
    with closing(sqlite3.connect(folder / "trials.sqlite")) as store:
        return store.execute(query).fetchall()


def finished(folder, config, backend=None):
    run = Run.create(folder, config)
    run.backend = backend
    table = pipeline.search(run, SEARCH)
    menu = pipeline.menu(run, MENU)
    report = pipeline.evaluate(run, EVALUATE)
    run.store.close()
    return table, menu, report.policies


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    return folder, finished(folder, config)


def test_all_stages_are_those_of_one_process_whoever_runs_them(alone, config, tmp_path):
    folder, figures = alone
    with InlineBackend(1) as one, InlineBackend(3) as three:
        assert finished(tmp_path / "one", config, one) == figures
        assert finished(tmp_path / "three", config, three) == figures
    for query in (VERDICTS, ASKS):
        assert rows(tmp_path / "three", query) == rows(folder, query)
    assert rows(tmp_path / "three", TRIALS) == rows(tmp_path / "one", TRIALS)  # to the last digit


def test_what_was_stopped_with_workers_goes_on_without_and_the_other_way(alone, config, tmp_path):
    for first, second in ((InlineBackend(2), None), (None, InlineBackend(2))):
        told = Raises(KeyboardInterrupt, at=2)
        folder = tmp_path / str(second)
        run = Run.create(folder, config)
        run.backend = first
        with pytest.raises(KeyboardInterrupt):
            pipeline.search(run, SEARCH, told)
        n_before = len(run.store)
        assert n_before >= len(told.trials) > 0
        run.backend = second
        pipeline.search(run, SEARCH)
        known = {row[:2] for row in rows(alone[0], ASKS.replace("*", "example_id, program"))}
        assert {row[:2] for row in rows(folder, VERDICTS)} == known
        assert rows(folder, ASKS) == rows(alone[0], ASKS)
        run.store.close()


def test_a_job_that_fails_leaves_the_stage_unfinished_and_all_else_stored(
    alone, config, tmp_path, monkeypatch
):
    question = get_task("arithmetic", level=2).examples("train", 1)[0]
    stream = LayerStack.stream

    def fail_once(self, prompts, *others):
        if any(question.question in prompt for prompt in prompts):
            raise ValueError("bad\nluck")
        return stream(self, prompts, *others)

    monkeypatch.setattr(LayerStack, "stream", fail_once)
    run = Run.create(tmp_path / "run", config)
    with InlineBackend(2) as run.backend:
        named = rf"1 of 2 jobs .*{re.escape(question.id)}.*: bad luck"
        with pytest.raises(JobsFailedError, match=named):
            pipeline.search(run, SEARCH)
        assert run.has("search") and not run.facts("search")
        monkeypatch.undo()
        pipeline.search(run, SEARCH)
    assert rows(run.folder, ASKS) == rows(alone[0], ASKS)


def test_a_worker_whose_task_differs_says_so(config, tmp_path):
    run = Run.create(tmp_path / "run", config)
    run.backend = InlineBackend(1)
    _ = run.stack, run.task
    about = run.about
    about["run"]["questions"] = "arithmetic, version 0"
    runner = run.runner()
    runner._about = about
    pairs = [(run.task.examples("train", 1)[0], Program.identity(run.stack.n_layers))]
    with pytest.raises(JobsFailedError, match="was made with the questions of"):
        runner.grade_pairs(pairs)


def test_a_worker_with_other_versions_names_them_and_judges_nothing(config, tmp_path, monkeypatch):
    here = provenance.versions()
    there = {**here, "torch": "1.0+cu999", "numpy": f"{here['numpy']}+cu999"}
    run = Run.create(tmp_path / "run", config)
    _ = run.stack, run.task
    monkeypatch.setattr(Run, "about", {**run.about, "versions": there})
    named = rf"worker on \S+ has torch {re.escape(here['torch'])} \(there 1.0\+cu999\), so"
    with InlineBackend(1) as run.backend, pytest.raises(JobsFailedError, match=named):
        pipeline.search(run, SEARCH)
    assert run.n_trials == 0


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), MemoryError()])
def test_out_of_memory_halves_the_batch_until_it_fits_and_changes_no_verdict(
    error, alone, config, tmp_path, monkeypatch, caplog
):
    stream = LayerStack.stream

    def within(self, *arguments):
        if self.memory > 10**9 // 4:
            raise error
        return stream(self, *arguments)

    monkeypatch.setattr(LayerStack, "stream", within)
    run = Run.create(tmp_path / "run", config)
    pipeline.search(run, SEARCH)
    assert rows(run.folder, ASKS) == rows(alone[0], ASKS)
    assert "they run on in batches of at most 0.25 GB" in caplog.text
    assert run.stack.memory == 10**9


def test_what_does_not_fit_in_the_least_memory_is_an_error(config, tmp_path, monkeypatch):
    def never(self, *_):
        assert self.memory > LEAST_BYTES // 2
        raise torch.OutOfMemoryError("CUDA")

    monkeypatch.setattr(LayerStack, "stream", never)
    with pytest.raises(torch.OutOfMemoryError):
        pipeline.search(Run.create(tmp_path / "run", config), SEARCH)


def test_an_error_that_is_not_of_memory_is_not_tried_again(config, tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(LayerStack, "stream", fail)
    caplog.set_level(logging.WARNING)
    with pytest.raises(RuntimeError, match="shapes differ"):
        pipeline.search(Run.create(tmp_path / "run", config), SEARCH)
    assert "out of memory" not in caplog.text


@pytest.mark.parametrize("task", ["arithmetic", "words", "reasoning-gym:graph_color"])
def test_questions_survive_the_way_to_a_worker(task):
    examples = get_task(task).examples("test", 5)
    there = examples_in(examples_out(examples))
    assert [asdict(one) for one in there] == [asdict(one) for one in examples]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "slurm"}, "expected local or ray"),
        ({"ray_address": "auto"}, "add --backend ray"),
    ],
)
def test_workers_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        WorkersConfig(**settings)
