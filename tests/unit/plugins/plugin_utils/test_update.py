# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _update
from ansible_collections.onecc.cluster.plugins.plugin_utils._declaration import DeclarationError
from hypothesis import given
from hypothesis import strategies as st

NODES = ["h1", "g1", "n1", "h2", "n2", "n3", "n4"]
GROUPS = {"onecc_head": ["h1", "h2"], "onecc_compute": ["n1", "n2", "n3", "n4"]}


def settings(**given_: object) -> dict:
    return _update.settings({_update.PREFIX + name: value for name, value in given_.items()}, NODES)


def order(differing: list[str], **given_: object) -> list[list[str]]:
    return _update.plan(settings(**given_), differing, NODES, GROUPS)["batches"]


# Settings


def test_defaults():
    found = settings()
    assert found.pop("records") == os.path.expanduser("~/.local/state/onecc/update")
    assert found == {
        "batch": "25%", "canary": 1, "max_failures": 1, "reboot": False, "reboot_timeout": 1800, "drain": None, "resume": None,
    }
    assert settings(batch=None, drain=None) == settings()


@pytest.mark.parametrize(("given_", "found"), [
    (0, 0), (2, 2), ("3", 3), ("n1", ["n1"]), ("n1,h1", ["n1", "h1"]), (["n2"], ["n2"]), ([], []),
])
def test_canaries_are_a_number_or_names(given_, found):
    assert settings(canary=given_)["canary"] == found


def test_files_are_found_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.yml").touch()
    found = settings(drain="tasks.yml", resume=str(tmp_path / "tasks.yml"), records="records")
    assert found["drain"] == found["resume"] == str(tmp_path / "tasks.yml") and found["records"] == str(tmp_path / "records")


@pytest.mark.parametrize(("given_", "words"), [
    ({"batch": 0}, ["onecc_update_batch is '0'", "from 1 on, and 1% to 100%"]),
    ({"batch": "101%"}, ["'101%'"]),
    ({"batch": "0%"}, ["'0%'"]),
    ({"batch": "half"}, ["'half'"]),
    ({"batch": True}, ["onecc_update_batch", "True"]),
    ({"batch": 0.25}, ["onecc_update_batch", "0.25"]),
    ({"canary": "n9,n1"}, ["onecc_update_canary names n9, which"]),
    ({"canary": -1}, ["onecc_update_canary names -1"]),
    ({"canary": [1]}, ["onecc_update_canary has 1"]),
    ({"max_failures": 0}, ["onecc_update_max_failures is 0", "1 or more"]),
    ({"max_failures": "few"}, ["onecc_update_max_failures", "few"]),
    ({"reboot": "perhaps"}, ["onecc_update_reboot", "perhaps"]),
    ({"reboot_timeout": -5}, ["onecc_update_reboot_timeout is -5"]),
    ({"drain": "/no/such.yml", "resume": "/no/such.yml"}, ["onecc_update_drain is /no/such.yml", "onecc_update_resume is /no/such.yml"]),
    ({"drain": "/"}, ["onecc_update_drain is /, and there is no such file", "onecc_update_drain is set and onecc_update_resume is not"]),
    ({"resume": __file__}, ["onecc_update_resume is set and onecc_update_drain is not"]),
    ({"batches": 2, "Batch": 1}, ["onecc_update_Batch, onecc_update_batches. There are: onecc_update_batch, onecc_update_canary"]),
])
def test_wrong_settings(given_, words):
    with pytest.raises(DeclarationError) as error:
        settings(**given_)
    assert all(word in error.value.message for word in ["update: ", *words]), error.value.message


# The order


@pytest.mark.parametrize(("given_", "found"), [
    ({}, [["n1"], ["n2"], ["n3"], ["n4"], ["g1"], ["h1"], ["h2"]]),
    ({"batch": 3}, [["n1"], ["n2", "n3", "n4"], ["g1"], ["h1"], ["h2"]]),
    # Of five nodes that are no heads.
    ({"batch": "59%", "canary": 0}, [["n1", "n2"], ["n3", "n4"], ["g1"], ["h1"], ["h2"]]),
    ({"batch": "60%", "canary": 0}, [["n1", "n2", "n3"], ["n4", "g1"], ["h1"], ["h2"]]),
    ({"batch": "1%", "canary": 4}, [["n1", "n2", "n3", "n4"], ["g1"], ["h1"], ["h2"]]),
    ({"batch": "100%", "canary": ["g1", "n4"]}, [["n4", "g1"], ["n1", "n2", "n3"], ["h1"], ["h2"]]),
    # Heads are alone as canaries too.
    ({"batch": "100%", "canary": ["h2", "h1", "n1"]}, [["n1"], ["h1"], ["h2"], ["n2", "n3", "n4", "g1"]]),
    ({"batch": 9, "canary": 9}, [["n1", "n2", "n3", "n4", "g1"], ["h1"], ["h2"]]),
])
def test_batches(given_, found):
    assert order(NODES, **given_) == found


def test_only_what_differs():
    assert order(["h1", "n3", "n4"], batch="40%") == [["n3"], ["n4"], ["h1"]]
    assert order(["n3", "n4", "n2"], batch="40%", canary=["n1"]) == [["n3", "n4"], ["n2"]]
    assert order([]) == []
    assert _update.plan(settings(batch=9), ["b", "a"], ["b", "a"], {})["batches"] == [["b"], ["a"]]


@given(st.sets(st.sampled_from(NODES)), st.integers(1, 8), st.integers(0, 8) | st.lists(st.sampled_from(NODES), unique=True))
def test_every_node_once_and_never_two_heads(differing, batch, canary):
    names = [name for name in NODES if name in differing]
    plan = _update.plan(settings(batch=batch, canary=canary), names, NODES, GROUPS)
    found = plan["batches"]
    assert sorted(sum(found, [])) == sorted(differing)
    assert all(found) and all(len(one) == 1 for one in found if set(one) & set(GROUPS["onecc_head"]))
    canaries = plan["canaries"]
    assert set(sum(found, [])[:len(canaries)]) == set(canaries)
    assert all(len(one) <= batch for one in found if not set(one) <= set(canaries))


def test_lines():
    plan = _update.plan(settings(batch=2), ["n1", "n2", "n3", "h1"], NODES, GROUPS)
    assert plan["said"] == [
        "4 of 7 nodes differ from the declared state. One batch after the other:",
        "1. n1 (canary)", "2. n2, n3", "3. h1",
        "Nothing drains a node, and its jobs are not waited for: onecc_update_drain names no tasks.",
        "No node is rebooted: onecc_update_reboot is false.",
    ]
    plan = _update.plan(settings(reboot=True, drain=__file__, resume=__file__, canary=0), ["n1"], NODES, GROUPS)
    assert plan["said"] == [
        "1 of 7 nodes differs from the declared state. One batch after the other:", "1. n1",
        f"{__file__} drains a node, {__file__} resumes it.", "A node that has to be rebooted is.",
    ]
