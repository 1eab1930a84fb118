# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""A user's account, keys and rights on a node: what they are, and what they should be.

Keys are in files of root's below /etc/ssh/onecc, which sshd reads beside each user's own. So neither what the cloud put
into ~/.ssh nor a home directory that nodes share is ever written to, and taking a file away takes the access away.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import specs, sudo
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

KEYS = "/etc/ssh/onecc"
SUDOERS = "/etc/sudoers.d"
# What an account that this collection made is recognised by: its membership in this group.
GROUP = "onecc"
# Accounts are made with it, and a declared one that was there before keeps its own.
SHELL = "/bin/bash"
# Where useradd(8) makes a home (HOME in /etc/default/useradd).
HOMES = "/home"
# pam_nologin(8): while one of them is there, nobody but root logs in.
NOLOGIN = ("/run/nologin", "/etc/nologin")
# What a key file and a file for sudo have: sshd (StrictModes) and sudo refuse what others may write, and sudoers(5) has 0440.
KEYS_MODE, SUDOERS_MODE = 0o644, 0o440
DAY = 24 * 60 * 60
# shadow(5): day 1 after 1970-01-01 is over, and 0 would be ambiguous.
EXPIRED = "1"


def invalid(user: dict) -> str | None:
    """What is wrong with a declared user beyond the types of its fields."""
    for name in (user["name"], *user["groups"]):
        if not re.fullmatch(specs.USER_NAME, name):
            return f"{name!r} is no name of a user or a group; allowed are a-z, 0-9, _ and -, the first a letter or _, up to 32"
    if user["shell"] is not None and not re.fullmatch(specs.PATH[0], user["shell"]):
        return f"shell is {user['shell']!r}; allowed is {specs.PATH[1]}"
    if user["shell"] in specs.NO_SHELLS:
        return f"shell is {user['shell']!r}, which lets nobody log in; allowed is a shell. Leave out who is not to log in"
    for file in user["authorized_keys_files"]:
        if not re.fullmatch(specs.AUTHORIZED_KEYS_FILE[0], file):
            return f"authorized_keys_files has {file!r}; allowed is {specs.AUTHORIZED_KEYS_FILE[1]}"
    if user["uid"] is not None and not 0 < user["uid"] < 2**32 - 1:
        return f"uid is {user['uid']}; allowed is a number from 1 to {2**32 - 2}"
    for key in user["keys"]:
        if not re.fullmatch(specs.KEY, key):
            return (f"keys has {key[:60]!r}; allowed is a public key as the line of a .pub file: a type, the key, and a comment, "
                    "without options before them")
    return None


