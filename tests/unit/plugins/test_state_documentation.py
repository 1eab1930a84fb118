# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation of the option `state` says of each kind are the fields that the kind has."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.onecc.cluster.plugins.doc_fragments._state import ModuleDocFragment
from ansible_collections.onecc.cluster.plugins.module_utils._node import specs
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration

TEXT = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["state"]["description"]


def said(kind: str) -> str:
    return " ".join(line for line in TEXT if f"C({kind})" in line)


@pytest.mark.parametrize("kind", _declaration.KINDS)
def test_each_kind_with_its_fields(kind):
    text = said(kind)
    assert text, f"{kind} is not documented"
    if "M(onecc.cluster." in text or "O(onecc.cluster." in text:  # its options are those of a module
        return
    fields = set(_declaration.KINDS[kind].FIELDS) - {"template"}  # only a role has templates
    assert [field for field in sorted(fields) if f"C({field})" not in text] == []


def test_each_condition_is_named():
    (line,) = [line for line in TEXT if "C(where)" in line]
    assert set(re.findall(r"V\((\w+)\)", line)) >= set(specs.CONDITIONS)
    for kind, room in _declaration.KINDS.items():
        assert ("where" in room.FIELDS) == (f"C({kind})" in line), kind
