# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command that cannot outlive whoever asked for it.

    python -m onecc_lab.guard FD AFTERWARDS COMMAND…

FD is the reading end of a pipe whose writing end the asker holds. When that end closes, because the asker closed it or
was killed in any way, every descendant of the guard is ended, whatever session or process group it moved to. Then the
command AFTERWARDS (a JSON array, empty for none) clears up what the ended one left.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def descendants(root: int) -> list[int]:
    """Ids of all processes below `root`, parents before children."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The command's name stands in brackets and may hold anything; the parent is the second field after it.
            parent = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def become_subreaper() -> None:
    """Makes this process the parent of every orphan below it, so that `descendants` misses none."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def end_descendants() -> None:
    """Kills everything below this process and waits until it is gone. Call `become_subreaper` at the start."""
    while below := descendants(os.getpid()):
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass
        time.sleep(0.02)


def module(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run a module of this package with this Python, from any folder."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))
    return [sys.executable, "-m", f"onecc_lab.{name}", *arguments], os.environ | {"PYTHONPATH": path}


def run(
    command: Sequence[str], stdout: int | None = None, afterwards: Sequence[str] = ()
) -> tuple[subprocess.Popen[bytes], int]:
    """Starts a command below a guard; closing the returned descriptor ends it and all it started.

    afterwards: a command that clears up where the first one was ended so, not where it ended by itself.
    stdout: a descriptor for its output and its errors, as for `subprocess`; None leaves them where the caller's go.
    """
    reader, writer = os.pipe()
    try:
        guarded, environment = module("guard", str(reader), json.dumps(list(afterwards)), *command)
        process = subprocess.Popen(
            guarded,
            env=environment,
            pass_fds=[reader],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=None if stdout is None else subprocess.STDOUT,
            # Its own session: a Ctrl-C at the terminal is for the asker alone, who then closes the pipe.
            start_new_session=True,
        )
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    return process, writer


def main(argv: Sequence[str]) -> int:
    reader, afterwards, command = int(argv[0]), json.loads(argv[1]), argv[2:]
    become_subreaper()
    child = subprocess.Popen(command)  # the pipe is not inherited: close_fds
    # A pidfd becomes readable when the child ends: no signal handler, no polling.
    ended = os.pidfd_open(child.pid)
    select.select([reader, ended], [], [])
    status = child.poll()
    end_descendants()
    if status is None and afterwards:
        subprocess.run(afterwards, check=False)
    return 143 if status is None else status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
