# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that every node starts from: built once from Debian packages, kept outside the checkout.

Run as `python -m onecc_lab.image` this builds the image in the foreground; `ensure` is what others call.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import cache, guard
from .progress import Progress
from .recipe import (
    DATA,
    DISK_BYTES,
    RecipeError,
    host_sources,
    initrd,
    kernel_elf,
    listed,
    mmdebstrap,
    overlay_tar,
    recipe_hash,
)


class ImageError(Exception):
    """The image could not be built; the message says what to do."""


@dataclass(frozen=True)
class Image:
    """A finished image: a folder in the cache, never changed again."""

    folder: Path

    @property
    def disk(self) -> Path:
        """Raw ext4 file system, the backing file of every node's own disk."""
        return self.folder / "root.ext4"

    @property
    def kernel(self) -> Path:
        """Uncompressed ELF kernel: QEMU starts it directly (PVH), which saves an emulated CPU the unpacking."""
        return self.folder / "vmlinux"

    @property
    def initrd(self) -> Path:
        """The part of the initrd that all nodes share; a node's own files are appended to it."""
        return self.folder / "initrd"


def busybox_program() -> bytes:
    """The one program of an initrd."""
    return Path(shutil.which("busybox") or "/bin/busybox").read_bytes()


def find(root: Path | None = None) -> Image | None:
    """The image of the present recipe, if it was built."""
    folder = (root or cache.root()) / recipe_hash(host_sources())
    return Image(folder) if folder.is_dir() else None


def ensure() -> Image:
    """Builds the image unless it is there. A builder cannot outlive the caller, however that ends."""
    if image := find():
        return image
    missing = [tool for tool in ("mmdebstrap", "busybox", "mke2fs", "qemu-img", "qemu-system-x86_64") if not shutil.which(tool)]
    if missing:
        raise ImageError(
            f"the lab needs {', '.join(missing)}, not found on this computer. "
            f"Install the packages listed in {DATA.parent.parent / 'debian-packages.txt'}."
        )
    process, hold = guard.run(guard.module("image")[0], afterwards=guard.module("image", "--clean")[0])
    try:
        status = process.wait()
    finally:
        os.close(hold)
        process.wait()
    image = find()
    if status != 0 or image is None:
        raise ImageError(f"the image was not built (exit status {status}); the lines above say why.")
    return image


def _bootstrap(sources: tuple[str, ...], scratch: Path, disk: Path, progress: Progress) -> Path:
    """Runs mmdebstrap: fills `disk`, and returns a tar of kernel and modules."""
    overlay, boot, log = scratch / "overlay.tar", scratch / "boot.tar", scratch / "log"
    overlay.write_bytes(overlay_tar())
    (scratch / "tmp").mkdir()
    for folder in (scratch, scratch / "tmp"):
        folder.chmod(0o755)
    with disk.open("wb+") as target:
        os.truncate(target.fileno(), DISK_BYTES)
        os.fchmod(target.fileno(), 0o666)
        command = mmdebstrap(sources, root=os.geteuid() == 0, overlay=overlay, boot=boot, disk_fd=target.fileno())
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[target.fileno()],
                env=os.environ | {"TMPDIR": str(scratch / "tmp"), "LC_ALL": "C.UTF-8"},
            )
            while process.poll() is None:
                steps = re.findall(r"^I: (.*)$", log.read_text(errors="replace"), re.MULTILINE)
                progress.say(steps[-1] if steps else "starting mmdebstrap")
                progress.wait(0.5)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise ImageError(f"mmdebstrap failed with exit status {process.returncode}. The end of its output:\n{tail}")
    disk.chmod(0o644)
    return boot


def _remove_scratch(folder: Path) -> None:
    """Deletes a builder's folder. What an ordinary user's builder left belongs to that user's subordinate ids."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        subprocess.run(["mmdebstrap", "--unshare-helper", "rm", "-rf", str(folder)], check=False)


def _remove_unfinished(root: Path) -> None:
    """Only the lock's holder builds, so with the lock held whatever is unfinished was left by a builder that was killed."""
    for old in root.glob("*.partial"):
        shutil.rmtree(old)
    for note in root.glob("*.scratch"):
        if scratch := note.read_text():
            _remove_scratch(Path(scratch))
        note.unlink()


def clean() -> None:
    """Removes what a killed builder left, unless the next one works already and has removed it."""
    root = cache.root()
    with (root / "image.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _remove_unfinished(root)


def build(root: Path | None = None) -> Image:
    """Builds the image of the present recipe, or waits for a builder that runs already."""
    root = root or cache.root()
    sources = host_sources()
    final = root / recipe_hash(sources)
    progress = Progress("image")
    with cache.builder(root, "image", progress):
        if final.is_dir():
            return Image(final)
        _remove_unfinished(root)
        partial = root / f"{final.name}.partial"
        partial.mkdir(mode=0o700)
        # Not in the cache: as an ordinary user the builder's ids may not enter the home folder. Noted before it is
        # made, so that a kill in between leaves none that nobody knows of.
        scratch = Path(tempfile.gettempdir()) / f"onecc-lab-image-{secrets.token_hex(8)}"
        note = root / f"{final.name}.scratch"
        note.write_text(str(scratch))
        scratch.mkdir()
        try:
            built = Image(partial)
            boot = _bootstrap(sources, scratch, built.disk, progress)
            progress.say("kernel and initrd")
            with tarfile.open(boot) as tar:
                parts = {member.name.rpartition("onecc-lab-boot/")[2]: tar.extractfile(member) for member in tar}
                read = {name: file.read() for name, file in parts.items() if file}
            built.kernel.write_bytes(kernel_elf(read["vmlinuz"]))
            names = read["modules.list"].decode().split()
            modules = listed((name, read[f"modules/{name}"]) for name in names)
            built.initrd.write_bytes(initrd(busybox_program(), modules))
            (partial / "image.json").write_text(
                json.dumps({"schema": 1, "kernel": read["version"].decode().strip(), "sources": sources}, indent=2) + "\n"
            )
            partial.rename(final)
        finally:
            _remove_scratch(scratch)
            shutil.rmtree(partial, ignore_errors=True)
            note.unlink()
    size = final.joinpath("root.ext4").stat().st_blocks * 512 // 2**20
    progress.done(f"built {final} ({size} MiB)")
    return Image(final)


if __name__ == "__main__":
    try:
        clean() if sys.argv[1:] == ["--clean"] else build()
    except (ImageError, RecipeError) as error:
        sys.exit(f"onecc-lab: {error}")
