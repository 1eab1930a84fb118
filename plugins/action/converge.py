# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.onecc.cluster.plugins.plugin_utils import _answers, _declaration, _payload
from ansible_collections.onecc.cluster.plugins.plugin_utils._state_action import OPTIONS, SCHEMA, StateAction, flat

ARGUMENTS = {
    **OPTIONS,
    "fail_on_drift": {"type": "bool", "default": True},
}


# Ansible imports this in its main process, before it forks a worker a host: made here, it is made once.
_payload.changer()


class ActionModule(StateAction):
    """Changes a node to its declared state in one session, and compares it again. Documented in plugins/modules/converge.py."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        try:
            arguments = _declaration.validate(ARGUMENTS, self._task.args, "converge")
            states = self.states(arguments, variables)
            outcome = self.change(states, variables)
            after, problems = ({}, []) if self._task.check_mode else self.ask(states, variables)
        except _declaration.DeclarationError as error:
            return {**result, "failed": True, "msg": error.message}
        if after is None:  # what was changed is known, and what differs now is not
            raise AnsibleError(f"The node was changed, and could not be compared again: {'; '.join(item['message'] for item in problems)}")
        for line in outcome["warnings"]:
            self._display.warning(f"{variables.get('inventory_hostname')}: {line}")
        return {**result, **summary(outcome, after, arguments["fail_on_drift"], bool(self._task.diff))}

    def change(self, states: dict[str, dict[str, list[dict]]], variables: dict[str, Any]) -> dict[str, Any]:
        """Changes the node, in check mode not. Returns what it did (_payload.outcome)."""
        command = _payload.CHANGE_COMMAND.format(python=self.python(variables))
        done = self._low_level_execute_command(command, in_data=_payload.change_request(states, self._task.check_mode))
        try:
            outcome = _payload.outcome(done["stdout"], states)
        except _answers.NotAnAnswer as error:
            raise AnsibleError(f"The node did not answer as what changes it does: {error}. Nothing of it was believed; compare it.") from None
        if outcome is not None:
            return outcome
        problems = _payload.problems(done["stdout"]) or []
        said = "; ".join(item["message"] for item in problems) or _answers.said(done["stderr"] or done["stdout"])
        raise AnsibleError(f"The change ended before its end (exit status {done['rc']}). It said: {said}")


def summary(outcome: dict[str, Any], after: dict[str, list[dict]], fail_on_drift: bool, with_diff: bool) -> dict[str, Any]:
    """The task's result: what differed, what was taken away of it, and what differs now; in check mode what would be."""
    drift = flat(after)
    result: dict[str, Any] = {
        "changed": any(outcome["done"].values()),
        "schema": SCHEMA,
        "before": flat(outcome["before"]),
        "done": flat(outcome["done"]),
        "drift": drift,
        "compared": list(after),
        "error": outcome["failed"],
        "msg": message(outcome, drift),
        "failed": bool(outcome["failed"] or (fail_on_drift and drift)),
    }
    if with_diff and outcome["diff"]:
        result["diff"] = outcome["diff"]
    return result


def message(outcome: dict[str, Any], drift: list[dict]) -> str:
    """What failed and why, then what was done before that, then what still differs; or that all is well."""
    lines = [outcome["failed"]] if outcome["failed"] else []
    if done := flat(outcome["done"]) if outcome["failed"] else []:
        lines += ["Done before that:", *(f"- {item['role']}: {item['message']}" for item in done)]
    if drift:
        lines += ["Still differs:", *(f"- {item['role']}: {item['message']}{_REMEDIES[item['remedy']]}" for item in drift)]
    return "\n".join(lines or ["In the declared state."])


# What a person has to do about what still differs.
_REMEDIES = {"apply": " (the next run applies it)", "reboot": " (a reboot takes it away)", "manual": ""}
