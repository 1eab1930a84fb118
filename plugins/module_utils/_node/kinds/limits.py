# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Limits of resources: for logins (pam_limits) and for services (systemd), now and at every boot."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for limit in resources:
        name = limit["name"]
        for file in limit["files"]:
            if machine.text(file["path"]) != file["content"]:
                yield difference(name, file["for"], False, True, f"limit {name}: {file['path']} is not as declared, for {file['for']}")
    defaults = [f"DefaultLimit{limit['name'].upper()}" for limit in resources]
    answer = machine.run("systemctl", "show", f"--property={','.join(defaults)}").stdout
    shown = dict(line.partition("=")[::2] for line in answer.splitlines())
    for limit, key in zip(resources, defaults):
        should = limit["manager"]
        if shown.get(key) != should:
            yield difference(
                limit["name"], "running", shown.get(key), should,
                f"limit {limit['name']}: services that start now get {shown.get(key, 'nothing')}, declared is {should}",
            )
