# SPDX-License-Identifier: GPL-3.0-or-later
"""What a converged node must look like. Every test reads the node itself, none asks the collection."""

from __future__ import annotations

import json
import re

import pytest

testinfra_hosts = ["onecc"]


@pytest.fixture
def mount(host):
    """What is mounted at /scratch."""
    return json.loads(host.check_output("findmnt --json --output SOURCE,FSTYPE,OPTIONS,UUID --target /scratch"))["filesystems"][0]


@pytest.fixture
def drives(host):
    """Whole NVMe namespaces by name."""
    listed = json.loads(host.check_output("lsblk --json --nodeps --output NAME,SERIAL,SIZE"))["blockdevices"]
    return [drive for drive in listed if drive["name"].startswith("nvme")]


def is_compute(host):
    return "node" in host.check_output("hostname")


def test_packages_are_installed(host):
    assert host.package("mdadm").is_installed
    assert host.package("xfsprogs").is_installed


def test_scratch_is_xfs_for_everybody(host, mount):
    assert mount["fstype"] == "xfs"
    assert "noatime" in mount["options"].split(",")
    directory = host.file("/scratch")
    assert (directory.user, directory.group, directory.mode) == ("root", "root", 0o1777)
    assert host.run("touch /scratch/by-%s && rm /scratch/by-%s", "ubuntu", "ubuntu").rc == 0


def test_scratch_is_mounted_at_boot_without_holding_it_up(host):
    unit = host.service("scratch.mount")
    assert unit.is_enabled and unit.is_running
    text = host.file("/etc/systemd/system/scratch.mount").content_string
    assert re.search(r"^Options=.*\bnofail\b", text, re.MULTILINE)
    assert host.file("/etc/fstab").contains("/scratch") is False


def test_compute_node_stripes_all_its_drives(host, mount, drives):
    if not is_compute(host):
        pytest.skip("a head node of the lab has one drive, and test_head_node_uses_its_only_drive looks at it")
    with host.sudo():
        detail = host.check_output("mdadm --detail --export /dev/md/scratch")
    facts = dict(line.split("=", 1) for line in detail.splitlines())
    assert facts["MD_LEVEL"] == "raid0"
    assert int(facts["MD_DEVICES"]) == len(drives) == 4
    assert host.check_output("readlink -f /dev/md/scratch") == host.check_output("readlink -f %s", mount["source"])


def test_xfs_is_aligned_to_the_array(host):
    if not is_compute(host):
        pytest.skip("a single drive has no stripes to align to")
    info = host.check_output("xfs_info /scratch")
    block, unit, width = (int(re.search(pattern, info)[1]) for pattern in (r"data .*bsize=(\d+)", r"sunit=(\d+)", r"swidth=(\d+)"))
    assert (unit * block, width // unit) == (512 * 1024, 4)


def test_array_keeps_its_path_at_boot(host):
    if not is_compute(host):
        pytest.skip("a single drive needs no mdadm.conf")
    with host.sudo():
        uuid = re.search(r"^MD_UUID=(.*)$", host.check_output("mdadm --detail --export /dev/md/scratch"), re.MULTILINE)[1]
        line = f"ARRAY /dev/md/scratch metadata=1.2 UUID={uuid}"
        assert host.check_output("grep ^ARRAY /etc/mdadm/mdadm.conf").splitlines() == [line]
        host.check_output("rm -rf /tmp/initramfs && unmkinitramfs /boot/initrd.img-$(uname -r) /tmp/initramfs")
        assert line in host.check_output("find /tmp/initramfs -name mdadm.conf -exec cat {} +").splitlines()
        host.check_output("rm -rf /tmp/initramfs")


def test_head_node_uses_its_only_drive(host, mount, drives):
    if is_compute(host):
        pytest.skip("a compute node of the lab has four drives, and test_compute_node_stripes_all_its_drives looks at them")
    assert mount["source"] == f"/dev/{drives[0]['name']}"


def test_trim_runs_weekly(host):
    timer = host.service("fstrim.timer")
    assert timer.is_enabled and timer.is_running


def test_files_survive_a_reboot(host):
    """Before the reboot of the scenario there is no such file; after it, the file must be there."""
    rebooted = int(host.check_output("cut -d. -f1 /proc/uptime")) < int(host.check_output("date +%s")) - int(
        host.check_output("stat --format %Y /var/lib/onecc/nvme_raid/scratch.json")
    )
    if not (rebooted and is_compute(host)):
        pytest.skip("this node was not rebooted since its volume was made")
    assert host.file("/scratch/survivor").content_string == "still here"
