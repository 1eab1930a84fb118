# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""A user's account, keys and rights on a node: what they are, and what they should be.

Keys are in files of root's below /etc/ssh/onecc, which sshd reads beside each user's own. So neither what the cloud put
into ~/.ssh nor a home directory that nodes share is ever written to, and taking a file away takes the access away.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

KEYS = "/etc/ssh/onecc"
SUDOERS = "/etc/sudoers.d"
# What an account that this collection made is recognised by: its membership in this group.
GROUP = "onecc"
# Accounts are made with it, and a declared one that was there before keeps its own.
SHELL = "/bin/bash"
# shadow(5): day 1 after 1970-01-01 is over, and 0 would be ambiguous.
EXPIRED = "1"


def invalid(user: dict) -> str | None:
    """What is wrong with a declared user beyond the types of its fields."""
    for name in (user["name"], *user["groups"]):
        if not re.fullmatch(specs.USER_NAME, name):
            return f"{name!r} is no name of a user or a group; allowed are a-z, 0-9, _ and -, the first a letter or _, up to 32"
    if user["shell"] is not None and not re.fullmatch(specs.PATH[0], user["shell"]):
        return f"shell is {user['shell']!r}; allowed is {specs.PATH[1]}"
    if user["uid"] is not None and not 0 < user["uid"] < 2**32 - 1:
        return f"uid is {user['uid']}; allowed is a number from 1 to {2**32 - 2}"
    for key in user["keys"]:
        if not re.fullmatch(specs.KEY, key):
            return (f"keys has {key[:60]!r}; allowed is a public key as the line of a .pub file: a type, the key, and a comment, "
                    "without options before them")
    return None


class Account:
    """A line of passwd(5), the groups beside the user's own, and whether the account has expired."""

    def __init__(self, uid: int, shell: str, groups: set[str], expired: bool) -> None:
        self.uid = uid
        self.shell = shell
        self.groups = groups
        self.expired = expired


def _fields(machine: Machine, path: str) -> list[list[str]]:
    return [line.split(":") for line in (machine.text(path) or "").splitlines() if line.count(":") >= 3]


def account(machine: Machine, name: str) -> Account | None:
    """The local account of that name."""
    for entry in _fields(machine, "/etc/passwd"):
        if entry[0] == name:
            groups = {group[0] for group in _fields(machine, "/etc/group") if name in group[3].split(",")}
            shadow = next((line for line in _fields(machine, "/etc/shadow") if line[0] == name), [])
            return Account(int(entry[2]), entry[6], groups, shadow[7:8] == [EXPIRED])
    return None


def managed(machine: Machine) -> set[str]:
    """The users to whom this collection gave an access that they still have."""
    members = [group[3].split(",") for group in _fields(machine, "/etc/group") if group[0] == GROUP]
    made = {name for name in sum(members, []) if name and not getattr(account(machine, name), "expired", True)}
    sudoers = {name[len(GROUP) + 1:] for name in machine.names(SUDOERS) if name.startswith(f"{GROUP}-")}
    # What an administrator or an editor put there (README, ada~, .ada.swp) gives nobody access: no user has such a name.
    return made | {name for name in (*machine.names(KEYS), *sudoers) if re.fullmatch(specs.USER_NAME, name)}


def keys_text(user: dict) -> str:
    return "".join(f"{key}\n" for key in user["keys"])


def sudoers_text(user: dict) -> str | None:
    """The user's file for sudo, None where there is to be none."""
    return f"{user['name']} ALL=(ALL:ALL) NOPASSWD: ALL\n" if user["sudo"] else None


def identity(key: str) -> str:
    """What of a line of authorized_keys is the key: its type and its digits, without the comment."""
    return " ".join(key.split()[:2])


