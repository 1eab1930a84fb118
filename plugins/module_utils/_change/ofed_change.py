# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a change of the RDMA stack's provider takes: which packages go, and which go back to the distribution's versions."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import apt, dpkg, ofed
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# Modules built for a kernel, which conflict with those that DKMS builds.
_BUILT = r"(mlnx-ofed-kernel|kernel-mft|iser|isert|srp|knem|xpmem)-modules.*"
# What NVIDIA's next release does not take over under the same name. Not doca-host, which is but a source of packages.
SUPERSEDED = {
    ofed.DOCA: rf"(?!doca-host)(lib)?doca-.*|{_BUILT}",
    ofed.MLNX_OFED: rf"mlnx-ofed-(?!kernel-(dkms|utils)$).*|{_BUILT}",
}
# What the distribution does not have. Libraries have the same names everywhere, so that what needs them keeps them.
FOREIGN = rf"(?!doca-host)(lib)?doca-.*|mlnx-.*|ofed-scripts|(kernel-mft|iser|isert|srp|knem|xpmem)-dkms|{_BUILT}|knem|xpmem|mft"
# A long list helps nobody.
NAMED = 12


class Change:
    """`remove` are names of packages, `back` are versions of the distribution by name."""

    def __init__(self, remove: list[str], back: dict[str, str]) -> None:
        self.remove = remove
        self.back = back

    def __str__(self) -> str:
        parts = [
            f"{what} {len(names)} package{'s' if len(names) > 1 else ''} ({', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''})"
            for what, names in (("remove", self.remove), ("take back to the distribution's version", list(self.back))) if names
        ]
        return " and ".join(parts) or "remove nothing; libraries of the same names get other versions"


def installed(machine: Machine) -> dict[str, str]:
    """The versions of all installed packages, by name."""
    return {name: fields["Version"] for name, fields in dpkg.installed(machine).items()}


def released(known: dict[str, str]) -> dict[str, str]:
    """Those that are NVIDIA's by their version: "2510mlnx61-1.2510128", "25.10.OFED.25.10.1.2.8.1-1", or with the same end as the
    library's ("1.20.0-1.2510128")."""
    library = known.get(ofed.LIBRARY, "")
    end = f".{library.rpartition('.')[2]}" if "mlnx" in library else None
    return {
        name: version for name, version in known.items() if re.search(r"mlnx|OFED\.", version) or (end and version.endswith(end))
    }


def distribution(offer: apt.Offer) -> str | None:
    """The newest version that is not NVIDIA's; apt names the newest first."""
    return next((version for version in offer.versions if not re.search(r"mlnx|OFED\.|\.\d{7}$", version)), None)


def change(machine: Machine, old: str, new: str) -> Change:
    """What it takes from one provider to another. Asks apt only on the way to the distribution's own."""
    if old == ofed.INBOX:
        return Change([], {})
    known = installed(machine)
    remove = sorted(name for name in known if re.fullmatch(FOREIGN if new == ofed.INBOX else SUPERSEDED[old], name))
    if new != ofed.INBOX:
        return Change(remove, {})
    others = [name for name in released(known) if name not in remove]
    offers = apt.offers(machine.run("apt-cache", "policy", "--", *others).stdout) if others else {}
    versions = {name: distribution(offers.get(name) or apt.Offer()) for name in sorted(others)}
    return Change(sorted([*remove, *(name for name, version in versions.items() if not version)]), {
        name: version for name, version in versions.items() if version
    })


def complete(packages: list[dict], change: Change) -> list[dict]:
    """The declared packages, those that go back at the distribution's version, and the others that go back, which nobody holds."""
    names = {package["name"] for package in packages}
    back = [{"name": name, "version": version, "hold": False} for name, version in change.back.items() if name not in names]
    declared = [{**package, "version": package["version"] or change.back.get(package["name"])} for package in packages]
    return [{key: value for key, value in package.items() if value is not None} for package in (*declared, *back)]


def replacing(hand: Hand, machine: Machine, stack: ofed.Stack) -> dict | None:
    """What the change to the declared provider takes, if there is one; fails if it is not allowed."""
    wanted = hand.params["provider"]
    if not stack.provider or wanted in (stack.provider, ofed.DETECT):
        return None
    planned = change(machine, stack.provider, wanted)
    if stack.provider not in hand.params["replace"]:
        hand.fail_json(
            msg=f"The RDMA stack of this node is {stack}, declared is {wanted}. Nothing was changed. To replace it would {planned}. If that is "
            f"what you want, add {stack.provider} to ofed_replace (the option replace), or leave the provider undeclared to keep it."
        )
    return {"packages": complete(hand.params["packages"], planned), "remove": planned.remove}
