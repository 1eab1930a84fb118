# SPDX-License-Identifier: GPL-3.0-or-later
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from onecc_lab import machine
from onecc_lab.hardware import Drive, Hardware, Network
from onecc_lab.machine import Description, Machine, MachineError, console_status, dump, load
from onecc_lab.qemu import arguments
from onecc_lab.uml import kernel
from onecc_lab.uml import node as uml
from onecc_lab.vm import known_hosts, share_tag, ssh_config


def description(compute: bool = True, index: int = 2) -> Description:
    public = None if compute else f"127.77.1.{index}"
    return Description(
        id="0" * 32,
        hostname=f"1cc-node-{index}" if compute else f"1cc-head-{index}",
        compute=compute,
        public=public,
        private=f"10.77.0.{index}",
        hardware=Hardware(
            name="lab-node",
            accel="tcg",
            kernel=Path("/cache/vmlinux"),
            disk=Path("/cache/root.ext4"),
            memory_mib=512,
            slot=1,
            index=index,
            forward=f"{public}:2222" if public else None,
            private=Network("230.77.1.1", 20001),
            rails=(Network("230.77.1.16", 20001),) if compute else (),
            drives=(Drive("S0", "S0.raw"), Drive("S1", "S1.raw")),
            shares=("shared",),
            cloud_init=False,
        ),
        share_sources=("/files",),
        drive_bytes=2**20,
    )


@pytest.fixture
def node(tmp_path):
    (tmp_path / "machine.json").write_text(dump(description()))
    return Machine(tmp_path)


def command(found: Description) -> str:
    return " ".join(arguments(found.hardware, Path("/lab/machine.pid")))


def test_a_description_survives_its_json():
    assert load(dump(description())) == description()


@pytest.mark.parametrize(
    ("console", "status"),
    [
        ("", "booting"),
        ("onecc-lab: starting\n", "booting"),
        ("onecc-lab: starting\r\nnoise\r\nonecc-lab: ready\r\n", "active"),
        ("onecc-lab: starting\nonecc-lab: ready\nonecc-lab: stopping\n", "booting"),
        ("onecc-lab: ready\nonecc-lab: starting\n", "booting"),
        ("onecc-lab: ready\nonecc-lab: no root file system\n", "active"),
    ],
)
def test_status_by_the_console(console, status):
    assert console_status(console) == status


def test_only_a_head_node_can_be_reached_from_outside():
    assert "hostfwd=tcp:127.77.1.1:2222-:22" in command(description(compute=False, index=1))
    assert "hostfwd" not in command(description())


def test_nics_have_addresses_of_their_own():
    text = command(description())
    assert "netdev=out,mac=52:54:00:01:02:00" in text
    assert "netdev=lan,mac=52:54:00:01:02:01" in text
    assert "netdev=rail0,mac=52:54:00:01:02:10" in text


def test_emulation_needs_another_clock_than_kvm_and_programs_at_the_same_addresses():
    found = description()
    assert {"clocksource=hpet", "norandmaps"} <= set(command(found).split())
    kvm = command(replace(found, hardware=replace(found.hardware, accel="kvm"))).split()
    assert not {"clocksource=hpet", "norandmaps"} & set(kvm)


def test_a_uml_node_has_what_a_qemu_node_has(node):
    node.detach("S0")
    hardware = node.description.hardware
    words = uml.arguments(hardware, Path("/lab/machine.pid"), [10, 11, 12])
    assert "ubd0=disk.cow,/cache/root.ext4" in words and "ubd1=S1.raw" in words and "onecc_drives=S1" in words
    assert "virtio_uml.device=shares/shared:26" in words and words[-1] == "/lab/machine.pid"
    addresses = re.findall(r"mac=([0-9a-f:]+)", " ".join(words))
    assert addresses == re.findall(r"mac=([0-9a-f:]+)", command(node.description))
    panel = " ".join(uml.panel(hardware, [20, 21, 22]))
    for plug in re.findall(r"mcast=[0-9.:]+", command(node.description)):
        assert plug in panel
    assert "hostfwd" not in panel
    head = description(compute=False, index=1).hardware
    assert "hostfwd=tcp:127.77.1.1:2222-:22" in " ".join(uml.panel(head, [20, 21]))


def test_modules_are_loaded_after_what_they_need():
    text = "kernel/a/nvme-loop.ko: kernel/a/nvmet.ko kernel/b/nvme-core.ko\nkernel/b/nvme-core.ko:\n"
    assert kernel.dependencies(text, "nvme-loop") == ["kernel/b/nvme-core.ko", "kernel/a/nvmet.ko", "kernel/a/nvme-loop.ko"]
    with pytest.raises(kernel.KernelError, match="no module nvme-tcp"):
        kernel.dependencies(text, "nvme-tcp")


