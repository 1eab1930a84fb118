# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built once for all labs of a user, and kept outside the checkout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .progress import Progress


def root() -> Path:
    """Folder of all that was built for this user's labs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "onecc-lab"


@contextmanager
def builder(folder: Path, name: str, progress: Progress) -> Iterator[None]:
    """Only one process builds; another waits here, and finds what it wanted. name: of the lock, `image` or `kernel`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress.say("another build is running, waiting for it")
                progress.wait(1)
        yield
