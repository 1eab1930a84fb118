# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _fabric_svg, _fabric_view
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Node
from ansible_collections.onecc.cluster.tests.unit import fabrics
from hypothesis import given
from hypothesis import strategies as st

SVG = "{http://www.w3.org/2000/svg}"


def picture(fabric, **declared):
    return ElementTree.fromstring(_fabric_svg.svg(_fabric_view.view(fabric.text(), **declared)))


def titles(root, kind=None, tag="rect"):
    """What shows where the pointer rests on what is marked as `kind`."""
    return [item.findtext(f"{SVG}title") for item in root.iter(f"{SVG}{tag}") if kind is None or kind in (item.get("class") or "").split()]


def test_cluster_in_order():
    root = picture(fabrics.cluster())
    assert titles(root, "fault") == titles(root, "fault", "line") == []
    cells = [title for title in titles(root) if title and " rail " in title]
    assert len(cells) == 64 * 8
    assert "node-33 rail 7: mlx5_8 at leaf-2-7 port 1, 4xNDR" in cells
    assert titles(root, "link", "line").count("leaf-1-0 to spine-1: 4 links") == 1 and len(titles(root, "link", "line")) == 16 * 8
    assert next(root.iter(f"{SVG}text")).text == "64 nodes, 8 rails: nothing is wrong"


def test_each_fault_is_marked():
    fabric = fabrics.cluster(nodes=40)
    fabric.swap((fabric.find("leaf-1-3"), 2), (fabric.find("leaf-1-4"), 3))
    fabric.cut((fabric.find("leaf-2-0"), 5))
    fabric.slow((fabric.find("leaf-1-6"), 9), "4xHDR")
    fabric.cut((fabric.find("leaf-2-1"), 40))
    fabric.slow((fabric.find("leaf-2-2"), 64), "4xHDR")
    fabric.swap((fabric.find("leaf-1-0"), 33), (fabric.find("leaf-1-1"), 40))
    root = picture(fabric)
    marked = [title.splitlines()[0] for title in titles(root, "fault") if title]
    assert sorted(marked) == [
        "leaf-1-0", "leaf-1-1", "leaf-2-1", "leaf-2-2", "node-2 rail 3: mlx5_4 at leaf-1-4 port 3, 4xNDR",
        "node-3 rail 4: mlx5_5 at leaf-1-3 port 2, 4xNDR", "node-37 rail 0: not in the fabric",
        "node-9 rail 6: mlx5_7 at leaf-1-6 port 9, 4xHDR",
    ]
    assert all(len(title.splitlines()) > 1 for title in titles(root, "fault") if title)
    assert sorted(title.splitlines()[0] for title in titles(root, "fault", "line")) == [
        "leaf-1-0 to spine-1: 3 links", "leaf-1-0 to spine-2: 5 links", "leaf-1-1 to spine-1: 5 links", "leaf-1-1 to spine-2: 3 links",
        "leaf-2-1 to spine-2: 3 links", "leaf-2-2 to spine-8: 4 links",
    ]
    assert [title.splitlines()[0] for title in titles(root, "nolink", "line")] == ["leaf-2-1 to spine-2: 3 links"]
    # Each kind of fault has a sign of its own, and the list below has all.
    assert sorted("".join(item.itertext())[-1] for item in root.iter(f"{SVG}text") if "transform" not in item.attrib and item.get("class") in ("sign", "bad")
                  and len(list(item)) == 1) == sorted("××↓–")
    assert sum((item.text or "").startswith(("miswired: ", "missing: ", "slow: ")) for item in root.iter(f"{SVG}text")) == 6


def test_cell_has_the_colour_of_the_leaf_that_it_meets():
    fabric = fabrics.cluster(nodes=4)
    fabric.swap((fabric.find("leaf-1-3"), 2), (fabric.find("leaf-1-4"), 2))
    colours = {item.findtext(f"{SVG}title").partition(":")[0]: item.get("fill") for item in picture(fabric).iter(f"{SVG}rect") if len(item)}
    assert colours["node-2 rail 3"] == colours["node-1 rail 4"] != colours["node-1 rail 3"] == colours["node-2 rail 4"]
    assert len({colours[f"node-1 rail {rail}"] for rail in range(8)}) == 8


def test_leaf_that_is_away():
    fabric = fabrics.cluster(nodes=40)
    fabric.remove(fabric.find("leaf-1-3"))
    assert len(titles(picture(fabric), "none")) == 32 + 1 + 1  # nodes, leaf, legend


def test_one_leaf_and_no_spine():
    fabric = fabrics.Fabric()
    leaf = fabric.switch("the only leaf")
    for rail in range(8):
        fabric.connect((leaf, rail + 1), (fabric.hca(f"node-1 mlx5_{rail + 1}"), 1))
    root = picture(fabric)
    assert titles(root, "switch") == ["the only leaf"]


def test_many_findings_are_not_all_listed():
    fabric, chance, harmed = fabrics.cluster(), random.Random(1), set()
    for _number in range(50):
        fabrics.harm(fabric, chance, harmed)
    texts = ["".join(item.itertext()) for item in picture(fabric).iter(f"{SVG}text")]
    assert "64 nodes, 8 rails: 50 findings" in texts and "and 38 more" in texts


def test_nothing_is_outside_of_it():
    fabric, chance, harmed = fabrics.cluster(), random.Random(1), set()
    for _number in range(50):
        fabrics.harm(fabric, chance, harmed)
    for root in (picture(fabric), picture(fabrics.cluster(nodes=2, spines=0)), picture(fabrics.cluster(nodes=128, spines=16))):
        left, top, width, height = map(float, root.get("viewBox").split())
        for item in root.iter():
            if "x" in item.attrib:
                assert left <= float(item.get("x")) <= left + width and top <= float(item.get("y")) <= top + height


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"/><script>', "]]>", "&lt;", "\x00\x1b\ud800", "a" * 64])
def test_names_that_mean_harm(name):
    fabric = fabrics.cluster(nodes=4)
    for device in ("leaf-1-2", "spine-3", "node-2 mlx5_2"):
        fabric.names[fabric.find(device)] = name + device[:4]
    text = _fabric_svg.svg(_fabric_view.view(fabric.text(), nodes=[Node(f"node-{number}") for number in range(1, 5)]))
    root = ElementTree.fromstring(text.encode())
    assert {item.tag.removeprefix(SVG) for item in root.iter()} == {"svg", "style", "rect", "line", "text", "title"}
    assert not any(key.startswith("on") or "href" in key for item in root.iter() for key in item.attrib)


@given(st.lists(st.text(max_size=64), min_size=4, max_size=4))
def test_any_names(names):
    fabric = fabrics.cluster(nodes=3, rails=2, spines=2, down=8, uplinks=2)
    for device, name in zip(list(fabric.names), names):
        fabric.names[device] = name.replace("\n", "")
    ElementTree.fromstring(_fabric_svg.svg(_fabric_view.view(fabric.text())).encode())
