# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil

import pytest
from ansible_collections.onecc.cluster.plugins.callback import report
from ansible_collections.onecc.cluster.plugins.module_utils._node import probe
from ansible_collections.onecc.cluster.tests.unit.playbook import LOCAL, UNREACHABLE, Playbook, drift

RUNS = pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="/usr/bin/python3 is not here")


def item(name: str, role: str = "base", field: str = "installed") -> dict:
    return {"role": role, "kind": "packages", "name": name, "field": field, "message": f"package {name}"}


def seen(*comparisons: tuple[list[str], list[dict]], error: str = "", unreachable: bool = False) -> report.Seen:
    node = report.Seen()
    for roles, drift_ in comparisons:
        node.compared(roles, drift_)
    node.error, node.unreachable = error, unreachable
    return node


@pytest.mark.parametrize(("node", "status", "drift_", "mended"), [
    (seen((["base"], [])), "in_state", [], []),
    (seen((["base"], [item("a")])), "drift", ["a"], []),
    (seen((["base"], [item("a"), item("b")]), (["base"], [])), "converged", [], ["a", "b"]),
    (seen((["base"], [item("a"), item("b")]), (["base"], [item("b"), item("c")])), "drift", ["b", "c"], ["a"]),
    (seen((["base"], []), (["base"], [item("a")])), "drift", ["a"], []),
    (seen((["base"], [item("a")]), error="apt failed"), "failed", ["a"], []),
    (seen(error="no route", unreachable=True), "unreachable", [], []),
    (seen((["base"], [item("a")]), error="no route", unreachable=True), "unreachable", ["a"], []),
])
def test_entries(node, status, drift_, mended):
    entry = report.host_report(node)
    assert entry["status"] == status
    assert [found["name"] for found in entry["drift"]] == drift_
    assert [found["name"] for found in entry["mended"]] == mended
    assert entry["message"] == node.error


def test_a_comparison_of_one_role_says_nothing_of_the_others():
    node = seen((["base", "raid"], [item("a"), item("b", "raid")]), (["base"], []))
    entry = report.host_report(node)
    assert entry["status"] == "drift"
    assert [found["name"] for found in entry["drift"]] == ["b"] and [found["name"] for found in entry["mended"]] == ["a"]


def test_another_field_of_a_resource_is_another_difference():
    node = seen((["base"], [item("a")]), (["base"], [item("a", field="version")]))
    entry = report.host_report(node)
    assert [found["field"] for found in entry["mended"]] == ["installed"]
    assert [found["field"] for found in entry["drift"]] == ["version"]


def test_lines():
    entry = {
        "status": "failed", "drift": [item("a")], "mended": [item("b", "raid")], "message": "apt failed\nof two lines", "preflight": [],
        "notes": ["drained"],
    }
    assert report.lines("node", 6, entry) == [
        "node    failed",
        "          ! drained",
        "          + raid: package b",
        "          - base: package a",
        "          ! apt failed",
        "          ! of two lines",
    ]


def test_lines_of_problems():
    """A message of a node that was not compared has them already."""
    entry = {"status": "drift", "drift": [item("a")], "mended": [], "message": "", "preflight": [{"message": "no space"}, {"message": "old"}], "notes": []}
    assert report.lines("node", 4, entry)[1:] == ["        ! no space", "        ! old", "        - base: package a"]
    assert report.lines("node", 4, {**entry, "drift": [], "message": "- no space"})[1:] == ["        ! - no space"]


@pytest.mark.parametrize("status", ["in_state", "converged", "drift", "failed", "unreachable"])
def test_every_status_has_words_and_a_colour(status):
    entry = report.host_report(seen())
    assert report.lines("n", 1, {**entry, "status": status}) == [f"n  {report.WORDS[status]}"]
    assert status in report.COLOURS


@pytest.mark.parametrize(("result", "error"), [
    ({"msg": " no space \n"}, "no space"),
    ({}, "a task failed without a message"),
    ({"msg": "One or more items failed", "results": [{"msg": "a"}, {"failed": True, "msg": "b"}, {"failed": True, "msg": "c"}]}, "b\nc"),
    ({"msg": "x", "results": []}, "x"),
    ({"msg": 5}, "5"),
])
def test_errors(result, error):
    assert report.error_of(result) == error


# Real runs


