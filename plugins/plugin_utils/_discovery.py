# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""From what the API says of instances to the hosts of an inventory: pure functions over plain data.

Nothing the API says is believed before it is checked: identifiers and addresses end up on a command line of ssh, names
become names of hosts. What is not named here is dropped, so a field that the API gains, or a secret, goes nowhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ansible.constants import LOCALHOST

HEAD, COMPUTE, GENERIC_CPU = ROLES = ("head", "compute", "generic_cpu")
GROUP = "onecc"
ROLE_GROUPS = {role: f"{GROUP}_{role}" for role in ROLES}

# Of InstanceStatus in the OpenAPI document 1.10.0.
GONE = ("terminating", "terminated")

# What is kept of an instance only where it is asked for.
USAGE, PRICE = ("usage", "price")

SECRETS = ("jupyter_token", "jupyter_url")

# Names that mean something else to Ansible: a host of one in LOCALHOST would take the place of the controller.
RESERVED_NAMES = frozenset({"all", "ungrouped", "localhost", *LOCALHOST, GROUP, *ROLE_GROUPS.values()})
# Names that mean this machine to the resolver of every node: RFC 6761 6.3, and /etc/hosts as Debian and macOS deliver it.
_LOCAL_NAME = re.compile(r"localhost.*|.*\.localhost|ip6-.*|broadcasthost")

# The API's own are 32 hexadecimal digits, or UUIDs.
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
# RFC 1123, and the underscore, which people use and which harms nobody.
_LABEL = r"[0-9A-Za-z](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# <region>-1cc-head-1, <cluster>-head-003, headnode1, login-0: a word of its own, so that `ahead` and `overhead` are none.
_HEAD_WORD = re.compile(r"(?<![a-z])(?:head|headnode|login|mgmt|management)(?![a-z])")
_CPU_WORD = re.compile(r"(?<![a-z])cpu(?![a-z])")
_GPU_TYPE = re.compile(r"gpu_([0-9]{1,4})x_")
_CPU_TYPE = re.compile(r"cpu_")


class FileSystem(t.TypedDict):
    """A persistent file system attached to an instance; what is not known is None."""

    id: str | None
    name: str | None
    mount_point: str | None
    bytes_used: t.NotRequired[int | None]


class Node(t.TypedDict):
    """What is kept of an instance, in a cache too. None: the API does not say."""

    id: str | None
    name: str | None
    hostname: str | None
    region: str | None
    instance_type: str | None
    gpus: int | None
    status: str | None
    ip: str | None
    private_ip: str | None
    file_systems: list[FileSystem]
    tags: dict[str, str]
    price_cents_per_hour: t.NotRequired[int | None]


@dataclass(frozen=True)
class Host:
    """A node with its place in the inventory."""

    name: str
    role: str
    node: Node
    port: int | None = None
    user: str | None = None


@dataclass
class Notes:
    """What the reader should hear of: warnings, and remarks for those who ask for more (-v)."""

    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class Malformed(ValueError):
    """A row is not what the API documents. The message names the field."""


# --- rows of the API -> nodes ------------------------------------------------------------------------------------------


def nodes_from_rows(
    rows: t.Iterable[t.Any], file_systems: t.Sequence[t.Any], notes: Notes, facts: t.Collection[str] = (), local: bool = False
) -> list[Node]:
    """One node for each row that is what the API documents, with these facts; the others are left out and named.

    `local`: the API is on this machine, so nodes may be as well.
    """
    known = list(_known_file_systems(file_systems))
    used = _bytes_used(file_systems)

    def build(row: t.Any) -> Node:
        node = node_from_row(row, known, local)
        if PRICE in facts:
            node["price_cents_per_hour"] = _number(_object(row, "instance_type").get("price_cents_per_hour"))
        if USAGE in facts:
            for item in node["file_systems"]:
                item["bytes_used"] = used.get(item["id"] or "")
        return node

    return _collect(rows, build, notes)


def _bytes_used(rows: t.Sequence[t.Any]) -> dict[str, int | None]:
    """By identifier, how much each file system holds, where the API says."""
    return {
        row["id"]: _number(row.get("bytes_used")) for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)
    }


