# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError
from ansible_collections.onecc.cluster.plugins.plugin_utils import _mpi_hosts


@pytest.mark.parametrize(("instance", "expected"), [
    ({"gpus": 8}, "n slots=8\n"),
    ({"gpus": None, "instance_type": "gpu_8x_h100_sxm5gdr"}, "n slots=8\n"),
    ({"gpus": 0}, "n\n"),
    ({}, "n\n"),
])
def test_a_node(instance, expected):
    assert _mpi_hosts.line("n", instance) == expected


def test_compute_nodes_in_the_order_of_names():
    hosts = {name: SimpleNamespace(name=name, vars={"onecc_instance": {"gpus": 8}}) for name in ("node-10", "node-9", "head-1", "a b")}
    inventory = SimpleNamespace(get_host=hosts.get)
    variables = {
        "hostvars": SimpleNamespace(_inventory=inventory),
        "groups": {"onecc": list(hosts), "onecc_compute": ["node-10", "node-9", "a b"]},
    }
    assert _mpi_hosts.text(variables) == "node-9 slots=8\nnode-10 slots=8\n"
    with pytest.raises(AnsibleError, match="version of ansible-core"):
        _mpi_hosts.text({"groups": {"onecc_compute": ["a"]}})
    assert _mpi_hosts.text({"groups": {"onecc": ["a"]}}) == ""
