# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import machine as machine_module
from ansible_collections.onecc.cluster.plugins.module_utils._node import mount_options, mount_units, unit_files
from ansible_collections.onecc.cluster.tests.unit.captured import FILESYSTEM, Captured, spec, volume
from hypothesis import given
from hypothesis import strategies as st

UNIT = "/etc/systemd/system/scratch.mount"
WANTS = "/etc/systemd/system/multi-user.target.wants/scratch.mount"
SOURCE = f"/dev/disk/by-uuid/{FILESYSTEM}"


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def declared(**fields: object) -> dict:
    """A mount of the array scratch."""
    return {
        "path": "/scratch", "array": spec(), "source": None, "fstype": "xfs", "options": ["noatime"], "owner": None, "group": None,
        "mode": None, **fields,
    }


def export(**fields: object) -> dict:
    """A mount of something that is not an array."""
    return declared(**{"path": "/data", "array": None, "source": "10.0.0.2:/data", "fstype": "nfs4", "options": [], **fields})


def units(machine: Captured, mount: dict, source: str) -> None:
    """Writes and enables the unit of a mount."""
    name = mount_units.unit_name(mount["path"])
    machine.write(f"{mount_units.UNITS}/{name}", mount_units.unit_text(mount, source))
    machine.link(f"{mount_units.UNITS}/{mount_units.WANTED_BY}.wants/{name}", f"{mount_units.UNITS}/{name}")


def in_state(machine: Captured) -> None:
    volume(machine)
    units(machine, declared(), SOURCE)
    machine.mount("md127", "/scratch")
    os.makedirs(machine.path("/scratch"))
    os.chmod(machine.path("/scratch"), 0o1777)


def differences(machine: Captured, mount: dict) -> list[dict]:
    return list(mount_units.check(machine, mount))


def fields_of(machine: Captured, mount: dict) -> list[str]:
    return [item["field"] for item in differences(machine, mount)]


# Unit names


PAIRS = [
    ("/", "-.mount"),
    ("/scratch", "scratch.mount"),
    ("/mnt/nvme-raid", r"mnt-nvme\x2draid.mount"),
    ("/lambda/nfs/my_files", "lambda-nfs-my_files.mount"),
    ("/.hidden", r"\x2ehidden.mount"),
    ("/a/.b", "a-.b.mount"),
    ("/a@b", r"a\x40b.mount"),
    ("/50%", r"50\x25.mount"),
    ("/ü", r"\xc3\xbc.mount"),
    ("/a b", r"a\x20b.mount"),
    ("/a\\b", r"a\x5cb.mount"),
    ("//a///b/", "a-b.mount"),
    ("/a:b", "a:b.mount"),
]


@pytest.mark.parametrize(("path", "name"), PAIRS)
def test_unit_names(path, name):
    assert mount_units.unit_name(path) == name


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="systemd-escape is not here")
@given(st.lists(st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda word: word not in (".", "..")), max_size=4))
def test_unit_names_are_those_of_systemd(words):
    path = "/" + "/".join(words)
    command = ["systemd-escape", "--path", "--suffix=mount", "--", path]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert mount_units.unit_name(path) + "\n" == found


# Unit texts


def test_unit_text():
    text = mount_units.unit_text(declared(options=["noatime", "nodev"]), SOURCE)
    assert [line for line in text.splitlines() if "=" in line] == [
        "Description=/scratch as declared", f"What={SOURCE}", "Where=/scratch", "Type=xfs", "Options=noatime,nodev,nofail",
        "WantedBy=multi-user.target",
    ]


@pytest.mark.parametrize(("options", "written"), [([], "nofail"), (["nofail"], "nofail"), (["nofail", "ro"], "nofail,ro")])
def test_nofail_is_always_there_and_once(options, written):
    assert f"\nOptions={written}\n" in mount_units.unit_text(declared(options=options), SOURCE)


def test_percent_signs_are_no_specifiers():
    text = mount_units.unit_text({**export(), "path": "/50%", "options": ["x-a=%h"]}, "server:/%u")
    assert "\nWhere=/50%%\n" in text and "\nWhat=server:/%%u\n" in text and "\nOptions=x-a=%%h,nofail,_netdev\n" in text


