# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""What `ibnetdiscover` and `iblinkinfo` (infiniband-diags) print, as data: the devices of a fabric and their links.

Descriptions are what anybody on the fabric chose to write, so nothing is read from behind one but the end of its line, and
nothing of another device's: each names itself in the line that begins its own record.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SWITCH, HCA, ROUTER = "Switch", "Ca", "Rt"

# Gb/s of a lane; the InfiniBand Architecture Specification, PortInfo LinkSpeedActive and LinkSpeedExtActive.
SPEEDS = {
    "SDR": 2.5, "DDR": 5.0, "QDR": 10.0, "FDR10": 10.3125, "FDR": 14.0625, "EDR": 25.78125, "HDR": 53.125, "NDR": 106.25, "XDR": 212.5,
}
UNKNOWN = "???"
"""A speed for which ibnetdiscover has no name: one that is newer than it."""

# The same as iblinkinfo has them (mad_dump_linkspeed and mad_dump_linkspeedext of libibmad).
_GBPS = {str(rate): name for name, rate in SPEEDS.items()} | {"10.0 (FDR10)": "FDR10"}

# Between columns are tabs, which a terminal or a mail may have made spaces.
_RECORD = re.compile(r'(Switch|Ca|Rt)[ \t]+([0-9]{1,3}) "[SHR?]-([0-9a-f]{16})"[ \t]+# "(.*)"(.*)')
_AFTER_SWITCH = re.compile(r" (enhanced|base) port 0 lid [0-9]+ lmc [0-9]+")
_LINK = re.compile(
    r'\[([0-9]{1,3})\](?:\[ext [0-9]+\])?(?:\(([0-9a-f]{1,16})\) ?)?[ \t]+"([SHR?])-([0-9a-f]{16})"\[([0-9]{1,3})\](?:\[ext [0-9]+\])?'
    r'(?: ?\(([0-9a-f]{1,16})\) ?)?[ \t]+# (?:lid [0-9]+ lmc [0-9]+ )?"(.*)" lid [0-9]+ ([0-9]{1,2}x|\?\?)([A-Z]DR(?:10)?|\?\?\?)'
    r"(?: s=[0-9]+ w=[0-9]+ v=[0-9]+)?(?: slot [0-9]+| \(scp\))?"
)
# What is not needed: identifiers, comments, and the headings of `ibnetdiscover -g`.
_SKIPPED = re.compile(r"#.*|(vendid|devid|sysimgguid|switchguid|caguid|rtguid)=0x[0-9a-f]+.*|Chassis [0-9]+.*|Hostname: .*|Non-Chassis Nodes")

_OWNER = re.compile(r"(Switch: 0x([0-9a-f]{16})|CA:|Router:) .*:")
_STATE = re.compile(r"\s*(?:0x([0-9a-f]{16}) +)?[0-9]+ +([0-9]{1,3})\[[ 0-9]*\] ==\( *(?:([0-9]{1,2}X) +(\S.*?) +)?(\w+)/ *(\w+)\)[^=]*==>.*")


