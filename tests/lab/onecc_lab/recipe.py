# SPDX-License-Identifier: GPL-3.0-or-later
"""What the image is made from and by. Any change here, in `data/` or in `cpio.py` makes a new image."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from .cpio import LINK, Entry, archive

DATA = Path(__file__).with_name("data")
RELEASE = "bookworm"
DISK_BYTES = 10 * 2**30
"""Size of a node's root disk. The file is sparse: what is not written takes no room."""

DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFAULT_SOURCES = tuple(
    f"deb [signed-by={DEBIAN_KEYRING}] http://deb.debian.org/{path} {suite} main"
    for path, suite in (
        ("debian", RELEASE),
        ("debian", f"{RELEASE}-updates"),
        ("debian-security", f"{RELEASE}-security"),
    )
)


class RecipeError(Exception):
    """What the packages hold is not what the recipe expects."""


def debian_sources(texts: Iterable[str]) -> tuple[str, ...]:
    """The one-line sources of this release's own suites, from the texts of an apt configuration in either format.

    Other suites (a vendor's, a newer release) are left out. Empty where the computer has none, as on Ubuntu.
    """
    suite = re.compile(rf"{RELEASE}(-updates|-security)?")
    found: list[str] = []
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            lines = [line for line in paragraph.splitlines() if not line.lstrip().startswith("#")]
            fields = {
                key.strip().lower(): value.strip() for key, sep, value in (line.partition(":") for line in lines) if sep
            }
            pairs: list[tuple[str, str]] = []
            if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
                pairs = [(uri, name) for uri in fields.get("uris", "").split() for name in fields.get("suites", "").split()]
            for line in lines:
                if match := re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line):
                    pairs.append((match[1], match[2]))
            found += [
                f"deb [signed-by={DEBIAN_KEYRING}] {uri.rstrip('/')} {name} main"
                for uri, name in pairs
                if suite.fullmatch(name) and re.match(r"https?://", uri)
            ]
    return tuple(dict.fromkeys(found))


def host_sources() -> tuple[str, ...]:
    """This computer's Debian sources, or Debian's public mirror where it has none for the release."""
    folder = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    return debian_sources(file.read_text(errors="replace") for file in files if file.is_file()) or DEFAULT_SOURCES


def recipe_hash(sources: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that change whenever something the image is made from or by does."""
    digest = hashlib.sha256()
    files = [path for path in sorted(DATA.rglob("*")) if path.is_file()]
    files += [Path(__file__), Path(__file__).with_name("cpio.py")]
    for file in files:
        digest.update(f"{file.name} {file.stat().st_mode:o} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    digest.update("\n".join(sources).encode())
    return digest.hexdigest()[:16]


def kernel_elf(packed: bytes) -> bytes:
    """The ELF kernel inside a bzImage, whatever it is compressed with."""
    for magic, tool in (
        (b"\xfd7zXZ\0", ["xz", "-dc"]),
        (b"\x28\xb5\x2f\xfd", ["zstd", "-dc"]),
        (b"\x02\x21\x4c\x18", ["lz4", "-dc"]),
        (b"\x1f\x8b\x08", ["gzip", "-dc"]),
    ):
        at = packed.find(magic)
        while at >= 0:
            # What follows the packed kernel makes the tool complain; only its output counts.
            out = subprocess.run(tool, input=packed[at:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
            if out.startswith(b"\x7fELF"):
                return out
            at = packed.find(magic, at + 1)
    raise RecipeError("no ELF kernel found in the packaged one: its compression is none of xz, zstd, lz4, gzip.")


def initrd(busybox: bytes, modules: Iterable[Entry]) -> bytes:
    """The initrd that all nodes of a kernel share: busybox, `data/init` and that kernel's modules.

    modules: the files, and `/modules.list`, the paths of those that `data/init` loads, in their order.
    """
    return archive(
        [
            Entry("/init", (DATA / "init").read_bytes(), 0o755),
            Entry("/bin/busybox", busybox, 0o755),
            Entry("/bin/sh", b"busybox", 0o777, kind=LINK),
            *(Entry(f"/{name}/.keep") for name in ("dev", "proc", "sys", "root")),
            *modules,
        ]
    )


def listed(modules: Iterable[tuple[str, bytes]]) -> list[Entry]:
    """Modules by name and content, for `initrd`."""
    files = [Entry(f"/modules/{name}", data) for name, data in modules]
    return [*files, Entry("/modules.list", "".join(f"{file.path}\n" for file in files).encode())]


def overlay_tar() -> bytes:
    """A tar of what is put into the root before packages are installed, all owned by root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:

        def add(name: str, data: bytes, mode: int) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))

        base = DATA / "overlay"
        for file in sorted(path for path in base.rglob("*") if path.is_file()):
            executable = bool(file.stat().st_mode & 0o100)
            mode = 0o755 if executable else 0o440 if "sudoers.d" in file.parts else 0o644
            add(str(file.relative_to(base)), file.read_bytes(), mode)
        add("onecc-lab-customize", (DATA / "customize.sh").read_bytes(), 0o755)
    return out.getvalue()


# The tree is bound elsewhere without what mmdebstrap mounted in it, else /proc would be copied too.
# The disk is written through an open descriptor: in a user namespace the builder may not reach the cache by path.
_PACK = """set -eu
rm -rf "$1/onecc-lab-boot" "$1/onecc-lab-customize"
tree=$(mktemp -d "${TMPDIR:-/tmp}/tree.XXXXXX")
mount --bind "$1" "$tree"
mke2fs -q -F -t ext4 -m 0 -L onecc-root -E root_owner=0:0 -d "$tree" "/proc/self/fd/%(fd)d"
umount "$tree"
rmdir "$tree"
"""


def mmdebstrap(sources: Sequence[str], *, root: bool, overlay: Path, boot: Path, disk_fd: int) -> list[str]:
    """The command that builds a root file system and packs it into the open file `disk_fd`.

    overlay: what `overlay_tar` made. boot: where a tar of kernel and modules is written.
    root: whether the caller is root; an ordinary user's builder works in a user namespace.
    """
    packages = [line for line in (DATA / "packages.txt").read_text().split("\n") if line and not line.startswith("#")]
    command = [
        "mmdebstrap",
        f"--mode={'root' if root else 'unshare'}",
        "--variant=apt",
        "--format=null",
        f"--include={','.join(packages)}",
        "--aptopt=APT::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
        f"--essential-hook=tar-in {overlay} /",
        '--customize-hook=chroot "$1" /onecc-lab-customize',
        f"--customize-hook=tar-out /onecc-lab-boot {boot}",
        "--customize-hook=" + _PACK % {"fd": disk_fd},
        RELEASE,
        "-",
        *sources,
    ]
    # As root, mounts made in a namespace of their own vanish with the last process in it, even after SIGKILL.
    return ["unshare", "--mount", "--propagation=private", "--", *command] if root else command
