# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""What tasks have in common that send a declared state to a node, over the play's own connection."""

from __future__ import annotations

import re
import time
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.onecc.cluster.plugins.plugin_utils import _answers, _declaration, _payload

OPTIONS = {"roles": {"type": "list", "elements": "str"}, "state": {"type": "dict"}}
"""How a task names a declared state (doc_fragments/_state.py)."""
SCHEMA = 2
"""Number of the form of the results. It grows when a program that reads them must change."""

# How sudo (its messages in src/parse_args.c, plugins/sudoers/{check,logging}.c), the shell that does not find it, and su say
# that the user does not become root; and what a connection of Ansible makes of the first of them (ssh.py, local.py).
NOT_ROOT = re.compile(
    r"password is required|terminal is required|not in the sudoers|not allowed to (execute|run)|may not run|"
    r"no new privileges|(sudo|su|doas): (command )?not found|su: (Permission denied|Authentication failure)|"
    r"Missing \w+ password"
)


class StateAction(ActionBase):
    """A task about the declared states of some roles, or about one that is given inline."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def states(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, dict[str, list[dict]]]:
        """The declared states by role; that of the option `state` stands under the name "state"."""
        if arguments["state"] is not None and arguments["roles"] is not None:
            raise _declaration.DeclarationError(f"{self._task.action}: it takes roles or state, not both.")
        if arguments["state"] is not None:
            return {"state": _declaration.complete(arguments["state"])}
        roles = arguments["roles"] if arguments["roles"] is not None else self.chosen(variables)
        return {
            _declaration.label(role): _declaration.role_state(role, self._templar, self._loader, variables)
            for role in roles
        }

    def chosen(self, variables: dict[str, Any]) -> list[str]:
        """The roles that `onecc_roles` chooses. Read here, and not by a template in each play, which each host would compile."""
        if "onecc_roles" not in variables:
            return list(_declaration.DEFAULT_ROLES)
        _declaration.see_no_facts(["onecc_roles"], variables, "drift")
        spec = {"onecc_roles": {"type": "list", "elements": "str", "required": True}}
        given = {"onecc_roles": self._templar.template(variables["onecc_roles"])}
        return _declaration.validate(spec, given, "drift")["onecc_roles"]

    def ask(
        self, states: dict, variables: dict[str, Any], preflight: bool = False
    ) -> tuple[dict[str, list[dict]] | None, list[dict]]:
        """Asks the checker on the node over the play's own connection, and returns its differences by role and the problems it met.

        There are problems and no differences where the checker could not run on the node.
        """
        to_check = {role: _declaration.to_check(state) for role, state in states.items()}
        command = _payload.COMMAND.format(python=self.python(variables))
        asked = _payload.request(to_check, time.time() if preflight else None)
        try:
            done = self._low_level_execute_command(command, in_data=asked)
            if _payload.wanted(done["stdout"]):
                done = self._low_level_execute_command(command, in_data=_payload.with_checker(asked))
        except AnsibleError as error:
            if NOT_ROOT.search(error.message):
                return None, [self.not_root(error.message)]
            raise
        try:
            found, problems = _payload.answer(done["stdout"], states), _payload.problems(done["stdout"]) or []
        except _answers.NotAnAnswer as error:
            raise AnsibleError(
                f"The node did not answer as its checker does: {error}. Nothing of it was believed. See on the node who answers in its place, "
                "or run again."
            ) from None
        if found is not None or problems:
            return found, problems
        said = (done["stderr"] or done["stdout"])[: _answers.TEXT]
        if self._connection.become and NOT_ROOT.search(said):
            return None, [self.not_root(said)]
        raise AnsibleError(f"The check did not run on the node (exit status {done['rc']}). It said: {_answers.said(said)}")

    def python(self, variables: dict[str, Any]) -> str:
        """The node's Python. It is not searched for, which would take a session of its own."""
        if not self._connection.has_pipelining:
            raise AnsibleError(f"{self._task.action} sends its code on standard input, which {self._connection.transport} cannot do.")
        python = self._templar.template(variables.get("ansible_python_interpreter", "auto"))
        return "/usr/bin/python3" if python.startswith("auto") else python

    def not_root(self, said: str) -> dict[str, Any]:
        """The problem of a node on which the user does not become root, with the line that says so."""
        line = _answers.said(next((line for line in said.splitlines() if NOT_ROOT.search(line)), said))
        user = self._get_remote_user() or "that logs in"
        message = (
            f"the user {user} has no root rights there ({line}). On Managed Slurm and Managed Kubernetes clusters users have "
            "none, and Lambda keeps the nodes. Elsewhere allow the user sudo without a password, or give it with --ask-become-pass"
        )
        return {"field": "rights", "is": user, "should": "root", "message": message}


def flat(differences: dict[str, list[dict]]) -> list[dict]:
    """Differences by role as one list, each with its role."""
    return [{"role": role, **item} for role, items in differences.items() for item in items]
