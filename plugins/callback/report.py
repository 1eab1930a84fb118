# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report
type: aggregate
short_description: Says at the end which nodes are in their declared state
version_added: 0.1.0
description:
  - Prints a table at the end of a playbook that uses M(onecc.cluster.drift), a line a node, with what differs below it.
  - Writes the same as JSON where a file is named. Where that cannot be written, the run ends with status 1.
  - "The JSON is C({schema, playbook, message, hosts}). Where no node was looked at, C(hosts) is empty and C(message) says why; the exit
    status is not 0 then. Each host has a C(status): V(in_state), V(converged) (it differed and no longer
    does), V(drift), V(failed) or V(unreachable); C(drift), what differs now; C(mended), what differed before and no longer
    does; C(message), the error of a node that failed or was not reached; C(preflight), what stands in the way of a change
    (O(onecc.cluster.drift#module:preflight)); and C(notes), what the playbook says of the node besides, a list of lines."
  - A playbook says something of a node by the fact C(onecc_report_notes), a list of lines or one of them. The last one that it sets is reported.
requirements:
  - Enabled in the configuration, C(callbacks_enabled = onecc.cluster.report).
options:
  path:
    description:
      - File that the report is written to as JSON. None is written without it.
    type: path
    env:
      - name: ONECC_REPORT
    ini:
      - section: onecc
        key: report
author:
  - The onecc.cluster developers (@onecc)
"""

import json
import pathlib
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.onecc.cluster.plugins.plugin_utils import _ansible, _answers

SCHEMA = 2
PLAYBOOKS = pathlib.Path(__file__).resolve().parents[2] / "playbooks"
COMPARING = ("site", "update", "verify")
NOBODY = 4
"""Exit status of a run that reached no node, as ansible-playbook has it for one that was not reached."""
WORDS = {
    "in_state": "in state",
    "converged": "brought to state",
    "drift": "differs",
    "failed": "failed",
    "unreachable": "not reached",
}
COLOURS = {"in_state": "green", "converged": "yellow", "drift": "red", "failed": "red", "unreachable": "bright red"}


class Seen:
    """What the run said of one node: by role, the first comparison and the last one, notes, and the error that ended it."""

    def __init__(self) -> None:
        self.before: dict[str, list[dict]] = {}
        self.now: dict[str, list[dict]] = {}
        self.preflight: list[dict] = []
        self.notes: list[str] = []
        self.error = ""
        self.unreachable = False

    def compared(self, roles: list[str], drift: list[dict]) -> None:
        """Takes note of a comparison. It may be one of some roles only."""
        for role in roles:
            self.now[role] = []
        for item in drift:
            self.now[item["role"]].append(item)
        for role in roles:
            self.before.setdefault(role, self.now[role])


def host_report(seen: Seen) -> dict[str, Any]:
    """The entry of one node, as the documentation of this plugin describes it."""
    drift = [item for items in seen.now.values() for item in items]
    left = {(item["role"], item["kind"], item["name"], item["field"]) for item in drift}
    before = [item for items in seen.before.values() for item in items]
    mended = [item for item in before if (item["role"], item["kind"], item["name"], item["field"]) not in left]
    if seen.unreachable:
        status = "unreachable"
    elif seen.error:
        status = "failed"
    elif drift:
        status = "drift"
    else:
        status = "converged" if mended else "in_state"
    return {
        "status": status, "drift": drift, "mended": mended, "message": seen.error, "preflight": seen.preflight, "notes": seen.notes,
    }


def lines(name: str, width: int, entry: dict[str, Any]) -> list[str]:
    """A node's part of the table: its status, and below it notes, what stands in the way, what was mended (+) and what differs (-)."""
    said = [("!", note) for note in entry["notes"]]
    # The message of a node that was not compared lists its problems already.
    said += [("!", item["message"]) for item in entry["preflight"] if not entry["message"]]
    said += [("+", f"{item['role']}: {item['message']}") for item in entry["mended"]]
    said += [("-", f"{item['role']}: {item['message']}") for item in entry["drift"]]
    said += [("!", line) for line in entry["message"].splitlines()]
    # Notes and errors of other tasks come from nodes too.
    rows = [f"{'':{width}}    {mark} {_answers.printable(text)}" for mark, text in said]
    return [f"{name:{width}}  {WORDS[entry['status']]}", *rows]


def shown(name: str, node: Seen) -> dict[str, Any]:
    """The entry of one node; that of a node that failed where what it said cannot be shown, which costs the others nothing."""
    try:
        entry = host_report(node)
        json.dumps(lines(name, len(name), entry)).encode()
        json.dumps(entry, allow_nan=False).encode()
    except Exception as error:  # what it is depends on who wrote the answer
        broken = Seen()
        broken.error = f"what this node said cannot be shown ({type(error).__name__}); see the output of the tasks above"
        return host_report(broken)
    return entry


def noted(notes: Any) -> list[str]:
    """What a playbook says of a node, a line each. A text is one line, and not a list of letters."""
    return [str(note) for note in notes] if isinstance(notes, (list, tuple)) else [str(notes)]


def error_of(result: dict[str, Any]) -> str:
    """The error of a failed task, or those of the failed items of a loop."""
    items = [item for item in result.get("results", []) if item.get("failed")]
    return "\n".join(str(item.get("msg", "")) for item in items or [result]).strip() or "a task failed without a message"


class CallbackModule(CallbackBase):
    """Collects the comparisons of each node, and reports at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "onecc.cluster.report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.playbook = ""
        self.compares = False
        self.seen: dict[str, Seen] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        path = _ansible.playbook_path(playbook)
        self.playbook, self.compares = path.name, path.parent == PLAYBOOKS and path.stem in COMPARING
        if path := self.get_option("path"):
            pathlib.Path(path).unlink(missing_ok=True)  # else a run without hosts would leave the report of an earlier one

    def v2_runner_on_ok(self, result: Any) -> None:
        self.compared(result)
        notes = result.result.get("ansible_facts", {}).get("onecc_report_notes")
        if notes is not None:
            self.node(result).notes = noted(notes)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if self.compared(result):
            self.node(result).error = result.result.get("error", "")  # an earlier one was rescued
        elif not ignore_errors:
            self.node(result).error = error_of(result.result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self.node(result).unreachable = True
        self.node(result).error = str(result.result.get("msg", "")).strip()

    def node(self, result: Any) -> Seen:
        return self.seen.setdefault(result.host.get_name(), Seen())

    def compared(self, result: Any) -> bool:
        """Takes note of a comparison; says whether the task was one that got an answer."""
        drift = result.result.get("drift")
        # The action as it was resolved: a playbook may name it without its collection.
        if result.task.resolved_action not in ("onecc.cluster.drift", "onecc.cluster.converge"):
            return False
        if "preflight" in result.result:
            self.node(result).preflight = result.result["preflight"]
        if drift is None:
            return False
        self.node(result).compared(result.result["compared"], drift)
        return True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for name, node in self.seen.items():
            if not (name in stats.failures or name in stats.dark):
                node.error, node.unreachable = "", False  # a block rescued it, or the play ignored it
        report = {
            name: shown(name, node) for name, node in sorted(self.seen.items()) if node.now or node.error or node.unreachable
        }
        message = ""
        if set(report) == {"localhost"} and not self.seen["localhost"].now:
            message = report.pop("localhost")["message"]  # of nodes.yml: there was no node
        elif not report and self.compares:
            message = "No node was looked at: --limit left none of the group onecc."
            self._display.error(message)
        if report or message:
            self.write(report, message)
        if message and not self.seen:
            raise SystemExit(NOBODY)
        if not report:
            return
        width = max(map(len, report))
        self._display.banner("DECLARED STATE")
        for name, entry in report.items():
            for row in lines(name, width, entry):
                self._display.display(row, color=COLOURS[entry["status"]])

    def write(self, report: dict[str, Any], message: str) -> None:
        """Writes the report where a file is named; ends the run with status 1 where that cannot be, since a program waits for it."""
        path = self.get_option("path")
        if not path:
            return
        content = {"schema": SCHEMA, "playbook": self.playbook, "message": message, "hosts": report}
        try:
            pathlib.Path(path).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            self._display.error(f"The report cannot be written to {path}: {error.strerror}. Give another file in ONECC_REPORT.")
            # Ansible takes an error of a callback for a warning, and has settled on its exit status already.
            raise SystemExit(1) from None
