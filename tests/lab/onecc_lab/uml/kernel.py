# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of User-Mode Linux nodes: built once from Debian's source package, kept outside the checkout.

Run as `python -m onecc_lab.uml.kernel` this builds the kernel in the foreground; `ensure` is what others call.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import cache, guard
from ..cpio import LINK, Entry
from ..progress import Progress
from ..recipe import DEBIAN_KEYRING, host_sources

RECIPE = Path(__file__).with_name("recipe")
SUITE = "trixie-backports"
"""Has a kernel whose UML knows registers of any size (since 6.13) and runs without ptrace (since 6.16), and links with the
C library of Debian 12."""
PACKAGE = "linux-source-7.2"
VERSION = "7.2.12-1~bpo13+1"
TOOLS = ("apt-get", "bc", "bison", "depmod", "dpkg-deb", "flex", "gcc", "make", "patch", "strip", "tar", "xz")
"""Programs of the packages in `tests/lab/kernel-packages.txt`."""
LINES = 2700
"""What the build prints, of which the progress is told."""
SCRATCH_MIB = 4096
"""Room that the unpacked sources (1.9 GB) and the objects take."""


class KernelError(Exception):
    """There is no kernel, and none could be built; the message says why."""


@dataclass(frozen=True)
class Kernel:
    """A finished kernel: a folder in the cache, never changed again."""

    folder: Path

    @property
    def program(self) -> Path:
        """The kernel, which is a program."""
        return self.folder / "linux"

    @property
    def modules(self) -> Path:
        """The folder that is `/lib/modules/VERSION` on a node."""
        return next((self.folder / "modules").iterdir())


def recipe_hash() -> str:
    """Sixteen hexadecimal digits that change with the sources' version, the configuration and the patches."""
    digest = hashlib.sha256(f"{SUITE} {PACKAGE} {VERSION}\n".encode())
    for file in [RECIPE / "config", *patches()]:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def patches() -> list[Path]:
    """The changes to the sources, in their order."""
    return sorted((RECIPE / "patches").glob("*.patch"))


def find() -> Kernel | None:
    """The kernel of the present recipe, if it was built."""
    folder = cache.root() / f"kernel-{recipe_hash()}"
    return Kernel(folder) if folder.is_dir() else None


def ensure() -> Kernel:
    """Builds the kernel unless it is there. A builder cannot outlive the caller, however that ends."""
    if kernel := find():
        return kernel
    if os.uname().machine != "x86_64":
        raise KernelError(f"User-Mode Linux runs on x86_64 only, and this computer is {os.uname().machine}.")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise KernelError(f"its kernel is not built yet, and {', '.join(missing)} is missing to build it; run: make lab-kernel")
    process, hold = guard.run(guard.module("uml.kernel")[0])
    try:
        status = process.wait()
    finally:
        os.close(hold)
        process.wait()
    kernel = find()
    if status != 0 or kernel is None:
        raise KernelError("its kernel was not built; the lines above say why.")
    return kernel


def dependencies(modules_dep: str, name: str) -> list[str]:
    """Files of a module and all that it needs, in the order of loading, from the text of `modules.dep`."""
    for line in modules_dep.splitlines():
        file, _colon, needs = line.partition(":")
        if file.endswith(f"/{name}.ko"):
            return [*reversed(needs.split()), file]
    raise KernelError(f"the kernel has no module {name}.")


def entries(kernel: Kernel) -> list[Entry]:
    """The kernel's part of a node's initrd: its modules, and what else a node has that runs on it."""
    modules = kernel.modules
    root = f"/system/usr/lib/modules/{modules.name}"
    early = dependencies((modules / "modules.dep").read_text(), "nvme-loop")
    return [
        Entry("/modules.list", "".join(f"{root}/{file}\n" for file in early).encode()),
        *(
            Entry(f"{root}/{file.relative_to(modules)}", file.read_bytes())
            for file in sorted(modules.rglob("*"))
            if file.is_file()
        ),
        # The devices behind the NVMe drives are nobody's business.
        Entry(
            "/system/etc/udev/rules.d/00-onecc-lab.rules",
            b'SUBSYSTEM=="block", KERNEL=="ubd[b-z]*", ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1", '
            b'ENV{SYSTEMD_READY}="0"\n',
        ),
        # Its power button is Ctrl-Alt-Del.
        Entry("/system/etc/systemd/system/ctrl-alt-del.target", b"/lib/systemd/system/poweroff.target", 0o777, kind=LINK),
    ]


