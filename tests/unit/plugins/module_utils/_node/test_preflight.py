# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import preflight
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

OWN = 500
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def machine(tmp_path):
    """A node in order. An hour after its boot, a comparison runs on it, below sudo and sshd."""
    made = Captured(tmp_path / "root")
    made.write("/etc/os-release", 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nID=ubuntu\nVERSION_ID="22.04"\n')
    made.write("/proc/uptime", "3600.25 100.00\n")
    process(made, 1, 0, "/sbin/init")
    process(made, 497, 1, "sshd: ubuntu@notty")
    process(made, 498, 497, "sudo", "-H", "-u", "root", "/bin/sh", "-c", f"echo BECOME-SUCCESS-own ; python3 -c 'import sys; {preflight.COMPARISON}'")
    process(made, OWN, 498, "python3", "-c", preflight.COMPARISON)
    return made


def process(machine: Captured, pid: int, parent: int, *argv: str, age: int = 10, uids: str = "0 0 0 0", exe: str | None = None) -> None:
    start = int((3600.25 - age) * TICKS)
    # A name may hold what the fields are parted by.
    machine.write(f"/proc/{pid}/stat", f"{pid} (a) S (1) S {parent} {' '.join(['0'] * 17)} {start} 0 0\n")
    machine.write(f"/proc/{pid}/cmdline", "\0".join(argv) + "\0")
    machine.write(f"/proc/{pid}/status", "Name:\ta\nUid:\t" + uids.replace(" ", "\t") + "\n")
    machine.link(f"/proc/{pid}/exe", exe or f"/usr/bin/{os.path.basename(argv[0]).replace('sh', 'dash') if argv[0] in ('sh', '/bin/sh') else argv[0]}")


def task(machine: Captured, pid: int, word: str = "abcd", age: int = 10, program: str = "python3") -> None:
    """A task of another run: the shell that sshd starts, sudo, and the shell of root."""
    inner = f"echo BECOME-SUCCESS-{word} ; {program}"
    process(machine, pid, 1, "/bin/sh", "-c", f"sudo -H -u root /bin/sh -c '{inner}' && sleep 0", age=age, uids="1000 1000 1000 1000")
    process(machine, pid + 1, pid, "sudo", "-H", "-u", "root", "/bin/sh", "-c", inner, age=age - 1)
    process(machine, pid + 2, pid + 1, "/bin/sh", "-c", inner, age=age - 2)
    process(machine, pid + 3, pid + 2, "python3", age=age - 2)


# The system


@pytest.mark.parametrize(("release", "found"), [
    ('ID=ubuntu\nVERSION_ID="22.04"\n', None),
    ('ID=ubuntu\nVERSION_ID="24.04"\n', None),
    ("VERSION_ID='12'\nID=debian\n", None),
    ('ID=ubuntu\nVERSION_ID="20.04"\n', "ubuntu 20.04"),
    ('ID=debian\nVERSION_ID="22.04"\n', "debian 22.04"),
    ("ID=debian\n", "debian"),
    ('ID="rocky"\nVERSION_ID="12"\n', "rocky 12"),
    ("it's broken\n\n=\n", "unknown"),
])
def test_systems(machine, release, found):
    machine.write("/etc/os-release", release)
    problems = preflight.system(machine)
    assert [item["is"] for item in problems] == ([found] if found else [])
    for item in problems:
        assert item["field"] == "system" and found in item["message"] and "ubuntu 22.04, ubuntu 24.04, debian 12" in item["message"]


def test_a_system_without_a_name(machine):
    (machine.folder / "etc/os-release").unlink()
    assert preflight.system(machine)[0]["is"] == "unknown"
    machine.write("/usr/lib/os-release", "ID=debian\nVERSION_ID=12\n")
    assert preflight.system(machine) == []


# Rights and clock


def test_rights():
    assert preflight.rights(0) == []
    (item,) = preflight.rights(1000)
    assert (item["field"], item["is"], item["should"]) == ("rights", 1000, 0) and "become: true" in item["message"]


@pytest.mark.parametrize(("node", "words"), [
    (1000.0, None), (1150.4, None), (849.6, None), (1151.0, "151 s ahead of"), (840.0, "160 s behind"), (5e9, "s ahead of"),
])
def test_clocks(node, words):
    problems = preflight.skew(1000.0, node)
    assert len(problems) == (1 if words else 0)
    assert all(words in item["message"] and item["is"] == round(node - 1000) for item in problems)


# Space


@pytest.fixture
def disks(machine, monkeypatch):
    """Of each folder the number of its file system, and of each of those the free MiB."""
    made = SimpleNamespace(of={"/": 1, "/var": 1, "/boot": 1}, free={1: 0})
    for folder in ("var", "boot"):
        (machine.folder / folder).mkdir()

    def file_system(_machine: Captured, folder: str) -> tuple[int, int]:
        assert machine.exists(folder)
        return made.of[folder], made.free[made.of[folder]]

    monkeypatch.setattr(preflight, "file_system", file_system)
    return made


def initrd(machine: Captured, name: str, size: int) -> None:
    os.truncate(machine.write(f"/boot/{name}", ""), size)


def test_space_adds_up_on_one_file_system(machine, disks):
    disks.free[1] = 1024
    assert preflight.space(machine) == []
    # The largest counts, rounded up.
    initrd(machine, "initrd.img-6.1", (70 << 20) + 1)
    initrd(machine, "initrd.img-5.15", 5 << 20)
    initrd(machine, "vmlinuz-6.1", 90 << 20)
    disks.free[1] = 1024 + 71
    assert preflight.space(machine) == []
    disks.free[1] -= 1
    (item,) = preflight.space(machine)
    assert (item["field"], item["is"], item["should"]) == ("space /", 1094, 1095)
    assert item["message"].startswith("/ and /var and /boot: 1094 MiB are free; 1095 MiB are needed.")


def test_space_of_each_file_system(machine, disks):
    initrd(machine, "initrd.img-6.1", 71 << 20)
    disks.of = {"/": 1, "/var": 2, "/boot": 3}
    disks.free = {1: 511, 2: 512, 3: 70}
    found = [(item["field"], item["is"], item["should"]) for item in preflight.space(machine)]
    assert found == [("space /", 511, 512), ("space /boot", 70, 71)]


def test_a_node_that_boots_otherwise_needs_no_space_there(machine, disks):
    disks.of["/boot"], disks.free = 2, {1: 1024, 2: 0}
    assert preflight.space(machine) == []
    (machine.folder / "boot").rmdir()
    assert preflight.space(machine) == []


def test_a_file_system_as_the_kernel_tells_it(machine):
    number, free = preflight.file_system(machine, "/")
    assert number == machine.folder.stat().st_dev
    status = os.statvfs(machine.folder)
    # Others write meanwhile.
    assert abs(free - status.f_bavail * status.f_frsize / 2**20) < 1024


# Another run


def test_nothing_but_the_comparison_itself(machine):
    assert preflight.others(machine, OWN) == []


def test_a_task_counts_once_with_its_oldest_process(machine):
    task(machine, 600, age=75)
    task(machine, 700, "efgh", age=5)
    found = preflight.others(machine, OWN)
    assert [(process.pid, process.age) for process in found] == [(602, 73), (702, 3)]
    item = preflight.under_way(found[0])
    assert item["field"] == "running" and item["is"] == {"pid": 602, "age": 73}
    assert "process 602, for 73 s" in item["message"]


def test_a_comparison_of_another_run_does_not_count(machine):
    task(machine, 600, program=f"/usr/bin/python3 -I -S -c 'import sys, zlib; {preflight.COMPARISON}'")
    assert preflight.others(machine, OWN) == []


def test_the_task_that_this_is_one_of_does_not_count(machine):
    task(machine, 600)
    assert preflight.others(machine, 603) == []


@pytest.mark.parametrize("argv", [
    ("ssh", "-C", "10.0.0.5", "/bin/sh -c 'sudo -u root /bin/sh -c '\"'\"'echo BECOME-SUCCESS-abcd ; python3'\"'\"''"),
    ("python3", "-m", "ansible.cli.playbook", "-e", "x=BECOME-SUCCESS-abcd"),
    ("grep", "BECOME-SUCCESS-abcd"),
    ("sudo", "apt-get", "update"),
    ("",),
])
def test_what_is_no_task_of_the_node(machine, argv):
    """Such as ssh on a head node that is a controller too."""
    process(machine, 600, 1, *argv)
    assert preflight.others(machine, OWN) == []


@pytest.mark.parametrize("fields", [
    {"uids": "1000 1000 1000 1000"},
    {"uids": "1000 0 0 0"},
    {"exe": "/usr/bin/sudo"},
    {"exe": "/usr/bin/python3.11"},
    {"exe": "/home/ada/sh", "uids": "1000 1000 1000 1000"},
])
def test_no_user_can_look_like_a_task(machine, fields):
    """By a name, or by a program of root's that any user may start: sudo that asks for a password, with another argv[0]."""
    process(machine, 600, 1, "sh", "-c", "echo BECOME-SUCCESS-abcdefgh", **fields)
    assert preflight.others(machine, OWN) == []


def test_a_user_cannot_hide_a_task(machine):
    """By a comparison with its word, which everybody sees."""
    task(machine, 600, "abcd")
    process(machine, 700, 1, "sh", "-c", f"echo BECOME-SUCCESS-abcd ; {preflight.COMPARISON}", uids="1000 1000 1000 1000")
    assert [process.pid for process in preflight.others(machine, OWN)] == [602]


def test_processes_end_while_they_are_looked_at(machine):
    task(machine, 600)
    (machine.folder / "proc/602/stat").unlink()
    found = preflight.others(machine, OWN)
    assert [(process.pid, process.age) for process in found] == [(602, 0)]
    for name in ("status", "exe", "cmdline"):
        (machine.folder / f"proc/602/{name}").unlink()
        assert preflight.others(machine, OWN) == []
    (machine.folder / "proc/498/stat").unlink()
    assert preflight.ancestors(machine, OWN) == {OWN, 498}


# Waiting


@pytest.fixture
def time(monkeypatch):
    """A clock that sleeping moves, and what happens at a moment of it."""
    made = SimpleNamespace(now=0.0, events={}, time=lambda: 1000.0, monotonic=lambda: made.now)

    def sleep(seconds: float) -> None:
        made.now += seconds
        for moment in [moment for moment in made.events if moment <= made.now]:
            made.events.pop(moment)()

    made.sleep = sleep
    monkeypatch.setattr(preflight, "time", made)
    return made


@pytest.fixture
def running(monkeypatch):
    """The tasks of others, as they are found."""
    found: list[preflight.Process] = []
    monkeypatch.setattr(preflight, "others", lambda machine: list(found))
    return found


def test_waiting_for_the_end(machine, time, running):
    running.append(preflight.Process(600, 5, "a"))
    time.events = {20: running.clear}
    assert preflight.wait_for_others(machine, 300) == []
    assert time.now == 20 + preflight.QUIET_SECONDS


def test_a_pause_between_two_tasks_is_no_end(machine, time, running):
    first, second = (preflight.Process(pid, 5, "a") for pid in (600, 700))
    running.append(first)
    time.events = {20: running.clear, 22: lambda: running.append(second), 40: running.clear}
    assert preflight.wait_for_others(machine, 300) == []
    assert time.now == 40 + preflight.QUIET_SECONDS


def test_no_waiting_without_end(machine, time, running):
    running.append(preflight.Process(600, 5, "a"))
    assert [process.pid for process in preflight.wait_for_others(machine, 300)] == [600]
    assert time.now == 300


# All of it

UNWRITABLE = {"name": "/etc/x", "field": "writable", "is": False, "should": True, "message": "/etc/x has the attribute i", "remedy": "manual"}


@pytest.fixture
def in_order(machine, time, monkeypatch):
    """A node without problems, whatever the machine is that tests it."""
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "file_system", lambda _machine, folder: (1, 1 << 20))
    return machine


