# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""The SSH configuration that Lambda's console hands out for a cluster, as a source of hosts without the API.

It has a `Host <name>` block with a `HostName <address>` for each node. This reads it as ssh does (ssh_config(5), and
`ssh -G` in a test), as far as a node's address, port and user depend on it, or refuses it. It passes over no line that it
does not understand, for the next one would then belong to another host.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import (
    HEAD,
    Host,
    Node,
    Notes,
    filtered,
    is_host_name,
    listed,
    plain_address,
    quoted,
    with_roles,
)

_USER = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.@+-]*")

READ = frozenset({"hostname", "port", "user"})
# What else ssh knows: ssh_config(5) of OpenSSH 9.2 and 10.0, with the older spellings that it still takes.
PASSED_OVER = frozenset(
    """
    addkeystoagent addressfamily batchmode bindaddress bindinterface canonicaldomains canonicalizefallbacklocal canonicalizehostname
    canonicalizemaxdots canonicalizepermittedcnames casignaturealgorithms certificatefile challengeresponseauthentication
    channeltimeout checkhostip ciphers clearallforwardings compression connectionattempts connecttimeout controlmaster controlpath
    controlpersist dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fingerprinthash
    forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports globalknownhostsfile
    gssapiauthentication gssapidelegatecredentials hashknownhosts hostbasedacceptedalgorithms hostbasedauthentication
    hostbasedkeytypes hostkeyalgorithms hostkeyalias identitiesonly identityagent identityfile ipqos kbdinteractiveauthentication
    kbdinteractivedevices kexalgorithms knownhostscommand localcommand localforward loglevel logverbose macs
    nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming passwordauthentication permitlocalcommand
    permitremoteopen pkcs11provider preferredauthentications proxycommand proxyjump proxyusefdpass pubkeyacceptedalgorithms
    pubkeyacceptedkeytypes pubkeyauthentication rekeylimit remotecommand remoteforward requesttty requiredrsasize revokedhostkeys
    securitykeyprovider sendenv serveralivecountmax serveraliveinterval sessiontype setenv stdinnull streamlocalbindmask
    streamlocalbindunlink stricthostkeychecking syslogfacility tag tcpkeepalive tunnel tunneldevice updatehostkeys userknownhostsfile
    verifyhostkeydns versionaddendum visualhostkey warnweakcrypto xauthlocation
    """.split()
)
# Criteria of Match that are decided by the file alone.
CRITERIA = frozenset({"host", "originalhost", "user"})


class Refused(ValueError):
    """The file is not what ssh would read, or holds what is not read here. The message names the line."""


@dataclass(frozen=True)
class Entry:
    """One Host of the file."""

    name: str
    host_name: str
    port: str | None
    user: str | None


@dataclass(frozen=True)
class Block:
    """A Host or Match with the settings below it. `criteria` is None for Host, else pairs of a word and its patterns."""

    line: int
    patterns: tuple[str, ...] = ()
    criteria: tuple[tuple[str, str], ...] | None = None
    settings: tuple[tuple[str, str], ...] = ()


def hosts_from_config(
    text: str, names: t.Sequence[str], overrides: t.Mapping[str, str], notes: Notes, groups: t.Collection[str] = ()
) -> list[Host]:
    """Hosts of the file. Heads are told by their names; whatever else there is computes. Raises Refused."""
    taken = {group.lower() for group in groups}
    refused = []
    entries: dict[str, Entry] = {}
    for entry in entries_of(text):
        fault = _fault(entry, taken)
        if fault:
            refused.append(f"{quoted(entry.name)} ({fault})")
        else:
            entries[entry.name] = entry
            taken.add(entry.name.lower())
    if refused:
        notes.warnings.append(f"Left out of the hosts of console_ssh_config: {listed(refused)}.")
    nodes = filtered(map(_node, entries.values()), (), (), names)
    # A guess by the name is all there is, so nobody needs to be told that it is one.
    hosts = with_roles(((t.cast(str, node["name"]), node) for node in nodes), overrides, True, Notes())
    return [_completed(host, entries[host.name]) for host in hosts]


def entries_of(text: str) -> list[Entry]:
    """The hosts that the file names, in its order, each with what all blocks that apply to it say. Raises Refused."""
    blocks = _blocks(text)
    names = dict.fromkeys(pattern for block in blocks[1:] for pattern in block.patterns if not set(pattern) & set("*?!"))
    return [_entry(name, blocks) for name in names]


def _entry(name: str, blocks: t.Sequence[Block]) -> Entry:
    settings: dict[str, str] = {}
    for block in blocks:
        if block.settings and _applies(name, block, settings):
            settings = {**dict(reversed(block.settings)), **settings}
    return Entry(name, _address_of(name, settings), settings.get("port"), settings.get("user"))


def _address_of(name: str, settings: t.Mapping[str, str]) -> str:
    """HostName with its tokens filled in, of which it has two."""
    return re.sub("%[%h]", lambda found: "%" if found[0] == "%%" else name, settings.get("hostname", name))


def _applies(name: str, block: Block, settings: t.Mapping[str, str]) -> bool:
    if block.criteria is None:
        return _matches(name, block.patterns)
    for word, patterns in block.criteria:
        if word == "user" and "user" not in settings:
            raise Refused(f"line {block.line}: `Match user` depends on who runs ssh where no User is set before it; it is not read here")
        value = {"user": settings.get("user", ""), "originalhost": name, "host": _address_of(name, settings)}[word]
        if word != "user":
            value, patterns = value.lower(), patterns.lower()
        if not _matches(value, patterns.split(",")):
            return False
    return True


