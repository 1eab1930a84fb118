# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import os
import struct
import subprocess

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import checker, machine, obstacles
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import arrays
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folders, or set attributes")
USER = 54321
CONTENT = "new\n"
SHA256 = hashlib.sha256(CONTENT.encode()).hexdigest()


@pytest.fixture
def node(tmp_path):
    made = Captured(tmp_path)
    made.write("/etc/x.conf", "old\n")
    return made


def declared(path: str = "/etc/x.conf", **fields: object) -> dict:
    return {"path": path, "sha256": SHA256, "owner": str(os.getuid()), "group": str(os.getgid()), "mode": "0644", **fields}


def differences(node: Captured, kind: str, *resources: dict) -> list[tuple]:
    return [(item["name"], item["field"], (item["remedy"] == "manual")) for item in checker.check(node, {kind: list(resources)})]


@pytest.fixture
def attributes(monkeypatch):
    """The attributes by the name of a file, as the kernel would say them."""
    found: dict[str, int] = {}

    def ioctl(descriptor, request, argument):
        assert request == obstacles.FS_IOC_GETFLAGS and len(argument) == struct.calcsize("l")
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        if name not in found:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return struct.pack("=Ii", found[name], 0)

    monkeypatch.setattr(obstacles.fcntl, "ioctl", ioctl)
    return found


@pytest.mark.parametrize(("kind", "resource", "field"), [
    ("files", declared(), "content"),
    ("blocks", {"path": "/etc/x.conf", "sha256": SHA256}, "exists"),
    ("sysctls", {"name": "vm.x", "value": "1", "file": "/etc/x.conf", "content": "x"}, "exists"),
    ("limits", {"name": "core", "manager": "1", "files": [{"for": "logins", "path": "/etc/x.conf", "content": "x"}]}, "logins"),
    ("kernel_modules", {"name": "nosuch", "file": "/etc/x.conf", "content": "x"}, "loaded"),
])
def test_each_kind_says_beforehand_that_its_file_cannot_change(node, attributes, kind, resource, field):
    node.answers["systemctl"] = machine.Completed(0, "DefaultLimitCORE=1\n")
    attributes["x.conf"] = 0x10 | 0x80000
    found = checker.check(node, {kind: [resource]})
    assert field in [item["field"] for item in found]
    (said,) = [item for item in found if item["field"] == "writable"]
    assert (said["remedy"] == "manual") and "/etc/x.conf has the attribute i (immutable)" in said["message"] and "chattr -i /etc/x.conf" in said["message"]


@pytest.mark.parametrize(("name", "flags", "letters"), [
    ("x.conf", 0x20, "a"), ("x.conf", 0x30, "ia"), ("etc", 0x10, "i"), ("etc", 0x20, "a"), ("x.conf", 0x80000, ""), ("other", 0x10, ""),
])
def test_attributes_of_a_file_and_its_folder(node, attributes, name, flags, letters):
    attributes[name] = flags
    assert len(list(obstacles.obstacles(node, "/etc/x.conf"))) == len(letters)
    assert all(f"attribute {letter} " in said for letter, said in zip(letters, obstacles.obstacles(node, "/etc/x.conf")))


def test_a_file_in_state_may_have_any_attribute(node, attributes):
    node.write("/etc/x.conf", CONTENT)
    os.chmod(node.path("/etc/x.conf"), 0o644)
    attributes["x.conf"] = attributes["etc"] = 0x10
    assert differences(node, "files", declared()) == []


@ROOT
def test_attributes_as_the_kernel_has_them(node):
    path = node.path("/etc/x.conf")
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("the file system here has no attributes")
    try:
        (said,) = obstacles.obstacles(node, "/etc/x.conf")
        assert "attribute i" in said
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert list(obstacles.obstacles(node, "/etc/x.conf")) == []


def test_a_read_only_file_system(node, monkeypatch):
    real = os.fstatvfs

    class ReadOnly:
        f_flag = os.ST_RDONLY | os.ST_NOATIME

    monkeypatch.setattr(obstacles.os, "fstatvfs", lambda descriptor: real(descriptor) and ReadOnly)
    for path in ("/etc/x.conf", "/etc/new/x.conf"):
        (said,) = obstacles.obstacles(node, path)
        assert "the file system of /etc is read-only" in said