@RUNS
def test_a_run_with_a_node_of_each_status(tmp_path):
    wanted = {"directories": [{"path": "{{ wanted }}", "owner": str(os.getuid()), "group": str(os.getgid())}]}
    tasks = [
        drift(state=wanted),
        {
            "when": "mend is defined",
            "block": [{"ansible.builtin.command": "false", "when": "mend == 'rescue'"}],
            "rescue": [{"ansible.builtin.debug": {"msg": "rescued"}}],
        },
        {
            "when": "inventory_hostname == 'fails'",
            "block": [{"ansible.builtin.command": "no-such-program"}],
            "always": [{"ansible.builtin.debug": {"msg": "tidied up"}}],
        },
        {"ansible.builtin.file": {"path": "{{ wanted }}", "state": "directory", "mode": "{{ mode | default('0755') }}"}, "when": "mend is defined"},
        # By its short name.
        {"drift": {"state": wanted, "fail_on_drift": True}},
    ]
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "there").chmod(0o755)
    hosts = {
        "fine": f"{LOCAL} wanted={tmp_path}/there",
        "mends": f"{LOCAL} wanted={tmp_path}/made mend=now",
        "rescues": f"{LOCAL} wanted={tmp_path}/there mend=rescue",
        "differs": f"{LOCAL} wanted={tmp_path}/nowhere",
        "rescues-and-differs": f"{LOCAL} wanted={tmp_path}/here mend=rescue mode=0700",
        "fails": f"{LOCAL} wanted={tmp_path}/nowhere",
    }
    if shutil.which("ssh"):
        hosts["away"] = UNREACHABLE + " wanted=/"
    playbook = Playbook(tmp_path, hosts, tasks, collections=["onecc.cluster"])
    done = playbook.run()
    found = playbook.hosts()
    assert {host: entry["status"] for host, entry in found.items()} == {
        "fine": "in_state", "mends": "converged", "rescues": "in_state", "differs": "drift",
        "rescues-and-differs": "drift", "fails": "failed",
        **({"away": "unreachable"} if "away" in hosts else {}),
    }, done.stdout
    assert done.returncode == (4 if "away" in hosts else 2)
    assert found["mends"]["mended"][0]["name"] == f"{tmp_path}/made" and found["mends"]["drift"] == []
    assert found["differs"]["drift"][0]["message"] == f"directory {tmp_path}/nowhere does not exist"
    assert "Error executing command" in found["fails"]["message"] and found["fails"]["drift"]
    if "away" in hosts:
        assert found["away"]["drift"] == [] and "127.0.0.1" in found["away"]["message"]
    whole = json.loads(playbook.report.read_text())
    assert (whole["schema"], whole["playbook"]) == (2, "play.yml")
    table = done.stdout.partition("DECLARED STATE")[2]
    assert [line.split()[0] for line in table.splitlines() if line and not line.startswith((" ", "*"))] == sorted(hosts)
    assert "brought to state" in table and "in state" in table


@RUNS
def test_a_run_with_problems(tmp_path):
    """In front of one node's Python stands what answers for a preflight that found something."""
    problem = {"field": "clock", "is": 200, "should": 0, "message": "the clock is wrong"}
    (tmp_path / "python").write_text(
        f"#!/bin/sh\necho '{probe.PREFLIGHT_MARK}{json.dumps([problem])}'\n"
        f'/usr/bin/python3 "$@" | sed "/^{probe.PREFLIGHT_MARK}/d"\n'
    )
    (tmp_path / "python").chmod(0o755)
    late = f"{LOCAL} ansible_python_interpreter={tmp_path}/python"
    hosts = {"fine": f"{late} wanted=/", "differs": f"{late} wanted=/no/such/directory"}
    changes = {"ansible.builtin.command": f"touch {tmp_path}/{{{{ inventory_hostname }}}}"}
    playbook = Playbook(tmp_path, hosts, [drift(state={"directories": [{"path": "{{ wanted }}"}]}, preflight=True), changes])
    done = playbook.run()
    assert done.returncode == 2
    found = playbook.hosts()
    assert {host: entry["status"] for host, entry in found.items()} == {"fine": "in_state", "differs": "drift"}
    assert [entry["preflight"] for entry in found.values()] == [[problem]] * 2
    assert (tmp_path / "fine").exists() and not (tmp_path / "differs").exists()
    assert done.stdout.partition("DECLARED STATE")[2].count("! the clock is wrong") == 2


@RUNS
def test_a_playbook_without_a_comparison_has_no_report(tmp_path):
    playbook = Playbook(tmp_path, {"node": LOCAL}, [{"ansible.builtin.debug": {"msg": "x"}}])
    playbook.report.write_text("of an earlier run")
    done = playbook.run()
    assert done.returncode == 0
    assert "DECLARED STATE" not in done.stdout and not playbook.report.exists()


