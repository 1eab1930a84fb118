# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What declared arrays, mounts, users and rails may say: for the modules that apply them and for the declaration."""

from __future__ import annotations

import re

# XFS keeps 12 bytes of label (xfs_admin(8)), and the array's name is the label too.
ARRAY_NAME = r"[a-z][a-z0-9_-]{0,11}"

ARRAY = {
    "name": {"type": "str", "required": True},
    "layout": {"type": "str", "choices": ["auto", "array", "drive", "directory"], "default": "auto"},
    "drives": {"type": "int"},
    # mdadm(8): 512 KiB is its default chunk for RAID 0, and mkfs.xfs(8) takes it as the stripe unit.
    "chunk_kib": {"type": "int", "default": 512},
    "ignore": {"type": "list", "elements": "str", "default": []},
    "rebuild": {"type": "list", "elements": "str", "default": []},
    "overwrite": {"type": "list", "elements": "str", "default": []},
    "recreate": {"type": "bool", "default": False},
    "adopt": {"type": "bool", "default": False},
}

# What a node must have for a resource to be declared there, as `presence` finds it; without it, on every node. (YAML reads `on` as true.)
CONDITIONS = ("all", "chrony", "timesyncd", "mlx5", "rdma", "infiniband", "openibd", "gpus", "peermem")
WHERE = {"where": {"type": "str", "choices": list(CONDITIONS)}}
ACCESS = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}

UNIT = (r"[A-Za-z0-9:_.\\@-]+\.[a-z]+", "a unit's full name, such as fstrim.timer")
VERSION = (r"[A-Za-z0-9.+~:-]+", "a Debian version")
# What paths, modes and the like may be, as a pattern of the whole and in words: they end up in units and command lines.
PATH = (r"/|(/(?!\.{1,2}(/|$))[A-Za-z0-9_.:@%+=-]+)+", "an absolute path of letters, digits and _.:@%+=- without . or ..")
MODE = (r"[0-7]{3,4}", "three or four octal digits in quotes, such as '0755'")
MOUNT_PATTERNS = {
    "path": PATH,
    "mode": MODE,
    "fstype": (r"[a-z0-9_.]+", "a file system type"),
    # What begins with a dash would be an option of mount(8).
    "source": (r"(?!-)[^\s\\\x00-\x1f]+", "a device, tag or export without white space or backslashes, not beginning with a dash"),
}
# Types of file systems that a server gives. The kernel calls an export of version 4 nfs4, also where it was mounted as nfs.
NFS = ("nfs", "nfs4")
NETWORK = ("virtiofs", *NFS)
# A type that the node itself finds out.
DETECTED = "detect"
MOUNT_OPTION = (r"[^\s,\\\x00-\x1f]+", "one option without white space, commas or backslashes")

MOUNT = {
    "path": {"type": "str", "required": True},
    "array": {"type": "dict", "options": ARRAY},
    "source": {"type": "str"},
    "fstype": {"type": "str", "required": True},
    "options": {"type": "list", "elements": "str", "default": []},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
}

# useradd(8) takes them, sudo(8) reads a file of that name (no dot), and so does an AuthorizedKeysFile.
USER_NAME = r"[a-z_][a-z0-9_-]{0,31}"
# authorized_keys(5), "AUTHORIZED_KEYS FILE FORMAT", without options: a type, the key in base64, and a comment.
KEY = r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{40,}={0,2}( [ -~]*)?"

# What sshd_config(5) has as the default of AuthorizedKeysFile, and what one of its words may be: it is written into that file.
AUTHORIZED_KEYS_FILES = [".ssh/authorized_keys", ".ssh/authorized_keys2"]
AUTHORIZED_KEYS_FILE = (r"(?!none$)[A-Za-z0-9_.%/@:+-]+", "one path as AuthorizedKeysFile of sshd_config(5) has it, such as .ssh/authorized_keys")
# Shells that end at once (nologin(8), false(1)): who has one cannot log in.
NO_SHELLS = tuple(f"{folder}/{name}" for folder in ("/bin", "/usr/bin", "/sbin", "/usr/sbin") for name in ("nologin", "false", "true"))

USER = {
    "name": {"type": "str", "required": True},
    "uid": {"type": "int"},
    "shell": {"type": "str"},
    "groups": {"type": "list", "elements": "str", "default": []},
    "sudo": {"type": "bool", "default": False},
    "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "access": {"type": "bool", "default": True},
    # Where sshd looks for people's own keys. It is the node's, and the same for all users.
    "authorized_keys_files": {"type": "list", "elements": "str", "default": AUTHORIZED_KEYS_FILES, "no_log": False},
}

# A pattern of names, as glob(7) has them.
RAIL_PATTERN = r"[A-Za-z0-9_.:*?\[\]!-]+"

# What a rail is. Rates are Gb/s.
RAILS = {
    "link_layer": {"type": "str", "choices": ["InfiniBand", "Ethernet"], "default": "InfiniBand"},
    "devices": {"type": "list", "elements": "str", "default": []},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "min_rate": {"type": "float"},
    "count": {"type": "int"},
}


def invalid_rails(declared: dict) -> str | None:
    """Says what is wrong in a declaration of rails whose types are right."""
    for field in ("devices", "exclude"):
        for pattern in declared[field]:
            if not re.fullmatch(RAIL_PATTERN, pattern):
                return f"{field} has {pattern!r}; allowed is a pattern of names, interfaces or PCI addresses, such as mlx5_* or 0000:1a:00.*"
    for field in ("count", "rate", "min_rate"):
        if declared.get(field) is not None and not 0 < declared[field] < 1e6:
            return f"{field} is {declared[field]:g}; allowed is a number above 0"
    return None
