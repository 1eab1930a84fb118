# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Users: gives and takes access."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, durable, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import mended
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


class Access:
    """The steps by which a user gets or loses access; each may be cut, and is taken again by the next run."""

    def __init__(self, hand: Hand, machine: Machine) -> None:
        self.hand = hand
        self.machine = machine
        self.user = hand.params
        self.account = accounts.account(machine, hand.params["name"])

    def command(self, *argv: str) -> None:
        rc, stdout, stderr = self.hand.run_command(list(argv))
        if rc:
            self.hand.fail_json(msg=f"user {self.user['name']}: {' '.join(argv)} failed: {(stderr or stdout).strip()}")

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


def converge(hand: Hand) -> dict:
    """Mends what differs, and returns the module's result."""
    machine = Machine()
    differences = list(accounts.check(machine, hand.params))
    if refused := [item["message"] for item in differences if item["remedy"] == "manual"]:
        hand.fail_json(msg="\n".join(refused), differences=differences)
    if differences and not hand.check_mode:
        access = Access(hand, machine)
        if hand.params["access"]:
            access.give()
        else:
            access.take()
        # A home that its user opened to others, and the like: it must not end a run, for that is in the user's hands.
        left = list(accounts.check(machine, hand.params))
        for item in left:
            hand.warn(item["message"])
        return mended([item for item in differences if item not in left])
    return mended(differences)


def apply(hand: Hand, resources: list[dict], state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Gives the declared users their access, and takes it from those who are no longer declared."""
    machine = Machine()
    nobody = {field: option.get("default") for field, option in specs.USER.items()} | {"access": False}
    others = [{**nobody, "name": name} for name in sorted(accounts.managed(machine) - {user["name"] for user in state["users"]})]
    users = [*resources, *(user for user in others if any(item["remedy"] == "apply" for item in accounts.check(machine, user)))]
    return [converge(hand.holding(user))["diff"] for user in users]
