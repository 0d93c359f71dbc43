import subprocess
import sys
from datetime import datetime

import pytest

import skiploop
from skiploop.errors import ConfigError
from skiploop.runs import provenance


def test_the_facts_have_stable_names_and_the_callers_come_last():
    facts = provenance.collect(device="cpu", n_threads=2)
    assert list(facts) == [
        "skiploop",
        "torch",
        "transformers",
        "numpy",
        "python",
        "platform",
        "cpu",
        "n_cpus",
        "time",
        "command",
        "device",
        "n_threads",
    ]
    assert facts["skiploop"] == skiploop.__version__
    assert facts["n_threads"] == 2
    assert facts["cpu"]


def test_a_gpu_is_named_where_one_is_used(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"Fast One at {device}")
    assert provenance.collect(device="cuda:1")["gpu"] == "Fast One at cuda:1"
    assert "gpu" not in provenance.collect(device="cpu")


def test_the_time_is_in_utc():
    time = datetime.fromisoformat(provenance.collect()["time"])
    assert time.utcoffset().total_seconds() == 0


def test_the_command_names_the_program_without_its_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/some/where/skiploop", "search", "--out", "my run"])
    assert provenance.collect()["command"] == "skiploop search --out 'my run'"


def test_a_fact_that_is_collected_cannot_be_given():
    with pytest.raises(ConfigError, match="collects python itself"):
        provenance.collect(python="2.7")


def test_provenance_and_reports_import_no_torch_and_no_scipy():
    code = (
        "import sys, skiploop.runs.provenance, skiploop.config, skiploop.report.page, "
        "skiploop.report.markdown; skiploop.runs.provenance.collect(); "
        "print(sorted({'torch', 'scipy', 'transformers', 'numpy'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
