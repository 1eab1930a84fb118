# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import pwd

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import checker, dpkg
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import (
    blocks,
    directories,
    files,
    kernel_modules,
    limits,
    packages,
    sysctls,
    units,
)
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Completed
from ansible_collections.onecc.cluster.tests.unit.captured import Captured, spec, volume
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def check(kind, machine: Captured, *resources: dict) -> list[tuple]:
    """What differs: name, field, what it is and what it should be."""
    found = list(kind.check(machine, list(resources)))
    assert all(item["name"] in item["message"] for item in found)
    return [(item["name"], item["field"], item["is"], item["should"]) for item in found]


# packages


def status(machine: Captured, *paragraphs: str) -> None:
    machine.write(dpkg.STATUS, "\n".join(f"{paragraph}\n" for paragraph in paragraphs))


def paragraph(name: str, state: str = "install ok installed", version: str = "1.0", architecture: str = "amd64") -> str:
    return (
        f"Package: {name}\nStatus: {state}\nPriority: optional\nArchitecture: {architecture}\nMulti-Arch: same\n"
        f"Version: {version}\nDescription: about {name}\n Status: deinstall ok not-installed\n .\n Version: 9"
    )


def test_an_installed_package(machine):
    status(machine, paragraph("adduser"), paragraph("mdadm", version="4.2-5ubuntu1"), paragraph("zlib1g"))
    assert check(packages, machine, {"name": "mdadm"}, {"name": "mdadm", "version": "4.2-5ubuntu1"}) == []


@pytest.mark.parametrize("text", [None, "", "Package: mdadm-extra\nStatus: install ok installed\n"])
def test_an_unknown_package(machine, text):
    if text is not None:
        machine.write(dpkg.STATUS, text)
    assert check(packages, machine, {"name": "mdadm", "version": None}) == [("mdadm", "installed", False, True)]


@pytest.mark.parametrize(("state", "is_"), [
    ("deinstall ok config-files", False),
    ("unknown ok not-installed", False),
    ("install ok half-installed", "half-installed"),
    ("install ok half-configured", "half-configured"),
    ("install ok unpacked", "unpacked"),
    ("install reinstreq half-installed", "half-installed"),
    ("install ok triggers-pending", "triggers-pending"),
])
def test_states_that_are_not_installed(machine, state, is_):
    status(machine, paragraph("mdadm", state))
    assert check(packages, machine, {"name": "mdadm", "version": "1.0"}) == [("mdadm", "installed", is_, True)]


def test_a_package_on_hold_is_installed(machine):
    status(machine, paragraph("mdadm", "hold ok installed"))
    assert check(packages, machine, {"name": "mdadm"}) == []


def test_another_version(machine):
    status(machine, paragraph("mdadm", version="4.1"))
    assert check(packages, machine, {"name": "mdadm", "version": "4.2"}) == [("mdadm", "version", "4.1", "4.2")]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("state", ["deinstall ok config-files", "unknown ok not-installed", "install ok half-installed"])
def test_one_package_in_two_architectures(machine, reverse, state):
    machine.write(dpkg.ARCHITECTURES, "amd64\ni386\n")
    both = [paragraph("libc6"), paragraph("libc6", state, "0.9", "i386")]
    status(machine, *reversed(both) if reverse else both)
    assert check(packages, machine, {"name": "libc6", "version": "1.0"}) == []


# files and directories


ROOT = {"owner": "root", "group": "root"}


def owned(machine: Captured, path: str, mode: int) -> dict:
    """What a path is declared to be when it is as it is now."""
    os.chmod(machine.path(path), mode)
    inode = os.stat(machine.path(path))
    return {"path": path, "owner": str(inode.st_uid), "group": str(inode.st_gid), "mode": f"{mode:04o}"}


