"""Which data sets of reasoning-gym are the same in every process."""

import json
import os
import subprocess
import sys

import pytest

from skiploop.tasks.reasoning_gym import _OTHER_IN_EVERY_PROCESS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ENTRIES = """
import json, sys
import reasoning_gym
from reasoning_gym.factory import DATASETS
made = {}
for name in sorted(set(DATASETS) - {"composite"}):
    source = reasoning_gym.create_dataset(name, seed=42, size=5000)
    made[name] = [[source[i]["question"], source[i]["answer"]] for i in range(25)]
print()  # one data set prints while it works
print(json.dumps(made))
"""


def entries(hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", ENTRIES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_data_sets_that_differ_between_processes_are_those_that_are_refused():
    first, second = entries("1"), entries("2")
    assert {name for name in first if first[name] != second[name]} == _OTHER_IN_EVERY_PROCESS
