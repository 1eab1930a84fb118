# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: update_plan
short_description: The settings of an update, and the batches in which it goes through the nodes
version_added: 0.1.0
description:
  - Checks the variables C(onecc_update_…) of the host for which it is looked up, and that there is none of another name;
    completes them; and puts nodes into batches.
  - The playbook C(update.yml) uses it, once before it compares a node and once after.
options:
  differing:
    description: Nodes that differ from their declared state, which are put into batches.
    type: list
    elements: str
    default: []
author:
  - The onecc.cluster developers (@onecc)
"""

EXAMPLES = r"""
- name: In which order would the nodes be updated?
  ansible.builtin.debug:
    msg: "{{ lookup('onecc.cluster.update_plan', differing=ansible_play_hosts).batches }}"
  run_once: true
"""

RETURN = r"""
_raw:
  description:
    - "One dictionary: C(wrong), what is wrong with the variables, else empty; the settings without C(onecc_update_) before their
      names; C(batches), lists of names in the order in which their turn comes; C(canaries), the names that come first; and
      C(said), lines that say all this."
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration, _update


class LookupModule(LookupBase):
    """Hands the variables to `_update`."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        ours = [name for name in known if name.startswith(_update.PREFIX)]
        given = {name: self._templar.template(known[name]) for name in ours}
        differing = self.get_option("differing")
        try:
            _declaration.see_no_facts(ours, known, "update")
            settings = _update.settings(given, known["ansible_play_hosts_all"])
            if differing:
                self.see_canaries(settings["canary"], differing, known["hostvars"])
        except _declaration.DeclarationError as error:
            return [{"wrong": error.message}]
        return [{"wrong": "", **settings, **_update.plan(settings, differing, known["ansible_play_hosts_all"], known["groups"])}]

    def see_canaries(self, canary: int | list[str], differing: list[str], variables: Any) -> None:
        """A node that was not reached, or that failed the preflight, is no longer in the play; nor is one in state."""
        absent = [name for name in canary if name not in differing] if isinstance(canary, list) else []
        lost = [name for name in absent if variables[name].get("onecc_drift", {}).get("drift") != []]
        if lost:
            raise _declaration.DeclarationError(
                f"update: {_update.PREFIX}canary names {', '.join(lost)}, which failed or was not reached. Nothing is begun without "
                "it: mend that, or name another one."
            )