# What a mount may say


@pytest.mark.parametrize(("field", "value"), [
    ("path", "scratch"), ("path", "/a/../b"), ("path", "/a b"), ("path", "/a\n"), ("path", "/a/"), ("path", "/$(id)"), ("path", ""),
    ("mode", "u+w"), ("mode", "99"), ("mode", "0o755"), ("mode", ""),
    ("fstype", "xfs -o"), ("source", "a b"), ("source", "a\nb"), ("source", "a\\"), ("source", "-oexec"), ("source", ""),
])
def test_invalid_fields(field, value):
    message = mount_units.invalid({**declared(), field: value})
    assert message.startswith(f"{field} is {value!r}; allowed is ")


@pytest.mark.parametrize("option", ["a,b", "a b", "a\n", "", "a\\"])
def test_invalid_options(option):
    assert repr(option) in mount_units.invalid(declared(options=["noatime", option]))


@pytest.mark.parametrize("mount", [
    declared(), declared(path="/"), declared(mode="1777"), declared(mode="755"), export(), declared(source="LABEL=x"),
    declared(source="//server/share"), declared(options=["vers=4.2", "x-systemd.device-timeout=30s"]),
])
def test_valid_mounts(mount):
    assert mount_units.invalid(mount) is None


# Comparing


def test_a_mount_in_state(machine):
    in_state(machine)
    assert differences(machine, declared()) == []
    assert machine.ran == []


def test_a_mount_before_its_array(machine):
    machine.drive("nvme0n1", "S1")
    machine.drive("nvme1n1", "S2")
    assert fields_of(machine, declared()) == ["mounted"]


def test_nothing_mounted(machine):
    volume(machine)
    assert fields_of(machine, declared()) == ["unit", "mounted"]


def test_a_unit_of_another_text(machine):
    in_state(machine)
    machine.write(UNIT, "[Mount]\nWhat=/dev/nvme0n1\n")
    difference, = differences(machine, declared())
    assert difference["field"] == "unit" and UNIT in difference["message"]


def test_a_unit_that_is_not_enabled(machine):
    in_state(machine)
    os.remove(machine.path(WANTS))
    assert fields_of(machine, declared()) == ["enabled"]


def test_a_line_of_fstab(machine):
    in_state(machine)
    machine.write("/etc/fstab", "UUID=1 / ext4\n#UUID=2 /scratch xfs\nUUID=3\t/scratch/  xfs\nx\n\nUUID=4 /scratch2 xfs\n")
    difference, = differences(machine, declared())
    assert difference["field"] == "fstab" and "UUID=3" in difference["message"]


def test_something_else_mounted_there(machine):
    in_state(machine)
    machine.drive("nvme5n1", "S5")
    machine.mount("nvme5n1", "/scratch", "ext4")
    difference, = differences(machine, declared())
    assert difference["field"] == "source" and (difference["remedy"] == "manual")
    assert "/dev/nvme5n1 is mounted there, declared is /dev/md127" in difference["message"]


def test_what_was_mounted_last_counts(machine):
    volume(machine)
    units(machine, declared(), SOURCE)
    machine.mount("0:44", "/scratch", "tmpfs", source="tmpfs")
    machine.mount("md127", "/scratch")
    os.makedirs(machine.path("/scratch"))
    assert differences(machine, declared()) == []


@pytest.mark.parametrize(("options", "missing"), [
    (["noatime"], []),
    (["noatime", "nodev", "nosuid"], ["nodev", "nosuid"]),
    (["attr2"], []),  # an option of the file system
    (["defaults", "nofail", "_netdev", "x-systemd.device-timeout=30s", "noauto", "user", "comment=x"], []),
    (["rw", "exec", "suid", "dev", "async", "diratime"], []),
    (["atime"], ["atime"]),
])
def test_options(machine, options, missing):
    in_state(machine)
    mount = declared(options=options)
    machine.write(UNIT, mount_units.unit_text(mount, SOURCE))
    found = differences(machine, mount)
    assert [item["field"] for item in found] == (["options"] if missing else [])
    if missing:
        assert found[0]["message"].endswith(f"without {', '.join(missing)}")


