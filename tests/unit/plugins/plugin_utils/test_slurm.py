# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _slurm
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(("names", "text"), [
    ([], ""),
    (["node-1"], "node-1"),
    (["node-2", "node-1", "node-3", "node-7"], "node-[1-3,7]"),
    (["n9", "n10", "n11"], "n[9-11]"),
    (["n09", "n10", "n11"], "n[09-11]"),
    (["n007", "n8", "n010"], "n8,n[007,010]"),
    (["a", "b", "b1", "b2"], "a,b,b[1-2]"),
    (["n1-ib", "n2-ib"], "n1-ib,n2-ib"),
    (["10-0-0-1", "10-0-0-2"], "10-0-0-[1-2]"),
    (["n1", "n1"], "n1"),
])
def test_hostlist(names, text):
    assert _slurm.hostlist(names) == text


def expanded(text: str) -> set[str]:
    names = set()
    for prefix, ranges in re.findall(r"([^,\[]+)(?:\[([^\]]*)\])?", text):
        for part in ranges.split(",") if ranges else [""]:
            first, _dash, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1) if part else []
            names |= {f"{prefix}{number:0{len(first)}d}" for number in numbers} if part else {prefix}
    return names


@given(st.sets(st.from_regex(r"[a-z]{1,2}-?[0-9]{0,4}", fullmatch=True)))
def test_hostlist_says_all_and_nothing_else(names):
    assert expanded(_slurm.hostlist(names)) == names


def test_topology():
    lines = _slurm.topology_conf({"pod1": ["n1", "n2"], "pod2": ["n3"]}, ["n4", "n5"]).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "SwitchName=pod1 Nodes=n[1-2]", "SwitchName=pod2 Nodes=n3", "SwitchName=spines Switches=pod[1-2]",
    ]
    assert lines[-1] == "# Not in the fabric when this was written: n[4-5]"


def test_topology_of_one_pod():
    assert "Switches=" not in _slurm.topology_conf({"pod1": ["n1", "n2"]})
