# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Mount options: which of them hold, and how the kernel shows them, which is often not how they were given."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, specs

# Options that mount(8) and systemd read and the kernel never shows; and those of nfs(5) that it shows only where they are not as it
# would have them anyway (nfs_show_mount_options in Linux' fs/nfs/super.c), or never.
UNSEEN = re.compile(r"bg|fg|retry=.*|port=.*|defaults|(no)?auto|nofail|_netdev|(no)?user|users|owner|group|comment=.*|x-.*|X-.*|loud|silent")
UNSEEN_NFS = re.compile(r"(no)?intr|ac|cto|lock|acl|sharecache|rdirplus|resvport|ac(timeo|regmin|regmax|dirmin|dirmax)=.*")
# Options that the kernel shows by leaving out their opposites. mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS, and xfs(5).
SILENT = {
    "async": ("sync",), "atime": ("noatime",), "dev": ("nodev",), "diratime": ("nodiratime",), "exec": ("noexec",), "suid": ("nosuid",),
    "rw": ("ro",), "strictatime": ("noatime", "relatime"), "nolazytime": ("lazytime",), "symfollow": ("nosymfollow",),
    "nolargeio": ("largeio",), "nodiscard": ("discard",), "noikeep": ("ikeep",), "noquota": ("usrquota", "grpquota", "prjquota"),
}
# Other names of the same, as given and as shown. xfs(5), nfs(5).
SHOWN_XFS = {"uquota": "usrquota", "quota": "usrquota", "gquota": "grpquota", "pquota": "prjquota"}
SHOWN_NFS = {"tcp": "proto=tcp", "udp": "proto=udp", "rdma": "proto=rdma"}
# Of one of these the last one holds.
GROUPS = (("ro", "rw"), ("atime", "noatime", "relatime", "strictatime", "norelatime", "nostrictatime"))
# What a remount changes of the file systems that roles declare. mount(2), MS_REMOUNT, and xfs_fs_reconfigure in Linux' fs/xfs/xfs_super.c;
# the rest it refuses, or takes without a word and leaves as it is.
REMOUNTED = {*SILENT, *(name for names in SILENT.values() for name in names), *GROUPS[1], "inode32", "inode64"} - {
    "largeio", "nolargeio", "discard", "nodiscard", "ikeep", "noikeep", "noquota", "usrquota", "grpquota", "prjquota",
}
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def effective(options: list[str]) -> list[str]:
    """The options that hold: where one is given twice, or together with its opposite, the last one does."""
    held: dict[str, str] = {}
    for option in options:
        held.pop(_subject(option), None)
        held[_subject(option)] = option
    return list(held.values())


def _subject(option: str) -> str:
    """What an option decides."""
    name = option.partition("=")[0]
    return next((group[0] for group in GROUPS if name in group), name if "=" in option else re.sub("^no", "", name))


def has(mounted: block.Mounted, option: str) -> bool:
    """Whether what is mounted has an option."""
    if option in SILENT:  # "ro" is of the mount or of the file system: either alone may be read-only
        return not mounted.options & set(SILENT[option])
    if mounted.fstype in specs.NFS:
        return _has_nfs(mounted, option)
    if mounted.fstype == "xfs":
        option = SHOWN_XFS.get(option, option)
    return bool(UNSEEN.fullmatch(option)) or option in mounted.options or any(_same(option, shown) for shown in mounted.options)


def _has_nfs(mounted: block.Mounted, option: str) -> bool:
    option = re.sub(r"^(nfsvers=|v(?=[34]))", "vers=", SHOWN_NFS.get(option, option))
    option = re.sub(r"^minorversion=", "vers=4.", option)
    if option in ("vers=4", "vers=3"):  # the kernel says which 4 it is
        return any(shown.split(".")[0] == option for shown in mounted.options)
    name, _equals, value = option.partition("=")
    if name in ("rsize", "wsize"):  # nfs(5): the server may want less
        return any(shown.startswith(f"{name}=") and _bytes(shown.partition("=")[2]) <= _bytes(value) for shown in mounted.options)
    return option in mounted.options or bool(UNSEEN.fullmatch(option) or UNSEEN_NFS.fullmatch(option))


def _same(option: str, shown: str) -> bool:
    """Whether two options are of one name and size: allocsize=64m is shown as allocsize=65536k."""
    (name, equals, value), (other, _equals, is_) = option.partition("="), shown.partition("=")
    return bool(equals) and name == other and _bytes(value) == _bytes(is_) >= 0


def _bytes(size: str) -> int:
    found = re.fullmatch(r"(\d{1,15})([kmg]?)", size.lower())
    return int(found[1]) * UNITS[found[2]] if found else -1