class Account:
    """A line of passwd(5), the names of its own group and of those beside it, and what shadow(5) says of the account."""

    def __init__(self, passwd: list[str], group: str, groups: set[str], shadow: list[str]) -> None:
        self.uid = int(passwd[2])
        self.gid = int(passwd[3])
        self.home = passwd[5]
        self.shell = passwd[6] or "/bin/sh"  # passwd(5)
        self.group = group
        self.groups = groups
        day = int(time.time() // DAY)
        changed, _minimum, maximum, _warning, _inactive, expires = (_day(shadow, field) for field in range(2, 8))
        self.expired = expires is not None and day >= expires
        # pam_unix asks for a new password then, also of who comes with a key, and a command without a terminal fails.
        self.stale = changed == 0 or changed is not None and maximum is not None and day - changed > maximum
        self.locked = shadow[1:2] != [] and shadow[1].startswith("!")


def _day(shadow: list[str], field: int) -> int | None:
    return int(shadow[field]) if shadow[field:field + 1] and shadow[field].isdecimal() else None


def _fields(machine: Machine, path: str) -> list[list[str]]:
    return [line.split(":") for line in (machine.text(path) or "").splitlines() if line.count(":") >= 3]


def account(machine: Machine, name: str) -> Account | None:
    """The local account of that name."""
    for entry in _fields(machine, "/etc/passwd"):
        if entry[0] == name and len(entry) == 7 and entry[2].isdecimal() and entry[3].isdecimal():
            known = _fields(machine, "/etc/group")
            groups = {group[0] for group in known if name in group[3].split(",")}
            group = next((group[0] for group in known if group[2] == entry[3]), entry[3])
            shadow = next((line for line in _fields(machine, "/etc/shadow") if line[0] == name), [])
            return Account(entry, group, groups, shadow)
    return None


def managed(machine: Machine) -> set[str]:
    """The users to whom this collection gave an access that they still have."""
    members = [group[3].split(",") for group in _fields(machine, "/etc/group") if group[0] == GROUP]
    made = {name for name in sum(members, []) if name and not getattr(account(machine, name), "expired", True)}
    sudoers = {name[len(GROUP) + 1:] for name in machine.names(SUDOERS) if name.startswith(f"{GROUP}-")}
    # What an administrator or an editor put there (README, ada~, .ada.swp) gives nobody access: no user has such a name.
    # Nor is a folder a file of keys.
    keys = {name for name in machine.names(KEYS) if not os.path.isdir(machine.path(f"{KEYS}/{name}"))}
    return made | {name for name in keys | sudoers if re.fullmatch(specs.USER_NAME, name)}


def keys_text(user: dict) -> str:
    return "".join(f"{key}\n" for key in user["keys"])


def sudoers_text(user: dict) -> str | None:
    """The user's file for sudo, None where there is to be none."""
    return f"{user['name']} ALL=(ALL:ALL) NOPASSWD: ALL\n" if user["sudo"] else None


def identity(key: str) -> str:
    """What of a line of authorized_keys is the key: its type and its digits, without the comment."""
    return " ".join(key.split()[:2])


def _environments(machine: Machine) -> Iterator[dict[str, str]]:
    """The environment of this process, and of those that it descends from.

    sshd gives them to the session (ENVIRONMENT in sshd(8)), and sudo drops them.
    """
    pid = os.getpid()
    while pid > 1:
        yield dict(item.partition("=")[::2] for item in (machine.text(f"/proc/{pid}/environ") or "").split("\0"))
        status = re.search(r"^PPid:\s*(\d+)", machine.text(f"/proc/{pid}/status") or "", re.MULTILINE)
        pid = int(status[1]) if status else 0


def connected(machine: Machine) -> tuple[str, set[str]]:
    """The user and the keys by which the SSH connection was made in which this runs.

    sshd says so in a file that SSH_USER_AUTH names (ExposeAuthInfo in sshd_config(5)).
    """
    for environment in _environments(machine):
        if "SSH_USER_AUTH" in environment:
            lines = (machine.text(environment["SSH_USER_AUTH"]) or "").splitlines()
            return environment.get("USER", ""), {identity(line.partition(" ")[2]) for line in lines}
    return "", set()


def connection(machine: Machine) -> list[str]:
    """Address and port of the client and of the server of that connection; this computer's own where there is none."""
    for environment in _environments(machine):
        found = environment.get("SSH_CONNECTION", "").split()
        if len(found) == 4 and all(re.fullmatch(r"[0-9A-Fa-f.:]+", word) for word in found):
            return found
    return ["127.0.0.1", "0", "127.0.0.1", "22"]


def check(machine: Machine, user: dict) -> Iterator[dict]:
    """How the node differs from one user as declared; `access` false takes away what this collection gave."""
    found = account(machine, user["name"])
    yield from _lost_key(machine, user)
    if user["access"]:
        yield from _account(machine, user, found)
        yield from _login(machine, user, found)
        yield from _files(machine, user)
        yield from _sudo(machine, user, found)
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
            "out. Connect by another user or key to remove it, or declare it again", remedy="manual",
        )


def _account(machine: Machine, user: dict, found: Account | None) -> Iterator[dict]:
    name = user["name"]
    yield from _groups(machine, user, found)
    if not found:
        yield from _new(machine, user)
        return
    if user["uid"] not in (None, found.uid):
        yield difference(
            name, "uid", found.uid, user["uid"], f"user {name}: the uid is {found.uid}, declared is {user['uid']}. It stays, for the "
            "user's files would belong to nobody: declare that uid, or move the files and the account yourself", remedy="manual",
        )
    if found.expired:
        yield difference(name, "expired", True, False, f"user {name}: the account has expired")
    if user["shell"] not in (None, found.shell):
        yield difference(name, "shell", found.shell, user["shell"], f"user {name}: the shell is {found.shell}, declared is {user['shell']}")