def test_owner_group_and_mode(machine):
    in_state(machine)
    os.chmod(machine.path("/scratch"), 0o755)
    found = differences(machine, declared(mode="1777", owner="nobody"))
    assert {item["field"] for item in found} == {"mode", "owner"}
    assert "mode is 0755, declared is 1777" in [item for item in found if item["field"] == "mode"][0]["message"]


def test_owner_group_and_mode_that_are_not_declared(machine):
    in_state(machine)
    os.chmod(machine.path("/scratch"), 0o700)
    assert differences(machine, declared()) == []


def test_a_mount_that_does_not_answer(machine, monkeypatch):
    in_state(machine)
    real = os.stat

    def stat(path, **arguments):
        if path == machine.path("/scratch"):
            raise OSError(5, "Input/output error")
        return real(path, **arguments)

    monkeypatch.setattr(mount_units.os, "stat", stat)
    difference, = differences(machine, declared())
    assert (difference["remedy"] == "manual") and "/dev/md127" in difference["message"] and "Input/output error" in difference["message"]


def test_no_drive_and_no_directory(machine):
    difference, = differences(machine, declared())
    assert (difference["field"], difference["is"], difference["should"]) == ("exists", False, True)


def test_a_directory_in_place_of_a_volume(machine):
    os.makedirs(machine.path("/scratch"))
    os.chmod(machine.path("/scratch"), 0o755)
    assert differences(machine, declared(mode="0755")) == []
    assert fields_of(machine, declared(mode="1777")) == ["mode"]


def test_a_file_in_place_of_a_directory(machine):
    machine.write("/scratch", "")
    assert fields_of(machine, declared()) == ["type"]


def test_an_export(machine):
    assert fields_of(machine, export()) == ["unit", "mounted"]
    units(machine, export(), "10.0.0.2:/data")
    machine.mount("0:50", "/data", "nfs4", source="10.0.0.2:/data")
    os.makedirs(machine.path("/data"))
    assert differences(machine, export()) == []
    assert fields_of(machine, export(source="10.0.0.3:/data")) == ["unit", "source"]


def test_targets(machine):
    volume(machine)
    assert mount_units.target(machine, export()).source == "10.0.0.2:/data"
    found = mount_units.target(machine, declared())
    assert (found.source, found.device, found.directory) == (SOURCE, "/dev/md127", False)
    found = mount_units.target(machine, declared(array=spec(layout="directory")))
    assert (found.source, found.device, found.directory) == (None, None, True)


# What a server gives


def share(**fields: object) -> dict:
    """An attached file system of which nothing but the name is declared."""
    return declared(**{"path": "/lambda/nfs/data", "array": None, "source": "data", "fstype": "detect", "options": [], **fields})


def what(mount: dict) -> tuple[str, str, list[str]]:
    return mount["source"], mount["fstype"], mount["options"]


def test_a_file_system_that_the_node_knows_nothing_of(machine):
    assert what(mount_units.detected(machine, share())) == ("data", "virtiofs", [])


def test_what_is_mounted_there_tells_the_type(machine):
    machine.mount("0:50", "/lambda/nfs/data", "nfs4", source="10.0.0.2:/data")
    assert what(mount_units.detected(machine, share())) == ("10.0.0.2:/data", "nfs4", [])


def test_what_is_mounted_elsewhere_from_the_same_source_tells_the_type(machine):
    machine.mount("0:50", "/home/ubuntu/data", "nfs", source="10.0.0.2:/data")
    assert what(mount_units.detected(machine, share(source="10.0.0.2:/data")))[1] == "nfs"


def test_fstab_tells_type_and_options(machine):
    machine.write("/etc/fstab", "fs1 /lambda/nfs/data virtiofs nofail,ro 0 0\n")
    assert what(mount_units.detected(machine, share())) == ("fs1", "virtiofs", ["ro"])
    assert what(mount_units.detected(machine, share(options=["noatime"])))[2] == ["noatime"]