def file(machine: Captured, content: bytes = b"x\n", mode: int = 0o644) -> dict:
    machine.write("/etc/x.conf", content)
    return {**owned(machine, "/etc/x.conf", mode), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_file_in_state(machine):
    assert check(files, machine, file(machine)) == []
    assert check(files, machine, file(machine, b"\xff\r\n")) == []


def test_a_file_that_is_not_there(machine):
    expected = [("/etc/x.conf", "exists", False, True)]
    declared = {"path": "/etc/x.conf", "sha256": "0", "mode": "0644", **ROOT}
    assert check(files, machine, declared) == expected
    machine.write("/etc", "a file where a directory should be")
    assert check(files, machine, declared) == expected


def test_another_content(machine):
    declared = file(machine)
    machine.write("/etc/x.conf", "x")
    (name, field, is_, should), = check(files, machine, declared)
    assert (name, field) == ("/etc/x.conf", "content")
    assert is_ == hashlib.sha256(b"x").hexdigest() and should == declared["sha256"]


def test_a_link_is_not_a_file(machine):
    declared = file(machine)
    os.rename(machine.path("/etc/x.conf"), machine.path("/etc/y.conf"))
    machine.link("/etc/x.conf", "/etc/y.conf")
    assert check(files, machine, declared) == [("/etc/x.conf", "type", "other", "file")]


@pytest.mark.parametrize(("declared", "differs"), [("0644", False), ("644", False), ("0600", True), ("4644", True)])
def test_modes(machine, declared, differs):
    found = check(files, machine, {**file(machine), "mode": declared})
    assert found == ([("/etc/x.conf", "mode", "0644", f"{int(declared, 8):04o}")] if differs else [])


def test_owner_and_group_by_name_and_by_number(machine):
    declared = file(machine)
    name = pwd.getpwuid(int(declared["owner"])).pw_name
    assert check(files, machine, {**declared, "owner": name}) == []
    number = declared["owner"]
    assert check(files, machine, {**declared, "owner": "4242"}) == [("/etc/x.conf", "owner", number, "4242")]
    assert check(files, machine, {**declared, "owner": "nosuchuser"}) == [("/etc/x.conf", "owner", name, "nosuchuser")]
    assert check(files, machine, {**declared, "group": "4242"}) == [("/etc/x.conf", "group", declared["group"], "4242")]


def test_a_number_without_a_name_stays_a_number(machine, monkeypatch):
    declared = file(machine)
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: {}["no such user"])
    found = check(files, machine, {**declared, "owner": "somebody"})
    assert found == [("/etc/x.conf", "owner", declared["owner"], "somebody")]


def test_a_directory(machine):
    os.makedirs(machine.path("/srv/data"))
    declared = owned(machine, "/srv/data", 0o755)
    assert check(directories, machine, declared) == []
    assert check(directories, machine, {**declared, "mode": "1777"}) == [("/srv/data", "mode", "0755", "1777")]


def test_a_directory_that_is_none(machine):
    declared = {"path": "/srv/data", "mode": "0755", **ROOT}
    assert check(directories, machine, declared) == [("/srv/data", "exists", False, True)]
    machine.write("/srv/data", "")
    assert check(directories, machine, declared) == [("/srv/data", "type", "other", "directory")]
    os.remove(machine.path("/srv/data"))
    os.makedirs(machine.path("/mnt/data"))
    machine.link("/srv/data", "/mnt/data")
    assert check(directories, machine, declared) == [("/srv/data", "type", "other", "directory")]


# units


NAMES = ("a.service", "b.timer")


def answer(machine: Captured, *blocks: tuple[str, str, str]) -> None:
    """What `systemctl show` says of each unit: LoadState, ActiveState and UnitFileState."""
    text = "\n".join(f"LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\n" for load, active, enabled in blocks)
    machine.answers["systemctl"] = Completed(0, text)


def unit(machine: Captured, found: tuple[str, str, str], **declared: bool) -> list[tuple]:
    answer(machine, found)
    return check(units, machine, {"name": "a.service", "enabled": None, "active": None, **declared})


def test_units_are_asked_for_at_once(machine):
    answer(machine, ("loaded", "active", "enabled"), ("loaded", "inactive", "disabled"))
    declared = [{"name": name, "enabled": True, "active": True} for name in NAMES]
    assert check(units, machine, *declared) == [("b.timer", "enabled", False, True), ("b.timer", "active", False, True)]
    (argv,) = machine.ran
    assert argv[0] == "systemctl" and argv[-3:] == ("--", *NAMES)