def test_a_node_without_problems(in_order, running):
    assert preflight.examine(in_order, lambda: {"a": []}, 1000.0) == ([], {"a": []})


def test_all_problems_at_once(in_order, running, monkeypatch):
    in_order.write("/etc/os-release", "ID=arch\n")
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(preflight, "file_system", lambda _machine, folder: (1, 0))
    running.append(preflight.Process(600, 5, "a"))
    problems, _found = preflight.examine(in_order, lambda: {"a": [{"field": "content"}, UNWRITABLE]}, 0.0)
    assert [item["field"] for item in problems] == ["clock", "system", "rights", "space /", "writable", "running"]
    assert all(set(item) == {"field", "is", "should", "message"} for item in problems)


def test_a_node_in_state_waits_for_nobody(in_order, time, running):
    running.append(preflight.Process(600, 5, "a"))
    problems, found = preflight.examine(in_order, lambda: {"a": [], "b": []}, 1000.0)
    assert [item["field"] for item in problems] == ["running"] and time.now == 0


def test_what_another_run_mended_is_compared_again(in_order, time, running):
    running.append(preflight.Process(600, 5, "a"))
    time.events = {20: running.clear}
    answers = iter([{"a": [UNWRITABLE], "b": []}, {"a": [], "b": []}])
    assert preflight.examine(in_order, lambda: next(answers), 1000.0) == ([], {"a": [], "b": []})
