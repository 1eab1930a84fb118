# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._change import mounts
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, fstab, mount_units, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine
from ansible_collections.onecc.cluster.tests.unit.captured import spec


class Failed(Exception):
    """What fail_json ends a module with."""


class Node(Machine):
    """This machine, with a mount point in the folder of the test, and systemd played. Also the module's half."""

    def __init__(self, folder, **params: object) -> None:
        super().__init__()
        self.files = {"/proc/self/mountinfo": b"", "/etc/fstab": b""}
        self.path_ = str(folder / "scratch")
        self.params = {
            "path": self.path_, "array": None, "source": "10.0.0.2:/data", "fstype": "nfs4", "options": ["noatime"], "owner": None,
            "group": None, "mode": None, **params,
        }
        self.check_mode = False
        self.commands: list[str] = []
        self.failing = ""
        self.silent = False

    @property
    def unit(self) -> str:
        return f"{mount_units.UNITS}/{mount_units.unit_name(self.path_)}"

    def data(self, name: str, offset: int = 0, size: int = -1) -> bytes | None:
        return self.files[name] if name in self.files else super().data(name, offset, size)

    def reachable(self, server: str, port: int) -> bool:
        return not self.silent

    def fail_json(self, msg: str, **_fields: object) -> None:
        raise Failed(msg)

    def run_command(self, argv: list[str], environ_update: dict | None = None) -> tuple[int, str, str]:
        if argv[0] == "journalctl":
            return 0, "mount.nfs4:\n  no route to host\n", ""
        self.commands.append(argv[1])
        if argv[1] == self.failing:
            return 1, "", "Job failed."
        if argv[1] == "reenable":
            wants = f"{mount_units.UNITS}/{mount_units.WANTED_BY}.wants"
            os.makedirs(wants, exist_ok=True)
            os.symlink(self.unit, f"{wants}/{os.path.basename(self.unit)}")
        elif argv[1] in ("start", "reload"):
            self.mounted("rw,noatime")
        return 0, "", ""

    def mounted(self, options: str = "rw,noatime") -> None:
        line = f"36 35 0:50 / {self.path_} {options} - nfs4 10.0.0.2:/data rw\n"
        self.files["/proc/self/mountinfo"] = line.encode()

    def converge(self) -> dict:
        return mounts.converge(self)


@pytest.fixture
def node(tmp_path, monkeypatch):
    def make(**params: object) -> Node:
        node = Node(tmp_path, **params)
        monkeypatch.setattr(mounts, "Machine", lambda: node)
        monkeypatch.setattr(mount_units, "UNITS", str(tmp_path / "units"))
        write = durable.write

        def written(path: str, text: str, mode: int) -> None:
            if path in node.files:
                node.files[path] = text.encode("utf-8", "surrogateescape")
            else:
                write(path, text, mode)

        monkeypatch.setattr(mounts.durable, "write", written)
        return node

    return make


def test_a_mount_is_made_once(node):
    first = node()
    result = first.converge()
    assert result["changed"] and [item["field"] for item in result["differences"]] == ["unit", "mounted"]
    assert first.commands == ["daemon-reload", "reenable", "start"]
    assert os.stat(first.path_).st_mode & 0o7777 == mounts.BARE_MOUNT_POINT_MODE
    first.commands.clear()
    assert first.converge()["changed"] is False and first.commands == []


def test_check_mode_only_looks(node):
    machine = node()
    machine.check_mode = True
    result = machine.converge()
    assert result["changed"] and "nothing is mounted there" in result["diff"]["before"]
    assert machine.commands == [] and not os.path.exists(machine.path_) and not os.path.exists(machine.unit)


def test_a_mount_hides_no_files(node, tmp_path):
    machine = node()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "data").write_text("")
    with pytest.raises(Failed, match=r"it holds 1 entries that a mount would hide \(data, …\)"):
        machine.converge()
    assert machine.commands == [] and not os.path.exists(machine.unit)


def test_a_file_is_no_mount_point(node, tmp_path):
    machine = node()
    (tmp_path / "scratch").write_text("")
    with pytest.raises(Failed, match="it is not a directory"):
        machine.converge()
    assert machine.commands == []


def test_lines_of_fstab_are_commented_out_and_all_else_stays(node):
    machine = node()
    before = f"# caf\udce9\r\nUUID=1 / ext4\r\nUUID=2 {machine.path_}/ xfs\r\n\nUUID=3 {machine.path_} xfs"
    machine.files["/etc/fstab"] = before.encode("utf-8", "surrogateescape")
    machine.converge()
    mark = "# onecc.cluster mounts this by a unit: "
    after = before.replace("UUID=2", f"{mark}UUID=2").replace("UUID=3", f"{mark}UUID=3")
    assert machine.files["/etc/fstab"] == after.encode("utf-8", "surrogateescape")
    assert machine.converge()["changed"] is False


def test_changed_options_are_taken_over_without_unmounting(node):
    machine = node()
    os.mkdir(machine.path_)
    machine.mounted("rw,relatime")
    assert [item["field"] for item in machine.converge()["differences"]] == ["unit", "options"]
    assert machine.commands == ["daemon-reload", "reenable", "reload"]


def test_a_start_that_fails_says_what_the_journal_says(node):
    machine = node()
    machine.failing = "start"
    with pytest.raises(Failed, match=r"systemctl start .* failed: Job failed\. mount\.nfs4: no route to host"):
        machine.converge()


def test_owner_group_and_mode(node):
    machine = node(owner=str(os.getuid()), group=str(os.getgid()), mode="1777")
    machine.converge()
    assert os.stat(machine.path_).st_mode & 0o7777 == 0o1777
    assert machine.converge()["changed"] is False


