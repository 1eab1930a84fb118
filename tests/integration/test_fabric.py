# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fabric view on what the real ibnetdiscover and iblinkinfo print of a fabric that ibsim simulates.

ibsim speaks to them over a local socket, and needs neither root nor a kernel module. Its console can only plug and unplug, so a
fault of another kind is in the file that it reads, and each case has an ibsim of its own (half a second).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.append(str(CHECKOUT / "tests" / "unit"))

import fabrics
from ansible_collections.onecc.cluster.plugins.plugin_utils import _fabric_view

NODES, RAILS, PODS, SPINES = 64, 8, 2, 8
CASES = 50
# The rest by `make thorough`.
MORE = 300
TOOLS = ("ibnetdiscover", "iblinkinfo")


class Simulation:
    """A running ibsim, and the tools as the node `node-1` runs them."""

    def __init__(self, fabric: fabrics.Fabric, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        (folder / "net").write_text(fabric.text(reached=False))
        # The name of its socket, which has to be another's than that of any ibsim beside it.
        name = f"onecc-{os.getpid()}-{id(self)}"
        path = f"{folder}:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environ = {**os.environ, "IBSIM_SOCKNAME": name, "SIM_HOST": fabric.find("node-1 mlx5_1"), "PATH": path}

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["ibsim", "-s", "net"], cwd=self.folder, env=self.environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.until("Network simulator ready")

    def until(self, words: str) -> None:
        assert self.process and self.process.stdout
        printed = ""
        for line in self.process.stdout:
            printed += line
            if words in line:
                return
        raise AssertionError(f"ibsim ended before it said {words!r}: {printed[-3000:]}")

    def console(self, *commands: str) -> None:
        """Gives commands, and waits until they are done."""
        assert self.process and self.process.stdin
        self.process.stdin.write("".join(f"{command}\n" for command in [*commands, "help"]))
        self.process.stdin.flush()
        self.until("Quit")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()

    def tool(self, name: str) -> str:
        done = subprocess.run(["ibsim-run", name], env=self.environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        return done.stdout

    def view(self) -> dict:
        return _fabric_view.view(*map(self.tool, TOOLS))

    def wrap_tools(self) -> None:
        """Puts tools into the folder that see the simulation, for what is started with this environment."""
        for name in TOOLS:
            (self.folder / name).write_text(f"#!/bin/sh\nPATH=/usr/sbin:/sbin:$PATH exec ibsim-run {name}\n")
            (self.folder / name).chmod(0o755)


@contextmanager
def simulated(fabric: fabrics.Fabric, folder: Path) -> Iterator[Simulation]:
    simulation = Simulation(fabric, folder)
    try:
        simulation.start()
        yield simulation
    finally:
        simulation.stop()


def cluster(nodes: int = NODES) -> fabrics.Fabric:
    """As a 1CC has it, but for the speed: ibsim 0.10 of Debian 12 knows none above HDR."""
    fabric = fabrics.cluster(nodes, RAILS, spines=SPINES)
    fabric.usual = "4xHDR"
    return fabric


def test_full_cluster(tmp_path: Path) -> None:
    with simulated(cluster(), tmp_path) as simulation:
        view = simulation.view()
    assert view["findings"] == []
    assert [len(pod["nodes"]) for pod in view["pods"]] == [NODES // PODS] * PODS
    assert [pod["leaves"] for pod in view["pods"]] == [[f"leaf-{pod}-{rail}" for rail in range(RAILS)] for pod in range(1, PODS + 1)]
    assert view["pods"][0]["nodes"] == [f"node-{number}" for number in range(1, NODES // PODS + 1)]
    assert [switch["name"] for switch in view["switches"] if switch["tier"] == "spine"] == [f"spine-{number}" for number in range(1, SPINES + 1)]
    for number, node in enumerate(view["nodes"]):
        assert node["name"] == f"node-{number + 1}"
        assert [(rail["rail"], rail["device"], rail["switch"], rail["port"], rail["rate"]) for rail in node["rails"]] == [
            (rail, f"mlx5_{rail + 1}", f"leaf-{number // 32 + 1}-{rail}", number % 32 + 1, "4xHDR") for rail in range(RAILS)
        ]


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=() if seed < CASES else pytest.mark.thorough) for seed in range(CASES + MORE)])
def test_fault_is_named_and_nothing_else(tmp_path: Path, seed: int) -> None:
    chance, fabric = random.Random(seed), cluster()
    fault = fabrics.harm(fabric, chance, set())
    with simulated(fabric, tmp_path) as simulation:
        view = simulation.view()
    assert [fabrics.said(finding) for finding in view["findings"]] == [fault]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(1, 50))])
def test_fifty_faults_at_once(tmp_path: Path, seed: int) -> None:
    chance, fabric, harmed = random.Random(seed), cluster(), set()
    faults = {fabrics.harm(fabric, chance, harmed) for _number in range(50)}
    assert len(faults) == 50
    with simulated(fabric, tmp_path) as simulation:
        view = simulation.view()
    found = [fabrics.said(finding) for finding in view["findings"]]
    assert (set(found) - faults, faults - set(found), len(found)) == (set(), set(), 50)


