# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Answers to the questions that packages ask when they are installed, as debconf keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import package_sets
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = package_sets.ANSWER
PATTERNS = {"name": package_sets.QUESTION, "owner": package_sets.NAME, "value": package_sets.LINE}

DATABASE = "/var/cache/debconf/config.dat"


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    text = machine.text(DATABASE) or ""
    for answer in resources:
        name = answer["name"]
        paragraph = re.search(rf"^Name: {re.escape(name)}\n(.+\n)*", text, re.MULTILINE)
        found = re.search(r"^Value: (.*)$", paragraph[0], re.MULTILINE) if paragraph else None
        value = found[1] if found else None
        if value != answer["value"]:
            said = "is not answered" if value is None else f"is answered {value!r}"
            yield difference(name, "value", value, answer["value"], f"question {name} {said}, declared is {answer['value']!r}")
