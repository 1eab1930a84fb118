# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Whether sshd lets the declared users in: its configuration as a whole, and what it says itself of each of them."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.module_utils._node import accounts, conf_files, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

PROGRAM = "/usr/sbin/sshd"
CONFIG = "/etc/ssh/sshd_config"
# The role base's own file.
OURS = "/etc/ssh/sshd_config.d/00-onecc.conf"
KEYS = f"{accounts.KEYS}/%u"
# servconf.h, SERVCONF_MAX_DEPTH: deeper, sshd refuses its configuration.
DEPTH = 16
# What sshd says where it cannot tell how it would behave: no rights to look, or it has never been started since the boot.
CANNOT_TELL = re.compile(r"no hostkeys available|Missing privilege separation directory|Permission denied")


class Setting(NamedTuple):
    """A line of sshd_config(5): `match` are the conditions of the block it stands in, empty where it is for everybody."""

    keyword: str
    value: str
    path: str
    line: int
    match: str

    @property
    def place(self) -> str:
        return f"{self.path} line {self.line}"


def settings(machine: Machine, path: str = CONFIG, match: str = "", depth: int = DEPTH) -> Iterator[Setting]:
    """The configuration with all that it includes, in the order of reading, as if our file were there.

    A block of an included file ends with the file, and a file that is included in a block is for nobody else, whatever it says.
    """
    outer = "" if match.lower() == "all" else match
    ours = [f"AuthorizedKeysFile {KEYS}"]
    for number, line in enumerate((ours if path == OURS else conf_files.lines(machine, path)) if depth else [], 1):
        found = re.match(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)(\S.*?)\s*$", line)
        if not found:
            continue
        keyword, value = found[1].lower(), re.sub(r"\s#.*", "", found[2]).replace('"', "")
        if keyword == "match":
            match = " ".join(filter(None, (outer, "" if outer and value.lower() == "all" else value)))
        elif keyword == "include":
            for pattern in value.split():
                for included in _included(machine, os.path.join(os.path.dirname(CONFIG), pattern)):
                    yield from settings(machine, included, match, depth - 1)
        else:
            yield Setting(keyword, value, path, number, match)


def _included(machine: Machine, pattern: str) -> list[str]:
    root = machine.path("/").rstrip("/")
    found = {path[len(root):] for path in glob.glob(glob.escape(root) + pattern)}
    return sorted(found | ({OURS} if fnmatch.fnmatchcase(OURS, pattern) and pattern.count("/") == OURS.count("/") else set()))


def key_files(value: str) -> list[str]:
    """An AuthorizedKeysFile without what is the same: %h/ stands before a relative path anyway, and `none` is no file."""
    return [word[3:] if word.startswith("%h/") else word for word in value.split() if word.lower() != "none"]


def check(machine: Machine, users: list[dict]) -> Iterator[dict]:
    if not machine.exists(CONFIG):
        return
    found = list(settings(machine))
    for user in users:
        if wrong := _unread(found) or _widened(found, user["authorized_keys_files"]):
            yield _difference(user, wrong)
            return  # it is the same for all
        if wrong := _judged(machine, user, found):
            yield _difference(user, wrong)


def _difference(user: dict, wrong: str) -> dict:
    return difference(user["name"], "sshd", False, True, f"user {user['name']}: {wrong}", remedy="manual")


def for_everybody(found: list[Setting]) -> list[Setting]:
    """The lines of AuthorizedKeysFile that are about everybody, the one that counts first: what is behind `Match all` stands
    above what is before any Match."""
    lines = [item for item in found if item.keyword == "authorizedkeysfile"]
    return [item for item in lines if item.match.lower() == "all"] + [item for item in lines if not item.match]


def _unread(found: list[Setting]) -> str | None:
    """Why sshd will not read the file in which the role names the keys, or not go by it. Of a keyword the first value counts."""
    everybody = for_everybody(found)
    if everybody and KEYS in everybody[0].value.split():
        return None
    if not any(item.path == OURS for item in everybody):
        return (f"sshd does not read {OURS}, and so no keys below {accounts.KEYS}: {CONFIG} has no Include for everybody that names it. "
                f"Put this at its beginning: Include {os.path.dirname(OURS)}/*.conf")
    first = everybody[0]
    return (f"{first.place} sets AuthorizedKeysFile {first.value}, which counts before what {OURS} says. Move the line behind the "
            f"Include, and say the same by base_authorized_keys_files, or add {KEYS} to it")


