# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What on a node would make a run fail in its middle, so that it can be said before anything is changed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from ansible_collections.onecc.cluster.plugins.module_utils._node import obstacles
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# ID and VERSION_ID of os-release(5). Lambda's images are Ubuntu's; the collection is tested on Debian 12.
SYSTEMS = {"ubuntu": ("22.04", "24.04"), "debian": ("12",)}

# Debian's installation guide (appendix "The Directory Tree") wants 300 to 500 MB in /var for packages that come a few at
# a time; as much again for what they unpack below /usr.
SPACE_MIB = {"/": 512, "/var": 512}
# update-initramfs(8) writes a new image beside the old one before it takes its place, one kernel after the other.
INITRD = re.compile(r"initrd\.img-.+")

# munged(8): a credential is good for 300 seconds. Two nodes that are each less than half of that away from the
# controller's clock accept each other's. What the connection took counts as being ahead: seconds, not minutes.
SKEW_SECONDS = 150

# As long as package_set waits for apt's lock (its option wait): the tasks that take minutes are those that install.
WAIT_SECONDS = 300
POLL_SECONDS = 1.0
# Between two tasks of a run nothing of it is on the node. One that was seen has ended when so long nothing came.
QUIET_SECONDS = 3.0

# What Ansible lets a command print once it has become root (BecomeBase._build_success_command): a random word of each task.
TASK = re.compile(r"BECOME-SUCCESS-[a-z]+")
# The shells of root that a task starts in. A head node may be a controller: ssh there has the same word on its command line, and is
# no task of that node. Nor is sudo one, which any user can start: where it lets the task become root, root's shell is there too.
TASK_PROGRAMS = ("sh", "bash", "dash")
# A comparison changes nothing, and two may run at once. Part of the command that starts one (_payload.COMMAND).
COMPARISON = "exec(zlib.decompress(sys.stdin.buffer.read("


class Process:
    """A process that Ansible started on the node for a task: its number, and for how many seconds it has been running."""

    def __init__(self, pid: int, age: int, task: str) -> None:
        self.pid = pid
        self.age = age
        self.task = task


def problem(field: str, is_: object, should: object, message: str) -> dict:
    """One problem, in the form of a difference: `field` is `is_` and should be `should`; `message` says what to do."""
    return {"field": field, "is": is_, "should": should, "message": message}


def examine(
    machine: Machine, compare: Callable[[], dict[str, list[dict]]], clock: float, wait: float = WAIT_SECONDS
) -> tuple[list[dict], dict[str, list[dict]]]:
    """The problems, and the differences by role. `clock` is the controller's.

    Where there is something to change, it first waits for another run to end, and compares again what that one left.
    """
    problems = [*skew(clock, time.time()), *system(machine), *rights(os.geteuid()), *space(machine)]
    found = compare()
    running = others(machine)
    if running and any(found.values()):
        running = wait_for_others(machine, wait)
        found = compare()
    unwritable = [item for items in found.values() for item in items if item["field"] == obstacles.FIELD]
    problems += [problem(item["field"], item["is"], item["should"], item["message"]) for item in unwritable]
    return problems + [under_way(process) for process in running], found


def system(machine: Machine) -> list[dict]:
    """The distribution and its version, of which packages and paths are known."""
    name, version = distribution(machine)
    if version in SYSTEMS.get(name, ()):
        return []
    allowed = [f"{name_} {version_}" for name_, versions in SYSTEMS.items() for version_ in versions]
    is_ = f"{name} {version}".strip() or "unknown"
    message = f"the system is {is_}; supported are {', '.join(allowed)}. Launch the node from such an image, or leave it out with --limit"
    return [problem("system", is_, allowed, message)]


def distribution(machine: Machine) -> tuple[str, str]:
    """ID and VERSION_ID of os-release(5), empty where it does not say."""
    text = machine.text("/etc/os-release") or machine.text("/usr/lib/os-release") or ""
    fields = dict(line.partition("=")[::2] for line in text.splitlines())
    return fields.get("ID", "").strip("\"'"), fields.get("VERSION_ID", "").strip("\"'")


def rights(euid: int) -> list[dict]:
    """Most of a state is changed by root alone."""
    if euid == 0:
        return []
    return [problem("rights", euid, 0, f"the tasks run as user {euid}, not as root. Set become: true, and become_user to root")]


def skew(controller: float, node: float) -> list[dict]:
    """The node's clock against the controller's. Signatures of packages and credentials of Slurm are good for a time only."""
    ahead = round(node - controller)
    if abs(ahead) <= SKEW_SECONDS:
        return []
    message = (
        f"the clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the controller's; allowed are {SKEW_SECONDS} s. "
        "See `timedatectl` on both: is the time synchronised?"
    )
    return [problem("clock", ahead, 0, message)]


