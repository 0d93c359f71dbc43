"""A model whose weights two processes share gives what it gives in one process."""

import json
import subprocess
import sys

import in_parallel
import pytest
from families import build, load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "gemma3"])
def test_two_processes_give_what_one_gives(family, tmp_path):
    build(family).save_pretrained(tmp_path)
    command = [*TORCHRUN, in_parallel.__file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first == second
    alone = in_parallel.given(load(family))
    assert first.pop("logprobs") == pytest.approx(alone.pop("logprobs"), abs=1e-4)
    assert first == alone