def _widened(found: list[Setting], declared: list[str]) -> str | None:
    """Whether our file would change where sshd looks for people's own keys: it may neither let more people in, nor fewer."""
    site = next((item for item in for_everybody(found) if item.path != OURS), None)
    own = [word for word in key_files(site.value) if word != KEYS] if site else list(specs.AUTHORIZED_KEYS_FILES)
    if own == key_files(" ".join(declared)):
        return None
    where = f"by {site.place}" if site else "as OpenSSH's default"
    return (f"sshd looks for people's own keys in {' '.join(own) or 'no file'}, {where}, and base_authorized_keys_files has "
            f"{' '.join(declared) or 'none'}: who may log in would change. Set it to {own}, or change that line")


def effective(machine: Machine, name: str) -> tuple[dict[str, list[str]] | None, str]:
    """What sshd itself says it would go by for a user from where this very run comes; or None, and what is wrong."""
    client, _port, server, port = accounts.connection(machine)
    asked = f"user={name},host={client},addr={client},laddr={server},lport={port}"
    done = machine.run(PROGRAM, "-T", "-C", asked)
    if done.rc:
        said = (done.stderr or done.stdout).strip()
        return None, "" if done.rc in (126, 127) or CANNOT_TELL.search(said) else said[-400:]
    shown: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _space, value = line.partition(" ")
        shown.setdefault(keyword.lower(), []).append(value)
    return shown, ""


def _judged(machine: Machine, user: dict, found: list[Setting]) -> str | None:
    """Why sshd will not let a user in."""
    shown, said = effective(machine, user["name"])
    if shown is None:
        return f"sshd does not take its configuration, and will not start again: {said}" if said else None
    name, account = user["name"], accounts.account(machine, user["name"])
    groups = (account.groups | {account.group} if account else {name, accounts.GROUP}) | set(user["groups"])

    def words(keyword: str) -> list[str]:
        return " ".join(shown.get(keyword, [])).split()

    def because(keyword: str, says: str) -> str:
        lines = [item for item in found if item.keyword == keyword and (item.match or item.path != OURS)]
        place = next((item for item in lines if item.match), lines[0] if lines else None)
        return f"sshd does not let this user in by a declared key: {says}" + (f" ({place.place})" if place else "")

    if KEYS in (machine.text(OURS) or "") and KEYS not in words("authorizedkeysfile"):
        return because("authorizedkeysfile", f"AuthorizedKeysFile is {' '.join(words('authorizedkeysfile'))} for them, without {KEYS}")
    if words("pubkeyauthentication") == ["no"]:
        return because("pubkeyauthentication", "PubkeyAuthentication is no")
    methods = words("authenticationmethods")
    if methods not in ([], ["any"]) and not any("publickey" in method for method in methods):
        return because("authenticationmethods", f"AuthenticationMethods is {' '.join(methods)}")
    if account and account.uid == 0 and words("permitrootlogin") in (["no"], ["forced-commands-only"]):
        return because("permitrootlogin", f"PermitRootLogin is {words('permitrootlogin')[0]}")
    if account and account.locked and words("usepam") == ["no"]:
        return because("usepam", f"the account is locked, and UsePAM is no. passwd --unlock, or usermod --password '*' {name}")
    return next((because(keyword, f"{keyword} is {' '.join(words(keyword))}") for keyword in _lists(words, name, groups)), None)


def _lists(words, name: str, groups: set[str]) -> Iterator[str]:
    """The lists of sshd_config(5) that keep a user out. What an entry says of the host behind an @ is not looked at: one that
    denies needs that host, one that allows may fit."""
    def fits(patterns: list[str], names: set[str]) -> bool:
        return any(fnmatch.fnmatchcase(item, pattern.partition("@")[0]) for pattern in patterns for item in names)

    for keyword, names in (("denyusers", {name}), ("denygroups", groups)):
        if fits([item for item in words(keyword) if "@" not in item], names):
            yield keyword
    for keyword, names in (("allowusers", {name}), ("allowgroups", groups)):
        if words(keyword) and not fits(words(keyword), names):
            yield keyword
