#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: user_access
short_description: Gives a user access to a node, or takes it away
version_added: 0.1.0
description:
  - Makes the account where it is missing, and keeps its shell, groups, keys and right to become root.
  - Keys are in a file of root's, C(/etc/ssh/onecc/NAME). sshd reads it where C(AuthorizedKeysFile) names it, as the role
    P(onecc.cluster.base#role) has it. C(~/.ssh) is never touched.
  - Without O(access), takes away the keys and rights that this module gave, and lets an account that it made expire. Files,
    running processes and accounts that were there before stay.
  - The key by which the run is connected is never taken away; the module fails instead.
  - What would fail is refused before anything is changed, such as a number that is another account's, a group that the node does not
    have, or a shell that is not installed. What keeps the user from logging in and is not this module's to mend, such as a home that
    others may write to, is a warning; M(onecc.cluster.drift) goes on naming it.
options:
  name:
    description: Name of the account.
    type: str
    required: true
  uid:
    description: Number of the account. Needed where the account is missing, so that it is the same on every node.
    type: int
  shell:
    description: Login shell. Without it an account that is made gets C(/bin/bash), and one that was there keeps its own.
    type: str
  groups:
    description: Groups that the user is in, beside those it is in anyway. They have to exist.
    type: list
    elements: str
    default: []
  sudo:
    description: Whether the user may become root without a password.
    type: bool
    default: false
  keys:
    description: Public keys, each the line of a C(.pub) file, without options. No others are in the user's file of root's.
    type: list
    elements: str
    default: []
  access:
    description: Whether the user has access at all.
    type: bool
    default: true
  authorized_keys_files:
    description: >-
      Where sshd looks for people's own keys, as C(AuthorizedKeysFile) of C(sshd_config) has it. Nothing is changed there; the role
      P(onecc.cluster.base#role) compares it.
    type: list
    elements: str
    default: [.ssh/authorized_keys, .ssh/authorized_keys2]
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Says what it would do.
    support: full
  diff_mode:
    description: Shows what differs, a line each.
    support: full
"""

EXAMPLES = r"""
- name: Let ada in
  onecc.cluster.user_access:
    name: ada
    uid: 2001
    sudo: true
    keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2bAz5lN0nGhYmZqzH8vHc3mUqkz0iZb0m1PqkVt1aB ada@laptop

- name: And out
  onecc.cluster.user_access:
    name: ada
    access: false
"""

RETURN = r"""
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change import users
from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, durable, specs


def main() -> None:
    module = AnsibleModule(argument_spec=specs.USER, supports_check_mode=True)
    if wrong := accounts.invalid(module.params):
        module.fail_json(msg=wrong)
    with durable.turn(module, "user_access"):
        module.exit_json(**users.converge(module))


if __name__ == "__main__":
    main()
