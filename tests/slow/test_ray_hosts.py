"""Three hosts of a Ray cluster, each a network namespace of this machine; one is cut off.

The address of each is its own, the files are shared: so a cluster with a common file system looks.
Ray gives what it starts on a host 15 s, which a busy machine does not keep, so this runs where it
is asked for: `SKIPLOOP_HOSTS=3 pytest -m slow tests/slow/test_ray_hosts.py`.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import knocks
import pytest

from skiploop.cli.main import main

pytest.importorskip("ray")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif("SKIPLOOP_HOSTS" not in os.environ, reason="SKIPLOOP_HOSTS asks for it"),
]

HELPERS = str(Path(knocks.__file__).parent)
PORT = 6379
SEARCH = """
import sys
from skiploop.cli.main import main
from skiploop.runs import workers

workers.FACTORY = "hurt_replicas:slow"
sys.exit(main(sys.argv[1:]))
"""


class Hosts:
    """Namespaces on a bridge, and what was started in them."""

    def __init__(self, n_hosts, environment):
        self.environment = environment
        self.name = f"sk{os.getpid() % 10**6}"
        self.addresses = [f"10.77.19.{number}" for number in range(1, n_hosts + 1)]
        self.processes = []

    def make(self):
        """Return why the hosts cannot be made; nothing if they are there."""
        commands = [f"link add {self.name} type bridge", f"link set {self.name} up"]
        for number, address in enumerate(self.addresses):
            host, inside = f"{self.name}-{number}", f"-n {self.name}-{number}"
            commands += [
                f"netns add {host}",
                f"link add {host} type veth peer name eth0 netns {host}",
                f"link set {host} master {self.name} up",
                f"{inside} address add {address}/24 dev eth0",
                f"{inside} link set lo up",
                f"{inside} link set eth0 up",
                f"{inside} route add default dev eth0",
            ]
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if done.returncode:
                return f"ip {command}: {done.stderr.strip()}"
        return ""

    def start(self, number, log, *command):
        """Start a command on a host, and write what it says to a file."""
        with log.open("w") as said:
            process = subprocess.Popen(
                ["ip", "netns", "exec", f"{self.name}-{number}", *command],
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def cut_off(self, number):
        """Take the cable out."""
        subprocess.run(["ip", "link", "set", f"{self.name}-{number}", "down"], check=True)

    def end(self):
        """End all that was started, and remove the hosts."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=60)
        for number in range(len(self.addresses)):
            subprocess.run(["ip", "netns", "del", f"{self.name}-{number}"], check=False)
        subprocess.run(["ip", "link", "del", self.name], check=False)


@pytest.fixture
def hosts(tmp_path):
    (tmp_path / "begun").mkdir()
    made = Hosts(
        3,
        {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [HELPERS, os.environ.get("PYTHONPATH")])),
            "DEADLY": str(tmp_path / "begun"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_health_check_period_ms": "1000",  # else it takes half a minute
        },
    )
    try:
        why = made.make() if shutil.which("ip") else "there is no command ip"
        if why:
            pytest.skip(f"needs three network namespaces: {why}")
        yield made
    finally:
        made.end()


def wait_for(what, *, seconds=300):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)


def join(hosts, number, log, *options):
    """Start Ray on a host, one after the other: each gives its agents 15 s to start."""
    ray = str(Path(sys.executable).with_name("ray"))
    here = ["--node-ip-address", hosts.addresses[number], "--num-cpus", "1", "--block"]
    hosts.start(number, log, ray, "start", *options, *here, "--include-log-monitor", "false")
    wait_for(lambda: "Ray runtime started" in log.read_text())


def test_a_search_ends_complete_when_one_of_three_hosts_is_cut_off(hosts, tmp_path):
    address = f"{hosts.addresses[0]}:{PORT}"
    head = ["--head", "--port", str(PORT), "--include-dashboard", "false"]
    join(hosts, 0, tmp_path / "head.log", *head)
    for number in (1, 2):
        join(hosts, number, tmp_path / f"{number}.log", "--address", address)
    search = ["search", *knocks.asked(tmp_path), "--limit", "64", "--budget", "6"]
    actors = ["--backend", "ray", "--ray-address", address, "--workers", "3"]
    command = [*search, *actors, "--out", str(tmp_path / "actors")]
    log, begun = tmp_path / "search.log", tmp_path / "begun"
    driver = hosts.start(0, log, sys.executable, "-c", SEARCH, *command)
    wait_for(lambda: {one.name for one in begun.iterdir()} == {*hosts.addresses})
    hosts.cut_off(2)
    assert driver.wait() == 0, log.read_text()
    assert "a worker is lost" in log.read_text()
    assert main([*search, "--out", str(tmp_path / "alone")]) == 0
    assert knocks.same(tmp_path / "actors", tmp_path / "alone")
