# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _fabric, _fabric_view
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import FabricError, Link, Rate, State
from ansible_collections.onecc.cluster.tests.unit import fabrics
from hypothesis import given, settings
from hypothesis import strategies as st

# As ibnetdiscover 44.0 prints it; the switch is a managed one with an HCA inside, at port 65.
SWITCH = """\
#
# Topology file: generated on Wed Nov 25 03:01:06 2026
#
# Initiated from node a088c20300000010 port a088c20300000011

vendid=0x2c9
devid=0xd2f2
sysimgguid=0xb83fd20300000000
switchguid=0xb83fd20300000000(b83fd20300000000)
Switch\t65 "S-b83fd20300000000"\t\t# "MF0;leaf-1:MQM9700/U1" enhanced port 0 lid 1 lmc 0
[1]\t"H-a088c20300000010"[1](a088c20300000011) \t\t# "node-1 mlx5_1" lid 2 4xNDR
[65]\t"H-b83fd20300000008"[1](b83fd20300000009) \t\t# "Mellanox Technologies Aggregation Node" lid 3 4xNDR

vendid=0x2c9
devid=0xcf09
sysimgguid=0xb83fd20300000000
caguid=0xb83fd20300000008
Ca\t1 "H-b83fd20300000008"\t\t# "Mellanox Technologies Aggregation Node"
[1](b83fd20300000009) \t"S-b83fd20300000000"[65]\t\t# lid 3 lmc 0 "MF0;leaf-1:MQM9700/U1" lid 1 4xNDR

vendid=0x2c9
devid=0x1021
sysimgguid=0xa088c20300000010
caguid=0xa088c20300000010
Ca\t1 "H-a088c20300000010"\t\t# "node-1 mlx5_1"
[1](a088c20300000011) \t"S-b83fd20300000000"[1]\t\t# lid 2 lmc 0 "MF0;leaf-1:MQM9700/U1" lid 1 4xNDR
"""

# As iblinkinfo 44.0 prints it.
STATES = """\
CA: node-1 mlx5_1:
      0xa088c20300000011      2    1[  ] ==( 4X        106.25 Gbps   Active/  LinkUp)==>       1    1[  ] "MF0;leaf-1:MQM9700/U1" ( )
Switch: 0xb83fd20300000000 MF0;leaf-1:MQM9700/U1:
           1    1[  ] ==( 4X        106.25 Gbps   Active/  LinkUp)==>       2    1[  ] "node-1 mlx5_1" ( )
           1    2[  ] ==(                Down/ Polling)==>             [  ] "" ( )
           1    3[  ] ==( 1X 10.0 Gbps (FDR10) Initialize/  LinkUp)==>       2    1[  ] "x" (Could be 4X Could be 53.125 Gbps)
"""


def test_devices_and_links():
    fabric = _fabric.parse(SWITCH)
    switch, hca = fabric["b83fd20300000000"], fabric["a088c20300000010"]
    assert (switch.kind, switch.ports, switch.description) == ("Switch", 65, "MF0;leaf-1:MQM9700/U1")
    assert switch.links[1] == Link("a088c20300000010", 1, Rate("4x", "NDR"), 11)
    assert (hca.kind, hca.description, hca.port_guids) == ("Ca", "node-1 mlx5_1", {1: "a088c20300000011"})
    assert hca.links == {1: Link("b83fd20300000000", 1, Rate("4x", "NDR"), 26)}


def test_what_grouping_and_full_information_add():
    text = SWITCH.replace("[1]\t\"H", "[1][ext 7]\t\"H").replace("0[1]\t\t", "0[1][ext 7]\t\t").replace("4xNDR\n", "4xNDR s=1 w=2 v=4\n")
    text = "Chassis 1 (guid 0x1)\n# Spine Nodes\nNon-Chassis Nodes\n" + text.replace("fd20300000000)\nSwitch", "fd20300000000)\t# ISR9288 Slot 1\nSwitch")
    assert {guid: device.links.keys() for guid, device in _fabric.parse(text).items()} == {
        guid: device.links.keys() for guid, device in _fabric.parse(SWITCH).items()
    }


def test_line_ends_of_a_terminal():
    assert _fabric.parse(SWITCH.replace("\n", "\r\n")).keys() == _fabric.parse(SWITCH).keys()