def _number(value: t.Any) -> int | None:
    """A count, or None for anything else: a fact that is wrong is no ground to leave a node out."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def nodes_from_cache(entries: t.Iterable[t.Any], notes: Notes, local: bool = False) -> list[Node]:
    """Nodes as they were put into a cache, checked like those of the API: a cache may be anybody's file."""
    return _collect(entries, lambda entry: checked_node(entry, local), notes)


def _collect(rows: t.Iterable[t.Any], build: t.Callable[[t.Any], Node], notes: Notes) -> list[Node]:
    nodes: dict[str, Node] = {}
    skipped = []
    for position, row in enumerate(rows):
        try:
            node = build(row)
        except Malformed as error:
            skipped.append(f"{_label(row, position)} ({error})")
            continue
        identifier = t.cast(str, node["id"])
        if identifier in nodes:
            skipped.append(f"{identifier} (listed twice)")
        # Of two, the one that sorts first, so that the order of the API does not matter.
        nodes[identifier] = min(nodes.get(identifier, node), node, key=repr)
    if skipped:
        notes.warnings.append(f"Left out, because the API describes them in a way that cannot be right: {listed(skipped)}.")
    return [nodes[identifier] for identifier in sorted(nodes)]


def node_from_row(row: t.Any, known_file_systems: t.Sequence[FileSystem], local: bool = False) -> Node:
    """The node of one row of GET /instances."""
    if not isinstance(row, dict):
        raise Malformed("not an object")
    region = _text(_object(row, "region"), "name", "region.name")
    instance_type = _object(row, "instance_type")
    specs = _object(instance_type, "specs", "instance_type.specs")
    return checked_node(
        {
            **{key: row.get(key) for key in ("id", "name", "hostname", "status", "ip", "private_ip")},
            "region": region,
            "instance_type": instance_type.get("name"),
            "gpus": specs.get("gpus"),
            "file_systems": _attached(row, region, known_file_systems),
            "tags": _tags(row),
        },
        local,
    )


def checked_node(entry: t.Any, local: bool = False) -> Node:
    """`entry` as a node, if every field of it is of its type and every address an address."""
    if not isinstance(entry, dict):
        raise Malformed("not an object")
    identifier = entry.get("id")
    # It is the name of the host where there is no other.
    if not isinstance(identifier, str) or not _ID.fullmatch(identifier) or identifier.lower() in RESERVED_NAMES:
        raise Malformed("`id` is missing or no identifier")
    gpus = entry.get("gpus")
    if gpus is not None and (not isinstance(gpus, int) or isinstance(gpus, bool) or gpus < 0):
        raise Malformed("`gpus` is not a number of GPUs")
    node = Node(
        id=identifier,
        name=_text(entry, "name"),
        hostname=_text(entry, "hostname"),
        region=_text(entry, "region"),
        instance_type=_text(entry, "instance_type"),
        gpus=gpus,
        status=_text(entry, "status"),
        ip=_address(entry, "ip", local),
        private_ip=_address(entry, "private_ip", local),
        file_systems=[
            FileSystem(id=_text(item, "id"), name=_text(item, "name"), mount_point=_text(item, "mount_point"))
            for item in _objects(entry, "file_systems")
        ],
        tags={_clean(key): _text(_object(entry, "tags"), key, "tags") or "" for key in _object(entry, "tags")},
    )
    # A cache has what was asked for when it was written.
    if "price_cents_per_hour" in entry:
        node["price_cents_per_hour"] = _number(entry["price_cents_per_hour"])
    for kept, item in zip(node["file_systems"], _objects(entry, "file_systems"), strict=True):
        if "bytes_used" in item:
            kept["bytes_used"] = _number(item["bytes_used"])
    return node


def secrets_from_rows(rows: t.Iterable[t.Any], wanted: t.Collection[str]) -> dict[str, dict[str, str]]:
    """By identifier, the secrets that the user asked for by name."""
    return {
        row["id"]: {key: _clean(row[key]) for key in SECRETS if key in wanted and isinstance(row.get(key), str)}
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    }


def needs_file_systems(rows: t.Iterable[t.Any], facts: t.Collection[str] = ()) -> bool:
    """Whether usage is asked for, or names, identifiers and mount points can be matched only with the account's list.

    A row lists names and (identifier, mount point) apart, and may lack the latter. One of each belong together.
    """
    return any(
        (_length(row, "file_system_names"), _length(row, "file_system_mounts"))
        not in (((0, 0),) if USAGE in facts else ((0, 0), (1, 1)))
        for row in rows
        if isinstance(row, dict)
    )