def test_the_own_unit_is_what_fstab_said(machine):
    """So a node whose line of fstab was taken over stays as it is, mounted or not."""
    machine.write("/etc/fstab", "10.0.0.2:/data /lambda/nfs/data nfs hard,x-a=%h 0 0\n")
    before = mount_units.detected(machine, share())
    units(machine, before, before["source"])
    machine.write("/etc/fstab", "")
    assert mount_units.detected(machine, share()) == before
    machine.mount("0:50", "/lambda/nfs/data", "nfs4", "rw,hard", source="10.0.0.2:/data")
    os.makedirs(machine.path("/lambda/nfs/data"))
    assert mount_units.detected(machine, share()) == before
    assert differences(machine, share()) == []


@pytest.mark.parametrize("fstab", ["", "10.0.0.2:/data /lambda/nfs/data nfs hard,x-a=%h 0 0\n"])
@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize(("line", "changed"), [("Options=", "Options=ro,"), ("What=", "What=other"), ("Type=", "Type=nfs4\nType=")])
def test_what_somebody_changes_in_the_own_unit_is_not_taken_over(machine, fstab, mounted, line, changed):
    machine.write("/etc/fstab", fstab)
    before = mount_units.detected(machine, share())
    machine.write("/etc/fstab", "")
    units(machine, before, before["source"])
    if mounted:
        machine.mount("0:50", "/lambda/nfs/data", before["fstype"], source=before["source"])
        os.makedirs(machine.path("/lambda/nfs/data"))
    path = f"{mount_units.UNITS}/{mount_units.unit_name('/lambda/nfs/data')}"
    machine.write(path, machine.text(path).replace(line, changed, 1))
    assert mount_units.detected(machine, share()) == before
    assert "unit" in fields_of(machine, share())


@pytest.mark.parametrize("options", ["ro", "rw,ro"])
def test_a_file_system_that_became_read_only_is_named(machine, options):
    units(machine, export(), "10.0.0.2:/data")
    machine.mount("0:50", "/data", "nfs4", options, source="10.0.0.2:/data")
    os.makedirs(machine.path("/data"))
    assert fields_of(machine, export()) == ["options"]
    assert "options" not in fields_of(machine, export(options=["ro"]))


@pytest.mark.parametrize("line", ["/dev/vdb /lambda/nfs/data ext4 rw 0 0", "-oexec /lambda/nfs/data nfs rw", "a\\040b /lambda/nfs/data nfs rw", "x"])
def test_what_no_declaration_could_say_is_not_taken_over(machine, line):
    machine.write("/etc/fstab", line + "\n")
    assert what(mount_units.detected(machine, share())) == ("data", "virtiofs", [])


def test_a_declared_type_is_not_looked_for(machine):
    machine.mount("0:50", "/data", "nfs4", source="10.0.0.9:/data")
    assert mount_units.detected(machine, export()) == export()


@pytest.mark.parametrize(("fstype", "source", "right"), [
    ("nfs4", "10.0.0.2:/data/", True), ("nfs", "10.0.0.2:/data", True), ("nfs4", "10.0.0.3:/data", False), ("virtiofs", "10.0.0.2:/data", False),
    ("ext4", "/dev/vdb", False),
])
def test_another_source_is_refused(machine, fstype, source, right):
    units(machine, export(), "10.0.0.2:/data")
    machine.mount("0:50", "/data", fstype, source=source)
    os.makedirs(machine.path("/data"))
    found = differences(machine, export())
    assert [(item["field"], (item["remedy"] == "manual")) for item in found] == ([] if right else [("source", True)])


@pytest.mark.parametrize("option", ["nfsvers=4.2", "vers=4", "vers=4.2", "bg", "retry=1"])
def test_options_that_the_kernel_writes_otherwise(machine, option):
    mount = export(options=[option])
    units(machine, mount, "10.0.0.2:/data")
    machine.mount("0:50", "/data", "nfs4", "rw,vers=4.2", source="10.0.0.2:/data")
    os.makedirs(machine.path("/data"))
    assert differences(machine, mount) == []