@pytest.mark.parametrize("field", ["owner", "group"])
def test_a_name_that_the_node_does_not_know(node, field):
    machine = node(**{field: "nosuchname"})
    with pytest.raises(Failed, match=f"the node does not know the {field} 'nosuchname'"):
        machine.converge()
    assert machine.commands == [] and not os.path.exists(machine.unit)


def test_a_server_that_goes_away_under_way_ends_in_an_error(node, monkeypatch):
    monkeypatch.setattr(mount_units, "MOUNT_SECONDS", 0.2)
    monkeypatch.setattr(durable, "directory", lambda path, access: time.sleep(30) if access.mode == 0o1777 else os.mkdir(path))
    machine = node(mode="1777")
    with pytest.raises(Failed, match="it is mounted, and does not answer"):
        machine.converge()


def test_without_a_drive_it_is_a_directory(node):
    machine = node(array=spec(layout="directory"), source=None, mode="0750")
    assert [item["field"] for item in machine.converge()["differences"]] == ["exists"]
    assert os.stat(machine.path_).st_mode & 0o7777 == 0o750
    assert machine.commands == [] and machine.converge()["changed"] is False


def test_an_array_without_a_file_system(node, monkeypatch):
    monkeypatch.setattr(storage, "plan", lambda machine, spec: storage.Plan())
    with pytest.raises(Failed, match="the array scratch has no file system yet"):
        node(array=spec(), source=None).converge()


def test_something_else_that_is_mounted_there_stays(node, monkeypatch):
    found = storage.Plan("array")
    found.device, found.filesystem = "/dev/md127", "0b0f4d3c-2c2e-4a8e-9a1f-5d4d1f1c9a11"
    monkeypatch.setattr(storage, "plan", lambda machine, spec: found)
    machine = node(array=spec(), source=None)
    machine.mounted()
    with pytest.raises(Failed, match="It is not ours to detach"):
        machine.converge()
    assert machine.commands == [] and not os.path.exists(machine.unit)


def test_fstab_without_a_line_is_not_touched():
    text = "a / ext4\n\n# x\n"
    assert fstab.commented(text, [], "") == text


def test_a_server_that_does_not_answer_is_what_the_error_begins_with(node):
    machine = node()
    machine.failing, machine.silent = "start", True
    with pytest.raises(Failed, match=r"^mount \S+: the server 10\.0\.0\.2 does not answer, so 10\.0\.0\.2:/data cannot be mounted"):
        machine.converge()


def test_what_fstab_mounted_is_taken_over_without_a_remount(node):
    machine = node(fstype="detect", source="data", options=[])
    os.mkdir(machine.path_)
    machine.files["/etc/fstab"] = f"data {machine.path_} virtiofs nofail 0 0\n".encode()
    machine.files["/proc/self/mountinfo"] = f"36 35 0:50 / {machine.path_} rw - virtiofs data rw\n".encode()
    assert [item["field"] for item in machine.converge()["differences"]] == ["unit", "fstab"]
    assert machine.commands == ["daemon-reload", "reenable"]
    assert machine.files["/etc/fstab"].startswith(b"# onecc.cluster")
    assert machine.converge()["changed"] is False


@pytest.mark.parametrize("inside", [True, False])
def test_a_directory_that_holds_anything_keeps_its_access(node, tmp_path, inside):
    """Where no drive is spare, whatever path is declared would get the mode of a scratch volume."""
    machine = node(array=spec(layout="directory"), source=None, mode="1777")
    (tmp_path / "scratch").mkdir(mode=0o755)
    (tmp_path / "scratch").chmod(0o755)
    if inside:
        (tmp_path / "scratch" / "x\ny").write_text("")
        with pytest.raises(Failed, match=r"holds 'x\\ny': it stays as it is"):
            machine.converge()
    else:
        machine.converge()
    assert os.stat(machine.path_).st_mode & 0o7777 == (0o755 if inside else 0o1777)


@pytest.mark.parametrize("path", ["/", "/etc", "/var/lib", "/mnt"])
def test_the_system_s_own_directories_keep_their_access(node, path):
    machine = node(array=spec(layout="directory"), source=None, mode="1767", path=path)
    before = os.stat(path).st_mode
    with pytest.raises(Failed, match="is the system's own directory: it stays"):
        machine.converge()
    assert os.stat(path).st_mode == before


def test_a_link_in_place_of_the_directory_is_not_followed(node, tmp_path):
    machine = node(array=spec(layout="directory"), source=None, mode="1777")
    (tmp_path / "roots").mkdir(mode=0o700)
    (tmp_path / "scratch").symlink_to("roots")
    with pytest.raises(Failed, match="is not a directory"):
        machine.converge()
    assert os.stat(tmp_path / "roots").st_mode & 0o7777 == 0o700


def test_a_link_that_comes_while_it_is_mounted_is_not_followed(node, tmp_path, monkeypatch):
    machine = node(mode="1777")
    (tmp_path / "roots").mkdir(mode=0o700)
    run = machine.run_command

    def swapped(argv, environ_update=None):
        if argv[1] == "start":
            os.rmdir(machine.path_)
            os.symlink("roots", machine.path_)
        return run(argv, environ_update)

    monkeypatch.setattr(machine, "run_command", swapped)
    with pytest.raises(Failed, match="owner, group or mode cannot be changed"):
        machine.converge()
    assert os.stat(tmp_path / "roots").st_mode & 0o7777 == 0o700
