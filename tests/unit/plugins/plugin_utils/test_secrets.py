# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a comparison to what writes it, a secret content is read by nobody."""

from __future__ import annotations

import json
import os

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.onecc.cluster.plugins.action import configuration
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration, _secrets

SECRET = "s3cret é {{ x }}\n"


def compared(*modes: str) -> dict:
    """What a comparison hands on of files of these modes that all differ."""
    files = [{"path": f"/etc/f{mode}", "content": SECRET, "mode": mode} for mode in modes]
    differing = [{"kind": "files", "name": file["path"]} for file in files]
    return _declaration.to_apply(_declaration.complete({"files": files}), differing)


@pytest.mark.parametrize("mode", ["0600", "0640", "600", "0400", "0660", "4750"])
def test_a_secret_is_in_no_result_and_arrives(mode):
    resources = compared(mode)
    assert "s3cret" not in json.dumps(resources)
    sent = configuration.apart({"resources": resources})
    assert "s3cret" not in json.dumps(sent["resources"]) and sent["secrets"] == {f"/etc/f{mode}": SECRET}


@pytest.mark.parametrize("mode", ["0644", "0444", "0604", "0755"])
def test_what_everybody_may_read_stays_readable(mode):
    resources = compared(mode)
    assert resources["files"][0]["content"] == SECRET
    assert configuration.apart({"resources": resources}) == {"resources": resources}


def test_it_is_apart_without_a_comparison_too():
    sent = configuration.apart({"resources": {"files": [{"path": "/a", "content": SECRET, "mode": "0600"}], "blocks": []}})
    assert "s3cret" not in json.dumps(sent["resources"]) and sent["secrets"] == {"/a": SECRET} and sent["resources"]["blocks"] == []


@pytest.mark.parametrize("arguments", [
    {}, {"resources": "x"}, {"resources": {"files": "x"}}, {"resources": {"files": [{"path": "/a"}]}}, {"resources": {"sysctls": []}},
])
def test_what_is_no_list_of_files_is_left_to_the_module(arguments):
    assert configuration.apart(arguments) == arguments


def test_what_another_run_locked_is_not_taken_for_a_content():
    other = VaultLib([("other", VaultSecret(os.urandom(32).hex().encode()))]).encrypt(SECRET).decode()
    with pytest.raises(AnsibleError, match="files, /a: its content is locked by another run"):
        _secrets.content({"path": "/a", "content": other})