def space(machine: Machine) -> list[dict]:
    """Free space by file system: what is asked of several folders of one adds up."""
    initrds = [machine.path(f"/boot/{name}") for name in machine.names("/boot") if INITRD.fullmatch(name)]
    needs = {**SPACE_MIB, "/boot": max((mib(os.path.getsize(path)) for path in initrds if os.path.isfile(path)), default=0)}
    folders: dict[int, list[str]] = {}
    free = {}
    for folder in filter(machine.exists, needs):
        number, free_mib = file_system(machine, folder)
        folders.setdefault(number, []).append(folder)
        free[number] = free_mib
    found = []
    for number, names in folders.items():
        needed = sum(needs[name] for name in names)
        if free[number] < needed:
            message = (
                f"{' and '.join(names)}: {free[number]} MiB are free; {needed} MiB are needed. "
                f"See `du -xm {names[0]} | sort -n | tail`"
            )
            found.append(problem(f"space {names[0]}", free[number], needed, message))
    return found


def file_system(machine: Machine, folder: str) -> tuple[int, int]:
    """The number of the file system that a folder is on, and how many MiB of it are free, without those kept for root."""
    path = machine.path(folder)
    status = os.statvfs(path)
    return os.stat(path).st_dev, status.f_bavail * status.f_frsize >> 20


def mib(size: int) -> int:
    """Bytes as whole MiB, rounded up."""
    return -(-size >> 20)


def others(machine: Machine, own: int | None = None) -> list[Process]:
    """The tasks of other runs of Ansible, each once: its oldest process. Comparisons are none.

    Only root's own shells are believed: any user can have a process with such a command line, and hold up the node with it.
    """
    ticks, uptime = os.sysconf("SC_CLK_TCK"), float((machine.text("/proc/uptime") or "0").split()[0])
    mine = ancestors(machine, own or os.getpid())
    tasks: dict[str, Process] = {}
    comparisons = set()
    for pid in (int(name) for name in machine.names("/proc") if name.isdecimal()):
        words = (machine.text(f"/proc/{pid}/cmdline") or "").split("\0")
        task = TASK.search(" ".join(words))
        if pid in mine or not task or not of_root(machine, pid):
            continue
        if COMPARISON in " ".join(words):
            comparisons.add(task[0])
        fields = stat(machine, pid)
        # proc(5): starttime is the 22nd field, in ticks since the boot.
        age = uptime - int(fields[21]) / ticks if len(fields) > 21 else 0.0
        if task[0] not in tasks or age > tasks[task[0]].age:
            tasks[task[0]] = Process(pid, int(age), task[0])
    return [process for task, process in tasks.items() if task not in comparisons]


def of_root(machine: Machine, pid: int) -> bool:
    """Whether a process is a shell that root runs.

    By what the kernel says: its name is as the user likes, who also can start a program that is root's by its set-user-ID bit, or
    have a process whose files in /proc are root's (proc(5), "dumpable").
    """
    users = re.search(r"^Uid:\t(.*)$", machine.text(f"/proc/{pid}/status") or "", re.MULTILINE)
    program = os.path.basename(machine.real(f"/proc/{pid}/exe")).partition(" ")[0]  # "dash (deleted)" after an update
    return users is not None and set(users[1].split()) == {"0"} and program in TASK_PROGRAMS


def stat(machine: Machine, pid: int) -> list[str]:
    """The fields of /proc/PID/stat; none where the process has ended. The second, the name, may hold anything."""
    before, _closing, after = (machine.text(f"/proc/{pid}/stat") or "").rpartition(")")
    return [*before.split(" (", 1), *after.split()]


def ancestors(machine: Machine, pid: int) -> set[int]:
    """The process and those that it descends from."""
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        fields = stat(machine, pid)
        pid = int(fields[3]) if len(fields) > 3 else 0
    return found


def wait_for_others(machine: Machine, seconds: float) -> list[Process]:
    """Waits for the tasks of other runs to end, so many seconds; the ones that have not."""
    deadline = time.monotonic() + seconds
    quiet_since = None
    while True:
        running, now = others(machine), time.monotonic()
        quiet_since = None if running else quiet_since or now
        if now >= deadline or quiet_since and now - quiet_since >= QUIET_SECONDS:
            return running
        time.sleep(POLL_SECONDS)


def under_way(process: Process) -> dict:
    message = (
        f"another run of Ansible is at work on the node: process {process.pid}, for {process.age} s. "
        f"Wait for it to end; `ps -fp {process.pid}` there shows it"
    )
    return problem("running", {"pid": process.pid, "age": process.age}, None, message)