@pytest.mark.parametrize(("state", "enabled", "differs"), [
    ("enabled", True, False), ("enabled", False, True),
    ("enabled-runtime", True, True), ("alias", True, False), ("generated", True, False),
    ("disabled", True, True), ("disabled", False, False),
    ("masked", False, False),
    ("static", True, False), ("static", False, False), ("indirect", True, False), ("indirect", False, False),
    ("", True, True), ("", False, False),
])
def test_enabled(machine, state, enabled, differs):
    found = unit(machine, ("masked" if state == "masked" else "loaded", "inactive", state), enabled=enabled)
    assert found == ([("a.service", "enabled", not enabled, enabled)] if differs else [])


@pytest.mark.parametrize(("state", "is_active"), [
    ("active", True), ("reloading", True), ("inactive", False), ("failed", False), ("activating", False), ("deactivating", False),
])
def test_active(machine, state, is_active):
    assert unit(machine, ("loaded", state, "enabled"), active=is_active) == []
    assert unit(machine, ("loaded", state, "enabled"), active=not is_active) == [("a.service", "active", is_active, not is_active)]


def test_what_is_not_declared_of_a_unit_does_not_count(machine):
    assert unit(machine, ("loaded", "failed", "disabled")) == []


def test_a_unit_that_is_not_found(machine):
    assert unit(machine, ("not-found", "inactive", ""), enabled=False) == [("a.service", "exists", False, True)]


@pytest.mark.parametrize("declared", [{"enabled": True}, {"active": True}, {"enabled": True, "active": True}])
@pytest.mark.parametrize(("load", "field"), [("masked", "masked"), ("bad-setting", "load"), ("error", "load")])
def test_a_unit_that_cannot_be_started(machine, load, field, declared):
    answer(machine, (load, "inactive", "masked"))
    found, = units.check(machine, [{"name": "a.service", "enabled": None, "active": None, **declared}])
    assert (found["field"], (found["remedy"] == "manual")) == (field, True)


@pytest.mark.parametrize(("result", "since", "refused"), [("no", "123", True), ("no", "0", False), ("yes", "123", False)])
def test_a_unit_whose_condition_is_not_met(machine, result, since, refused):
    answer(machine, ("loaded", "inactive", f"enabled\nConditionResult={result}\nConditionTimestampMonotonic={since}"))
    found, = units.check(machine, [{"name": "a.service", "enabled": True, "active": True}])
    assert (found["field"], (found["remedy"] == "manual")) == ("active", refused)


@pytest.mark.parametrize("text", ["", "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"])
def test_fewer_answers_than_units(machine, text):
    machine.answers["systemctl"] = Completed(1, text)
    found = check(units, machine, *({"name": name, "enabled": True, "active": True} for name in NAMES))
    assert found[-1] == ("b.timer", "exists", False, True)
    assert len(found) == (1 if text else 2)


# kernel modules


def module(name: str) -> dict:
    return {"name": name, "file": f"/etc/modules-load.d/onecc-{name}.conf", "content": f"{name}\n"}


@pytest.mark.parametrize("name", ["nvme-tcp", "nvme_tcp"])
def test_a_loaded_module_by_either_spelling(machine, name):
    machine.write("/sys/module/nvme_tcp/refcnt", "0\n")
    machine.write(module(name)["file"], f"{name}\n")
    assert check(kernel_modules, machine, module(name)) == []


def test_a_module_that_is_not_loaded(machine):
    machine.write(module("nvme-tcp")["file"], "nvme-tcp\n")
    assert check(kernel_modules, machine, module("nvme-tcp")) == [("nvme-tcp", "loaded", False, True)]


@pytest.mark.parametrize("text", [None, "", "other\n", "nvme-tcp"])
def test_a_module_that_a_boot_forgets(machine, text):
    machine.write("/sys/module/nvme_tcp/refcnt", "0\n")
    if text is not None:
        machine.write(module("nvme-tcp")["file"], text)
    assert check(kernel_modules, machine, module("nvme-tcp")) == [("nvme-tcp", "at_boot", False, True)]


@pytest.mark.parametrize("line", ["kernel/drivers/nvme/host/nvme-tcp.ko", "kernel/drivers/nvme/host/nvme_tcp.ko"])
def test_a_built_in_module(machine, line):
    machine.write("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n")
    machine.write("/lib/modules/5.15.0-91-generic/modules.builtin", f"kernel/a/b.ko\n{line}\n")
    machine.write(module("nvme-tcp")["file"], "nvme-tcp\n")
    assert check(kernel_modules, machine, module("nvme-tcp")) == []
    machine.write(module("tcp")["file"], "tcp\n")
    assert check(kernel_modules, machine, module("tcp")) == [("tcp", "loaded", False, True)]