class FabricError(Exception):
    """What a person has to know, in its message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Rate(NamedTuple):
    """Width and speed of a link, such as "4x" and "NDR"."""

    width: str
    speed: str

    def __str__(self) -> str:
        return f"{self.width}{self.speed}"

    @property
    def gbps(self) -> float:
        """Gb/s. An unknown speed counts as the fastest: the tool is older than it."""
        lanes = int(self.width[:-1]) if self.width[:-1].isdigit() else 1
        return lanes * SPEEDS.get(self.speed, 2 * max(SPEEDS.values()))


class Link(NamedTuple):
    """Where a port leads: GUID of the device there and number of its port."""

    guid: str
    port: int
    rate: Rate
    line: int


class Device:
    """A switch or an HCA: what it calls itself, how many ports it has, and where those that are up lead."""

    def __init__(self, kind: str, guid: str, description: str, ports: int, line: int) -> None:
        self.kind = kind
        self.guid = guid
        self.description = description
        self.ports = ports
        self.line = line
        self.links: dict[int, Link] = {}
        self.port_guids: dict[int, str] = {}


class State(NamedTuple):
    """What iblinkinfo says of a port; `rate` is None where it is down."""

    state: str
    physical: str
    rate: Rate | None


Fabric = dict[str, Device]
"""Devices by GUID, which is written as 16 hexadecimal digits."""

States = dict[tuple[str, int], State]
"""By GUID (of the switch, or of the HCA's port) and number of the port."""


class _Unreadable(FabricError):
    """A line that is left out, where what it says is said elsewhere too."""


class _Far(NamedTuple):
    """What the other end of a link says of a device: its kind, what it calls itself, and the GUID of its port."""

    kind: str
    description: str
    port_guid: str | None


def parse(text: str, unread: list[str] | None = None) -> Fabric:
    """The devices in the output of ibnetdiscover. Output that was cut off raises FabricError, with the line.

    A line that cannot be read costs this line alone: each link is printed at both of its ends, and so is what the device there
    calls itself. What is wrong with such lines is added to `unread`.
    """
    fabric: Fabric = {}
    far: dict[tuple[str, int], _Far] = {}
    odd: list[str] = []
    device: Device | None = None
    headless = False
    passed = 0
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        try:
            if not line.strip():
                device, headless = None, False
            elif found := _RECORD.fullmatch(line):
                device, headless = None, True
                device = _record(found, number, line)
                if device.guid in fabric:
                    raise FabricError(f"{_said(number, line, f'the device was described in line {fabric[device.guid].line} already')} Run it again.")
                fabric[device.guid] = device
            elif line.startswith("[") and headless and device is None:
                passed += 1  # of a record whose first line was not read, which was said
            elif line.startswith("["):
                headless = device is None
                _port(device, number, line, far)
            elif not _SKIPPED.fullmatch(line):
                headless = headless or device is None
                raise _Unreadable(_said(number, line, "not a line of ibnetdiscover"))
        except _Unreadable as error:
            if number == len(lines):
                raise FabricError(f"{error.message} The output is not complete: run it again.") from error
            odd.append(error.message)
    if not fabric:
        raise FabricError(f"The output of ibnetdiscover names no device.{''.join(f' {message}' for message in odd[:1])}")
    _restore(fabric, far, len(odd) + passed)
    _see_both_ends(fabric)
    if unread is not None:
        unread += odd
    return fabric


def _record(found: re.Match[str], number: int, line: str) -> Device:
    kind, ports, guid, description, rest = found.groups()
    if kind == SWITCH and not _AFTER_SWITCH.fullmatch(rest) or kind != SWITCH and rest not in ("", " (scp)"):
        raise _Unreadable(_said(number, line, "the end of the line is missing"))
    return Device(kind, guid, printable(description), int(ports), number)


def _port(device: Device | None, number: int, line: str, far: dict[tuple[str, int], _Far]) -> None:
    if device is None:
        raise _Unreadable(_said(number, line, "a port of no device"))
    found = _LINK.fullmatch(line)
    if not found:
        raise _Unreadable(_said(number, line, "not a whole line of a port"))
    port, own_guid, letter, guid, far_port, far_guid, description, width, speed = found.groups()
    if int(port) in device.links or not 0 < int(port) <= device.ports:
        raise _Unreadable(_said(number, line, f"the device of line {device.line} has {device.ports} ports, each once"))
    device.links[int(port)] = Link(guid, int(far_port), Rate(width, speed), number)
    if own_guid:
        device.port_guids[int(port)] = own_guid.zfill(16)
    kind = {"S": SWITCH, "H": HCA}.get(letter, ROUTER)
    far[guid, int(far_port)] = _Far(kind, printable(description), far_guid and far_guid.zfill(16))


def _restore(fabric: Fabric, far: dict[tuple[str, int], _Far], left_out: int) -> None:
    """Ends of links whose lines were left out, and devices, from the other ends. Where more are missing, the output was cut off."""
    found = [(guid, port, link) for guid, device in fabric.items() for port, link in device.links.items()]
    ends = [item for item in found if item[2].guid not in fabric or item[2].port not in fabric[item[2].guid].links]
    if len(ends) > left_out:
        return
    for guid, port, link in ends:
        known = far[link.guid, link.port]
        device = fabric.setdefault(link.guid, Device(known.kind, link.guid, known.description, 0, link.line))
        device.ports = max(device.ports, link.port)
        device.links.setdefault(link.port, Link(guid, port, link.rate, link.line))
        if known.port_guid:
            device.port_guids.setdefault(link.port, known.port_guid)


def _see_both_ends(fabric: Fabric) -> None:
    """Each link is printed at both of its ends. Where one is missing, the output was cut off or put together."""
    for device in fabric.values():
        if device.kind == SWITCH and not device.links:
            raise FabricError(f"Line {device.line} of the output of ibnetdiscover: the switch has no link. The output is not complete: run it again.")
        for port, link in device.links.items():
            back = fabric[link.guid].links.get(link.port) if link.guid in fabric else None
            if back is None or (back.guid, back.port) != (device.guid, port):
                raise FabricError(
                    f"Line {link.line} of the output of ibnetdiscover: port {port} of {quoted(device.description)} leads to port "
                    f"{link.port} of 0x{link.guid}, which does not lead back there. The output is not complete: run it again."
                )


def parse_states(text: str, unread: list[str] | None = None) -> States:
    """The ports in the output of iblinkinfo (without --line, whose lines a description can forge). A line that is none costs the
    state of its port, or of its device's, and is added to `unread`; text of other lines alone raises FabricError."""
    states: States = {}
    odd = []
    owner = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        if found := _OWNER.fullmatch(line):
            owner = found[2] or ""
        elif (found := _STATE.fullmatch(line)) and owner is not None and bool(found[1]) != bool(owner):
            _guid, port, width, speed, state, physical = found.groups()
            states[owner or found[1], int(port)] = State(state, physical, width and Rate(width.lower(), _speed(speed)))
        else:
            # What follows the first line of a device, if that is what could not be read, is not the last device's.
            owner = owner if line[0].isspace() else None
            odd.append(f"Line {number} of the output of iblinkinfo is none of its lines: {quoted(line)}.")
    if odd and not states:
        raise FabricError(f"{odd[0]} Run it without options.")
    if unread is not None:
        unread += odd
    return states


def _speed(text: str) -> str:
    return _GBPS.get(text.replace(" Gbps", "").strip(), UNKNOWN)


def _said(number: int, line: str, why: str) -> str:
    return f"Line {number} of the output of ibnetdiscover cannot be read ({why}): {quoted(line)}."


def printable(text: str) -> str:
    """A description with nothing in it that acts on a terminal or breaks a document."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in text).strip()


def quoted(text: str) -> str:
    """A description in a message."""
    shown = printable(text)
    return f"{shown[:100]!r}" + ("…" if len(shown) > 100 else "")
