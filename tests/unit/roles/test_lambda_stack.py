# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.module_utils._node import package_locks
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

LOCK = {
    "schema": 1, "system": "ubuntu 22.04", "architecture": "amd64", "kernel": "5.15.0-105-generic", "driver": None, "ofed": None, "firmware": [],
    "packages": [
        {"name": "linux-image-5.15.0-105-generic", "version": "5.15.0-105.115", "architecture": "amd64", "origin": "Ubuntu", "hold": False},
        {"name": "nvidia-driver-570-server-open", "version": "570.148.08-0lambda0.22.04.1", "architecture": "amd64", "origin": None, "hold": False},
    ],
}


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "node.lock.yml"
    path.write_text(package_locks.text(LOCK), encoding="utf-8")
    return str(path)


def declared(**variables: object) -> dict[str, list[dict]]:
    loader = DataLoader()
    given = {f"lambda_stack_{name}": value for name, value in variables.items()}
    return _declaration.role_state("lambda_stack", Templar(loader=loader, variables=given), loader, given)


def test_nothing_is_declared_unasked():
    assert declared() == {}


def test_a_lock(lock):
    found = declared(lock=lock)
    assert [test["name"] for test in found["smoke_tests"]] == ["nccl", "open_mpi", "pytorch", "tensorflow", "rdma"]
    assert found["locked_packages"] == [
        {"name": "linux-image-5.15.0-105-generic", "version": "5.15.0-105.115", "hold": True, "family": "none", "running": "kernel"},
        {"name": "nvidia-driver-570-server-open", "version": "570.148.08-0lambda0.22.04.1", "hold": True, "family": "driver", "running": "driver"},
    ]


def test_packages_beside_the_lock(lock):
    packages = [{"name": "nvidia-driver-570-server-open", "version": "newest", "hold": False}, {"name": "zstd"}]
    found = declared(lock=lock, packages=packages, hold=True)["locked_packages"]
    assert [(item["name"], item["version"], item["hold"]) for item in found] == [
        ("linux-image-5.15.0-105-generic", "5.15.0-105.115", True), ("nvidia-driver-570-server-open", "newest", False), ("zstd", None, True),
    ]


def test_packages_that_do_not_match_the_lock_are_refused(lock):
    with pytest.raises(AnsibleError) as raised:
        declared(lock=lock, packages=[{"name": "nvidia-fabricmanager", "version": "580.105.08-0lambda0.22.04.1"}])
    assert "nvidia-driver-570-server-open 570.148.08 and nvidia-fabricmanager 580.105.08 do not match" in raised.value.message


def test_the_licence_is_accepted_by_those_who_say_so():
    assert declared(accept_cudnn_license=True) == {
        "debconf_answers": [{"name": "cudnn/license_preseed", "owner": "cudnn", "type": "select", "value": "ACCEPT"}],
    }


@pytest.mark.parametrize(("source", "words"), [
    ({"suite": "jammy"}, "missing required arguments: key"),
    ({"key": "no key", "suite": "jammy"}, "not one ASCII-armoured public key block"),
    ({"key": "no key", "suite": "jammy main"}, "suite is 'jammy main'"),
])
def test_a_source_that_is_wrong(source, words):
    with pytest.raises(AnsibleError) as raised:
        declared(source=source)
    assert words in str(raised.value)


def test_a_lock_that_is_not_there():
    with pytest.raises(AnsibleError) as raised:
        declared(lock="/no/such/lock.yml")
    assert "/no/such/lock.yml" in str(raised.value)
