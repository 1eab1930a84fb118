# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Applies what differs of some roles, kind after kind, by the code of each kind. Runs in one session, and prints what it did."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType
from typing import Any

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import ChangeFailed, Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import checker, durable
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import ORDER
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

CHANGE = __name__.rpartition(".")[0]
# What stands before the outcome, whatever a login shell, a sudo lecture or a wrapper printed.
MARK = "onecc.cluster converge "


def answer(states: dict[str, dict[str, list[dict]]], check_mode: bool) -> None:
    """Changes the node, or in check mode says what it would do, and prints the outcome."""
    sys.stdout.write(MARK + json.dumps(converge(Hand(check_mode), states)) + "\n")


def converge(hand: Hand, states: dict[str, dict[str, list[dict]]]) -> dict[str, Any]:
    """Changes the node role after role. The first failure ends it, so that nothing is built on what is not there.

    Returns, by role, the differences that were there and those that were taken away (`done`), diffs, warnings, and why it failed.
    """
    outcome: dict[str, Any] = {"before": {}, "done": {}, "diff": [], "warnings": hand.warnings, "failed": ""}
    for role, state in states.items():
        change = RoleChange(hand, {kind: state[kind] for kind in ORDER if kind in state})
        try:
            change.run()
        except ChangeFailed as error:
            outcome["failed"] = f"{role}: {error}"
        outcome["before"][role], outcome["done"][role] = change.before, change.done
        outcome["diff"] += change.diff
        if outcome["failed"]:
            break
    return outcome


class RoleChange:
    """The change of a node to the declared state of one role."""

    def __init__(self, hand: Hand, state: dict[str, list[dict]]) -> None:
        self.hand = hand
        self.state = state
        self.before = self.differences = checker.check(Machine(), state)
        self.done: list[dict] = []
        self.diff: list[dict] = []

    def run(self) -> None:
        """Looks first whether all of it can be done. Raises ChangeFailed."""
        changers = {kind: _changer(kind) for kind in self.state}
        prepared = {
            kind: changer.prepare(self.hand, self.differing(kind), self.state) for kind, changer in changers.items()
            if hasattr(changer, "prepare") and self.differs(kind)
        }
        for kind, changer in changers.items():
            if self.done:  # by now it may be in state, or no longer
                self.differences = [item for item in self.differences if item["kind"] != kind] + self.compared(kind)
            if changer and self.differs(kind):
                self.apply(kind, changer, prepared.get(kind))

    def apply(self, kind: str, changer: ModuleType, prepared: Any) -> None:
        with durable.turn(self.hand, kind):
            self.diff += changer.apply(self.hand, self.differing(kind), self.state, prepared)
        self.done += [item for item in self.differences if item["kind"] == kind and item["remedy"] == "apply"]

    def compared(self, kind: str) -> list[dict]:
        """The differences of a kind as they are now. Directories are looked at too, in which root's files may lie."""
        state = {each: self.state[each] for each in ("directories", kind) if each in self.state}
        return [item for item in checker.check(Machine(), state) if item["kind"] == kind]

    def differs(self, kind: str) -> bool:
        return any(item["kind"] == kind and item["remedy"] == "apply" for item in self.differences)

    def differing(self, kind: str) -> list[dict]:
        """The resources of a kind in which something differs that can be applied."""
        names = {item["name"] for item in self.differences if item["kind"] == kind and item["remedy"] == "apply"}
        return [item for item in self.state[kind] if (item.get("name") or item.get("path")) in names]


def _changer(kind: str) -> ModuleType | None:
    """The module that changes a kind; None where it is only compared."""
    name = f"{CHANGE}.{kind}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
