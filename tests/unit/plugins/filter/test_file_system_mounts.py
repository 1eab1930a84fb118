# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.onecc.cluster.plugins.filter.file_system_mounts import file_system_mounts
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration


def attached(name="data", mount_point="/home/ubuntu/data", **fields):
    return {"id": "f1", "name": name, "mount_point": mount_point, **fields}


def mount(path, source, fstype="detect", options=()):
    return {"path": path, "source": source, "fstype": fstype, "options": list(options)}


@pytest.mark.parametrize(("item", "found"), [
    (attached(), mount("/home/ubuntu/data", "data")),
    (attached(mount_point=None), mount("/lambda/nfs/data", "data")),
    (attached(name=None), mount("/home/ubuntu/data", "data")),
    (attached(mount_point="/data/x/"), mount("/data/x", "data")),
    (attached(mount_point="/lambda/nfs/x"), mount("/lambda/nfs/x", "data")),
    (attached(mount_point="/mnt/a/b"), mount("/mnt/a/b", "data")),
    (attached(bytes_used=5), mount("/home/ubuntu/data", "data")),
])
def test_attached(item, found):
    assert file_system_mounts([], [item]) == [found]


@pytest.mark.parametrize(("item", "words"), [
    (attached(name=None, mount_point=None), "'f1'"), (attached(name="../etc", mount_point=None), "'../etc'"),
])
def test_attached_of_which_too_little_is_known(item, words):
    with pytest.raises(AnsibleError, match=words) as raised:
        file_system_mounts([], [item])
    assert "filesystems_mounts" in str(raised.value)


@pytest.mark.parametrize("path", [
    "/", "//", "/usr/local/bin", "/root/.ssh", "/etc/ssh/onecc", "/home", "/home/", "/mnt", "/data/", "/lambda", "/lambda/nfs", "/database/x",
    "/home/../etc", "/data/./x", "/data//x", "/home/ubuntu/.ssh", "/mnt/.x/y", "home/x", "x", "/DATA/x", "//home/x",
])
def test_places_that_the_api_cannot_choose(path):
    with pytest.raises(AnsibleError, match="filesystems_mounts"):
        file_system_mounts([], [attached(mount_point=path)])
    declared = {"name": "data", "mount_point": "/opt/data"}
    assert file_system_mounts([declared], [attached(mount_point=path)]) == [mount("/opt/data", "data")]
    assert file_system_mounts([{"name": "data", "mount_point": "/opt/data"}], []) == [mount("/opt/data", "data")]


def test_declared():
    export = {"name": "home", "type": "nfs4", "source": "h:/home", "mount_point": None, "options": ["ro"]}
    assert file_system_mounts([export], [attached()]) == [
        mount("/home/ubuntu/data", "data"), mount("/lambda/nfs/home", "h:/home", "nfs4", ["ro"]),
    ]


def test_a_declared_one_completes_the_attached_one_of_its_name():
    declared = {"name": "data", "type": None, "source": None, "mount_point": None, "options": ["ro"]}
    assert file_system_mounts([declared], [attached()]) == [mount("/home/ubuntu/data", "data", options=["ro"])]


def state(**variables):
    loader = DataLoader()
    return _declaration.role_state("filesystems", Templar(loader=loader, variables={}), loader, variables)


def test_the_role():
    instance = {"file_systems": [attached()]}
    assert [item["path"] for item in state(onecc_instance=instance)["mounts"]] == ["/home/ubuntu/data"]
    assert state(onecc_instance=instance, filesystems_attached=False) == {}
    assert state(onecc_instance={"file_systems": None}) == {}
    found = state(filesystems_mounts=[{"name": "x", "type": "nfs", "source": "h:/x"}])
    assert found["packages"][0]["name"] == "nfs-common" and found["mounts"][0]["fstype"] == "nfs"


@pytest.mark.parametrize("name", ["a b", "{{ 7 * 7 }}", "$(id)", "a\nb", ".."])
def test_names_that_mean_harm(name):
    with pytest.raises(AnsibleError) as raised:
        state(onecc_instance={"file_systems": [attached(name=name, mount_point=None)]})
    assert "/lambda/nfs/" in str(raised.value)


@pytest.mark.parametrize(("item", "words"), [
    ({"name": "x", "type": "ext4"}, ["filesystems_mounts", "virtiofs, nfs, nfs4", "ext4"]), ({"type": "nfs"}, ["name"]),
])
def test_variables_that_are_wrong(item, words):
    with pytest.raises(AnsibleError) as raised:
        state(filesystems_mounts=[item])
    assert all(word in str(raised.value) for word in words)