@RUNS
def test_an_error_that_is_ignored_is_none(tmp_path):
    tasks = [{"ansible.builtin.fail": {"msg": "x"}, "ignore_errors": True}, drift(state={})]
    playbook = Playbook(tmp_path, {"node": LOCAL}, tasks)
    assert playbook.run().returncode == 0
    assert playbook.hosts()["node"]["status"] == "in_state"


@RUNS
def test_the_last_notes_of_a_playbook(tmp_path):
    def note(*lines: str, **more: str) -> dict:
        return {"ansible.builtin.set_fact": {"onecc_report_notes": list(lines)}, **more}

    tasks = [note("left", "drained"), note(when="inventory_hostname == 'done'"), drift(state={})]
    playbook = Playbook(tmp_path, {"done": LOCAL, "left": LOCAL}, tasks)
    done = playbook.run()
    assert {host: entry["notes"] for host, entry in playbook.hosts().items()} == {"done": [], "left": ["left", "drained"]}
    assert done.stdout.partition("DECLARED STATE")[2].count("! ") == 2


# What a node wrote on purpose


def test_a_node_that_cannot_be_shown_costs_the_others_nothing():
    bad = seen((["base"], [{"role": "base", "kind": [], "name": {}, "field": None}]))
    entry = report.shown("bad", bad)
    assert entry["status"] == "failed" and "cannot be shown" in entry["message"]
    assert report.shown("good", seen((["base"], [item("a")])))["status"] == "drift"


def test_half_a_surrogate_is_no_way_out():
    odd = seen((["base"], [{**item("a"), "message": "\udc80"}]))
    assert report.shown("odd", odd)["status"] == "drift"
    assert "\n".join(report.lines("odd", 3, report.shown("odd", odd))).encode()


def test_lines_are_one_line_each_and_act_on_no_terminal():
    entry = {
        "status": "drift", "drift": [{**item("a"), "message": "x\nnode1  in state\x1b[8m"}], "mended": [], "message": "", "preflight": [],
        "notes": ["a\x1b]0;owned\x07"],
    }
    rows = report.lines("node", 4, entry)
    assert len(rows) == 3 and all(row.isprintable() for row in rows)


def test_the_report_is_linear_in_what_a_node_says():
    """A hundred thousand differences took minutes where each was looked for in a list."""
    many = [item(f"p{number}") for number in range(100_000)]
    entry = report.host_report(seen((["base"], many), (["base"], many[::2])))
    assert len(entry["mended"]) == len(entry["drift"]) == 50_000


@pytest.mark.parametrize(("notes", "lines"), [("drained", ["drained"]), (["a", "b"], ["a", "b"]), (3, ["3"]), ([], [])])
def test_notes(notes, lines):
    assert report.noted(notes) == lines


@RUNS
@pytest.mark.parametrize("playbook", ["site", "verify", "update"])
@pytest.mark.parametrize("mismatch", ["warning", "error"])
def test_no_node_is_no_success(tmp_path, monkeypatch, playbook, mismatch):
    monkeypatch.setenv("ANSIBLE_HOST_PATTERN_MISMATCH", mismatch)
    run = Playbook(tmp_path, {}, [])
    (tmp_path / "hosts").write_text("[all:vars]\nonecc_no_nodes='No node has the cluster id abc.'\n")
    done = run.run(playbook=f"onecc.cluster.{playbook}")
    assert done.returncode == 2, done.stdout + done.stderr
    written = json.loads(run.report.read_text())
    assert written["hosts"] == {} and written["message"].endswith("No node has the cluster id abc.")
    assert "No node has the cluster id abc." in done.stdout


@RUNS
def test_a_limit_that_leaves_no_node_is_no_success(tmp_path):
    run = Playbook(tmp_path, {"[onecc]\nnode": LOCAL, "[other]\nelse": LOCAL}, [])
    done = run.run("--limit", "else", playbook="onecc.cluster.verify")
    assert done.returncode == report.NOBODY, done.stdout + done.stderr
    assert "--limit" in json.loads(run.report.read_text())["message"]


@RUNS
def test_a_report_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    run = Playbook(tmp_path, {"node": LOCAL}, [drift(state={})])
    run.report = tmp_path / "no" / "folder" / "report.json"
    done = run.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cannot be written" in done.stdout + done.stderr
