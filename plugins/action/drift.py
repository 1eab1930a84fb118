# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration, _payload

display = Display()

ARGUMENTS = {
    "roles": {"type": "list", "elements": "str"},
    "state": {"type": "dict"},
    "required": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Compares a node with its declared state in one round trip. Documented in plugins/modules/drift.py."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        try:
            arguments = _declaration.validate(ARGUMENTS, self._task.args, "drift")
            states = self.states(arguments, variables)
            found = self.ask(states, variables)
        except _declaration.DeclarationError as error:
            return {**result, "failed": True, "msg": error.message}
        return {**result, **summary(states, found, arguments["required"], bool(self._task.diff))}

    def states(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, dict[str, list[dict]]]:
        """The declared states by role; that of the option `state` stands under the name "state"."""
        if arguments["state"] is not None and arguments["roles"] is not None:
            raise _declaration.DeclarationError("drift: it takes roles or state, not both.")
        if arguments["state"] is not None:
            return {"state": _declaration.complete(arguments["state"], self._templar)}
        roles = arguments["roles"] if arguments["roles"] is not None else _declaration.DEFAULT_ROLES
        return {
            _declaration.role_folder(role).name: _declaration.role_state(role, self._templar, self._loader, variables)
            for role in roles
        }

    def ask(self, states: dict, variables: dict[str, Any]) -> dict[str, list[dict]]:
        """Sends the checker over the play's own connection, and returns its differences by role."""
        if not self._connection.has_pipelining:
            raise AnsibleError(f"drift sends its checker on standard input, which {self._connection.transport} cannot do.")
        python = self._templar.template(variables.get("ansible_python_interpreter", "auto"))
        if python.startswith("auto"):
            python = "/usr/bin/python3"
        to_check = {role: _declaration.to_check(state) for role, state in states.items()}
        command = _payload.COMMAND.format(python=python)
        done = self._low_level_execute_command(command, in_data=_payload.program(to_check))
        found = _payload.answer(done["stdout"])
        if found is None:
            said = (done["stderr"] or done["stdout"]).strip() or "nothing"
            raise AnsibleError(f"The check did not run on the node (exit status {done['rc']}). It said: {said}")
        return found


def summary(states: dict, found: dict[str, list[dict]], required: bool, with_diff: bool) -> dict[str, Any]:
    """The task's result: for programs the differences and what to apply, for people one line a difference."""
    drift = [{"role": role, **item} for role, items in found.items() for item in items]
    lines = [f"{item['role']}: {item['message']}" for item in drift]
    count = len({(item["role"], item["kind"], item["name"]) for item in drift})
    result: dict[str, Any] = {
        "changed": False,
        "schema": 1,
        "drift": drift,
        "compared": list(found),
        "roles": [role for role, items in found.items() if items],
        "msg": "\n".join([f"{count} resource{'s differ' if count > 1 else ' differs'} from the declared state:", *lines])
        if drift else "In the declared state.",
    }
    if required:
        result["failed"] = bool(drift)
    else:
        result["apply"] = {role: _declaration.to_apply(states[role], items) for role, items in found.items() if items}
    if drift and with_diff:
        result["diff"] = [{"prepared": "".join(f"- {line}\n" for line in lines)}]
    return result
