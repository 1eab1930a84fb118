# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_findings, nccl_lint, nccl_values
from ansible_collections.onecc.cluster.tests.unit.nccl_corpus import CLUSTER, FAULTY, GOOD
from hypothesis import given
from hypothesis import strategies as st

FIELDS = ["file", "line", "rule", "severity", "message", "fix"]


def found(data: bytes, node: nccl_findings.Node, before: list | None = None) -> list[tuple[int, str, str]]:
    items = nccl_lint.lint("/etc/nccl.conf", data, node, before)
    for item in items:
        assert list(item) == FIELDS and item["severity"] in nccl_findings.SEVERITIES
        line = nccl_findings.text(item)
        assert line.isascii() and line.isprintable() and line.startswith("/etc/nccl.conf")
    return [(item["line"], item["rule"], item["severity"]) for item in items]


def test_the_corpus_is_large_enough():
    assert len(FAULTY) >= 40 and len(GOOD) >= 10
    assert len({name for name, *_rest in FAULTY}) == len(FAULTY)


@pytest.mark.parametrize(("data", "node", "expected"), [case[1:] for case in FAULTY], ids=[case[0] for case in FAULTY])
def test_faulty(data, node, expected):
    assert found(data, node) == expected


@pytest.mark.parametrize(("data", "node"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_good(data, node):
    assert found(data, node) == []


def test_every_rule_is_found_in_the_corpus():
    seen = {rule for *_case, expected in FAULTY for _line, rule, _severity in expected}
    assert seen == set(nccl_findings.RULES) - {"shadowed"}


def test_what_comes_before_the_file():
    before = [
        nccl_findings.Assignment("/etc/environment", 3, "NCCL_NET", "Socket", "logins"),
        nccl_findings.Assignment("/root/.nccl.conf", 1, "NCCL_CROSS_NIC", "0", "jobs of root"),
        nccl_findings.Assignment("/root/.nccl.conf", 2, "NCCL_IB_SL", "1"),
    ]
    data = b"NCCL_CROSS_NIC=0\nNCCL_NET=IB\n"
    assert found(data, CLUSTER, before) == [(2, "shadowed", "warning")]
    (item,) = nccl_lint.lint("/etc/nccl.conf", data, CLUSTER, before)
    assert "/etc/environment line 3 comes before this file in logins, and sets NCCL_NET to Socket" in item["message"]


@pytest.mark.parametrize(("value", "expected"), [
    ("1", (1, True)), ("-1", (-1, True)), ("0x10", (16, True)), ("010", (8, False)), ("07", (7, True)), ("08", (0, False)), ("0", (0, True)),
    (" 7 # x", (7, False)), ("true", (0, False)), ('"1"', (0, False)), ("4M", (4, False)), ("0xg", (0, False)), ("", (0, False)), ("+2", (2, True)),
])
def test_the_number_that_is_read(value, expected):
    """As strtoll(3) with base 0 reads it."""
    assert nccl_values.number_read(value) == expected


@given(st.binary(max_size=300))
def test_whatever_is_in_a_file_is_said_in_plain_lines(data):
    found(data, CLUSTER)


@given(st.lists(st.sampled_from([
    "NCCL_IB_HCA", "NCCL_SOCKET_IFNAME", "NCCL_TOPO_FILE", "=", "^", "mlx5_1", ",", ":", " ", "#", "\n", "\r", "\0", '"', "export ", "\ufeff", "1", "é",
]), max_size=40).map("".join))
def test_whatever_looks_like_a_setting_is_said_in_plain_lines(text):
    found(text.encode(), CLUSTER)
