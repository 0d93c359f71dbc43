"""The network: its published size, its padding, its files and its loss."""

import math
import subprocess
import sys

import pytest
import torch

from skiploop.errors import ConfigError, RunError
from skiploop.policies.polar.network import NetworkConfig, PolarNetwork, Scores, pad
from skiploop.policies.polar.training import target_losses
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace

SMALL = NetworkConfig(n_layers=6, input_width=12, width=16, n_heads=2, feed_forward=32)


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PolarNetwork(SMALL).eval()


def random_encodings(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, SMALL.input_width, generator=generator) for length in lengths]


def test_network_has_the_published_number_of_parameters():
    network = PolarNetwork(NetworkConfig(n_layers=28, input_width=1024))
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_113_284


def test_padding_does_not_change_the_scores(network):
    long, short = random_encodings(9, 2)
    together = network(*pad([long, short], network.device))
    alone = network(*pad([short], network.device))
    torch.testing.assert_close(together.boundary_BD[1:], alone.boundary_BD)
    torch.testing.assert_close(together.runs_BDR[1:], alone.runs_BDR)


def test_loaded_network_gives_equal_scores(network, tmp_path):
    network.save_pretrained(tmp_path)
    loaded = PolarNetwork.from_pretrained(tmp_path)
    assert loaded.config == SMALL
    batch = pad(random_encodings(5, 3), network.device)
    for before, after in zip(network(*batch), loaded(*batch), strict=True):
        assert torch.equal(before, after)


def test_standardised_inputs_hide_scale_and_offset_of_a_dimension(network):
    encodings = random_encodings(50, 40)
    network.standardize_inputs(encodings)
    before = network(*pad(encodings, network.device))
    generator = torch.Generator().manual_seed(2)
    offset, scale = (torch.rand(12, generator=generator) * 100 + 1 for _ in range(2))
    moved = [encoding * scale + offset for encoding in encodings]
    network.standardize_inputs(moved)
    after = network(*pad(moved, network.device))
    torch.testing.assert_close(after.boundary_BD, before.boundary_BD, atol=1e-4, rtol=1e-4)


def test_constant_dimension_stays_finite(network):
    encodings = [torch.ones(1, SMALL.input_width)]
    network.standardize_inputs(encodings)
    assert network(*pad(encodings, network.device)).boundary_BD.isfinite().all()


def test_damaged_files_are_refused(network, tmp_path):
    network.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match="no readable predictor"):
        PolarNetwork.from_pretrained(tmp_path)
    with pytest.raises(RunError, match="no readable predictor"):
        PolarNetwork.from_pretrained(tmp_path / "nowhere")


def test_sizes_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="n_heads must divide width"):
        NetworkConfig(n_layers=6, input_width=12, width=10, n_heads=4)
    with pytest.raises(ConfigError, match="at least 1"):
        NetworkConfig(n_layers=0, input_width=12)


def test_loss_is_the_mean_over_inner_layers_plus_the_mean_over_starts():
    space = ProgramSpace(6)
    labels = space.labels(Program.parse("1:3x0", n_layers=6))
    boundaries = torch.tensor([labels.boundaries]).float()
    logits = torch.tensor([[9.0, 1.0, -2.0, 0.5, 0.0, -1.0]])
    runs_logits = torch.arange(18.0).view(1, 6, 3).sin()
    found = target_losses(Scores(logits, runs_logits), boundaries, torch.tensor([labels.runs]))

    def bce(logit, label):
        return math.log1p(math.exp(-logit if label else logit))

    inner = [bce(logits[0, i].item(), labels.boundaries[i]) for i in range(1, 6)]
    starts = {0: 1, 1: 0, 3: 1}  # keep 0, skip 1 and 2, keep 3 to 5
    ops = [-runs_logits[0, i].log_softmax(0)[runs].item() for i, runs in starts.items()]
    assert found.item() == pytest.approx(sum(inner) / 5 + sum(ops) / 3, rel=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of a file")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    code = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from skiploop.policies.polar.network import write_tensors\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_tensors(Path(sys.argv[1]), {'weights': torch.zeros(10_000)})\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("skiploop.errors.RunError: cannot write"), done.stderr
    assert "model.safetensors" in last and "free disk space" in last
    assert not list(tmp_path.iterdir())