def test_cable_is_pulled_and_put_back(tmp_path: Path) -> None:
    """While the fabric runs: iblinkinfo then says that the port of the leaf is down."""
    fabric = cluster()
    end = (fabric.find("leaf-2-3"), 9)
    far = fabric.cables[end]
    with simulated(fabric, tmp_path) as simulation:
        simulation.console(f'Unlink "{end[0]}"[{end[1]}]')
        findings = simulation.view()["findings"]
        assert [fabrics.said(finding) for finding in findings] == [frozenset([("missing",), ("node-41", 3)])]
        assert findings[0]["message"] == "node-41 rail 3 is not in the fabric; it belongs on leaf-2-3 port 9, which is Down/Polling"
        simulation.console(f'Link "{end[0]}"[{end[1]}] "{far[0]}"[{far[1]}]')
        assert simulation.view()["findings"] == []


@pytest.mark.parametrize("name", ["leaf-2-5", "spine-4", "node-33 mlx5_1"])
def test_device_without_power(tmp_path: Path, name: str) -> None:
    fabric = cluster()
    fabric.remove(fabric.find(name))
    with simulated(fabric, tmp_path) as simulation:
        network, links = map(simulation.tool, TOOLS)
    findings = _fabric_view.view(network, links, spines=SPINES)["findings"]
    expected = {
        "leaf-2-5": "rail 5 of node-[33-64] is missing: their leaf switch is not in the fabric",
        "spine-4": "there are 7 spine switches; 8 are declared",
        "node-33 mlx5_1": "node-33 rail 0 is not in the fabric; it belongs on leaf-2-0 port 1, which is Down/Polling",
    }
    assert [finding["message"] for finding in findings] == [expected[name]]


def run_playbook(simulation: Simulation, hosts: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (simulation.folder / "hosts").write_text(f"[onecc_compute]\n{hosts}\n")
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(simulation.folder / "hosts"), "playbooks/fabric.yml",
         "-e", "ansible_become=false", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        env={**simulation.environ, "ANSIBLE_HOME": str(simulation.folder / "ansible"), "ANSIBLE_SSH_RETRIES": "0", "ANSIBLE_NOCOLOR": "1"},
    )


LOCAL = "ansible_connection=local ansible_python_interpreter=/usr/bin/python3"
# Port 1 of this machine: nobody listens there.
AWAY = "ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_args='-F none -o ControlMaster=no'"


def test_playbook(tmp_path: Path) -> None:
    """A fault, seen from the second node because the first does not answer; then the fabric in order; then no fabric."""
    nodes = [f"node-{number}" for number in range(1, 5)]
    fabric = cluster(len(nodes))
    fabric.slow((fabric.find("leaf-1-2"), 3), "4xEDR")
    hosts = "\n".join(f"{name} {LOCAL if number else AWAY}" for number, name in enumerate(nodes))
    files = {name: tmp_path / name for name in ("svg", "topology", "report")}
    wanted = [f"-efabric_{name}={path}" for name, path in files.items()]
    with simulated(fabric, tmp_path) as simulation:
        simulation.wrap_tools()
        checked = run_playbook(simulation, hosts, "--check", *wanted)
        assert checked.returncode == 4, checked.stdout + checked.stderr
        assert not any(path.exists() for path in files.values())
        done = run_playbook(simulation, hosts, *wanted)
    for run in (checked, done):
        assert "node-3 rail 2 (mlx5_3) at leaf-1-2 port 3 runs at 4xEDR; most rails run at 4xHDR" in run.stdout
        assert "4 nodes with 8 rails in 1 pod, 8 leaves, 8 spines: 1 finding" in run.stdout
    report = json.loads(files["report"].read_text())
    assert report["schema"] == 1 and [finding["kind"] for finding in report["findings"]] == ["slow"]
    assert "SwitchName=pod1 Nodes=node-[1-4]\n" in files["topology"].read_text()
    assert files["svg"].read_text().startswith("<svg")

    with simulated(cluster(len(nodes)), tmp_path) as simulation:
        present = "\n".join(f"{name} {LOCAL}" for name in nodes)
        right = run_playbook(simulation, present, "-efabric_rails=8", "-efabric_spines=8")
        assert right.returncode == 0 and "nothing is wrong" in right.stdout, right.stdout + right.stderr
        absent = run_playbook(simulation, f"{present}\nnode-9 {LOCAL}")
        assert absent.returncode == 2 and "node-9: none of its HCAs is in the fabric" in absent.stdout
    for name in TOOLS:
        (tmp_path / name).write_text("#!/bin/sh\necho \"can't open UMAD port ((null):0)\" >&2\nexit 255\n")
    broken = run_playbook(simulation, present)
    assert broken.returncode == 2 and "no InfiniBand port of the node is up. Ask another node" in broken.stdout, broken.stdout
    assert "Traceback" not in broken.stdout + broken.stderr