def test_a_boot_waits_for_no_server(machine):
    text = mount_units.unit_text(export(), "10.0.0.2:/data")
    assert "\nOptions=nofail,_netdev\n" in text and "\nTimeoutSec=30\n" in text
    assert "_netdev" not in mount_units.unit_text(share(fstype="virtiofs"), "data")
    assert "TimeoutSec" not in mount_units.unit_text(declared(), SOURCE)


@pytest.mark.parametrize(("options", "port"), [([], 2049), (["port=2050"], 2050)])
def test_a_server_that_does_not_answer_is_named(machine, options, port):
    machine.silent.add(("10.0.0.2", port))
    message = [item["message"] for item in differences(machine, export(options=options)) if item["field"] == "mounted"][0]
    assert message == (
        "mount /data: nothing is mounted there: the server 10.0.0.2 does not answer, so 10.0.0.2:/data cannot be mounted at /data"
    )


def test_a_mount_whose_server_is_gone_is_named_in_time(machine, monkeypatch):
    units(machine, export(), "10.0.0.2:/data")
    machine.mount("0:50", "/data", "nfs4", source="10.0.0.2:/data")
    monkeypatch.setattr(machine_module, "SERVER_TIMEOUT", 0.2)
    monkeypatch.setattr(os, "statvfs", lambda path: time.sleep(30))
    start = time.monotonic()
    difference, = differences(machine, export())
    assert time.monotonic() - start < 10
    assert (difference["remedy"] == "manual") and difference["field"] == "answers"
    assert "mount /data: the server 10.0.0.2 does not answer" in difference["message"]


def test_no_server_is_waited_for_twice(machine, monkeypatch):
    """Neither for what it has mounted nor for what cannot be mounted."""
    waited = []

    def inode(name: str) -> os.stat_result:
        waited.append(name)
        raise TimeoutError

    monkeypatch.setattr(machine, "inode", inode)
    monkeypatch.setattr(machine, "reachable", lambda server, port: not waited.append(server))
    for path in ("/data", "/more"):
        units(machine, export(path=path), "10.0.0.2:/data")
        machine.mount("0:50", path, "nfs4", source="10.0.0.2:/data")
        assert [item["field"] for item in differences(machine, export(path=path))] == ["answers"]
    assert "10.0.0.2 does not answer" in differences(machine, export(path="/other"))[1]["message"]
    assert waited == ["/data"]
    differences(machine, export(path="/other", source="10.0.0.3:/data"))
    assert waited == ["/data", "10.0.0.3"]


def test_a_mount_would_hide_what_is_there(machine):
    units(machine, export(), "10.0.0.2:/data")
    machine.write("/data/file", "")
    difference, = differences(machine, export())
    assert (difference["field"], (difference["remedy"] == "manual")) == ("empty", True)
    assert "holds 1 entries that a mount would hide (file, …)" in difference["message"]


# What overrules the unit, or keeps a path


def refusal(machine: Captured, mount: dict) -> str:
    """The message of the only difference, which no converge mends."""
    found, = differences(machine, mount)
    assert (found["remedy"] == "manual")
    return found["message"]


@pytest.mark.parametrize(("file", "text", "words"), [
    ("/etc/systemd/system/scratch.mount.d/vendor.conf", "[Mount]\nOptions=noatime,nofail,ro\n", "says Options=noatime,nofail,ro"),
    ("/run/systemd/system/scratch.mount.d/50-a.conf", "[Mount]\nWhat = /dev/sda1\n", "says What=/dev/sda1"),
    ("/usr/lib/systemd/system/mount.d/x.conf", "[Unit]\nConditionPathExists=/never\n", "says ConditionPathExists=/never"),
    ("/etc/systemd/system.control/scratch.mount.d/50-a.conf", "[Mount]\nOptions=\\\nro\n", "says Options=ro"),
    ("/run/systemd/transient/scratch.mount", "", "is read in its place"),
    ("/etc/systemd/system.control/scratch.mount", "[Mount]\n", "is read in its place"),
])
def test_a_file_that_overrules_the_unit_is_named(machine, file, text, words):
    in_state(machine)
    machine.write(file, text)
    message = refusal(machine, declared())
    assert file in message and words in message