def _length(row: dict[str, t.Any], key: str) -> int:
    value = row.get(key)
    return len(value) if isinstance(value, list) else 0


def _known_file_systems(rows: t.Iterable[t.Any]) -> t.Iterator[FileSystem]:
    for row in rows:
        try:
            if isinstance(row, dict):
                yield FileSystem(id=_text(row, "id"), name=_text(row, "name"), mount_point=_text(row, "mount_point"))
        except Malformed:
            continue  # it only completes what instances say


def _attached(row: dict[str, t.Any], region: str | None, known: t.Sequence[FileSystem]) -> list[FileSystem]:
    names = _list(row, "file_system_names")
    if not all(isinstance(name, str) for name in names):
        raise Malformed("`file_system_names` is not a list of strings")
    mounts = [
        (_text(item, "file_system_id"), _text(item, "mount_point")) for item in _objects(row, "file_system_mounts")
    ]
    if len(names) == len(mounts) == 1:
        return [FileSystem(id=mounts[0][0], name=_clean(names[0]), mount_point=mounts[0][1])]
    by_id = {item["id"]: item["name"] for item in known}
    attached = [FileSystem(id=key, name=by_id.get(key), mount_point=path) for key, path in mounts]
    if any(item["name"] is None for item in attached):
        return attached  # which of the names is whose cannot be told
    mounted = {item["name"] for item in attached}
    by_name = {item["name"]: item for item in known}
    unknown = FileSystem(id=None, name=None, mount_point=None)
    for name in (_clean(name) for name in names):
        if name not in mounted:
            attached.append(FileSystem(**{**by_name.get(name, unknown), "name": name}))  # type: ignore[typeddict-item]
    return attached


def _tags(row: dict[str, t.Any]) -> dict[str, str]:
    tags = {}
    for item in _objects(row, "tags"):
        key = _text(item, "key", "tags.key")
        if key is None:
            raise Malformed("`tags` holds one without a key")
        tags[key] = _text(item, "value", "tags.value") or ""
    return tags


def _text(row: t.Mapping[str, t.Any], key: str, label: str = "") -> str | None:
    value = row.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Malformed(f"`{label or key}` is not a string")
    return _clean(value)


def _clean(text: str) -> str:
    # JSON can spell half a surrogate pair, which cannot be written to a terminal or a file.
    return text.encode("utf-8", "replace").decode("utf-8")


def _address(row: t.Mapping[str, t.Any], key: str, local: bool) -> str | None:
    text = _text(row, key)
    address = None if text is None else plain_address(text, local)
    if text is not None and address is None:
        raise Malformed(f"`{key}` is {quoted(text)}, which is no address of a node")
    return address