def _matches(text: str, patterns: t.Iterable[str]) -> bool:
    """A pattern of ssh_config(5) has `*` and `?` alone; one with `!` that fits rules out."""
    found = False
    for pattern in patterns:
        body = pattern.removeprefix("!")
        wanted = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in re.sub(r"\*+", "*", body))
        if re.fullmatch(wanted, text, re.DOTALL):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _blocks(text: str) -> list[Block]:
    blocks = [Block(0, ("*",))]
    for number, line in enumerate(text.split("\n"), 1):
        keyword, words = _line(line, number)
        if keyword == "host":
            blocks.append(Block(number, tuple(words)))
        elif keyword == "match":
            blocks.append(Block(number, criteria=_criteria(line, number)))
        elif keyword in READ:
            blocks[-1] = replace(blocks[-1], settings=(*blocks[-1].settings, (keyword, words[0])))
    return blocks


def _line(line: str, number: int) -> tuple[str, list[str]]:
    """Keyword, in lower case, and words of a line; an empty keyword where it says nothing."""
    line = line.strip(" \t\r\f")
    if not line or line.startswith("#"):
        return "", []
    if line.startswith("\ufeff"):
        raise Refused(f"line {number}: a byte order mark, which ssh refuses; save the file as UTF-8 without one")
    if not line.replace("\t", " ").isprintable():
        raise Refused(f"line {number}: a character that is not printable")
    match = re.match(r"([A-Za-z0-9]+)(?:[ \t]*=[ \t]*|[ \t]+|(?=\")|$)", line)
    keyword = match[1].lower() if match else ""
    if not match or keyword not in READ | PASSED_OVER | {"host", "match"}:
        raise Refused(f"line {number}: {quoted(match[1] if match else line)} is no keyword that is read here")
    words = _words(line[match.end() :])
    if words is None:
        raise Refused(f"line {number}: a quote without its other")
    if not words or "" in words[:1]:
        raise Refused(f"line {number}: {match[1]} without a value")
    if keyword in READ and len(words) != 1:
        raise Refused(f"line {number}: {match[1]} with more than one value")
    if keyword == "port" and not (re.fullmatch(r"[0-9]{1,5}", words[0]) and 0 < int(words[0]) < 65536):
        raise Refused(f"line {number}: Port is {quoted(words[0])}; it must be a number from 1 to 65535")
    if keyword == "hostname" and re.search(r"%(?![%h])", words[0].replace("%%", "")):
        raise Refused(f"line {number}: HostName has a token other than %h and %%")
    return keyword, words


def _words(text: str) -> list[str] | None:
    """Words as ssh takes a line apart: either quote, a backslash before a quote or itself, a comment. None: a quote is open."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
            continue
        if text[position] == "#":
            break
        word, quote = "", ""
        while position < len(text) and (quote or text[position] not in " \t"):
            char, after = text[position], text[position + 1 : position + 2]
            if char == "\\" and after and (after in "'\"\\" or (after == " " and not quote)):
                word += after
                position += 1
            elif quote:
                quote, word = ("", word) if char == quote else (quote, word + char)
            elif char in "'\"":
                quote = char
            else:
                word += char
            position += 1
        if quote:
            return None
        words.append(word)
    return words


def _criteria(line: str, number: int) -> tuple[tuple[str, str], ...]:
    """Pairs of a criterion and its patterns, none for `all`. Quotes, comments and `=` differ from version to version of ssh."""
    words = line.split()[1:]
    if [word.lower() for word in words] == ["all"]:
        return ()
    pairs = tuple((word.lower(), patterns) for word, patterns in zip(words[::2], words[1::2], strict=False))
    if not words or len(words) % 2 or not {word for word, _patterns in pairs} <= CRITERIA or set(line) & set("\"'#=\\"):
        raise Refused(f"line {number}: of Match, only `all`, and `host`, `originalhost` and `user` with a list of patterns, are read here")
    return pairs


def _fault(entry: Entry, taken: t.Collection[str]) -> str:
    if not is_host_name(entry.name):
        return "not usable as the name of a host"
    if entry.name.lower() in taken:
        return "the name of a group, or that of another host in another case"
    if plain_address(entry.host_name) is None:
        return "HostName is not an address of a node"
    if entry.user is not None and not is_user(entry.user):
        return "User is not usable as a user name"
    return ""


def is_user(name: str) -> bool:
    """Whether `name` can be a user on a node, and nothing else on a command line."""
    return _USER.fullmatch(name) is not None


def _node(entry: Entry) -> Node:
    address = t.cast(str, plain_address(entry.host_name or ""))
    private = ipaddress.ip_address(address).is_private
    return Node(
        id=None, name=entry.name, hostname=None, region=None, instance_type=None, gpus=None, status=None,
        ip=None if private else address, private_ip=address if private else None, file_systems=[], tags={},
    )


def _completed(host: Host, entry: Entry) -> Host:
    node = host.node
    if host.role == HEAD and node["ip"] is None:
        # What the file lists for a head node is how it is entered, whatever network that is.
        node = Node(**{**node, "ip": node["private_ip"]})  # type: ignore[typeddict-item]
    return replace(host, node=node, port=int(entry.port) if entry.port else None, user=entry.user)
