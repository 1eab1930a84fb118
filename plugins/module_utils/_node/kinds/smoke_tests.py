# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Smoke tests: what jobs load has been loaded once since its packages changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

COMPONENTS = ("nccl", "open_mpi", "pytorch", "tensorflow", "rdma")
# Survives a boot: what was loaded from the same packages needs no second test.
STAMPS = "/var/lib/onecc/smoke_tests"

FIELDS = {
    "name": {"type": "str", "required": True},
    "component": {"type": "str", "required": True, "choices": list(COMPONENTS)},
    # The packages of which a change asks for a new test.
    "packages": {"type": "list", "elements": "str"},
}


def complete(tests: list[dict], state: dict[str, list[dict]]) -> None:
    """Without other packages, those that are locked. Where none are, nobody says when to test."""
    locked = [package["name"] for package in state.get("locked_packages", [])]
    for test in tests:
        test["packages"] = locked if test["packages"] is None else test["packages"]
    tests[:] = [test for test in tests if test["packages"]]


def stamp(machine: Machine, test: dict) -> str:
    """What is written down of a test that passed: of which versions."""
    known = dpkg.installed(machine, test["packages"])
    return hashlib.sha256("".join(f"{name} {known[name]['Version']}\n" for name in sorted(known)).encode()).hexdigest() + "\n"


def check(machine: Machine, tests: list[dict]) -> Iterator[dict]:
    for test in tests:
        if machine.text(f"{STAMPS}/{test['name']}") != stamp(machine, test):
            message = f"smoke test {test['name']} has not passed since its packages changed"
            yield difference(test["name"], "passed", False, True, message)
