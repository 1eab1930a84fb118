# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a declared set of packages may say, and which of its packages belong together: for the module and for the declaration."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, specs

# A version that stands for the newest one in the lists of packages that the node has.
NEWEST = "newest"
# A family that is none, and what a package says that need not run.
NONE = "none"

# deb-version(7), and how apt and dpkg name a package of a foreign architecture.
NAME = (r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?", "a Debian package name, or name:architecture for a foreign one")
VERSION = specs.VERSION
QUESTION = (r"[A-Za-z0-9][A-Za-z0-9+./_-]*", "the name of a debconf question, such as cudnn/license_preseed")
LINE = (r"[^\n]*", "one line")

LOCKED_PACKAGE = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "hold": {"type": "bool", "default": True},
    "family": {"type": "str"},
    "running": {"type": "str", "choices": [NONE, "driver", "kernel"], "default": NONE},
}
ANSWER = {
    "name": {"type": "str", "required": True},
    "owner": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["boolean", "select", "multiselect", "string", "note", "text"], "default": "select"},
    "value": {"type": "str", "required": True},
}

# Packages of which all must be of one upstream version. The kernel module and the libraries of the driver refuse to work with
# one another otherwise ("Driver/library version mismatch"), the fabric manager stops at its start; the container toolkit's parts
# are released together, and so are NCCL's library and its headers. With the number of a branch in the name or without (the
# fabric manager lost it with branch 580). Not among them: nvidia-settings, nvidia-modprobe and the like, which have versions of
# their own in Ubuntu; and nvidia-firmware, which has its version in its name, so that an old one stays beside the new.
FAMILIES = {
    "driver": r"(cuda-drivers(-fabricmanager)?|nvidia-(driver|headless|headless-no-dkms|utils|compute-utils|kernel-common|kernel-source|"
              r"kernel-open|dkms|fabricmanager|imex)|libnvidia-(cfg1|common|compute|decode|encode|extra|fbc1|gl|nscq)|libnvsdm|"
              r"xserver-xorg-video-nvidia)(-\d{3}[a-z0-9.-]*)?",
    "container toolkit": r"nvidia-container-toolkit(-base)?|libnvidia-container(1|-tools|-dev|1-dbg)",
    "NCCL": r"libnccl2|libnccl-dev",
}
# Lambda's cuDNN asks whether its licence is accepted, and without that breaks off in the middle of the transaction.
CUDNN = r"libcudnn\d.*"
LICENCE = {"name": "cudnn/license_preseed", "value": "ACCEPT"}
# A rolling source keeps no old versions. What came from Lambda's is still known by its version (580.105.08-0lambda0.22.04.1).
LAMBDA_VERSION = r".*[-+~]\d*lambda\d.*"
# The package that says which driver is installed: the one with the kernel module, or the one that needs all others.
_DRIVER = r"nvidia-(driver|headless|headless-no-dkms|dkms|kernel-source|kernel-open)(-\d{3}[a-z0-9.-]*)?"


def family_of(name: str) -> str:
    """The family that a package belongs to by its name."""
    bare = name.partition(":")[0]
    return next((family for family, pattern in FAMILIES.items() if re.fullmatch(pattern, bare)), NONE)


def stem(name: str) -> str:
    """The name of a package before the number of its branch: another branch of the same stem takes its place."""
    found = re.fullmatch(r"([a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*)-\d{3}(-[a-z-]+)?(:.*)?", name)
    return found[1] if found else name


def complete(packages: list[dict]) -> None:
    """Fills in what packages do not say of themselves: their family, and which of them is the driver that has to run."""
    for package in packages:
        package["family"] = package["family"] or family_of(package["name"])
    drivers = [package for package in packages if re.fullmatch(_DRIVER, package["name"])]
    if drivers and not any(package["running"] == "driver" for package in packages):
        drivers[0]["running"] = "driver"


def declared_versions(packages: list[dict]) -> dict[str, str]:
    """The exact versions that are declared, by name."""
    return {package["name"]: package["version"] for package in packages if package["version"] not in (None, NEWEST)}


def mismatches(packages: list[dict], versions: dict[str, str]) -> list[str]:
    """What does not match, a line for each family, with the versions that packages have or are to have."""
    return [
        f"{' and '.join(f'{name} {version}' for version, name in found.items())} do not match: all packages of the family {family!r} "
        "must be of one version"
        for family, found in families(packages, versions).items() if len(found) > 1
    ]


def families(packages: list[dict], versions: dict[str, str]) -> dict[str, dict[str, str]]:
    """By family, the upstream versions of those packages that have one in `versions`, and the first package of each."""
    found: dict[str, dict[str, str]] = {}
    for package in packages:
        if package["family"] != NONE and package["name"] in versions:
            found.setdefault(package["family"], {}).setdefault(dpkg.upstream(versions[package["name"]]), package["name"])
    return found