def test_a_line_of_the_configuration_that_the_kernel_does_not_take_is_named():
    config = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=y\n"
    assert kernel.not_taken("# why\nCONFIG_A=y\nCONFIG_B=y\nCONFIG_C=n\nCONFIG_D=n\nCONFIG_E=m\n", config) == [
        "CONFIG_B=y",
        "CONFIG_D=n",
        "CONFIG_E=m",
    ]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (["deb [signed-by=/k] http://mirror.example/debian bookworm main"], "http://mirror.example/debian trixie-backports main"),
        (["deb [signed-by=/k] http://mirror.example/debian-security bookworm-security main"], "http://deb.debian.org/debian trixie-backports main"),
        ([], "http://deb.debian.org/debian trixie-backports main"),
    ],
)
def test_the_kernel_s_sources_come_from_the_mirror_of_this_computer(source, line):
    assert kernel.source_line(source).endswith(f"{line}\n")


def test_a_detached_drive_is_not_plugged_in(node):
    node.detach("S0")
    text = command(node.description)
    assert "serial=S0" not in text
    assert "serial=S1" in text
    with pytest.raises(MachineError, match="has no drive 'S0'. Plugged in: S1."):
        node.detach("S0")


def test_a_replaced_drive_is_empty_and_has_a_new_serial(node):
    assert node.replace_drive("S1") == "S1-1"
    assert node.replace_drive("S1-1") == "S1-2"
    assert "file=S1-2.raw" in command(node.description)
    assert (node.folder / "S1-2.raw").stat().st_size == 2**20


def test_a_process_that_merely_has_the_id_is_not_the_machine(node):
    (node.folder / machine.PID_FILE).write_text(f"{os.getpid()}\n")
    assert node.pid() is None
    assert node.status() == "unhealthy"


def test_a_machine_that_restarts_is_booting_even_without_power(node):
    (node.folder / "restarting").touch()
    assert node.status() == "booting"


def test_cut_ends_marked_processes_and_no_others(node, tmp_path):
    mine = subprocess.Popen(["sleep", "300"], env={machine.MARK: str(node.folder), "PATH": os.environ["PATH"]})
    other = subprocess.Popen(["sleep", "300"], env={machine.MARK: str(tmp_path.parent / "else"), "PATH": os.environ["PATH"]})
    try:
        node.cut()
        assert mine.wait(timeout=5) == -9
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_name_too_long_for_a_tag_is_replaced_by_the_id():
    assert share_tag("shared", "f" * 32) == "shared"
    assert share_tag("x" * 37, "f" * 32) == "f" * 32


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs the ssh client")
def test_the_ssh_client_reads_the_configuration_as_meant(tmp_path):
    machines = [description(compute=False, index=1), description(index=2)]
    file = tmp_path / "config"
    file.write_text(ssh_config(tmp_path, machines))

    def options(host: str) -> dict[str, str]:
        out = subprocess.run(["ssh", "-G", "-F", str(file), host], capture_output=True, text=True, check=True).stdout
        return dict(line.split(" ", 1) for line in out.splitlines() if " " in line)

    head = options("1cc-head-1")
    assert (head["hostname"], head["port"], head["user"]) == ("127.77.1.1", "2222", "ubuntu")
    assert options("127.77.1.1")["port"] == "2222"
    node = options("1cc-node-2")
    assert (node["hostname"], node["port"], node["proxyjump"]) == ("10.77.0.2", "22", "1cc-head-1")
    assert options("10.77.0.2").get("proxyjump") is None
    assert node["stricthostkeychecking"] in ("yes", "true")


def test_host_keys_are_known_by_address_name_and_id():
    lines = known_hosts([(description(compute=False, index=1), "ssh-ed25519 AAAA head\n"), (description(), "ssh-ed25519 BBBB x\n")])
    known = [(set(line.split()[0].split(",")), line.split()[1:]) for line in lines.splitlines()]
    head = {"[1cc-head-1]:2222", "[127.77.1.1]:2222", "1cc-head-1", "10.77.0.1", "0" * 32}
    assert known == [
        (head, ["ssh-ed25519", "AAAA"]),
        ({"1cc-node-2", "10.77.0.2", "0" * 32}, ["ssh-ed25519", "BBBB"]),
    ]