def test_states():
    assert _fabric.parse_states(STATES) == {
        ("a088c20300000011", 1): State("Active", "LinkUp", Rate("4x", "NDR")),
        ("b83fd20300000000", 1): State("Active", "LinkUp", Rate("4x", "NDR")),
        ("b83fd20300000000", 2): State("Down", "Polling", None),
        ("b83fd20300000000", 3): State("Initialize", "LinkUp", Rate("1x", "FDR10")),
    }
    assert _fabric.parse_states("") == {}


def test_rates_by_what_they_carry():
    rates = ["1xSDR", "4xSDR", "4xQDR", "4xFDR10", "1xHDR", "4xFDR", "4xEDR", "2xHDR", "4xHDR", "4xNDR", "4xXDR", "4x???"]
    order = [Rate(rate[:2], rate[2:]) for rate in rates]
    assert sorted(order, key=lambda rate: rate.gbps) == order


@pytest.mark.parametrize(("old", "new", "line", "why"), [
    ("4xNDR\n[65]", "4x\n[65]", 11, "not a whole line"),
    ("4xNDR\n[65]", "4xND\n[65]", 11, "not a whole line"),
    ("4xNDR\n[65]", "\n[65]", 11, "not a whole line"),
    ("[65]", "[66]", 12, "65 ports"),
    ("[65]", "[1]", 12, "each once"),
    ("[1]", "[1234]", 11, "not a whole line"),
    (" enhanced port 0 lid 1 lmc 0", " enhanced", 10, "end of the line"),
    ("switchguid", "ibwarn: [7] switchguid", 9, "not a line of ibnetdiscover"),
    ("\n[65]", "\n\n[65]", 13, "a port of no device"),
])
def test_lines_that_cannot_be_read(old, new, line, why):
    """What they say is said at the other end of their links too."""
    assert old in SWITCH
    unread: list[str] = []
    found, whole = _fabric.parse(SWITCH.replace(old, new, 1), unread), _fabric.parse(SWITCH)
    assert f"Line {line} " in unread[0] and why in unread[0] and len(unread) == 1
    assert links(found) == links(whole)
    assert {guid: (device.kind, device.description) for guid, device in found.items()} == {
        guid: (device.kind, device.description) for guid, device in whole.items()
    }


def links(fabric):
    return {(guid, port, link.guid, link.port) for guid, device in fabric.items() for port, link in device.links.items()}


def test_a_device_that_is_described_twice():
    """The outputs of two runs: nobody knows which one is right."""
    with pytest.raises(FabricError, match="Line 25 .*line 18 already"):
        _fabric.parse(SWITCH.replace("H-a088c20300000010\"\t\t#", "H-b83fd20300000008\"\t\t#"))


def test_tabs_that_became_spaces():
    """As in what was copied from a terminal."""
    unread: list[str] = []
    assert links(_fabric.parse(SWITCH.expandtabs(), unread)) == links(_fabric.parse(SWITCH)) and unread == []


@pytest.mark.parametrize(("old", "new"), [
    ("[1](a088c20300000011) \t\"S-b83fd20300000000\"[1]", "[1](a088c20300000011) \t\"S-b83fd20300000000\"[2]"),
    ("[1](a088c20300000011) \t\"S-b83fd20300000000\"[1]", "[1](a088c20300000011) \t\"S-b83fd20300000000\"[65]"),
    (SWITCH[SWITCH.rindex("[1](a"):], ""), (SWITCH[SWITCH.rindex("vendid"):], ""),
])
def test_links_of_which_an_end_is_missing(old, new):
    with pytest.raises(FabricError, match=r"Line (11|26) .*not complete"):
        _fabric.parse(SWITCH.replace(old, new))


@pytest.mark.parametrize("text", ["", "\n\n", "#\n"])
def test_nothing(text):
    with pytest.raises(FabricError, match="names no device"):
        _fabric.parse(text)


@pytest.mark.parametrize("text", [
    STATES.replace("==>", "=>"),
    '0xb83fd20300000000 "leaf-1"      1    1[  ] ==( 4X 106.25 Gbps Active/ LinkUp)==>  0xa088c20300000011  2  1[  ] "node-1" ( )\n',
])
def test_nothing_of_iblinkinfo(text):
    with pytest.raises(FabricError, match="Line . of the output of iblinkinfo.*without options"):
        _fabric.parse_states(text)


STATE_LINES = STATES.rstrip("\n").split("\n")