def _new(machine: Machine, user: dict) -> Iterator[dict]:
    """What keeps useradd(8) from making the account as declared."""
    name, uid = user["name"], user["uid"]
    if uid is None:
        yield difference(
            name, "uid", None, None, f"user {name}: there is no such account, and none is made without a declared uid: on "
            "every node the same number has to own its files. Declare one, from 1000 on", remedy="manual",
        )
        return
    reasons = []
    owner = next((entry[0] for entry in _fields(machine, "/etc/passwd") if entry[2] == str(uid)), None)
    for asked in (name, str(uid)):  # what the node knows from a directory service is taken too
        owner = owner or machine.run("getent", "passwd", "--", asked).stdout.partition(":")[0] or None
    if owner == name:
        reasons.append("a directory service has an account of that name, and a local one would stand before it. Choose another name")
    elif owner:
        reasons.append(f"uid {uid} is {owner}'s. Declare another one")
    if any(group[0] == name for group in _fields(machine, "/etc/group")):
        reasons.append("there is a group of that name, and useradd makes one for each user. Remove it, or choose another name")
    with contextlib.suppress(OSError):
        if (inode := machine.inode(f"{HOMES}/{name}")).st_uid != uid:
            reasons.append(f"{HOMES}/{name} is there already and belongs to uid {inode.st_uid}. Declare that uid, or move it away")
    for reason in reasons:
        yield difference(name, "uid", None, uid, f"user {name} cannot be made: {reason}", remedy="manual")
    if not reasons:
        yield difference(name, "exists", False, True, f"user {name} does not exist")


def _groups(machine: Machine, user: dict, found: Account | None) -> Iterator[dict]:
    name, declared = user["name"], set(user["groups"])
    if unknown := sorted(declared - {group[0] for group in _fields(machine, "/etc/group")}):
        yield difference(
            name, "groups", sorted(found.groups) if found else [], user["groups"], f"user {name}: the node has no group "
            f"{', '.join(unknown)}. Install what makes it, run groupadd, or do not declare it", remedy="manual",
        )
    elif found and (missing := sorted(declared - found.groups - {found.group})):
        yield difference(name, "groups", sorted(found.groups), user["groups"], f"user {name} is not in {', '.join(missing)}")


def _login(machine: Machine, user: dict, found: Account | None) -> Iterator[dict]:
    """What else keeps the user from logging in. Only a shell is refused: the rest is in the user's hands, or passes by itself,
    and must not keep a key from being taken away."""
    name, shell = user["name"], user["shell"] or (found.shell if found else SHELL)
    if wrong := _unusable(machine, shell):
        advice = "Declare one that is" if user["shell"] is None else "Install what has it, or declare another one"
        yield difference(name, "shell", shell, None, f"user {name} cannot log in: the shell {shell} {wrong}. {advice}", remedy="manual")
    if found and found.stale:
        yield difference(
            name, "password", "to be changed", None,
            f"user {name} cannot log in: the password has to be changed first. See `chage --list {name}`; `chage --maxdays -1 "
            f"--lastday -1 {name}` lets it be",
        )
    if found and found.uid and (present := [path for path in NOLOGIN if machine.exists(path)]):
        yield difference(name, "nologin", present[0], None, f"user {name} cannot log in: {present[0]} keeps everybody but root out")
    if found and (wrong := _home(machine, found)):
        yield difference(name, "home", wrong[0], wrong[1], f"user {name}: {wrong[2]}")


def _unusable(machine: Machine, shell: str) -> str | None:
    """Why sshd lets nobody in with this shell (allowed_user() of OpenSSH's auth.c), or it lets go of them at once."""
    try:
        inode = os.stat(machine.path(shell))
    except OSError:
        return "does not exist"
    if not stat.S_ISREG(inode.st_mode) or not inode.st_mode & 0o111:
        return "is not executable"
    return "ends at once" if shell in specs.NO_SHELLS else None


def homeless(machine: Machine, found: Account) -> bool:
    """Whether nothing is where the home should be. What its user mounted there may refuse root a look, or never answer."""
    try:
        machine.inode(found.home)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass  # also TimeoutError
    return False