@pytest.mark.parametrize(("file", "text", "forbids"), [
    ("/etc/modprobe.d/vendor.conf", "# x\nblacklist nvme_tcp\n", "file"), ("/usr/lib/modprobe.d/a.conf", "install nvme-tcp /bin/false\n", "both"),
    ("/run/modprobe.d/a.conf", "install nvme_tcp \\\n  /usr/bin/true\n", "both"), ("/proc/cmdline", "ro module_blacklist=a,nvme_tcp\n", "both"),
    ("/proc/cmdline", "ro modprobe.blacklist=nvme-tcp\n", "file"), ("/etc/modprobe.d/vendor.conf", "blacklist nvme\nalias a nvme-tcp\n", ""),
    ("/etc/modprobe.d/vendor.conf.bak", "blacklist nvme-tcp\n", ""), ("/etc/modprobe.d/a.conf", "install nvme-tcp /sbin/modprobe -i nvme-tcp\n", ""),
])
def test_a_module_that_something_else_keeps_from_being_loaded_at_boot(machine, file, text, forbids):
    machine.write("/sys/module/nvme_tcp/refcnt", "0\n")
    machine.write(module("nvme-tcp")["file"], "nvme-tcp\n")
    machine.write(file, text)
    forbidden = [("nvme-tcp", "forbidden", True, False)]
    assert check(kernel_modules, machine, module("nvme-tcp")) == (forbidden if forbids else [])
    assert check(kernel_modules, machine, {"name": "nvme-tcp"}) == (forbidden if forbids == "both" else [])


def test_only_the_first_of_two_files_of_one_name_forbids(machine):
    machine.write("/sys/module/nvme_tcp/refcnt", "0\n")
    machine.write("/etc/modprobe.d/a.conf", "")
    machine.write("/usr/lib/modprobe.d/a.conf", "install nvme-tcp /bin/false\n")
    assert check(kernel_modules, machine, {"name": "nvme-tcp"}) == []


# sysctls


def sysctl(name: str, value: str) -> dict:
    return {"name": name, "value": value, "file": "/etc/sysctl.d/90-onecc-x.conf", "content": f"{name} = {value}\n"}


@pytest.mark.parametrize(("name", "path"), [
    ("vm.swappiness", "/proc/sys/vm/swappiness"),
    ("vm/swappiness", "/proc/sys/vm/swappiness"),
    ("net.ipv4.conf.eth0/100.forwarding", "/proc/sys/net/ipv4/conf/eth0.100/forwarding"),
    ("net/ipv4/conf/eth0.100/forwarding", "/proc/sys/net/ipv4/conf/eth0.100/forwarding"),
])
def test_the_file_of_a_sysctl(name, path):
    assert sysctls.proc_path(name) == path


@pytest.mark.parametrize(("is_", "should", "differs"), [
    ("1\n", "1", False), ("1\n", " 1 ", False), ("0\n", "1", True),
    ("4096\t131072\t6291456\n", "4096 131072 6291456", False),
    ("4096\t131072\t6291456\n", "4096\t131072\t6291456", False),
    ("4096\t131072\t6291456\n", "4096 131072", True),
])
def test_values(machine, is_, should, differs):
    declared = sysctl("net.ipv4.tcp_rmem", should)
    machine.write("/proc/sys/net/ipv4/tcp_rmem", is_)
    machine.write(declared["file"], declared["content"])
    found = check(sysctls, machine, declared)
    assert found == ([("net.ipv4.tcp_rmem", "value", " ".join(is_.split()), " ".join(should.split()))] if differs else [])


def test_a_sysctl_that_a_boot_forgets(machine):
    machine.write("/proc/sys/vm/swappiness", "1\n")
    assert check(sysctls, machine, sysctl("vm.swappiness", "1")) == [("vm.swappiness", "at_boot", False, True)]


def test_a_sysctl_that_the_kernel_does_not_have(machine):
    declared = sysctl("vm.nothing", "1")
    machine.write(declared["file"], declared["content"])
    assert check(sysctls, machine, declared) == [("vm.nothing", "exists", False, True)]