@pytest.mark.parametrize(("file", "text"), [
    ("/etc/systemd/system/scratch.mount.d/vendor.conf", "[Mount]\nOptions=noatime,nofail\nDirectoryMode=0700\n#Options=ro\n[Unit]\nDescription=x\n"),
    ("/etc/systemd/system/scratch.mount.d/vendor.conf.bak", "[Mount]\nOptions=ro\n"),
    ("/etc/systemd/system/scratch2.mount.d/vendor.conf", "[Mount]\nOptions=ro\n"),
    ("/run/systemd/generator/scratch.mount", "[Mount]\nOptions=ro\n"),
])
def test_a_file_that_changes_nothing_of_it_is_none(machine, file, text):
    in_state(machine)
    machine.write(file, text)
    assert differences(machine, declared()) == []


def test_a_drop_in_that_another_takes_the_place_of_has_no_say(machine):
    in_state(machine)
    machine.write("/usr/lib/systemd/system/scratch.mount.d/vendor.conf", "[Mount]\nOptions=ro\n")
    machine.write("/etc/systemd/system/scratch.mount.d/vendor.conf", "")
    assert differences(machine, declared()) == []


def test_drop_ins_of_a_name_up_to_its_dashes(machine):
    machine.write("/etc/systemd/system/lambda-.mount.d/a.conf", "")
    machine.write("/etc/systemd/system/lambda-nfs-.mount.d/b.conf", "")
    machine.write("/etc/systemd/system/nfs-.mount.d/c.conf", "")
    found = unit_files.drop_ins(machine, "lambda-nfs-data.mount")
    assert [os.path.basename(path) for path in found] == ["a.conf", "b.conf"]


def test_an_enabled_link_to_something_else(machine):
    in_state(machine)
    os.remove(machine.path(WANTS))
    os.symlink("/dev/null", machine.path(WANTS))
    assert fields_of(machine, declared()) == ["enabled"]


@pytest.mark.parametrize("path", ["/scratch", "/mnt/a-b"])
def test_an_automount_that_holds_the_path_is_named_with_its_unit(machine, path):
    volume(machine)
    mount = declared(path=path)
    units(machine, mount, SOURCE)
    machine.mount("0:60", path, "autofs", source="systemd-1")
    unit = mount_units.unit_name(path).replace(".mount", ".automount")
    assert f"`systemctl stop {unit}`" in refusal(machine, mount)
    machine.mount("md127", path)  # that somebody's look has brought
    assert f"`systemctl stop {unit}`" in refusal(machine, mount)


def test_a_path_below_one_of_automount(machine):
    machine.mount("0:60", "/data", "autofs", source="auto.data")
    assert "automount(8) holds /data (auto.data)" in [item for item in differences(machine, export(path="/data/x")) if item["remedy"] == "manual"][0]["message"]
    machine.mount("0:61", "/data", "nfs4", source="10.0.0.2:/data")
    assert fields_of(machine, export(path="/data/x")) == ["unit", "mounted"]


def test_an_automount_that_comes_back_at_a_boot(machine):
    in_state(machine)
    machine.write("/etc/systemd/system/scratch.automount", "[Automount]\nWhere=/scratch\n")
    assert differences(machine, declared()) == []
    machine.link("/run/systemd/generator/local-fs.target.wants/scratch.automount", "/run/systemd/generator/scratch.automount")
    assert differences(machine, declared()) == []  # the line of fstab that it is made of is named as such
    machine.link("/etc/systemd/system/multi-user.target.wants/scratch.automount", "/etc/systemd/system/scratch.automount")
    assert "`systemctl disable --now scratch.automount`" in refusal(machine, declared())


@pytest.mark.parametrize(("link", "path"), [("/data", "/data"), ("/srv", "/srv/data")])
def test_a_mount_point_behind_a_link_is_named(machine, link, path):
    units(machine, export(path=path), "10.0.0.2:/data")
    os.makedirs(machine.path("/mnt/there/data"))
    machine.link(link, "/mnt/there")
    assert "/mnt/there" in refusal(machine, export(path=path))


