# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this computer's KVM can run the image: some offer /dev/kvm on which an ordinary kernel hangs."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from . import guard
from .image import Image
from .machine import console_status, write_atomically
from .progress import Progress
from .qemu import KERNEL_ARGUMENTS

PROBE_SECONDS = 25.0
"""Far more than a boot takes where KVM works (about 5 s)."""


def choose(image: Image) -> str:
    """`kvm` or `tcg`. Tries once an image, and remembers."""
    verdict = image.folder.with_suffix(".accel")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    if not verdict.exists():
        write_atomically(verdict, "kvm\n" if _boots(image) else "tcg\n")
    return verdict.read_text().strip()


def _boots(image: Image) -> bool:
    progress = Progress("kvm")
    with tempfile.TemporaryDirectory(prefix="onecc-lab-kvm-") as folder:
        console = Path(folder) / "console"
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]
        command += ["-accel", "kvm", "-cpu", "host", "-m", "512", "-serial", f"file:{console}", "-no-reboot"]
        command += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", KERNEL_ARGUMENTS]
        command += ["-drive", f"file={image.disk},if=none,id=root,format=raw,snapshot=on", "-device", "virtio-blk-pci,drive=root"]
        with (Path(folder) / "log").open("wb") as log:
            process, hold = guard.run(command, log.fileno())
        try:
            start = time.monotonic()
            while process.poll() is None and time.monotonic() - start < PROBE_SECONDS:
                if console.exists() and console_status(console.read_text(errors="replace")) == "active":
                    progress.done("works: nodes run at the speed of this computer")
                    return True
                progress.say("trying a boot under KVM")
                progress.wait(0.2)
        finally:
            os.close(hold)
            process.wait()
    progress.done("does not work here: nodes are emulated, about ten times slower")
    return False