@pytest.mark.parametrize(("is_", "should", "refused"), [
    ("1024\n", "0x4000", True), ("1024\n", "02000", True), ("1024\n", "16k", True), ("1024\n", "1e3", True), ("0\n", "-1", False),
    ("4096\t131072\t6291456\n", "4096 131072", True), ("1024\n", "1 2", True), ("1024\n", "+5", True), ("1024\n", "2048", False),
    ("cubic\n", "bbr", False), ("\n", "8080,9090", False),
])
def test_a_value_that_the_kernel_writes_otherwise(machine, is_, should, refused):
    machine.write("/proc/sys/net/x/y", is_)
    found = next(item for item in sysctls.check(machine, [sysctl("net.x.y", should)]) if item["field"] == "value")
    assert (found["remedy"] == "manual") is refused


@pytest.mark.parametrize("name", ["net.ipv4.ip_local_reserved_ports", "kernel.hostname", "kernel.core_pattern"])
def test_what_is_a_number_by_chance(machine, name):
    machine.write(sysctls.proc_path(name), "8080\n")
    found = next(item for item in sysctls.check(machine, [sysctl(name, "8080,9090-9099")]) if item["field"] == "value")
    assert found["remedy"] != "manual"


def test_an_unknown_sysctl_is_refused_unless_a_declared_module_may_bring_it(machine):
    declared = {**sysctl("net.netfilter.nf_conntrack_max", "9"), "modules": ["nf-conntrack"]}
    found = next(iter(sysctls.check(machine, [declared])))
    assert (found["field"], (found["remedy"] == "manual")) == ("exists", False)
    machine.write("/sys/module/nf_conntrack/refcnt", "0\n")
    assert next(iter(sysctls.check(machine, [declared])))["remedy"] == "manual"
    assert next(iter(sysctls.check(machine, [sysctl("vm.nothing", "1")])))["remedy"] == "manual"


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("line", ["net.ipv4.neigh.default.gc_thresh3 = 1024\n", "-net/ipv4/neigh/default/gc_thresh3\n"])
def test_a_file_that_overrides_ours_at_boot(machine, line, ours):
    """Named now, and before ours is written."""
    declared = sysctl("net.ipv4.neigh.default.gc_thresh3", "16384")
    machine.write(sysctls.proc_path(declared["name"]), "16384\n")
    machine.write("/etc/sysctl.d/99-vendor.conf", f"# vendor\n{line}")
    if ours:
        machine.write(declared["file"], declared["content"])
    found = list(sysctls.check(machine, [declared]))
    assert [(item["field"], (item["remedy"] == "manual")) for item in found] == [*([] if ours else [("at_boot", False)]), ("overridden", True)]
    assert "/etc/sysctl.d/99-vendor.conf line 2" in found[-1]["message"]


# the checker


def test_differences_come_with_their_kind_in_the_order_of_the_state(machine):
    state = {"packages": [{"name": "b"}, {"name": "a"}], "arrays": [], "sysctls": [sysctl("vm.x", "1")]}
    found = checker.check(machine, state)
    assert [(item["kind"], item["name"], item["field"]) for item in found] == [
        ("packages", "b", "installed"), ("packages", "a", "installed"), ("sysctls", "vm.x", "exists"), ("sysctls", "vm.x", "at_boot"),
    ]


def test_arrays_and_mounts_by_the_checker(machine):
    volume(machine)
    mount = {"path": "/scratch", "array": spec(), "fstype": "xfs", "options": [], "owner": None, "group": None, "mode": None}
    found = checker.check(machine, {"arrays": [spec(drives=4)], "mounts": [mount]})
    assert [(item["kind"], item["name"], item["field"]) for item in found] == [
        ("arrays", "scratch", "drives"), ("mounts", "/scratch", "unit"), ("mounts", "/scratch", "mounted"),
    ]
    assert (found[0]["remedy"] == "manual") is True and found[1]["remedy"] != "manual"


# files that a unit reads


def unit_file(machine: Captured, content: str = "x\n") -> dict:
    machine.write("/etc/b.conf", content)
    machine.write("/proc/stat", "cpu 1 2\nbtime 1000\nprocesses 3\n")
    return {"path": "/etc/b.conf", "sha256": hashlib.sha256(b"x\n").hexdigest(), "unit": "b.service", "stamp": "/run/onecc-read/etc-b.conf"}


