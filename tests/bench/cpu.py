# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU time of the two sides, the controller's processes and the nodes', which run on one computer.

By control groups where this user may make some. They count every process to its end, also those that nobody waits for.
Else from /proc and from wait(2), which round to ticks of 10 ms and miss what leaves its parents.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
from pathlib import Path

SIDES = ("controller", "node")
TICK = 1 / os.sysconf("SC_CLK_TCK")


class Groups:
    """One control group a side."""

    def __init__(self, parent: Path, usage: str, pattern: str, unit: float, source: str) -> None:
        self.source = source
        self._usage, self._pattern, self._unit = usage, re.compile(pattern), unit
        self._folder = parent / f"onecc-bench-{os.getpid()}"
        self._folder.mkdir()
        try:
            for side in SIDES:
                (self._folder / side).mkdir()
                self.seconds(side)
            # Whether a process may be moved shows only when one is: version 2 asks for rights above both groups.
            child = os.fork()
            if child == 0:
                try:
                    (self._folder / SIDES[0] / "cgroup.procs").write_text(f"{os.getpid()}\n")
                    os._exit(0)
                finally:
                    os._exit(1)
            if os.waitpid(child, 0)[1]:
                raise PermissionError(f"no process can be moved into {self._folder}")
        except (OSError, ValueError):
            self.close()
            raise

    def wrapped(self, side: str, argv: list[str]) -> list[str]:
        """The command, in the group of its side from its first instruction on."""
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self._folder / side / "cgroup.procs"), *argv]

    def seconds(self, side: str) -> float:
        found = self._pattern.search((self._folder / side / self._usage).read_text())
        if not found:
            raise ValueError(f"{self._usage} says nothing of the time used")
        return int(found[1]) * self._unit

    def watch(self, side: str, pid: int) -> None:
        """Nothing to do: a group knows its processes."""

    def close(self) -> None:
        for side in SIDES:
            with contextlib.suppress(OSError):
                (self._folder / side).rmdir()
        with contextlib.suppress(OSError):
            self._folder.rmdir()


class Processes:
    """What the processes that are watched, and all below them, have used, and on the controller what was waited for."""

    source = "getrusage and /proc (no control group can be made here); ticks of 10 ms"

    def __init__(self) -> None:
        self._watched: dict[str, list[int]] = {side: [] for side in SIDES}

    def wrapped(self, side: str, argv: list[str]) -> list[str]:
        return argv

    def watch(self, side: str, pid: int) -> None:
        self._watched[side].append(pid)

    def seconds(self, side: str) -> float:
        total = sum(ticks(pid) for root in self._watched[side] for pid in tree(root)) * TICK
        if side == "controller":
            waited = resource.getrusage(resource.RUSAGE_CHILDREN)
            total += waited.ru_utime + waited.ru_stime
        return total

    def close(self) -> None:
        """Nothing was made."""


def tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def ticks(pid: int) -> int:
    """Time of a process and of its children that ended: utime, stime, cutime, cstime of proc_pid_stat(5), fields 14 to 17."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def meter() -> Groups | Processes:
    """The best that this computer allows."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    # Version 1 first: where both are mounted, the processes are counted by its controller.
    for _device, point, kind, options, *_rest in sorted(mounts, key=lambda mount: mount[2]):
        names = next((name for name in own if "cpuacct" in name.split(",")), None)
        with contextlib.suppress(OSError, ValueError):
            if kind == "cgroup" and names and "cpuacct" in options.split(","):
                return Groups(Path(point + own[names]), "cpuacct.usage", r"^(\d+)", 1e-9, "control groups (cpuacct)")
            if kind == "cgroup2" and "" in own:
                return Groups(Path(point + own[""]), "cpu.stat", r"usage_usec (\d+)", 1e-6, "control groups (cpu.stat)")
    return Processes()
