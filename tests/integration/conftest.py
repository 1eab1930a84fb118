# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab for the tests that need machines, and the way to run playbooks and commands against it.

The lab has two head nodes and two compute nodes, and ends with the tests, however they end. To keep working with one that
is up, name it: `ONECC_TEST_LAB=default pytest tests/integration`. It has to have those nodes.

Tests do not clean up on nodes. A test that changes what later ones rely on is marked `spoils`, with the nodes that it
spoils (all of them, and the shared file systems, where it names none): they are restored from a snapshot afterwards. So
are all nodes after a test that failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "lab"))
runpy.run_path(str(CHECKOUT / "tests" / "unit" / "conftest.py"))  # makes the collection importable, once for all tests

# A node boots in 5 s; in 20 s alone on an emulated processor, and in minutes on a busy computer.
BOOT_SECONDS = 600


@dataclass
class Run:
    """A playbook's end: exit status, all it printed, and the report by host."""

    rc: int
    output: str
    hosts: dict[str, dict]

    def status(self, host: str) -> str:
        return self.hosts[host]["status"]

    def drift(self, host: str) -> set[tuple[str, str]]:
        """Kind and name of what differs now."""
        return {(item["kind"], item["name"]) for item in self.hosts[host]["drift"]}

    def mended(self, host: str) -> set[tuple[str, str]]:
        """Kind and name of what differed and no longer does."""
        return {(item["kind"], item["name"]) for item in self.hosts[host]["mended"]}

    def messages(self, host: str) -> str:
        entry = self.hosts[host]
        return "\n".join([entry["message"], *(item["message"] for item in [*entry["preflight"], *entry["drift"]])])


def kill(run: subprocess.Popen) -> None:
    """Ends a run with its workers, which are in sessions of their own, and would take a change up when its node is back."""
    pids = [run.pid]
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) if Path(f"/proc/{pid}").exists() else []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.communicate()


class Lab:
    """A running lab, as a user has it before them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        exports = subprocess.run([*self.command, "env"], check=True, capture_output=True, text=True).stdout
        self.environ = {
            **os.environ,
            "ANSIBLE_HOME": str(folder / "ansible"),
            **dict(shlex.split(line)[1].split("=", 1) for line in exports.splitlines()),
        }

    @property
    def command(self) -> list[str]:
        return [str(CHECKOUT / "tests" / "lab" / "onecc-lab"), "--name", self.name]

    def ssh(self, node: str, script: str, check: bool = True) -> str:
        """Runs a script as root on a node, and returns what it printed."""
        done = subprocess.run(
            [*self.command, "ssh", node, "sudo bash -euo pipefail -s"],
            input=script, capture_output=True, text=True, timeout=BOOT_SECONDS, check=False,
        )
        assert done.returncode == 0 or not check, f"{node}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start(self, playbook: str, *arguments: str, **environ: str) -> subprocess.Popen:
        """Starts a playbook in the background."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), f"playbooks/{playbook}.yml", *arguments],
            cwd=CHECKOUT, env={**self.environ, **environ}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def run(self, playbook: str, *arguments: str) -> Run:
        """Runs a playbook to its end."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        process = self.start(playbook, *arguments, ONECC_REPORT=str(report))
        output, _none = process.communicate(timeout=1800)
        hosts = json.loads(report.read_text())["hosts"] if report.exists() else {}
        return Run(process.returncode, output, hosts)

    def site(self, *arguments: str) -> Run:
        return self.run("site", *arguments)

    def verify(self, *arguments: str) -> Run:
        return self.run("verify", *arguments)

    def machine(self, node: str):
        """The machine behind a node, to pull its plug."""
        from onecc_lab import lab

        return lab.find_machine(self.name, node)

    def save(self) -> None:
        """Keeps the lab as it is now, in state."""
        subprocess.run([*self.command, "save", "in-state"], check=True)

    def restore(self, *nodes: str) -> None:
        """Makes these nodes, or all and the shared file systems, what they were at `save`."""
        subprocess.run([*self.command, "restore", "in-state", *nodes], check=True)

    def boot(self, node: str) -> None:
        """Gives a node its power back, and waits until it answers."""
        machine = self.machine(node)
        machine.boot()
        deadline = time.monotonic() + BOOT_SECONDS
        while machine.status() != "active":
            assert time.monotonic() < deadline, f"{node} did not boot within {BOOT_SECONDS} s"
            time.sleep(0.5)


@contextlib.contextmanager
def running_lab(name: str, folder: Path, *size: str) -> Iterator[Lab]:
    """A lab of its own, which ends with the block."""
    own = Lab.__new__(Lab)
    own.name = name
    try:
        subprocess.run([*own.command, "down"], check=True)  # what a run that was killed may have left
        subprocess.run([*own.command, "up", "--owner", str(os.getpid()), *size], check=True)
        yield Lab(name, folder)
    finally:
        subprocess.run([*own.command, "down"], check=True)


def named_or_running_lab(name: str, folder: Path, *size: str) -> contextlib.AbstractContextManager[Lab]:
    """The lab that ONECC_TEST_LAB names, else one of its own."""
    named = os.environ.get("ONECC_TEST_LAB", "")
    return contextlib.nullcontext(Lab(named, folder)) if named else running_lab(name, folder, *size)


@pytest.fixture(scope="session")
def bare_lab(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Lab]:
    """A lab that may be configured or not, one for each process that runs tests."""
    name = "integration" if worker_id == "master" else f"integration-{worker_id}"
    with named_or_running_lab(name, tmp_path_factory.mktemp("lab"), *SIZE) as lab:
        yield lab


@pytest.fixture(scope="session")
def converged_lab(bare_lab: Lab) -> Lab:
    """The lab after its first site.yml, of which there is a snapshot."""
    first = bare_lab.site()
    assert first.rc == 0, first.output
    bare_lab.save()
    return bare_lab


@pytest.fixture
def lab(converged_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab in state, before the test and, where the test is marked `spoils` or fails, again after it."""
    yield converged_lab
    mark = request.node.get_closest_marker("spoils")
    if failed(request.node):
        converged_lab.restore()
    elif mark:
        converged_lab.restore(*mark.args)


