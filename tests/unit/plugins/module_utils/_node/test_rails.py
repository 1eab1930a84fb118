# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import rails
from ansible_collections.onecc.cluster.tests.unit.sysfs import Sysfs

DGX = ["mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"]


@pytest.fixture
def machine(tmp_path):
    return Sysfs(tmp_path)


def names(machine: Sysfs, **declared: object) -> list[str]:
    return [rail.port.name for rail in rails.rails(machine, declared)]


def test_eight_rails_and_an_ethernet_port(machine):
    machine.gpu_node()
    found = rails.layout(machine, {})
    assert [rail.port.name for rail in found.rails] == [f"mlx5_{i}" for i in range(1, 9)]
    assert [rail.gpu for rail in found.rails] == found.gpus
    assert found.by_affinity and found.bare == []


def test_names_tell_nothing(machine):
    machine.gpu_node(DGX)
    assert names(machine) == DGX