@pytest.mark.parametrize(("written", "stamp", "unread"), [
    (999, None, False),  # the boot came after it
    (1002, None, True),
    (1002, hashlib.sha256(b"x\n").hexdigest(), False),
    (1002, hashlib.sha256(b"y\n").hexdigest(), True),
])
def test_whether_a_unit_has_read_its_file(machine, written, stamp, unread):
    file = unit_file(machine)
    os.utime(machine.path("/etc/b.conf"), (written, written))
    if stamp:
        machine.write(file["stamp"], stamp)
    assert [item[1] for item in check(files, machine, file)] == (["read"] if unread else [])


def test_a_file_with_another_content_is_not_said_to_be_unread_too(machine):
    assert [item[1] for item in check(files, machine, unit_file(machine, "y\n"))] == ["content"]


# blocks

BLOCK = {"path": "/etc/hosts", "sha256": hashlib.sha256(b"10.0.0.1 a\n").hexdigest()}


@pytest.mark.parametrize(("text", "field"), [
    (None, "exists"),
    ("127.0.0.1 localhost\n", "exists"),
    ("# BEGIN onecc.cluster\n10.0.0.1 a\n", "exists"),  # it never ends
    ("127.0.0.1 l\n# BEGIN onecc.cluster\n10.0.0.1 a\n# END onecc.cluster\n::1 l\n", None),
    ("# BEGIN onecc.cluster\n10.0.0.2 a\n# END onecc.cluster\n", "content"),
    ("# BEGIN onecc.cluster\n# END onecc.cluster\n", "content"),
    ("# BEGIN onecc.cluster\n10.0.0.1 a\n# END onecc.cluster\n" * 2, "content"),
])
def test_blocks(machine, text, field):
    if text is not None:
        machine.write("/etc/hosts", text)
    assert [item[1] for item in check(blocks, machine, BLOCK)] == ([field] if field else [])


# limits


def limit(machine: Captured, name: str = "memlock", value: str = "unlimited", **fields: object) -> dict:
    """A limit as the controller completes it, in state."""
    manager = "infinity" if value == "unlimited" else value
    logins = "".join(f"{who} {kind} {name} {value}\n" for who in ("*", "root") for kind in ("soft", "hard"))
    services = f"[Manager]\nDefaultLimit{name.upper()}={manager}\n"
    texts = {
        "logins": (f"/etc/security/limits.d/90-onecc-{name}.conf", logins),
        "services": (f"/etc/systemd/system.conf.d/90-onecc-{name}.conf", services),
        "users' services": (f"/etc/systemd/user.conf.d/90-onecc-{name}.conf", services),
    }
    for path, text in texts.values():
        machine.write(path, text)
    key = f"DefaultLimit{name.upper()}"
    machine.answers["systemctl"] = Completed(0, f"{key}={manager}\n{key}Soft={manager}\n")
    machine.answers["getent"] = Completed(2, "")
    machine.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nsyslog:x:104:104::/:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n")
    machine.write("/etc/group", "root:x:0:\nubuntu:x:1000:\nops:x:3000:ubuntu\nempty:x:3001:\n")
    return {"name": name, "manager": manager, "files": [{"for": what, "path": path, "content": text} for what, (path, text) in texts.items()], **fields}


def test_a_limit_in_state(machine):
    assert check(limits, machine, limit(machine)) == []


@pytest.mark.parametrize("number", range(3))
def test_a_limit_that_nobody_wrote_down(machine, number):
    declared = limit(machine)
    machine.write(declared["files"][number]["path"], "* soft\n")
    assert check(limits, machine, declared) == [("memlock", declared["files"][number]["for"], False, True)]


@pytest.mark.parametrize("shown", [
    "DefaultLimitMEMLOCK=8388608", "", "Failed to connect to bus", "DefaultLimitMEMLOCK=infinity\nDefaultLimitMEMLOCKSoft=65536",
])
def test_a_limit_that_systemd_has_not_read(machine, shown):
    declared = limit(machine)
    machine.answers["systemctl"] = Completed(0, f"{shown}\n")
    assert [item[1] for item in check(limits, machine, declared)] == ["running"]


