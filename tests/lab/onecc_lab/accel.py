# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the nodes on this computer, and why."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import guard, qemu
from .hardware import ACCELS
from .image import Image
from .machine import console_status, write_atomically
from .progress import Progress
from .uml import kernel

VARIABLE = "ONECC_LAB_ACCEL"
"""Environment variable that asks for one of `ACCELS`."""
PROBE_SECONDS = 25.0
"""Far more than a boot takes where KVM works (about 5 s)."""


class AccelError(Exception):
    """What was asked for cannot be had; the message says why."""


@dataclass(frozen=True)
class Choice:
    """What runs a lab's nodes."""

    accel: str
    """One of `ACCELS`."""
    reason: str
    """Why this one, in a line."""
    qemu: str
    """What runs nodes that have to be QEMU's: `kvm` or `tcg`."""


def choose(image: Image, asked: str | None = None) -> Choice:
    """The best that works here, or `asked`, which may also come from the environment; refused where it does not work."""
    source = "asked for" if asked else f"asked for by {VARIABLE}"
    asked = asked or os.environ.get(VARIABLE) or None
    if asked not in (None, *ACCELS):
        raise AccelError(f"{VARIABLE} is {asked!r}; allowed are {', '.join(ACCELS)}.")
    if asked == "tcg":
        return Choice("tcg", source, "tcg")
    no_kvm = why_no_kvm(image)
    emulator = "tcg" if no_kvm else "kvm"
    if asked == "kvm":
        if no_kvm:
            raise AccelError(f"kvm is asked for, and {no_kvm}.")
        return Choice("kvm", source, emulator)
    if asked is None and not no_kvm:
        return Choice("kvm", "KVM works", emulator)
    try:
        kernel.ensure()
    except kernel.KernelError as error:
        if asked == "uml":
            raise AccelError(f"uml is asked for, and {error}") from None
        reason = f"{no_kvm}, and of User-Mode Linux, ten times as fast as emulation: {error}"
        Progress("accel").done(reason)
        return Choice("tcg", reason, "tcg")
    return Choice("uml", source if asked else no_kvm, emulator)


def why_no_kvm(image: Image) -> str:
    """Empty where KVM works, else the reason. Tries a boot once an image, and remembers."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be used"
    if not _has_kvm():
        return "/dev/kvm is not the processor's own: neither kvm_intel nor kvm_amd is loaded"
    verdict = image.folder.with_suffix(".kvm")
    if not verdict.exists():
        write_atomically(verdict, "works\n" if _boots(image) else "hangs\n")
    return "" if verdict.read_text() == "works\n" else "a trial boot under KVM did not come to its end"


def _has_kvm() -> bool:
    """Whether this computer may have KVM that works.

    What offers /dev/kvm without these modules interprets the guest's kernel, one instruction after the other, and does
    not know all of them.
    """
    modules = any(Path(f"/sys/module/{name}").exists() for name in ("kvm_intel", "kvm_amd"))
    return modules and os.access("/dev/kvm", os.R_OK | os.W_OK)


def kernel_is_wanted() -> bool:
    """Whether `choose` would have to build a kernel, as far as can be said without a trial boot."""
    asked = os.environ.get(VARIABLE)
    if asked in ("kvm", "tcg") or os.uname().machine != "x86_64" or kernel.find():
        return False
    return asked == "uml" or not _has_kvm()


def _boots(image: Image) -> bool:
    progress = Progress("kvm")
    with tempfile.TemporaryDirectory(prefix="onecc-lab-kvm-") as name:
        folder = Path(name)
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"]
        command += ["-accel", "kvm", "-cpu", "host", "-m", "512", "-serial", f"file:{folder}/console", "-no-reboot"]
        command += ["-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off"]
        command += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", qemu.KERNEL_ARGUMENTS]
        command += ["-drive", f"file={image.disk},if=none,id=root,format=raw,snapshot=on", "-device", "virtio-blk-pci,drive=root"]
        with (folder / "log").open("wb") as log:
            process, hold = guard.run(command, log.fileno())
        try:
            start = time.monotonic()
            while process.poll() is None and time.monotonic() - start < PROBE_SECONDS and not _stuck(folder):
                console = folder / "console"
                if console.exists() and console_status(console.read_text(errors="replace")) == "active":
                    progress.done("works: nodes run at the speed of this computer")
                    return True
                progress.say("trying a boot under KVM")
                progress.wait(0.2)
        finally:
            os.close(hold)
            process.wait()
    progress.done("does not work here")
    return False


def _stuck(folder: Path) -> bool:
    """Whether KVM gave up: it pauses the machine and says nothing on its console."""
    try:
        return bool(qemu.qmp(folder, "query-status", timeout=5)["status"] == "internal-error")
    except qemu.QmpError:
        return False
