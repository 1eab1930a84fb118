# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.onecc.cluster.plugins.filter.locked_packages import locked_packages
from ansible_collections.onecc.cluster.plugins.module_utils._node import package_locks

LOCK = {
    "schema": 1, "system": "ubuntu 22.04", "architecture": "amd64", "kernel": "5.15.0-105-generic", "driver": None, "ofed": None, "firmware": [],
    "packages": [
        {"name": "libnccl2", "version": "2.26.2-1", "architecture": "amd64", "origin": "lambdalabs.com", "hold": False},
        {"name": "linux-image-5.15.0-105-generic", "version": "5.15.0-105.115", "architecture": "amd64", "origin": "Ubuntu", "hold": False},
    ],
}
TEXT = package_locks.text(LOCK)


def test_the_packages_of_a_lock():
    assert locked_packages(TEXT) == [
        {"name": "libnccl2", "version": "2.26.2-1", "hold": True},
        {"name": "linux-image-5.15.0-105-generic", "version": "5.15.0-105.115", "hold": True, "running": "kernel"},
    ]


def test_a_lock_that_names_a_package_twice_is_refused():
    twice = {**LOCK, "packages": [*LOCK["packages"], {**LOCK["packages"][0], "version": "2.27.3-1"}]}
    with pytest.raises(AnsibleFilterError, match="libnccl2 more than once"):
        locked_packages(package_locks.text(twice))


def test_declared_packages_take_the_place_of_those_of_the_lock():
    declared = [
        {"name": "zstd", "version": None, "hold": False, "family": None},
        {"name": "libnccl2", "version": "newest", "hold": None, "family": "none"},
    ]
    assert locked_packages(TEXT, declared, False) == [
        {"name": "libnccl2", "version": "newest", "family": "none", "hold": False},
        {"name": "linux-image-5.15.0-105-generic", "version": "5.15.0-105.115", "hold": False, "running": "kernel"},
        {"name": "zstd", "hold": False},
    ]


def test_without_a_lock():
    assert locked_packages("") == []
    assert locked_packages(" \n", [{"name": "zstd", "version": "1"}]) == [{"name": "zstd", "version": "1", "hold": True}]


@pytest.mark.parametrize(("text", "words"), [
    (TEXT.replace("schema: 1", "schema: 2"), "has schema '2'; this release reads 1"),
    ("- a", "has schema"),
    ("just a text", "has schema 'just a text'"),
    ("schema: 1\npackages: {}", "no list of packages"),
    ("schema: 1\npackages: [libnccl2]", "has 'libnccl2' among its packages"),
    ("schema: 1\npackages: [{name: libnccl2, version: 1.10}]", "each has a name and a version as text"),
    ("schema: [", "is not YAML"),
    ("!!python/object/apply:os.system [id]", "is not YAML"),
])
def test_what_is_no_lock(text, words):
    with pytest.raises(AnsibleFilterError) as raised:
        locked_packages(text)
    assert words in raised.value.message


@pytest.mark.parametrize("text", [
    "schema: 1\npackages: []\npackages: []\n",
    "schema: 1\npackages:\n- {name: a, version: '1', name: b}\n",
])
def test_a_key_that_is_there_twice(text):
    with pytest.raises(AnsibleFilterError, match="is there twice"):
        locked_packages(text)


@pytest.mark.parametrize("kernel", ["6.8", "[a]", "{a: b}", "true"])
def test_a_kernel_that_is_no_text(kernel):
    with pytest.raises(AnsibleFilterError, match="kernel"):
        locked_packages(f"schema: 1\nkernel: {kernel}\npackages: []\n")