def test_a_mount_point_that_cannot_be_made(machine):
    units(machine, export(path="/ro/data"), "10.0.0.2:/data")
    machine.mount("0:62", "/ro", "ext4", "ro", source="/dev/sdb1")
    assert "/ro is read-only" in refusal(machine, export(path="/ro/data"))
    os.makedirs(machine.path("/ro/data"))
    assert fields_of(machine, export(path="/ro/data")) == ["mounted"]


def test_a_file_in_place_of_a_mount_point(machine):
    units(machine, export(), "10.0.0.2:/data")
    machine.write("/data", "")
    assert "it is not a directory" in refusal(machine, export())


@pytest.mark.parametrize("field", ["owner", "group"])
def test_an_owner_that_the_node_does_not_know_is_named(machine, field):
    in_state(machine)
    assert f"the node does not know the {field} 'nosuchname'" in differences(machine, declared(**{field: "nosuchname"}))[0]["message"]


@pytest.mark.parametrize("path", ["/scratch/", "//scratch", "/scratch/."])
def test_other_spellings_of_the_path_in_fstab(machine, path):
    in_state(machine)
    machine.write("/etc/fstab", f"UUID=3 {path} xfs\n")
    assert fields_of(machine, declared()) == ["fstab"]


# Options


@pytest.mark.parametrize(("fstype", "shown", "option", "has"), [
    ("xfs", "rw,noatime,allocsize=65536k", "allocsize=64m", True), ("xfs", "rw,allocsize=64k", "allocsize=64m", False),
    ("xfs", "rw,logbsize=256k", "logbsize=262144", True), ("xfs", "rw,usrquota", "uquota", True), ("xfs", "rw,noquota", "uquota", False),
    ("xfs", "rw,relatime", "strictatime", False), ("xfs", "rw", "strictatime", True), ("xfs", "rw,largeio", "nolargeio", False),
    ("xfs", "rw,sunit=1024", "sunit=1024", True), ("xfs", "rw,sunit=1024", "swidth=1024", False), ("xfs", "rw,lazytime", "nolazytime", False),
    ("nfs4", "rw,proto=tcp", "tcp", True), ("nfs4", "rw,proto=tcp", "rdma", False), ("nfs4", "rw,vers=4.2", "v4.2", True),
    ("nfs4", "rw,vers=4.2", "v4", True), ("nfs4", "rw,vers=4.1", "minorversion=1", True), ("nfs4", "rw,vers=4.1", "minorversion=2", False),
    ("nfs4", "rw,rsize=262144", "rsize=1048576", True), ("nfs4", "rw,rsize=1048576", "rsize=262144", False),
    ("nfs4", "rw,hard", "intr", True), ("nfs4", "rw,hard", "actimeo=60", True), ("nfs4", "rw,hard", "soft", False),
    ("virtiofs", "rw", "dax", False), ("ext4", "rw", "noload", False),
])
def test_how_the_kernel_shows_an_option(fstype, shown, option, has):
    mounted = mount_units.block.Mounted("0:1", "/x", fstype, "x", set(shown.split(",")))
    assert mount_options.has(mounted, option) is has


@pytest.mark.parametrize(("options", "held"), [
    (["noatime", "relatime"], ["relatime"]), (["ro", "rw"], ["rw"]), (["discard", "nodiscard"], ["nodiscard"]), (["rsize=1", "rsize=2"], ["rsize=2"]),
    (["noatime", "nodev"], ["noatime", "nodev"]), (["nodev", "dev", "nodev"], ["nodev"]), ([], []),
])
def test_the_last_of_two_options_holds(options, held):
    assert mount_options.effective(options) == held


@pytest.mark.parametrize(("options", "lasting"), [(["noatime"], False), (["nodev", "ro"], False), (["logbufs=8"], True), (["largeio", "nodev"], True)])
def test_what_a_remount_does_not_change_is_said_before(machine, options, lasting):
    in_state(machine)
    machine.write("/proc/self/mountinfo", "")
    machine.mount("md127", "/scratch", options="rw,relatime")
    mount = declared(options=options)
    machine.write(UNIT, mount_units.unit_text(mount, SOURCE))
    found, = differences(machine, mount)
    assert found["field"] == "options" and (found["remedy"] == "manual") is lasting
    assert ("systemctl stop scratch.mount" in found["message"]) is lasting