@pytest.mark.parametrize(("path", "text", "who"), [
    ("/etc/security/limits.d/zz-vendor.conf", "* hard memlock 64\n* soft memlock 64\n", ["everybody else", "ubuntu"]),
    ("/etc/security/limits.d/zz-vendor.conf", "root - memlock 64\n", ["root"]),
    ("/etc/security/limits.d/10-vendor.conf", "ubuntu hard memlock 64\n", ["ubuntu"]),
    ("/etc/security/limits.conf", "@ops soft memlock 64\n", ["ubuntu"]),
    ("/etc/security/limits.conf", "1000: soft memlock 64\n", ["ubuntu"]),
    ("/etc/security/limits.conf", "ubuntu -\n", ["ubuntu"]),
    ("/etc/security/limits.conf", "* - memlock 64\nsyslog - memlock 64\n@empty - memlock 64\n@nobody - memlock 64\n", []),
    ("/etc/security/limits.d/zz-vendor.conf", "* - memlock unlimited\n* - nproc 64\n# * - memlock 64\n", []),
    ("/etc/security/limits.d/zz-vendor.txt", "* - memlock 64\n", []),
])
def test_who_gets_another_limit_at_a_login(machine, path, text, who):
    declared = limit(machine)
    machine.write(path, text)
    found = list(limits.check(machine, [declared]))
    assert all(item["field"] == "overridden" and (item["remedy"] == "manual") and path in item["message"] for item in found)
    assert bool(found) == bool(who) and all(name in found[0]["message"] for name in who)


def test_a_group_of_a_directory_service_counts(machine):
    declared = limit(machine)
    machine.write("/etc/security/limits.conf", "@students - memlock 64\n")
    machine.answers["getent"] = Completed(0, "students:*:9000:\n")
    assert "@students" in next(iter(limits.check(machine, [declared])))["message"]


@pytest.mark.parametrize(("text", "fields"), [
    ("session required pam_unix.so\n", ["pam"]), ("session required pam_limits.so conf=/etc/x\n", ["pam"]), ("@include a\n", ["pam"]),
    ("session required pam_limits.so\n", []),
])
def test_logins_without_pam_limits(machine, text, fields):
    declared = limit(machine)
    machine.write("/etc/pam.d/sshd", text)
    assert [item[1] for item in check(limits, machine, declared)] == fields


@pytest.mark.parametrize(("path", "text", "overrides"), [
    ("/etc/systemd/system.conf.d/99-vendor.conf", "[Manager]\nDefaultLimitMEMLOCK=8M\n", True),
    ("/usr/lib/systemd/system.conf.d/99-vendor.conf", "[Manager]\nDefaultLimitMEMLOCK=8M:infinity\n", True),
    ("/run/systemd/user.conf.d/99-vendor.conf", "[Manager]\nDefaultLimitMEMLOCK=\n", True),
    ("/etc/systemd/system.conf", "[Manager]\nDefaultLimitMEMLOCK=8M\n", False),
    ("/etc/systemd/system.conf.d/99-vendor.conf", "[Other]\nDefaultLimitMEMLOCK=8M\n", False),
    ("/etc/systemd/system.conf.d/99-vendor.conf", "[Manager]\n#DefaultLimitMEMLOCK=8M\nDefaultLimitMEMLOCK=x\nDefaultLimitNPROC=5\n", False),
    ("/etc/systemd/system.conf.d/99-vendor.conf", "[Manager]\nDefaultLimitMEMLOCK=infinity:infinity\n", False),
])
def test_who_has_the_last_word_for_services(machine, path, text, overrides):
    declared = limit(machine)
    machine.write(path, text)
    found = list(limits.check(machine, [declared]))
    assert [item["field"] for item in found] == (["overridden"] if overrides else [])
    assert not overrides or path in found[0]["message"]


@pytest.mark.parametrize(("value", "declared", "boot", "refused"), [
    ("1048576", None, None, False), ("2097152", None, None, True), ("unlimited", None, None, True), ("2097152", "2097152", None, False),
    ("2097152", "1048577", None, True), ("1048576", None, "65536", True), ("1048576", "1048576", "65536", False),
])
def test_more_files_than_the_kernel_allows(machine, value, declared, boot, refused):
    machine.write("/proc/sys/fs/nr_open", "1048576\n")
    if boot:
        machine.write("/etc/sysctl.d/99.conf", f"fs.nr_open = {boot}\n")
    found = list(limits.check(machine, [limit(machine, "nofile", value, nr_open=declared)]))
    assert [(item["field"], (item["remedy"] == "manual")) for item in found] == ([("value", True)] if refused else [])


