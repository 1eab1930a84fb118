# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import probe
from ansible_collections.onecc.cluster.plugins.plugin_utils import _answers, _payload
from hypothesis import given
from hypothesis import strategies as st

GOOD = {"kind": "files", "name": "/etc/a", "field": "exists", "is": None, "should": True, "message": "it does not exist", "remedy": "apply"}


def test_an_answer_is_taken_as_it_is():
    answer = {"base": [GOOD, {**GOOD, "remedy": "manual", "is": [1, {"a": ["b"]}]}], "nccl": []}
    assert _answers.differences(answer, ["base", "nccl"]) == answer


@pytest.mark.parametrize("answer", [
    None, [], "text", {}, {"base": []}, {"base": [], "nccl": [], "more": []}, {"base": {}, "nccl": []}, {"base": [1], "nccl": []},
    {"base": [{**GOOD, "role": "nccl"}], "nccl": []},
    *({"base": [{key: value for key, value in GOOD.items() if key != missing}], "nccl": []} for missing in _answers.TEXTS),
    *({"base": [{**GOOD, field: ["a"]}], "nccl": []} for field in _answers.TEXTS),
    {"base": [{**GOOD, "remedy": "hope"}], "nccl": []},
    {"base": [{**GOOD, "is": float("nan")}], "nccl": []}, {"base": [{**GOOD, "should": [float("inf")]}], "nccl": []},
    {"base": [GOOD] * (_answers.DIFFERENCES + 1), "nccl": []},
    {"base": [{**GOOD, "name": "x" * (_answers.TEXT + 1)}], "nccl": []},
    {"base": [{**GOOD, "is": json.loads("[" * 50 + "]" * 50)}], "nccl": []},
])
def test_what_is_no_answer(answer):
    with pytest.raises(_answers.NotAnAnswer):
        _answers.differences(answer, ["base", "nccl"])


@pytest.mark.parametrize("answer", [{}, [1], [{"field": "space"}], [{"message": "no space"}], [{"field": "space", "message": 1}]])
def test_what_is_no_list_of_problems(answer):
    with pytest.raises(_answers.NotAnAnswer):
        _answers.problems(answer)


def test_nothing_acts_on_a_terminal_and_nothing_is_endless():
    item = {**GOOD, "message": "a\x1b]0;owned\x07\nnode1  in state" + "b" * 10_000, "is": ["\x1b[8m"], "\x1b": "\u2028"}
    taken, = _answers.differences({"base": [item]}, ["base"])["base"]
    shown = json.dumps(taken, ensure_ascii=False)
    assert shown.isprintable() and len(taken["message"]) <= _answers.TEXT + 1
    assert taken["message"].startswith("a\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER} node1")


def test_what_was_printed_is_cut():
    assert _answers.said("") == "nothing"
    assert len(_answers.said("x" * 10**6)) == _answers.SAID + 1


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_json_is_an_answer_or_refused(value):
    """Never another error, whatever a node writes."""
    for stdout in (probe.MARK + json.dumps(value), probe.MARK + json.dumps({"base": value}), probe.PREFLIGHT_MARK + json.dumps(value)):
        try:
            _payload.answer(stdout, ["base"])
            _payload.problems(stdout)
        except _answers.NotAnAnswer:
            continue


def test_a_flood_is_not_parsed(monkeypatch):
    monkeypatch.setattr(_answers, "BYTES", 100)
    with pytest.raises(_answers.NotAnAnswer):
        _payload.answer(probe.MARK + " " * 200, ["base"])


def test_brackets_without_end_are_no_answer():
    assert _payload.answer(probe.MARK + "[" * 10**6, ["base"]) is None
