# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a repository in one of its states, with Debian's own tools.

    python -m onecc_lab.archive NAME STATE SCRATCH

NAME and STATE are those of `repository`; SCRATCH is a folder to work in, which is made, and is gone at the end.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import shutil
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

from . import debs, repository
from .debs import EPOCH, Repository

STRANGER = "stranger"
"""The key that signs where the key is to be the wrong one."""

_DAY = 24 * 3600
VALID_SECONDS = 50 * 365 * _DAY
"""How long a Release file is valid, from `EPOCH` on."""
EXPIRED_SECONDS = 7 * _DAY

TOOLS = ("dpkg-deb", "apt-ftparchive", "gpg", "gpg-agent")


class Gpg:
    """The programs of GnuPG, working in a folder of their own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(mode=0o700)

    def __call__(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--batch", "--quiet", "--no-tty", "--homedir", str(self._home)]
        command += ["--pinentry-mode", "loopback", "--passphrase", "", *arguments]
        return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE).stdout

    def close(self) -> None:
        """Ends the agent, which gpg started and left."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=True)


def _key(gpg: Gpg, name: str, user: str) -> str:
    """Loads a key, made the first time it is asked for, into a new gpg; returns its fingerprint."""
    kept = repository.root() / "keys" / f"{name}.asc"
    if kept.exists():
        gpg("--import", data=kept.read_bytes())
    else:
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        gpg("--quick-generate-key", user, "ed25519", "sign", "never")
        partial = kept.with_suffix(".partial")
        partial.write_bytes(gpg("--armor", "--export-secret-keys", f"={user}"))
        partial.rename(kept)
    listed = gpg("--with-colons", "--list-keys", f"={user}").decode()
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def _stanzas(packages: str) -> list[str]:
    return [f"{stanza}\n\n" for stanza in packages.strip().split("\n\n")]


def _identity(stanza: str) -> tuple[str, str]:
    """Name and version in a stanza of a Packages file."""
    fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
    return fields["Package"], fields["Version"]


def _build_pool(wanted: Repository, folder: Path, scratch: Path) -> None:
    """All packages of a repository, and `Packages`, which lists them all."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "pool").mkdir(parents=True)
    trees = scratch / "trees"
    trees.mkdir()
    debs.build(wanted.packages, partial / "pool", trees)
    listed = subprocess.run(["apt-ftparchive", "packages", "pool"], cwd=partial, check=True, stdout=subprocess.PIPE)
    (partial / "Packages").write_bytes(listed.stdout)
    partial.rename(folder)


def _release(wanted: Repository, dists: Path, state: str) -> bytes:
    """The Release file over what is in a folder."""
    fields = {**wanted.release, "Architectures": "amd64", "Date": formatdate(EPOCH, usegmt=True)}
    command = ["apt-ftparchive"]
    for field, value in fields.items():
        command += ["-o", f"APT::FTPArchive::Release::{field}={value}"]
    written = subprocess.run([*command, "release", "."], cwd=dists, check=True, stdout=subprocess.PIPE).stdout
    # The tool can count it from the present moment only.
    until = formatdate(EPOCH + (EXPIRED_SECONDS if state == "expired" else VALID_SECONDS), usegmt=True)
    return f"Valid-Until: {until}\n".encode() + written


def _spoil(file: Path, at: int) -> None:
    """Changes one byte, and leaves the length as it is."""
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def _spoil_text(file: Path) -> None:
    """Changes a digit of the first checksum in a text."""
    _spoil(file, file.read_bytes().index(b"SHA256:\n ") + len(b"SHA256:\n "))


def _build_state(wanted: Repository, base: Path, state: str, gpg: Gpg) -> None:
    """The repository in a state: its lists and their signature beside what all its states share."""
    folder = base / state
    partial = base / f"{state}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    dists = partial if wanted.flat else partial / "dists" / wanted.release["Codename"]
    lists = dists if wanted.flat else dists / wanted.release["Components"] / "binary-amd64"
    lists.mkdir(parents=True)

    newer = {(package.name, package.version) for package in wanted.packages if package.newer}
    stanzas = _stanzas((base / "Packages").read_text())
    packages = "".join(stanza for stanza in stanzas if state == "newer" or _identity(stanza) not in newer).encode()
    (lists / "Packages").write_bytes(packages)
    (lists / "Packages.gz").write_bytes(gzip.compress(packages, mtime=EPOCH))

    own = _key(gpg, wanted.name, wanted.key)
    signer = _key(gpg, STRANGER, f"onecc-lab {STRANGER}") if state == "wrong-key" else own
    (dists / "Release").write_bytes(_release(wanted, dists, state))
    sign = ["--local-user", signer, "--digest-algo", "SHA512", "--output"]
    gpg(*sign, str(dists / "InRelease"), "--clearsign", str(dists / "Release"))
    gpg(*sign, str(dists / "Release.gpg"), "--armor", "--detach-sign", str(dists / "Release"))
    for name in wanted.key_files:
        armor = () if name.endswith(".gpg") else ("--armor",)
        (partial / name).write_bytes(gpg(*armor, "--export", own))

    if state == "tampered-packages":
        for name in ("Packages", "Packages.gz"):
            _spoil(lists / name, len(packages) // 100)
    if state == "tampered-release":
        for name in ("Release", "InRelease"):
            _spoil_text(dists / name)
    if state == "missing":
        (partial / "pool").mkdir()
        for deb in (base / "pool").iterdir():
            if not deb.name.startswith(f"{wanted.missing}_"):
                (partial / "pool" / deb.name).symlink_to(f"../../pool/{deb.name}")
    else:
        (partial / "pool").symlink_to("../pool")
    # By its time of change a client knows a file again, so it has to differ between the states.
    changed = EPOCH + 60 * list(repository.STATES).index(state)
    for file in partial.rglob("*"):
        if file.is_file() and not file.is_symlink() and "pool" not in file.parts:
            os.utime(file, (changed, changed))
    partial.rename(folder)


def build(name: str, state: str, scratch: Path) -> None:
    """Builds a repository in a state, unless that was done. Raises RepositoryError, DataError, CalledProcessError."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        listed = Path(__file__).resolve().parents[1] / "debian-packages.txt"
        raise repository.RepositoryError(
            f"{', '.join(missing)} not found on this computer. Install the packages listed in {listed}."
        )
    top = repository.root()
    top.mkdir(parents=True, exist_ok=True)
    base = top / repository.made_from() / name
    with (top / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = debs.load()[name]
        if not base.is_dir():
            _build_pool(wanted, base, scratch)
        if not (base / state).is_dir():
            gpg = Gpg(scratch / "gnupg")
            try:
                _build_state(wanted, base, state, gpg)
            finally:
                gpg.close()


def main(argv: list[str]) -> None:
    scratch = Path(argv[2])
    scratch.mkdir(mode=0o700)
    try:
        build(argv[0], argv[1], scratch)
    except (repository.RepositoryError, debs.DataError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    finally:
        # gpg's agent takes its sockets away by itself when it ends, and may do so meanwhile.
        subprocess.run(["rm", "-rf", str(scratch)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