def plain_address(text: str, local: bool = False) -> str | None:
    """The address of one host in its usual spelling, or None. It is fit for a command line.

    Refused is what cannot be a node's: this machine (unless `local`), this link, many hosts, nobody. An IPv4 address in the
    form of IPv6 is judged, and written, as what it is.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if getattr(address, "scope_id", None):  # fe80::1%eth0, where eth0 may be any text at all
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return str(address) if local else None
    nobody = address.is_unspecified or address.is_reserved or address in _THIS_NETWORK
    return None if nobody or address.is_multicast or address.is_link_local else str(address)


# RFC 1122, 3.2.1.3.
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


def _object(row: t.Mapping[str, t.Any], key: str, label: str = "") -> dict[str, t.Any]:
    value = row.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"`{label or key}` is not an object")
    return value


def _list(row: t.Mapping[str, t.Any], key: str) -> list[t.Any]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"`{key}` is not a list")
    return value


def _objects(row: t.Mapping[str, t.Any], key: str) -> list[dict[str, t.Any]]:
    items = _list(row, key)
    if not all(isinstance(item, dict) for item in items):
        raise Malformed(f"`{key}` is not a list of objects")
    return items


def _label(row: t.Any, position: int) -> str:
    for key in ("id", "name"):
        value = row.get(key) if isinstance(row, dict) else None
        if isinstance(value, str) and value:
            return quoted(value)
    return f"instance {position + 1} of the answer"


# --- which nodes -------------------------------------------------------------------------------------------------------


def filtered(
    nodes: t.Iterable[Node], regions: t.Sequence[str], instance_types: t.Sequence[str], names: t.Sequence[str]
) -> list[Node]:
    """Nodes that match one pattern of each list that has any. `names` match the name or the host name."""

    def matches(patterns: t.Sequence[str], *values: str | None) -> bool:
        return not patterns or any(fnmatchcase(value or "", pattern) for value in values for pattern in patterns)

    return [
        node
        for node in nodes
        if matches(regions, node["region"])
        and matches(instance_types, node["instance_type"])
        and matches(names, node["name"], node["hostname"])
    ]


def with_status(nodes: t.Iterable[Node], statuses: t.Collection[str], notes: Notes) -> list[Node]:
    """Nodes in the wanted statuses; of the others the reader hears, aloud of those that may come back."""
    wanted: list[Node] = []
    absent: list[str] = []
    gone: list[str] = []
    for node in nodes:
        if node["status"] in statuses:
            wanted.append(node)
        else:
            entry = f"{quoted(node['name'] or node['hostname'] or node['id'] or '')} ({quoted(node['status'] or 'no status')})"
            (gone if node["status"] in GONE else absent).append(entry)
    if absent:
        notes.warnings.append(f"Left out, because not in a wanted status ({', '.join(statuses)}): {listed(sorted(absent))}.")
    if gone:
        notes.remarks.append(f"Left out, because gone: {listed(sorted(gone))}.")
    return wanted


def lasting(nodes: t.Iterable[Node], statuses: t.Collection[str]) -> list[Node]:
    """Nodes in the wanted statuses, and those that are left out for their status and may come back under the same addresses."""
    return [node for node in nodes if node["status"] in statuses or node["status"] not in GONE]


# --- names and roles ---------------------------------------------------------------------------------------------------


def named(
    nodes: t.Iterable[Node], sources: t.Sequence[str], notes: Notes, groups: t.Collection[str] = ()
) -> list[tuple[str, Node]]:
    """Each node with a host name that no other has, whatever order the nodes come in and whatever case names are in.

    A name must be nothing else in the inventory: none of its `groups`, and no other node's identifier.
    """
    nodes = list(nodes)
    taken = {group.lower() for group in groups} | {t.cast(str, node["id"]).lower() for node in nodes}
    refused: list[str] = []
    by_name: dict[str, list[tuple[str, Node]]] = {}
    for node in nodes:
        name = _first_name(node, sources, taken, refused)
        by_name.setdefault(name.lower(), []).append((name, node))
    if refused:
        notes.warnings.append(f"Not usable as names of hosts, so the next source is used: {listed(sorted(refused))}.")
    shared = sorted(min(name for name, _node in owners) for owners in by_name.values() if len(owners) > 1)
    if shared:
        notes.warnings.append(
            f"Shared by several instances, so each gets a part of its id appended: {listed([quoted(name) for name in shared])}."
        )
    return _with_distinct_names(by_name, taken)


def _with_distinct_names(by_name: t.Mapping[str, t.Sequence[tuple[str, Node]]], used: t.Collection[str]) -> list[tuple[str, Node]]:
    result = [owners[0] for owners in by_name.values() if len(owners) == 1]
    rest = [owner for owners in by_name.values() if len(owners) > 1 for owner in owners]
    taken = {*by_name, *used}
    # A part of the id may already be somebody's name, or the same for two: then all of the id, which is nobody else's.
    for spell in (lambda name, node: f"{name}-{node['id'][:8]}", lambda name, node: f"{name}-{node['id']}"):
        spelled = [(spell(name, node), name, node) for name, node in rest]
        count = Counter(new.lower() for new, _name, _node in spelled)
        usable = {new for new, _name, _node in spelled if count[new.lower()] == 1 and new.lower() not in taken and is_host_name(new)}
        result += [(new, node) for new, _name, node in spelled if new in usable]
        rest = [(name, node) for new, name, node in spelled if new not in usable]
        taken |= {new.lower() for new in usable}
    return result + [(t.cast(str, node["id"]), node) for _name, node in rest]


def _first_name(node: Node, sources: t.Sequence[str], taken: t.Collection[str], refused: list[str]) -> str:
    identifier = t.cast(str, node["id"])
    for source in sources:
        value = t.cast(str | None, node[source])  # type: ignore[literal-required]
        if value == identifier:
            break
        if value is None:
            continue
        if is_host_name(value) and value.lower() not in taken:
            return value
        refused.append(f"{quoted(value)} ({source} of {node['id']})")
    return identifier


def is_host_name(text: str) -> bool:
    """Whether `text` can name a host, of the network and of an inventory, and means nothing else to either."""
    name = text.lower()
    return (
        len(text) <= 253
        and _HOST_NAME.fullmatch(text) is not None
        and name not in RESERVED_NAMES
        and not _LOCAL_NAME.fullmatch(name)
        and not _is_address(name)
    )


def _is_address(text: str) -> bool:
    """Whether a resolver takes `text` for an address: 127.0.0.1, and 127.1, 0x7f000001 and 2130706433 as well."""
    try:
        socket.inet_aton(text)
    except OSError:
        return False
    return True


def with_roles(
    pairs: t.Iterable[tuple[str, Node]], overrides: t.Mapping[str, str], in_cluster: bool, notes: Notes
) -> list[Host]:
    """Hosts in natural order of their names. The first pattern of `overrides` that matches a name decides."""
    hosts = []
    guessed = []
    for name, node in pairs:
        role = next((role for pattern, role in overrides.items() if fnmatchcase(name, pattern)), None)
        if role is None:
            role, known = role_of(node, in_cluster)
            if not known:
                guessed.append(name)
        hosts.append(Host(name, role, node))
    if guessed:
        notes.warnings.append(
            "Taken for compute nodes, because neither the API nor the name says what they are "
            f"(role_overrides can): {listed(sorted(guessed, key=natural))}."
        )
    return sorted(hosts, key=lambda host: natural(host.name))


def role_of(node: Node, in_cluster: bool) -> tuple[str, bool]:
    """The role, and whether there is ground for it. `in_cluster`: the node is known to belong to a 1-Click Cluster.

    Names differ from one generation of clusters to the next, so the GPUs count first. Only a head node has none in a
    cluster; a CPU instance elsewhere in the account may be anything, and its name decides.
    """
    gpus = node["gpus"] if node["gpus"] is not None else gpus_of_type(node["instance_type"])
    called_head = any(says_head(node[key]) for key in ("name", "hostname"))
    if gpus is None:
        if called_head:
            return HEAD, True
        if any(_CPU_WORD.search((node[key] or "").lower()) for key in ("name", "hostname")):
            return GENERIC_CPU, True
        return COMPUTE, False
    if gpus > 0:
        return COMPUTE, True
    return (HEAD if in_cluster or called_head else GENERIC_CPU), True


def gpus_of_type(instance_type: str | None) -> int | None:
    """GPUs by the name of an instance type (gpu_8x_h100_sxm5gdr, cpu_4x_general); None if it does not say."""
    match = _GPU_TYPE.match(instance_type or "")
    if match:
        return int(match.group(1))
    return 0 if _CPU_TYPE.match(instance_type or "") else None


def says_head(name: str | None) -> bool:
    """Whether a name holds a word for a head node."""
    return _HEAD_WORD.search((name or "").lower()) is not None


def instance_variable(host: Host, secrets: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The one variable of a host that says what it is."""
    return {**host.node, "role": host.role, **secrets}


def group_name(dimension: str, value: str | None) -> str:
    """Name of an extra group, such as onecc_region_us_east_1."""
    return f"{GROUP}_{dimension}_" + re.sub(r"[^0-9A-Za-z_]", "_", value or "unknown")


# --- words -------------------------------------------------------------------------------------------------------------


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts node-2 before node-10."""
    parts = re.split(r"([0-9]+)", text)  # every second one is a number
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)] + [(-1, text)]


def quoted(text: str) -> str:
    """A string of the API inside a message: on one line, nothing for a terminal to act on, not endless."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:100])
    return f"'{shown}'" if shown != text or not re.fullmatch(r"[0-9A-Za-z._-]+", shown) else shown


def listed(items: t.Sequence[str], limit: int = 10) -> str:
    """A list that stays readable with 5,000 items."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")
