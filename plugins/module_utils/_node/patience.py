# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Asking what may never answer, such as a mount whose server is gone."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any


def within(seconds: float, ask: Callable[[], Any], user: tuple[int, int] | None = None) -> Any:
    """What `ask` returns, fit for JSON. Raises TimeoutError when it takes longer, and the OSError that it raises.

    With the numbers of a user and a group, root asks with the rights of those, and no other groups.

    A system call that waits for a server may not end even when its process is killed, so it is made in a process of its
    own, which is then left behind. That one holds none of our files: a session ends only when its output is closed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _answer(writer, ask, user)
    os.close(writer)
    try:
        answer = _read(reader, time.monotonic() + seconds)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, os.WNOHANG)
        raise
    finally:
        os.close(reader)
    os.waitpid(child, 0)
    kind, value = json.loads(answer or '["error", [5, "no answer"]]')
    if kind == "error":
        raise OSError(*value)
    return value


def _answer(writer: int, ask: Callable[[], Any], user: tuple[int, int] | None) -> None:
    """The child's part."""
    try:
        os.dup2(writer, 3)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.closerange(4, 4096)
        try:
            if user:
                # The real user stays root, so that the user cannot send the child signals.
                os.setgroups([])
                os.setegid(user[1])
                os.seteuid(user[0])
            answer = ["value", ask()]
        except OSError as error:
            answer = ["error", [error.errno or 5, error.strerror or str(error)]]
        os.write(3, json.dumps(answer).encode())
    finally:
        os._exit(0)


def _read(reader: int, deadline: float) -> bytes:
    """All that the child writes, until it closes its end."""
    found = b""
    while True:
        ready, _none, _none = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        if not (part := os.read(reader, 65536)):
            return found
        found += part
