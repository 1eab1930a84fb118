# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _fabric, _fabric_view
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import FabricError, Link, Rate, State
from ansible_collections.onecc.cluster.tests.unit import fabrics
from hypothesis import given
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
    ("H-a088c20300000010\"\t\t#", "H-b83fd20300000008\"\t\t#", 25, "line 18 already"),
])
def test_lines_that_cannot_be_read(old, new, line, why):
    assert old in SWITCH
    with pytest.raises(FabricError) as raised:
        _fabric.parse(SWITCH.replace(old, new))
    assert f"Line {line} " in raised.value.message and why in raised.value.message


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


@pytest.mark.parametrize(("text", "line"), [
    (STATES.replace("==>", "=>"), 2), (STATES.replace("Switch: 0x", "0x"), 3), (STATES[40:], 1), ("x\n" + STATES, 1),
    ('0xb83fd20300000000 "leaf-1"      1    1[  ] ==( 4X 106.25 Gbps Active/ LinkUp)==>  0xa088c20300000011  2  1[  ] "node-1" ( )\n', 1),
])
def test_states_that_cannot_be_read(text, line):
    with pytest.raises(FabricError, match=f"Line {line} of the output of iblinkinfo"):
        _fabric.parse_states(text)


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
