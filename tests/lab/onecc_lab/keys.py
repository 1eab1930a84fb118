# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH keys: making pairs, and bringing public keys to OpenSSH's format. OpenSSH's own ssh-keygen does the work."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

IMPORT_FORMATS = ("RFC4716", "PKCS8", "PEM")
"""Besides OpenSSH's own; as Lambda's documentation of its API lists them."""

_OPENSSH = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ +[A-Za-z0-9+/]+=*( [^\r\n]*)?")
"""One line without options: an option such as `command=` is for authorized_keys, not part of a key."""


class InvalidKey(ValueError):
    """It is no public key."""


@dataclass(frozen=True)
class KeyPair:
    """Both halves, in OpenSSH's formats."""

    public_key: str
    private_key: str


def generate(comment: str) -> KeyPair:
    """A new Ed25519 key pair without a passphrase."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "key")
        _keygen("-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
        public = path.with_suffix(".pub").read_text(encoding="utf-8").strip()
        return KeyPair(public, path.read_text(encoding="utf-8"))


def normalize(text: str) -> str:
    """A public key as one OpenSSH line. Raises InvalidKey."""
    line = text.strip()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "key")
        path.write_text(line + "\n", encoding="utf-8")
        if _OPENSSH.fullmatch(line) and line.isprintable():
            _keygen("-l", "-f", str(path))
            return line
        return _import(path)


def _import(path: Path) -> str:
    for key_format in IMPORT_FORMATS:
        try:
            return _keygen("-i", "-m", key_format, "-f", str(path)).strip()
        except InvalidKey:
            continue
    raise InvalidKey("not a public key")


def _keygen(*arguments: str) -> str:
    result = subprocess.run(("ssh-keygen", *arguments), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    if result.returncode:
        raise InvalidKey("not a public key")
    return result.stdout.decode("utf-8", "replace")
