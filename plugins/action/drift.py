# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration
from ansible_collections.onecc.cluster.plugins.plugin_utils._state_action import OPTIONS, SCHEMA, StateAction, flat

ARGUMENTS = {
    **OPTIONS,
    "fail_on_drift": {"type": "bool", "default": False},
    "preflight": {"type": "bool", "default": False},
}


class ActionModule(StateAction):
    """Compares a node with its declared state in one round trip. Documented in plugins/modules/drift.py."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        try:
            arguments = _declaration.validate(ARGUMENTS, self._task.args, "drift")
            states = self.states(arguments, variables)
            found, problems = self.ask(states, variables, arguments["preflight"])
        except _declaration.DeclarationError as error:
            return {**result, "failed": True, "msg": error.message}
        said = {} if found is None else summary(found, arguments["fail_on_drift"], bool(self._task.diff))
        return {**result, **(preflight(said, problems) if found is None or arguments["preflight"] else said)}


def preflight(result: dict[str, Any], problems: list[dict]) -> dict[str, Any]:
    """The task's result with the problems, which fail a node that there is something to change on, or nothing known of."""
    compared = "drift" in result
    if not problems or compared and not result["drift"]:
        return {**result, "preflight": problems}
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    lines = [f"The node was left as it is, because of {count}:", *(f"- {item['message']}." for item in problems)]
    message = "\n".join([*lines, result["msg"]] if compared else lines)
    return {"changed": False, "schema": SCHEMA, **result, "preflight": problems, "failed": True, "msg": message}


def summary(found: dict[str, list[dict]], fail_on_drift: bool, with_diff: bool) -> dict[str, Any]:
    """The task's result: for programs the differences, for people one line a difference."""
    drift = flat(found)
    lines = [f"{item['role']}: {item['message']}" for item in drift]
    count = len({(item["role"], item["kind"], item["name"]) for item in drift})
    result: dict[str, Any] = {
        "changed": False,
        "schema": SCHEMA,
        "drift": drift,
        "compared": list(found),
        "roles": [role for role, items in found.items() if items],
        "msg": "\n".join([f"{count} resource{'s differ' if count > 1 else ' differs'} from the declared state:", *lines])
        if drift else "In the declared state.",
    }
    if fail_on_drift:
        result["failed"] = bool(drift)
    if drift and with_diff:
        result["diff"] = [{"prepared": "".join(f"- {line}\n" for line in lines)}]
    return result