HOSTS = "127.0.0.1 localhost\n"
MARKED = "# BEGIN onecc.cluster\n10.0.0.1 a\n# END onecc.cluster\n"


@pytest.mark.parametrize(("before", "after"), [
    ("", MARKED),
    (HOSTS, HOSTS + MARKED),
    ("127.0.0.1 localhost", HOSTS + MARKED),
    (HOSTS + MARKED, HOSTS + MARKED),
    (MARKED + HOSTS, MARKED + HOSTS),
    (MARKED.replace("10.0.0.1 a", "x\ny") + HOSTS + MARKED, MARKED + HOSTS),
    ("# BEGIN onecc.cluster\n" + HOSTS, HOSTS + MARKED),  # no end: the lines are somebody's
    ("# BEGIN onecc.cluster\n" + HOSTS + MARKED.replace("a", "b") + "# END onecc.cluster\nlast\n", HOSTS + MARKED + "last\n"),
])
def test_a_block_is_put_into_a_file(before, after):
    assert blocks.replaced(before, "10.0.0.1 a\n") == after
    assert blocks.replaced(after, "10.0.0.1 a\n") == after


WINDOWS = "127.0.0.1 localhost\r\n# BEGIN onecc.cluster\r\n10.0.0.1 a\r\n# END onecc.cluster"


@pytest.mark.parametrize("end", ["", "\r\n", "\r\nlast\r\n", " \t\r\nlast"])
def test_a_file_with_the_line_ends_of_windows_has_one_block(machine, end):
    machine.write("/etc/hosts", WINDOWS + end)
    block = {"path": "/etc/hosts", "sha256": hashlib.sha256(b"10.0.0.1 a\n").hexdigest()}
    assert [item[1] for item in check(blocks, machine, block)] == ["content"]
    after = blocks.replaced(WINDOWS + end, "10.0.0.1 a\n")
    assert after.count("BEGIN onecc") == after.count("END onecc") == 1 and blocks.blocks_of(after) == ["10.0.0.1 a\n"]
    assert after.startswith("127.0.0.1 localhost\r\n") and ("last" in after) == ("last" in end), "the other lines stay as they are"
    assert blocks.replaced(after, "10.0.0.1 a\n") == after
    machine.write("/etc/hosts", after)
    assert check(blocks, machine, block) == []


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["a", "", "# x", blocks.BEGIN, blocks.END, blocks.BEGIN + "\r", blocks.END + " ", "b\r"])), st.booleans())
def test_a_block_is_found_again_in_any_text(lines, ended):
    """Written twice it is as written once, there is one, and no line of somebody else's is lost."""
    text = "\n".join(lines) + ("\n" if ended else "")
    once = blocks.replaced(text, "mine\n")
    assert blocks.replaced(once, "mine\n") == once and blocks.blocks_of(once) == ["mine\n"]
    inside = {number for begin, end in blocks.spans(text.split("\n")) for number in range(begin, end + 1)}
    others = [line for number, line in enumerate(text.split("\n")) if number not in inside and line.rstrip() not in ("", blocks.BEGIN, blocks.END)]
    begin, end = blocks.spans(once.split("\n"))[0]
    assert [line for line in once.split("\n")[:begin] + once.split("\n")[end + 1:] if line.rstrip()] == others


@pytest.mark.parametrize(("content", "right"), [
    ("a\nb\n", True), ("# BEGIN onecc.cluster.d\n", True), ("x # END onecc.cluster\n", True),
    ("a\n# END onecc.cluster\nb\n", False), ("# BEGIN onecc.cluster", False), ("# END onecc.cluster \r\n", False),
])
def test_a_mark_in_a_block(content, right):
    assert (blocks.wrong_content(content) is None) == right


# directories that are the system's own


@pytest.mark.parametrize("path", ["/", "/etc", "/usr/", "/var/lib"])
def test_the_access_of_the_system_s_own_directories_stays(machine, path):
    os.makedirs(machine.path(path), exist_ok=True)
    declared = owned(machine, path, 0o755)
    assert check(directories, machine, declared) == []
    (item,) = directories.check(machine, [{**declared, "mode": "1777"}])
    assert (item["remedy"] == "manual") and "mode is 0755, declared is 1777" in item["message"]
