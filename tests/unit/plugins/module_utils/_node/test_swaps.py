# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import swaps
from ansible_collections.onecc.cluster.tests.unit.captured import Captured

NONE = {"name": "none"}
TITLES = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


@pytest.mark.parametrize(("listed", "fstab", "fields"), [
    (TITLES, "", []),
    ("", "UUID=1 / ext4 defaults 0 1\n# /swapfile none swap sw 0 0\n/dev/swap /swap xfs defaults 0 0\n", []),
    (TITLES + "/swapfile file 16380 0 -2\n", "", ["active"]),
    (TITLES, "/swapfile none swap sw 0 0\n", ["fstab"]),
    (TITLES + "/dev/zram0 partition 9 0 100\n", "\tUUID=2\tnone\tswap\tsw\t0\t0\n", ["active", "fstab"]),
    (TITLES, "short\n\n /swapfile swap\n", []),
])
def test_what_is_swapped_to(machine, listed, fstab, fields):
    machine.write("/proc/swaps", listed)
    machine.write("/etc/fstab", fstab)
    found = list(swaps.check(machine, [NONE]))
    assert [(item["name"], item["field"], item["remedy"]) for item in found] == [("none", field, "apply") for field in fields]


def test_a_unit_that_somebody_wrote_is_theirs(machine):
    machine.write("/etc/systemd/system/data-swapfile.swap", "[Swap]\nWhat=/data/swapfile\n")
    (item,) = swaps.check(machine, [NONE])
    assert (item["field"], item["remedy"]) == ("units", "manual") and "data-swapfile.swap" in item["message"]


def test_a_node_of_which_nothing_is_known_swaps_to_nothing(machine):
    assert list(swaps.check(machine, [NONE])) == []