def test_a_file_that_is_mounted_by_itself(node):
    """As containers have /etc/hosts."""
    node.mount("0:50", "/etc/x.conf", "ext4", source="/dev/x")
    node.mount("0:51", "/etc", "ext4", source="/dev/y")
    (said,) = obstacles.obstacles(node, "/etc/x.conf")
    assert "/etc/x.conf is itself mounted" in said
    assert list(obstacles.obstacles(node, "/etc")) == []


@pytest.mark.parametrize("path", ["/etc/x.conf", "/etc/y.conf", "/no/such/folder/x", "/x"])
def test_nothing_is_in_the_way(node, path):
    assert list(obstacles.obstacles(node, path)) == [] and obstacles.stranger(node, path) is None


def test_what_is_no_folder(node):
    (said,) = obstacles.obstacles(node, "/etc/x.conf/below")
    assert "/etc/x.conf is no folder" in said


# Where a user has a say


@pytest.fixture
def home(node):
    node.write("/home/ada/x.conf", "# BEGIN onecc.cluster\nROOT=secret\n# END onecc.cluster\n")
    os.chown(node.path("/home/ada"), USER, USER)
    return node


@ROOT
@pytest.mark.parametrize("kind", ["files", "blocks", "directories"])
@pytest.mark.parametrize("path", ["/home/ada/x.conf", "/home/ada/new/x.conf"])
def test_what_lies_in_a_user_s_folder_is_refused_and_not_even_read(home, monkeypatch, kind, path):
    monkeypatch.setattr(Captured, "data", lambda *_arguments: pytest.fail("it was read"))
    (item,) = checker.check(home, {kind: [declared(path)]})
    assert (item["remedy"] == "manual") and item["field"] == "writable" and f"the folder /home/ada belongs to user {USER}" in item["message"]


@ROOT
@pytest.mark.parametrize(("directory", "refused"), [
    ({"owner": "root", "group": "root", "mode": "0755"}, False),
    ({"owner": str(USER), "group": "root", "mode": "0755"}, True),
    ({"owner": "root", "group": "root", "mode": "0777"}, True),
])
def test_a_folder_that_the_run_gives_back_to_root_first_is_no_obstacle(home, directory, refused):
    state = {"directories": [{"path": "/home/ada", **directory}], "files": [declared("/home/ada/x.conf")]}
    (item,) = [item for item in checker.check(home, state) if item["kind"] == "files"]
    assert (item["remedy"] == "manual") == refused and item["field"] == ("writable" if refused else "folder")
    assert f"the folder /home/ada belongs to user {USER}" in item["message"]


@ROOT
def test_the_others_of_the_kind_are_compared(home):
    assert differences(home, "files", declared("/home/ada/x.conf"), declared()) == [
        ("/home/ada/x.conf", "writable", True), ("/etc/x.conf", "content", False),
    ]


@ROOT
def test_a_mount_point_may_lie_there(home):
    """The platform mounts file systems in /home/ubuntu."""
    os.mkdir(home.path("/home/ada/data"))
    mount = {"path": "/home/ada/data", "array": None, "source": "data", "fstype": "virtiofs", "options": []}
    assert differences(home, "mounts", mount) == [("/home/ada/data", "unit", False), ("/home/ada/data", "mounted", False)]
    os.rmdir(home.path("/home/ada/data"))
    assert differences(home, "mounts", mount)[2:] == [("/home/ada/data", "writable", True)]


@pytest.mark.parametrize("kind", ["files", "blocks"])
def test_a_file_that_is_too_large_is_said(node, kind):
    os.truncate(node.path("/etc/x.conf"), 1 << 40)
    assert ("/etc/x.conf", "size", True) in differences(node, kind, declared())


@pytest.mark.parametrize("kind", ["files", "blocks", "directories"])
@pytest.mark.parametrize("what", ["fifo", "link", "other"])
def test_what_would_be_lost_is_said_beforehand(node, kind, what):
    path = node.path("/etc/y")
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        os.symlink("/dev/zero", path)
    else:
        node.write("/etc/y", "") if kind == "directories" else os.mkdir(path)
    (item,) = checker.check(node, {kind: [declared("/etc/y")]})
    assert item["field"] == "type" and (item["remedy"] == "manual")


def test_what_is_written_for_an_array():
    assert arrays.files(None, {"name": "scratch"}, set()) == ["/var/lib/onecc/nvme_raid/scratch.json", "/etc/mdadm/mdadm.conf"]
