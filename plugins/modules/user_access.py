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
from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, durable, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import mended
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


class Access:
    """The steps by which a user gets or loses access; each may be cut, and is taken again by the next run."""

    def __init__(self, module: AnsibleModule, machine: Machine) -> None:
        self.module = module
        self.machine = machine
        self.user = module.params
        self.account = accounts.account(machine, module.params["name"])

    def command(self, *argv: str) -> None:
        rc, stdout, stderr = self.module.run_command(list(argv))
        if rc:
            self.module.fail_json(msg=f"user {self.user['name']}: {' '.join(argv)} failed: {(stderr or stdout).strip()}")

    def give(self) -> None:
        name = self.user["name"]
        if not self.account:
            self.command("groupadd", "--force", "--system", accounts.GROUP)
            groups = ",".join([accounts.GROUP, *self.user["groups"]])
            shell = self.user["shell"] or accounts.SHELL
            self.command("useradd", "--create-home", "--uid", str(self.user["uid"]), "--shell", shell, "--groups", groups, "--", name)
        else:
            self.change(self.account)
        self.write(f"{accounts.KEYS}/{name}", accounts.keys_text(self.user), accounts.KEYS_MODE)
        self.write(self.sudoers, accounts.sudoers_text(self.user), accounts.SUDOERS_MODE)

    def change(self, account: accounts.Account) -> None:
        name, changes = self.user["name"], []
        if account.expired:
            changes += ["--expiredate", ""]
        if self.user["shell"] not in (None, account.shell):
            changes += ["--shell", self.user["shell"]]
        if missing := sorted(set(self.user["groups"]) - account.groups - {account.group}):
            changes += ["--append", "--groups", ",".join(missing)]
        if changes:
            self.command("usermod", *changes, "--", name)
        if accounts.homeless(self.machine, account):
            self.command("mkhomedir_helper", name)  # of libpam-modules-bin; as useradd makes it, and only where nothing is

    def take(self) -> None:
        """The account first: whoever gets in by a key of their own is out with it."""
        if self.account and accounts.GROUP in self.account.groups:
            self.command("usermod", "--expiredate", accounts.EXPIRED, "--", self.user["name"])
        self.write(f"{accounts.KEYS}/{self.user['name']}", None, 0)
        self.write(self.sudoers, None, 0)

    @property
    def sudoers(self) -> str:
        return f"{accounts.SUDOERS}/{accounts.GROUP}-{self.user['name']}"

    def write(self, path: str, text: str | None, mode: int) -> None:
        """The file with that text, or no file."""
        if text:
            durable.put(path, text, durable.Access(0, 0, mode))
        else:
            durable.remove(path)


def converge(module: AnsibleModule) -> dict:
    """Mends what differs, and returns the module's result."""
    machine = Machine()
    differences = list(accounts.check(machine, module.params))
    if refused := [item["message"] for item in differences if item.get("refused")]:
        module.fail_json(msg="\n".join(refused), differences=differences)
    if differences and not module.check_mode:
        access = Access(module, machine)
        if module.params["access"]:
            access.give()
        else:
            access.take()
        # A home that its user opened to others, and the like: it must not end a run, for that is in the user's hands.
        left = list(accounts.check(machine, module.params))
        for item in left:
            module.warn(item["message"])
        return mended([item for item in differences if item not in left])
    return mended(differences)


def main() -> None:
    module = AnsibleModule(argument_spec=specs.USER, supports_check_mode=True)
    if wrong := accounts.invalid(module.params):
        module.fail_json(msg=wrong)
    with durable.turn(module, "user_access"):
        module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