@pytest.mark.parametrize("number", range(len(STATE_LINES)))
@pytest.mark.parametrize("garbage", ["x", "    1    2[  ] ==(undefined (0)           2.5 Gbps Active/  LinkUp)==>       2    1[  ] \"node-2 mlx5_1\" ( )"])
def test_a_line_of_iblinkinfo_that_cannot_be_read(number, garbage):
    """It costs a port's state, or those of the device that it names; no state becomes another port's."""
    unread: list[str] = []
    found, whole = _fabric.parse_states("\n".join([*STATE_LINES[:number], garbage, *STATE_LINES[number + 1:]]), unread), _fabric.parse_states(STATES)
    assert found.items() < whole.items() and unread and f"Line {number + 1} " in unread[0]
    assert len(found) == len(whole) - 1 or not (STATE_LINES[number][0].isspace() and garbage[0].isspace())


def test_speeds_as_iblinkinfo_prints_them():
    """mad_dump_linkspeed() and mad_dump_linkspeedext() of libibmad."""
    printed = {"2.5": "SDR", "5.0": "DDR", "10.0": "QDR", "14.0625": "FDR", "25.78125": "EDR", "53.125": "HDR", "106.25": "NDR", "212.5": "XDR"}
    assert {text: _fabric._speed(f"{text} Gbps") for text in printed} == printed


HOSTILE = [
    'x" lid 9 4xSDR', '" enhanced port 0 lid 1 lmc 0', "# [1]", "<script>alert(1)</script>", "{{ 7 * 7 }}", "$(id)", "", " ", "\x1b[2J",
    "ü\N{ZERO WIDTH SPACE}",
    "==( 4X 2.5 Gbps Down/ Polling)==>", "]]>", "node-1\tmlx5_1", 'a"b',
]


@pytest.mark.parametrize("name", HOSTILE)
def test_descriptions_that_mean_harm(name):
    """They change nothing but what their own device is called."""
    fabric = _fabric.parse(SWITCH.replace("node-1 mlx5_1", name).replace("MF0;leaf-1:MQM9700/U1", name))
    assert {guid: device.links for guid, device in fabric.items()} == {guid: device.links for guid, device in _fabric.parse(SWITCH).items()}
    for guid in ("a088c20300000010", "b83fd20300000000"):
        assert fabric[guid].description.isprintable()
        assert fabric[guid].description == _fabric.printable(name)
    assert _fabric.parse_states(STATES.replace("node-1 mlx5_1", name).replace("MF0;leaf-1:MQM9700/U1", name)) == _fabric.parse_states(STATES)


WHOLE = fabrics.cluster(nodes=4, rails=2, spines=1, uplinks=2).text()


@given(st.integers(0, len(WHOLE) - 2))
def test_output_that_was_cut_off(length):
    """Wherever it was cut, so is what it says of a link, at one of its ends. The line is named, or there is none."""
    with pytest.raises(FabricError, match=r"[Ll]ine \d+|names no device"):
        _fabric.parse(WHOLE[:length])


LINES = WHOLE.split("\n")


@settings(max_examples=30)
@given(st.integers(4, len(LINES) - 2), st.sampled_from(["x", "ibwarn: [7] mad_rpc_rmpp: failed", "[1]", "[1]\t\"H-", "Switch\t64 \"S-", "\x1b[2J"]))
def test_one_odd_line_costs_that_line(number, garbage):
    """Whichever it is."""
    found = _fabric_view.view("\n".join([*LINES[:number], garbage, *LINES[number + 1:]]))
    whole = _fabric_view.view(WHOLE)
    assert len(found.pop("unread")) == 1 and whole.pop("unread") == []
    assert found == whole


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.characters(codec="utf-8"), st.integers(0, 40)), max_size=5), st.booleans())
def test_garbled_output(changes, lines):
    """Never anything but a view or a message."""
    text = WHOLE
    for place, char, length in changes:
        text = text[:place] + char + text[place + length:]
    if lines:
        text = "\n".join(random.Random(len(changes)).sample(text.split("\n"), k=text.count("\n")))
    try:
        _fabric_view.table(_fabric_view.view(text))
    except FabricError as error:
        assert error.message.isprintable()


@given(st.text())
def test_garbled_states(text):
    try:
        _fabric.parse_states(text)
    except FabricError as error:
        assert error.message.isprintable()
