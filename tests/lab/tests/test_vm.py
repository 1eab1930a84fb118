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
    ids = on("1cc-node-1", "ls /dev/disk/by-id; sync")
    on("1cc-node-1", "echo kept | sudo tee /etc/hosts && sync")
    node.cut()
    assert node.status() == "unhealthy"
    drives = [drive.serial for drive in node.description.hardware.drives]
    boot(node)
    assert on("1cc-node-1", "ls /dev/disk/by-id") == ids
    node.cut()
    node.detach(drives[0])
    fresh = node.replace_drive(drives[1])
    node.boot()
    assert node.status() == "booting"
    wait_for(lambda: node.status() == "active")
    assert on("1cc-node-1", "cat /sys/class/nvme/*/serial").split() == [fresh]
    assert on("1cc-node-1", "cat /etc/hosts") == "kept"


def boot(node: machine.Machine) -> None:
    node.boot()
    wait_for(lambda: node.status() == "active")


def test_power_cuts_in_a_row(cluster, request):
    """Each in the middle of writing. A whole node comes back: drives, rails, shared file system, nothing failed, what was flushed."""
    node = lab.find_machine("test", "1cc-node-1")
    attached = sum(drive.attached for drive in node.description.hardware.drives)
    for number in range(request.config.getoption("--cuts")):
        on("1cc-node-1", f"echo {number} | sudo tee /root/cut /lambda/nfs/shared/cut; sync; sudo sh -c 'cat /dev/urandom > /root/noise &' >/dev/null 2>&1")
        time.sleep(0.1 * (number % 5))
        node.cut()
        boot(node)
        whole = on(
            "1cc-node-1",
            "sudo cat /root/cut /lambda/nfs/shared/cut; ls -d /sys/class/nvme/* | wc -l; grep -h ACTIVE /sys/class/infiniband/*/ports/1/state | wc -l; "
            "findmnt -n -o FSTYPE /lambda/nfs/shared; systemctl --failed --no-legend; sudo rm -f /root/noise",
        )
        assert whole.split() == [str(number), str(number), str(attached), "2", "virtiofs"], f"cut {number}"


def test_a_reboot_from_inside(cluster):
    node = lab.find_machine("test", "1cc-node-1")
    boot_id = on("1cc-node-1", "cat /proc/sys/kernel/random/boot_id")
    run("--name", "test", "ssh", "1cc-node-1", "sudo systemctl reboot", check=False)
    wait_for(lambda: node.status() == "booting")
    wait_for(lambda: node.status() == "active")
    assert on("1cc-node-1", "cat /proc/sys/kernel/random/boot_id") != boot_id
    assert on("1cc-node-1", "findmnt -n -o FSTYPE /lambda/nfs/shared; systemctl --failed --no-legend") == "virtiofs"


def test_a_rail_goes_down_and_comes_up(cluster):
    states = "cat /sys/class/infiniband/mlx5_0/ports/1/state"
    assert on("1cc-node-1", f"sudo ip link set rail0 down; {states}") == "1: DOWN"
    assert on("1cc-node-1", f"sudo ip link set rail0 up; sleep 0.5; {states}") == "4: ACTIVE"


def test_what_was_saved_is_restored(cluster):
    on("1cc-node-1", "echo saved | sudo tee /etc/motd /lambda/nfs/shared/motd; sudo chown ubuntu /lambda/nfs/shared/motd")
    run("--name", "test", "save", "here")
    on("1cc-node-1", "echo changed | sudo tee /etc/motd /lambda/nfs/shared/motd")
    on("1cc-head-1", "echo changed | sudo tee /etc/motd")
    run("--name", "test", "restore", "here", "1cc-node-1")
    assert on("1cc-node-1", "cat /etc/motd /lambda/nfs/shared/motd").split() == ["saved", "changed"]
    assert on("1cc-head-1", "cat /etc/motd") == "changed"
    run("--name", "test", "restore", "here")
    assert on("1cc-node-1", "cat /etc/motd; cat /lambda/nfs/shared/motd; stat -c %U /lambda/nfs/shared/motd").split() == ["saved", "saved", "ubuntu"]
    assert on("1cc-head-1", "cat /etc/motd") != "changed"
    refused = run("--name", "test", "restore", "elsewhere", check=False)
    assert refused.returncode == 1 and "no snapshot 'elsewhere'" in refused.stderr


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


@pytest.mark.thorough
def test_a_qemu_node_among_others():
    """It shares their networks and file systems, and has what they lack: a PCI bus, Debian's kernel, drives that can be slowed down."""
    arguments = ("--compute", "1", "--drives", "1", "--drive-size", "64M", "--qemu", "1cc-node-1")
    try:
        run("--name", "mixed", "up", *arguments)
        rows = json.loads(run("--name", "mixed", "status", "--json").stdout)["nodes"]
        assert {row["name"]: row["accel"] in ("kvm", "tcg") for row in rows}["1cc-node-1"]

        def on_qemu(command: str) -> str:
            return run("--name", "mixed", "ssh", "1cc-node-1", command).stdout.strip()

        assert on_qemu("sudo ping -c 1 -W 5 10.77.0.1 >/dev/null && echo reached") == "reached"
        run("--name", "mixed", "ssh", "1cc-head-1", "echo hello | sudo tee /lambda/nfs/shared/hello")
        assert on_qemu("cat /lambda/nfs/shared/hello") == "hello"
        assert "Non-Volatile memory controller" in on_qemu("lspci")
        assert on_qemu("test -e /boot/vmlinuz-$(uname -r) && echo known") == "known"
        node = lab.find_machine("mixed", "1cc-node-1")
        write = "sudo dd if=/dev/zero of=/dev/nvme0n1 bs=1M count=4 oflag=direct 2>&1 | tail -1"
        node.throttle(1_000_000)
        seconds = float(on_qemu(write).split(" copied, ")[1].split()[0])
        assert seconds > 2
    finally:
        run("--name", "mixed", "down")


def test_a_lab_ends_with_the_process_that_it_is_for():
    folder = config.lab_folder("leased")
    owner = subprocess.Popen(["sleep", "600"])
    run("--name", "leased", "up", "--compute", "0", "--owner", str(owner.pid))
    assert processes(folder)
    owner.kill()
    owner.wait()
    wait_for(lambda: not processes(folder) and not folder.exists(), 30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_up_that_is_killed_leaves_nothing(number):
    folder = config.lab_folder("killed")
    # SIGINT is ignored by what a shell starts in the background.
    command = ["env", "--default-signal=INT", COMMAND, "--name", "killed", "up", "--compute", "0"]
    up = subprocess.Popen(command, stderr=subprocess.DEVNULL)
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