def _home(machine: Machine, found: Account) -> tuple[object, object, str] | None:
    """What is wrong with a home, as a difference has it: is, should, message. As StrictModes of sshd_config(5) has it, which
    Debian and Ubuntu relax for the user's own group."""
    said = f"the home {found.home}"
    try:
        inode = machine.inode(found.home)
    except TimeoutError:
        return None, found.home, f"{said}: what it is on does not answer"
    except OSError as error:
        return None, found.home, f"{said} cannot be entered: {error.strerror}"
    mode = stat.S_IMODE(inode.st_mode)
    if not stat.S_ISDIR(inode.st_mode):
        return "other", "directory", f"{said} is not a directory"
    if inode.st_uid not in (found.uid, _root(machine)):
        return inode.st_uid, found.uid, f"{said} belongs to uid {inode.st_uid}. Give it to the user, or the account another home"
    if mode & 0o002 or mode & 0o020 and inode.st_gid != found.gid:
        return f"{mode:04o}", f"{mode & ~0o022:04o}", f"{said} may be written by others ({mode:04o}). chmod go-w {found.home}"
    return None


def _root(machine: Machine) -> int:
    """Who root is: the owner of /, also in a captured tree that an ordinary user made."""
    return os.stat(machine.path("/")).st_uid


def access_of(machine: Machine, path: str, mode: int) -> str | None:
    """What is wrong with a file of ours: it has to be a file, root's, with exactly this mode."""
    try:
        inode = os.lstat(machine.path(path))
    except OSError:
        return None
    if not stat.S_ISREG(inode.st_mode):
        return "is not a regular file"
    if inode.st_uid != _root(machine):
        return f"belongs to uid {inode.st_uid}, not to root"
    found = stat.S_IMODE(inode.st_mode)
    return f"has mode {found:04o}, not {mode:04o}" if found != mode else None


def _files(machine: Machine, user: dict) -> Iterator[dict]:
    name, keys, sudoers = user["name"], keys_text(user), sudoers_text(user)
    keys_path, sudoers_path = f"{KEYS}/{name}", f"{SUDOERS}/{GROUP}-{name}"
    if (machine.text(keys_path) or "") != keys:
        yield difference(name, "keys", False, True, f"user {name}: {keys_path} does not hold the declared keys")
    if machine.text(sudoers_path) != sudoers:
        holds = "does not hold the declared rights" if sudoers else "gives rights that are not declared"
        yield difference(name, "sudo", not user["sudo"], user["sudo"], f"user {name}: {sudoers_path} {holds}")
    for field, path, text, mode in (("keys", keys_path, keys, KEYS_MODE), ("sudo", sudoers_path, sudoers, SUDOERS_MODE)):
        if text and (wrong := access_of(machine, path, mode)):
            yield difference(name, f"{field} file", wrong, f"{mode:04o}", f"user {name}: {path} {wrong}")


def _sudo(machine: Machine, user: dict, found: Account | None) -> Iterator[dict]:
    """Whether sudo goes by the file that gives the right. Who may not read /etc/sudoers cannot say. Not refused: the rest of
    what is declared, such as another key, does not hang on it."""
    name, path = user["name"], f"{SUDOERS}/{GROUP}-{user['name']}"
    if not user["sudo"]:
        return
    reason = None
    if not machine.exists(sudo.SUDOERS):
        reason = f"there is no {sudo.SUDOERS}. Install sudo, or do not declare sudo"
    elif machine.text(sudo.SUDOERS) is not None and not sudo.read(machine):
        reason = f"{sudo.SUDOERS} does not include {SUDOERS}. Put this at its end: @includedir {SUDOERS}"
    elif rule := sudo.overriding(machine, path, name, {*user["groups"], *(found.groups | {found.group} if found else {name})}):
        reason = f"{rule.path} line {rule.line} comes later and counts: {rule.text[:200]}"
    if reason:
        yield difference(name, "sudo in effect", False, True, f"user {name} does not become root by sudo: {reason}")


def _access(machine: Machine, name: str, found: Account | None) -> Iterator[dict]:
    ways = [path for path in (f"{KEYS}/{name}", f"{SUDOERS}/{GROUP}-{name}") if machine.exists(path)]
    if found and GROUP in found.groups and not found.expired:
        ways.append("an account that has not expired")
    if ways:
        yield difference(name, "access", ways, [], f"user {name} is not declared, and has {', '.join(ways)}")
