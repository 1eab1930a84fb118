# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration


def message(**variables: object) -> str:
    loader = DataLoader()
    state = _declaration.role_state("login_message", Templar(loader=loader, variables=variables), loader, variables)
    (file,) = state["files"]
    return file["content"]


INSTANCE = {"instance_type": "gpu_8x_h100_sxm5gdr", "region": "us-east-2"}


@pytest.mark.parametrize(("variables", "lines"), [
    ({"onecc_instance": INSTANCE}, ["n1, gpu_8x_h100_sxm5gdr, us-east-2", "Rails: all that are found, InfiniBand"]),
    ({"onecc_rails": {"count": 8, "link_layer": "Ethernet"}}, ["n1", "Rails: 8, Ethernet"]),
    ({"login_message_rails": False, "login_message_lines": ["Ask ops@example.org"]}, ["n1", "Ask ops@example.org"]),
    # What the API says acts on no terminal.
    ({"login_message_rails": False, "onecc_instance": {"instance_type": "x\x1b[2J", "region": "{{ 1 }}"}}, ["n1, x[2J, {{ 1 }}"]),
])
def test_what_a_login_shows(variables, lines):
    assert message(inventory_hostname="n1", **variables).split("\n") == [*lines, ""]
