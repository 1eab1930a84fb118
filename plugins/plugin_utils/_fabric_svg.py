# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""A picture of a fabric view: spines above, then each pod with its leaves, and below them its nodes as rows and rails as columns.

A cell has the colour of the leaf that the rail meets, so a wrong one stands out of its column. What is wrong has a sign too, for
those who do not see colours, and says what it is where the pointer rests on it. Lengths are pixels.
"""

from __future__ import annotations

import colorsys
from typing import Any
from xml.etree import ElementTree

CELL, ROW, MARGIN, GAP = 24, 16, 20, 28
SPINE_TOP, SPINE_HEIGHT, LEAF_TOP, LEAF_HEIGHT = 52, 22, 184, 76
ROWS_TOP = LEAF_TOP + LEAF_HEIGHT + 22
# Of a letter, on the average.
LETTER, LIST_LETTER = 6.4, 5.9
# Longer names are cut; the whole one shows where the pointer rests.
NAME_LENGTH = 18
# All of them are in the report.
LISTED, LINE_LENGTH = 12, 180

SIGNS = {"miswired": "×", "missing": "–", "absent": "–", "slow": "↓", "inactive": "!", "ambiguous": "?", "unnamed": "?"}
LEGEND = {"miswired": "wrong cable", "missing": "missing", "slow": "slow", "inactive": "not active", "ambiguous": "whose?"}
STYLE = """
svg { font: 11px sans-serif } .ground { fill: #ffffff } text { fill: #1f2328 } .faint { fill: #59636e } .bad { fill: #c4111d }
.title { font-size: 15px; font-weight: bold } .sign { fill: #000000; font-weight: bold; font-size: 12px }
.switch { fill: #eff2f5; stroke: #818b98 } .link { stroke: #818b98; stroke-opacity: 0.35 }
.fault { stroke: #c4111d; stroke-width: 2 } .none { fill: none; stroke-dasharray: 3 2 } .nolink { stroke-dasharray: 5 3 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #f0f6fc } .faint { fill: #9198a1 } .bad { fill: #ff7b72 }
.sign { fill: #000000 } .none + .sign { fill: #ff7b72 } .switch { fill: #212830; stroke: #656c76 } .fault { stroke: #ff7b72 }
}
"""

Element = ElementTree.Element


def svg(view: dict[str, Any]) -> str:
    """The picture of a view."""
    faults = _faults(view)
    names = [name[:NAME_LENGTH] for pod in view["pods"] for name in pod["nodes"]]
    label = 10 + LETTER * max(map(len, names), default=0)
    pod_width = label + CELL * view["rails"]
    count = max(1, len(view["pods"]))
    right = max(520, MARGIN + count * pod_width + (count - 1) * GAP)
    listed = _listed(view)
    width = max(right, MARGIN + LIST_LETTER * max(map(len, listed), default=0)) + MARGIN
    rows = max((len(pod["nodes"]) for pod in view["pods"]), default=0)
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    ElementTree.SubElement(root, "style").text = STYLE
    ground = ElementTree.SubElement(root, "rect", {"class": "ground", "width": "100%", "height": "100%"})
    findings = len(view["findings"])
    wrong = "nothing is wrong" if not findings else f"{findings} finding{'s' if findings > 1 else ''}"
    nodes = f"{len(view['nodes'])} nodes, {view['rails']} rails"
    spines = [switch["name"] for switch in view["switches"] if switch["tier"] == "spine"]
    # Without spines there is nothing between the title and the leaves.
    above = 0 if spines else LEAF_TOP - SPINE_TOP
    _text(root, MARGIN, above + 30, f"{nodes}: {wrong}", "title bad" if findings else "title")
    step = (right - MARGIN) / max(1, len(spines))
    tops = {name: MARGIN + step * (place + 0.5) for place, name in enumerate(spines)}
    boxes = _leaf_boxes(view, label, pod_width)
    _uplinks(root, view, faults, tops, {name: (left + right) / 2 for name, left, right, _rail, _pod in boxes if name})
    for name, middle in tops.items():
        _switch(root, name, (middle - min(step - 6, 110) / 2, SPINE_TOP, min(step - 6, 110), SPINE_HEIGHT), faults)
    colours = {name: _colour(rail, pod, view["rails"]) for name, _left, _right, rail, pod in boxes if name}
    for name, left, right, rail, pod in boxes:
        _switch(root, name, (left + 1, LEAF_TOP, right - left - 2, LEAF_HEIGHT), faults, _colour(rail, pod, view["rails"]))
    rails = {node["name"]: {rail["rail"]: rail for rail in node["rails"]} for node in view["nodes"]}
    for place, pod in enumerate(view["pods"]):
        left = MARGIN + place * (pod_width + GAP) + label
        _text(root, left - 8, LEAF_TOP + 12, pod["name"], "faint", anchor="end")
        for rail in range(view["rails"]):
            _text(root, left + CELL * (rail + 0.5), ROWS_TOP - 7, str(rail), "faint", anchor="middle")
        for row, name in enumerate(pod["nodes"]):
            top = ROWS_TOP + row * ROW
            _titled(_text(root, left - 8, top + 11, _short(name), anchor="end"), name)
            for rail in range(view["rails"]):
                _cell(root, (left + CELL * rail + 1, top), (name, rail), rails[name].get(rail), faults, colours)
    bottom = ROWS_TOP + rows * ROW + 26.0
    if findings:
        _legend(root, bottom)
        bottom += 32
    for line in listed:
        _text(root, MARGIN, bottom, line, "bad")
        bottom += ROW
    ground.set("y", str(above))
    root.set("viewBox", f"0 {above} {width:.0f} {bottom - above:.0f}")
    root.set("width", f"{width:.0f}")
    root.set("height", f"{bottom - above:.0f}")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _faults(view: dict[str, Any]) -> dict[tuple, list[dict[str, Any]]]:
    """Findings by the rail (node, rail), the switch (name,) and the link (name of a switch, name of the other) that they are of."""
    names = {switch["name"] for switch in view["switches"]}
    faults: dict[tuple, list[dict[str, Any]]] = {}
    for finding in view["findings"]:
        keys: set[tuple] = set()
        for cable in finding["cables"]:
            if "node" in cable:
                keys.add((cable["node"], cable["rail"]))
                continue
            keys.add((cable["switch"],))
            for end in (cable["is"], cable["should"], cable.get("other")):
                other = (end or "").rpartition(" port ")[0] or end
                keys |= {(cable["switch"], other), (other, cable["switch"])} if other in names else set()
        for key in keys:
            faults.setdefault(key, []).append(finding)
    return faults


def _leaf_boxes(view: dict[str, Any], label: float, pod_width: float) -> list[tuple[str | None, float, float, int, int]]:
    """Name of each leaf, where it begins and ends from left to right, and the rail and the pod of its colour.

    A leaf that several neighbouring rails meet is as wide as these. One that nobody knows is None.
    """
    boxes: list[tuple[str | None, float, float, int, int]] = []
    for place, pod in enumerate(view["pods"]):
        left = MARGIN + place * (pod_width + GAP) + label
        for rail, name in enumerate(pod["leaves"]):
            begin, end = left + CELL * rail, left + CELL * (rail + 1)
            if boxes and rail and name and boxes[-1][0] == name:
                boxes[-1] = (name, boxes[-1][1], end, *boxes[-1][3:])
            else:
                boxes.append((name, begin, end, rail, place))
    return boxes


def _colour(rail: int, pod: int, rails: int) -> str:
    """As different as may be between rails, lighter in every second pod, and neither lost on white nor on black."""
    red, green, blue = colorsys.hls_to_rgb(rail / max(1, rails), 0.58 if pod % 2 == 0 else 0.74, 0.6)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _uplinks(
    root: Element, view: dict[str, Any], faults: dict[tuple, list[dict[str, Any]]], tops: dict[str, float], middles: dict[str, float]
) -> None:
    """A line for all links of a leaf and a spine; those with a fault last, and so above."""
    links = {switch["name"]: switch["links"] for switch in view["switches"]}
    pairs = [(leaf, spine) for leaf in middles for spine in tops if links[leaf].get(spine) or (leaf, spine) in faults]
    for leaf, spine in sorted(pairs, key=lambda pair: pair in faults):
        count = links[leaf].get(spine, 0)
        found = faults.get((leaf, spine), [])
        kind = "link"
        if found:
            kind = "fault nolink" if {item["kind"] for item in found} == {"missing"} else "fault"
        line = ElementTree.SubElement(root, "line", {
            "x1": f"{middles[leaf]:.1f}", "y1": str(LEAF_TOP), "x2": f"{tops[spine]:.1f}", "y2": str(SPINE_TOP + SPINE_HEIGHT), "class": kind,
        })
        _titled(line, "\n".join([f"{leaf} to {spine}: {count} link{'s' if count != 1 else ''}", *(item["message"] for item in found)]))


def _switch(
    root: Element, name: str | None, box: tuple[float, float, float, float], faults: dict[tuple, list[dict[str, Any]]], colour: str = ""
) -> None:
    """A spine, or, with its colour, a leaf: narrow ones have their name from below to above."""
    left, top, width, height = box
    found = faults.get((name,), [])
    rect = _rect(root, box, "switch" + (" fault" if found else "")) if name else _rect(root, box, "fault none")
    _titled(rect, "\n".join([name or "not in the fabric", *(item["message"] for item in found)]))
    if colour and name:
        _rect(root, (left, top + height - 6, width, 6), "", fill=colour)
    text = name or "?"
    middle, upright = left + width / 2, colour and width < 2 * CELL
    room = int((height - 12 if upright else width - 4) / LETTER)
    element = _text(root, middle + (4 if upright else 0), top + (height - 10 if upright else height / 2 + 4), _short(text, room))
    element.set("text-anchor", "start" if upright else "middle")
    if upright:
        element.set("transform", f"rotate(-90 {middle + 4:.1f} {top + height - 10:.1f})")
    _titled(element, text)


def _cell(
    root: Element, at: tuple[float, float], key: tuple[str, int], rail: dict[str, Any] | None,
    faults: dict[tuple, list[dict[str, Any]]], colours: dict[str, str],
) -> None:
    found = faults.get(key, [])
    box = (*at, CELL - 2.0, ROW - 3.0)
    title = f"{key[0]} rail {key[1]}: " + (
        f"{rail['device'] or rail['guid']} at {rail['switch']} port {rail['port']}, {rail['rate']}" if rail else "not in the fabric"
    )
    kind = " ".join(["fault"] * bool(found) + ["none"] * (rail is None))
    rect = _rect(root, box, kind, fill=colours.get(rail["switch"], "#9198a1")) if rail else _rect(root, box, kind)
    title = "\n".join([title, *(item["message"] for item in found)])
    _titled(rect, title)
    if found:
        sign = _text(root, at[0] + box[2] / 2, at[1] + 11, SIGNS[found[0]["kind"]], "sign" if rail else "bad", anchor="middle")
        _titled(sign, title)


def _legend(root: Element, top: float) -> None:
    left = float(MARGIN)
    for kind, words in LEGEND.items():
        empty = kind == "missing"
        _rect(root, (left, top, CELL - 2.0, ROW - 3.0), "fault none" if empty else "fault", **({} if empty else {"fill": "#b1bac4"}))
        _text(root, left + CELL / 2 - 1, top + 11, SIGNS[kind], "bad" if empty else "sign", anchor="middle")
        _text(root, left + CELL + 4, top + 11, words, "faint")
        left += CELL + 20 + LETTER * len(words)


def _listed(view: dict[str, Any]) -> list[str]:
    """The first findings as text."""
    lines = [_short(f"{item['kind']}: {item['message']}", LINE_LENGTH) for item in view["findings"][:LISTED]]
    more = len(view["findings"]) - LISTED
    return [*lines, f"and {more} more"] if more > 0 else lines


def _short(text: str, length: int = NAME_LENGTH) -> str:
    return text if len(text) <= length else text[:max(1, length - 1)] + "…"


def _rect(root: Element, box: tuple[float, float, float, float], kind: str, **attributes: str) -> Element:
    left, top, width, height = (f"{value:.1f}" for value in box)
    return ElementTree.SubElement(root, "rect", {
        "x": left, "y": top, "width": width, "height": height, "rx": "3", **({"class": kind} if kind else {}), **attributes,
    })


def _text(root: Element, left: float, top: float, text: str, kind: str = "", anchor: str = "") -> Element:
    element = ElementTree.SubElement(root, "text", {
        "x": f"{left:.1f}", "y": f"{top:.1f}", **({"class": kind} if kind else {}), **({"text-anchor": anchor} if anchor else {}),
    })
    element.text = text
    return element


def _titled(element: Element, title: str) -> None:
    """What shows where the pointer rests on it. It has to be the first thing in an element."""
    child = Element("title")
    child.text = title
    text, element.text = element.text, None
    child.tail = text
    element.insert(0, child)