def build() -> Kernel:
    """Builds the kernel of the present recipe, or waits for a builder that runs already."""
    root = cache.root()
    final = root / f"kernel-{recipe_hash()}"
    progress = Progress("kernel")
    with cache.builder(root, "kernel", progress):
        if final.is_dir():
            return Kernel(final)
        for old in root.glob("kernel-*.building"):
            shutil.rmtree(old)
        part = root / f"{final.name}.building"
        part.mkdir()
        room = shutil.disk_usage(part).free // 2**20
        if room < SCRATCH_MIB:
            raise KernelError(f"{root} has {room} MiB free, and building the kernel takes {SCRATCH_MIB} MiB.")
        progress.say("building the kernel of User-Mode Linux nodes: once, about 8 to 16 minutes on two processors")
        try:
            source = _unpack(_fetch(part, progress), part, progress)
            _configure(source, part)
            _compile(source, part, progress)
            done = part / "done"
            (done / "modules").mkdir(parents=True)
            _install(source, part, done)
            done.rename(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    progress.done(f"built {final}")
    return Kernel(final)


def _run(command: Iterable[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise KernelError(f"{' '.join(words)} ended with status {done.returncode}:\n{tail}")
    return done.stdout


def source_line(sources: Iterable[str]) -> str:
    """The line for apt: the mirror that serves this computer's Debian, and the suite of the kernel."""
    mirrors = [match[1] for line in sources if (match := re.search(r"(https?://\S+/debian)/? bookworm main", line))]
    return f"deb [signed-by={DEBIAN_KEYRING}] {[*mirrors, 'http://deb.debian.org/debian'][0]} {SUITE} main\n"


def _fetch(part: Path, progress: Progress) -> Path:
    """The package of the sources, whose signature apt has checked, without a change of this computer's own sources."""
    apt = part / "apt"
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(source_line(host_sources()))
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": apt / "parts",
        "Dir::Etc::preferencesparts": apt / "parts",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        # Else apt gives the folder to another user, who may not enter a home.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "3",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    progress.say(f"fetching {PACKAGE} {VERSION}")
    _run(["apt-get", *words, "--error-on=any", "update"], apt)
    served = re.findall(r"^\s*(?:\*\*\*\s*)?(\d\S*) \d+$", _run(["apt-cache", *words, "policy", PACKAGE], apt), re.MULTILINE)
    if VERSION not in served:
        raise KernelError(f"{SUITE} serves {PACKAGE} {', '.join(served) or 'in no version'} and no longer {VERSION}.")
    _run(["apt-get", *words, "download", f"{PACKAGE}={VERSION}"], apt)
    return next(apt.glob("*.deb"))


def _unpack(package: Path, part: Path, progress: Progress) -> Path:
    progress.say("unpacking")
    _run(["dpkg-deb", "--extract", package, part / "package"], part)
    _run(["tar", "--extract", f"--file={part}/package/usr/src/{PACKAGE}.tar.xz"], part)
    package.unlink()
    source = part / PACKAGE
    for change in patches():
        _run(["patch", "--strip=1", "--no-backup-if-mismatch", f"--input={change}"], source)
    return source


def _configure(source: Path, part: Path) -> None:
    objects = part / "objects"
    objects.mkdir()
    make = ["make", "ARCH=um", f"O={objects}"]
    _run([*make, "x86_64_defconfig"], source)
    merge = ["scripts/kconfig/merge_config.sh", "-m", "-O", objects, objects / ".config", RECIPE / "config"]
    _run(merge, source, {"ARCH": "um"})
    _run([*make, "olddefconfig"], source)
    if lost := not_taken((RECIPE / "config").read_text(), (objects / ".config").read_text()):
        raise KernelError(f"the kernel does not take these lines of {RECIPE / 'config'}: {', '.join(lost)}")


def not_taken(wanted: str, config: str) -> list[str]:
    """The lines of a fragment that a kernel's configuration does not follow."""
    has = set(config.splitlines())
    out = []
    for line in wanted.splitlines():
        name, _equals, value = line.partition("=")
        if not name.startswith("CONFIG_"):
            continue
        taken = not any(other.startswith(f"{name}=") for other in has) if value == "n" else line in has
        if not taken:
            out.append(line)
    return out


def _compile(source: Path, part: Path, progress: Progress) -> None:
    log = part / "log"
    command = ["make", "ARCH=um", f"O={part}/objects", f"-j{(os.cpu_count() or 1) + 1}", "linux", "modules"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=source, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    while process.poll() is None:
        lines = log.read_bytes().count(b"\n")
        progress.say(f"compiling, {min(99, lines * 100 // LINES)} %")
        progress.wait(2)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise KernelError(f"the kernel does not compile. The end of what make said:\n{tail}")


def _install(source: Path, part: Path, done: Path) -> None:
    objects = part / "objects"
    install = ["modules_install", f"INSTALL_MOD_PATH={part}/root", "INSTALL_MOD_STRIP=1"]
    _run(["make", "-s", "ARCH=um", f"O={objects}", *install], source)
    version = next((part / "root/lib/modules").iterdir())
    for name in ("build", "source"):
        (version / name).unlink(missing_ok=True)
    version.rename(done / "modules" / version.name)
    shutil.copy(objects / "linux", done / "linux")
    _run(["strip", done / "linux"], part)
    (done / "linux").chmod(0o755)


if __name__ == "__main__":
    try:
        build()
    except KernelError as error:
        sys.exit(f"onecc-lab: {error}")
