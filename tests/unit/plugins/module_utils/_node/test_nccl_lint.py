# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_findings, nccl_lint
from ansible_collections.onecc.cluster.tests.unit.nccl_corpus import CLUSTER, FAULTY, GOOD

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