def connected(machine: Machine) -> tuple[str, set[str]]:
    """The user and the keys by which the SSH connection was made in which this runs.

    sshd says so in a file that SSH_USER_AUTH names (ExposeAuthInfo in sshd_config(5)), and sudo drops that variable; so the
    processes are gone through from this one to the session.
    """
    pid = os.getpid()
    while pid > 1:
        environment = dict(
            item.partition("=")[::2] for item in (machine.text(f"/proc/{pid}/environ") or "").split("\0")
        )
        if "SSH_USER_AUTH" in environment:
            lines = (machine.text(environment["SSH_USER_AUTH"]) or "").splitlines()
            return environment.get("USER", ""), {identity(line.partition(" ")[2]) for line in lines}
        status = re.search(r"^PPid:\s*(\d+)", machine.text(f"/proc/{pid}/status") or "", re.MULTILINE)
        pid = int(status[1]) if status else 0
    return "", set()


def check(machine: Machine, user: dict) -> Iterator[dict]:
    """How the node differs from one user as declared; `access` false takes away what this collection gave."""
    found = account(machine, user["name"])
    yield from _lost_key(machine, user)
    if user["access"]:
        yield from _account(user, found)
        yield from _files(machine, user)
    else:
        yield from _access(machine, user["name"], found)


def _lost_key(machine: Machine, user: dict) -> Iterator[dict]:
    name, wanted = user["name"], {identity(key) for key in user["keys"]} if user["access"] else set()
    have = {identity(key) for key in (machine.text(f"{KEYS}/{name}") or "").splitlines()}
    if not have - wanted:
        return
    login, used = connected(machine)
    if login == name and used & have - wanted:
        yield difference(
            name, "keys", sorted(used & have), sorted(wanted),
            f"user {name}: this very run is connected by a key that is no longer declared, and taking it away could lock you "
            "out. Connect by another user or key to remove it, or declare it again", refused=True,
        )


def _account(user: dict, found: Account | None) -> Iterator[dict]:
    name = user["name"]
    if not found:
        if user["uid"] is None:
            yield difference(
                name, "uid", None, None, f"user {name}: there is no such account, and none is made without a declared uid: on "
                "every node the same number has to own its files. Declare one, from 1000 on", refused=True,
            )
        else:
            yield difference(name, "exists", False, True, f"user {name} does not exist")
        return
    if user["uid"] not in (None, found.uid):
        yield difference(
            name, "uid", found.uid, user["uid"], f"user {name}: the uid is {found.uid}, declared is {user['uid']}. It stays, for the "
            "user's files would belong to nobody: declare that uid, or move the files and the account yourself", refused=True,
        )
    if found.expired:
        yield difference(name, "expired", True, False, f"user {name}: the account has expired")
    if user["shell"] not in (None, found.shell):
        yield difference(name, "shell", found.shell, user["shell"], f"user {name}: the shell is {found.shell}, declared is {user['shell']}")
    if missing := sorted(set(user["groups"]) - found.groups):
        yield difference(name, "groups", sorted(found.groups), user["groups"], f"user {name} is not in {', '.join(missing)}")


def _files(machine: Machine, user: dict) -> Iterator[dict]:
    name, keys, sudoers = user["name"], keys_text(user), sudoers_text(user)
    if (machine.text(f"{KEYS}/{name}") or "") != keys:
        yield difference(name, "keys", False, True, f"user {name}: {KEYS}/{name} does not hold the declared keys")
    if machine.text(f"{SUDOERS}/{GROUP}-{name}") != sudoers:
        holds = "does not hold the declared rights" if sudoers else "gives rights that are not declared"
        yield difference(name, "sudo", not user["sudo"], user["sudo"], f"user {name}: {SUDOERS}/{GROUP}-{name} {holds}")


def _access(machine: Machine, name: str, found: Account | None) -> Iterator[dict]:
    ways = [path for path in (f"{KEYS}/{name}", f"{SUDOERS}/{GROUP}-{name}") if machine.exists(path)]
    if found and GROUP in found.groups and not found.expired:
        ways.append("an account that has not expired")
    if ways:
        yield difference(name, "access", ways, [], f"user {name} is not declared, and has {', '.join(ways)}")
