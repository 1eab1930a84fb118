# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, with machines. One boot of two nodes serves most of it, as a boot is what costs."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from onecc_lab import config, daemon, lab, machine

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="needs QEMU"),
]

COMMAND = str(Path(__file__).resolve().parents[1] / "onecc-lab")
SECONDS = 600


def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=check, timeout=SECONDS)


def wait_for(condition, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def processes(folder: Path) -> list[int]:
    return machine.marked(f"{folder}/machines/") + daemon.running(folder)


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory):
    """A folder of labs for these tests; the image is shared with everybody."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(scope="module")
def cluster(state):
    run("--name", "test", "up", "--compute", "1", "--drives", "2", "--drive-size", "256M")
    folder = config.lab_folder("test")
    yield folder
    run("--name", "test", "down")
    assert not folder.exists()
    assert processes(folder) == []


def on(node: str, command: str) -> str:
    return run("--name", "test", "ssh", node, command).stdout.strip()


def test_the_nodes_are_what_they_stand_for(cluster):
    nodes = {row["name"]: row for row in json.loads(run("--name", "test", "status", "--json").stdout)["nodes"]}
    assert {name: (row["role"], row["status"], bool(row["public"]), len(row["drives"])) for name, row in nodes.items()} == {
        "1cc-head-1": ("head", "active", True, 0),
        "1cc-node-1": ("compute", "active", False, 2),
    }
    assert on("1cc-node-1", "hostname") == "1cc-node-1"
    assert on("1cc-node-1", "ls /sys/class/infiniband").split() == ["mlx5_0", "mlx5_1"]
    assert sorted(on("1cc-node-1", "cat /sys/class/nvme/*/serial").split()) == nodes["1cc-node-1"]["drives"]
    assert on("1cc-node-1", "systemctl is-active systemd-logind fstrim.timer ssh").split() == ["active"] * 3
    assert on("1cc-node-1", "systemctl --failed --no-legend") == ""


def test_a_second_up_changes_nothing(cluster):
    before = processes(cluster)
    answer = run("--name", "test", "up", "--compute", "5")
    assert "running already" in answer.stdout
    assert processes(cluster) == before


def test_a_file_system_is_one_on_all_nodes_and_keeps_owners(cluster):
    on("1cc-node-1", "echo hello | sudo tee /lambda/nfs/shared/file; sudo chown ubuntu /lambda/nfs/shared/file")
    assert on("1cc-head-1", "cat /lambda/nfs/shared/file; stat -c %U /lambda/nfs/shared/file").split() == ["hello", "ubuntu"]


def test_power_cut_drives_and_what_stays_over_a_boot(cluster):
    node = lab.find_machine("test", "1cc-node-1")
    on("1cc-node-1", "echo kept | sudo tee /etc/hosts && sync")
    node.throttle(1_000_000)
    node.cut()
    assert node.status() == "unhealthy"
    drives = [drive.serial for drive in node.description.hardware.drives]
    node.detach(drives[0])
    fresh = node.replace_drive(drives[1])
    node.boot()
    assert node.status() == "booting"
    wait_for(lambda: node.status() == "active")
    assert on("1cc-node-1", "cat /sys/class/nvme/*/serial").split() == [fresh]
    assert on("1cc-node-1", "cat /etc/hosts") == "kept"


def test_a_dead_server_is_started_again_and_finds_its_machines(cluster):
    nodes = machine.marked(f"{cluster}/machines/")
    for pid in daemon.running(cluster):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not daemon.running(cluster), 10)
    assert "running already" in run("--name", "test", "up").stdout
    assert machine.marked(f"{cluster}/machines/") == nodes
    rows = lab.request(config.load(cluster), "GET", "instances")
    assert [row["status"] for row in rows] == ["active", "active"]


def test_restart_by_the_api(cluster):
    node = lab.find_machine("test", "1cc-node-1")
    boot = on("1cc-node-1", "cat /proc/sys/kernel/random/boot_id")
    lab.request(config.load(cluster), "POST", "instance-operations/restart", {"instance_ids": [node.folder.name]})
    assert node.status() == "booting"
    wait_for(lambda: node.status() == "active")
    assert on("1cc-node-1", "cat /proc/sys/kernel/random/boot_id") != boot


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_up_that_is_killed_leaves_nothing(number):
    folder = config.lab_folder("killed")
    up = subprocess.Popen([COMMAND, "--name", "killed", "up", "--compute", "0"], stderr=subprocess.DEVNULL)
    wait_for(lambda: machine.marked(f"{folder}/machines/"), 120)
    up.send_signal(number)
    up.wait(timeout=60)
    wait_for(lambda: not processes(folder) and not folder.exists(), 30)


def test_down_without_a_server():
    folder = config.lab_folder("dead")
    up = subprocess.Popen([COMMAND, "--name", "dead", "up", "--compute", "0"], stderr=subprocess.DEVNULL)
    wait_for(lambda: machine.marked(f"{folder}/machines/"), 120)
    # Nobody is left who could clean up.
    for pid in [*daemon.running(folder), up.pid]:
        os.kill(pid, signal.SIGKILL)
    up.wait(timeout=60)
    run("--name", "dead", "down")
    assert processes(folder) == []
    assert not folder.exists()
