# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server of a lab with machines.

    python -m onecc_lab.daemon FOLDER FD OWNER

FD is the reading end of a pipe from `onecc-lab up`. Until `up` wrote `done` into it, its end (because `up` failed, or
was killed in any way) takes the lab down: machines, files and this server. Afterwards the server lives on by itself, or
until the process OWNER ends, if that is not 0, and takes the lab down then.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from pathlib import Path

from . import api, config
from .machine import kill_marked
from .vm import VmBackend, remove_tree

DONE = b"done\n"


def running(folder: Path) -> list[int]:
    """Ids of the servers of the lab in `folder`: one or none, unless something is wrong."""
    wanted = [b"onecc_lab.daemon", str(folder).encode()]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[2:4] == wanted:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def destroy(folder: Path) -> None:
    """Ends a lab's machines and deletes its files."""
    kill_marked(f"{folder}/machines/")
    if folder.exists():
        remove_tree(folder)
    # One may have been started in between; without its folder no other can follow.
    kill_marked(f"{folder}/machines/")


def _watch(folder: Path, fd: int) -> None:
    heard = b""
    while chunk := os.read(fd, 64):
        heard += chunk
    if heard != DONE:
        logging.warning("`up` ended before it was done: the lab goes down")
        try:
            destroy(folder)
        finally:
            os._exit(1)


def _follow(folder: Path, owner: int) -> None:
    try:
        select.select([os.pidfd_open(owner)], [], [])
    except ProcessLookupError:
        pass
    logging.warning("process %d, which the lab was for, has ended: the lab goes down", owner)
    try:
        destroy(folder)
    finally:
        os._exit(1)


def main(argv: list[str]) -> None:
    folder = Path(argv[0])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    threading.Thread(target=_watch, args=(folder, int(argv[1])), daemon=True).start()
    if owner := int(argv[2]):
        threading.Thread(target=_follow, args=(folder, owner), daemon=True).start()
    settings = config.load(folder)
    api.serve(
        port=settings.api_port,
        api_key=settings.api_key,
        limits=settings.limits,
        backend=VmBackend(folder),
        state_dir=folder / "api",
        on_listening=lambda url: logging.info("listening on %s", url),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
