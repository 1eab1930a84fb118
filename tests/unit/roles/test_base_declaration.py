# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

TIMESYNCD = {"systemd-timesyncd", "systemd-timesyncd.service", "/etc/systemd/timesyncd.conf.d", "/etc/systemd/timesyncd.conf.d/90-onecc.conf"}
CHRONY = {"chrony", "chrony.service", "/etc/chrony/sources.d/onecc.sources"}


@pytest.mark.parametrize(("chosen", "declared"), [
    ({}, {**dict.fromkeys(TIMESYNCD, "timesyncd"), **dict.fromkeys(CHRONY, "chrony")}),
    ({"base_time_service": "systemd-timesyncd"}, dict.fromkeys(TIMESYNCD, "all")),
    ({"base_time_service": "chrony"}, dict.fromkeys(CHRONY, "all")),
    ({"base_time_service": "none"}, {}),
])
def test_what_keeps_the_clock(chosen, declared):
    """Unasked, whatever is there stays: to install one removes the other."""
    loader = DataLoader()
    state = _declaration.role_state("base", Templar(loader), loader, {"inventory_hostname": "n1", "base_hosts": False, **chosen})
    items = [item for kind in ("packages", "directories", "files", "units") for item in state.get(kind, [])]
    clock = {item.get("name") or item["path"]: item["where"] for item in items if item.get("where")}
    assert clock == declared