FAILED = pytest.StashKey[bool]()


def failed(item: pytest.Item) -> bool:
    return item.stash.get(FAILED, False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def lambda_source(lab: Lab, state: str = "") -> dict[str, str]:
    """The lab's stand-in for Lambda's repository as `lambda_stack_source`; in a state of its own where one is named."""
    return {"suite": "jammy", **source(lab, "lambda" + (f"-{state}" if state else ""), "lambda.asc")}


def doca_source(lab: Lab) -> dict[str, str]:
    """The lab's stand-in for the DOCA repository as `ofed_source`."""
    return source(lab, "doca", "GPG-KEY-Mellanox.pub")


def mlnx_ofed_source(lab: Lab) -> dict[str, str]:
    """The lab's stand-in for a repository of MLNX_OFED as `ofed_source`."""
    return source(lab, "mlnx_ofed", "RPM-GPG-KEY-Mellanox")


def source(lab: Lab, repository: str, key_file: str) -> dict[str, str]:
    """Address, key and fingerprint of a repository of the lab."""
    url = f"{lab.environ['ONECC_REPOSITORIES']}/{repository}"
    with urllib.request.urlopen(f"{url.replace('//10.0.2.2:', '//127.0.0.1:')}/{key_file}", timeout=60) as answer:
        key = answer.read()
    shown = subprocess.run(
        ["gpg", "--homedir", str(lab.folder), "--with-colons", "--show-keys"], input=key, check=True, capture_output=True,
    ).stdout.decode()
    fingerprint = next(line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr:"))
    return {"url": url, "key": key.decode(), "fingerprint": fingerprint}


SIZE = ("--heads", "2", "--compute", "2")
NODE = "1cc-node-1"
OTHER_NODE = "1cc-node-2"
HEAD = "1cc-head-1"
OTHER_HEAD = "1cc-head-2"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--moments", type=int, default=0, help="power cuts to try, up to 21; one without it")
