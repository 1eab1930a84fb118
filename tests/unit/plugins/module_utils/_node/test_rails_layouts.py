# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes as they are built, in order and with one thing broken: what is said is that thing, and nothing else."""

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import rails
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import rails as kind
from ansible_collections.onecc.cluster.tests.unit.sysfs import CONNECTX6, CONNECTX7, HDR, NDR, Sysfs, address, gpu_path, lone_path, rail_path
from hypothesis import given, settings
from hypothesis import strategies as st

BLUEFIELD3 = ("MT41692", "MT_0000000884")


class Built:
    """A node to be: paths of GPUs with their NUMA nodes, its rails in their order, its other ports, and what is declared."""

    def __init__(self, gpus: list, rails_: list[dict], others: list[dict] = (), **declared: object) -> None:
        self.gpus = gpus
        self.rails = rails_
        self.others = list(others)
        self.declared = declared


def hca(path: str, number: int, **given: object) -> dict:
    return {"name": f"mlx5_{number}", "path": path, **given}


def gb200(layer: str) -> Built:
    """Four 400G rails on host bridges of their own, and two BlueFields with two 200G ports each."""
    gpus = [(f"pci{domain}:00/{domain}:00:00.0/{domain}:01:00.0", numa) for domain, numa in (("0008", 0), ("0009", 0), ("0018", 1), ("0019", 1))]
    rails_ = [
        hca(f"pci{domain}:00/{domain}:00:00.0/{domain}:01:00.0/{domain}:02:00.0/{domain}:03:00.0", number, layer=layer, numa=numa)
        for domain, number, numa in (("0000", 0, 0), ("0002", 1, 0), ("0010", 4, 1), ("0012", 5, 1))
    ]
    others = [
        hca(
            f"pci{domain}:00/{domain}:00:00.0/{domain}:03:00.{function}", 10 * numa + function + 20, layer=layer, rate="200 Gb/sec (2X NDR)",
            board=BLUEFIELD3, numa=numa,
        )
        for domain, numa in (("0006", 0), ("0016", 1)) for function in range(2)
    ]
    return Built(gpus, rails_, others, link_layer=layer)


def hgx(storage: bool = False, **given: object) -> Built:
    """Eight GPUs, each with a rail at its switch."""
    others = [hca(lone_path(1, function), 20 + function) for function in range(2)] if storage else []
    return Built(
        [(gpu_path(i), i // 4) for i in range(8)], [hca(rail_path(i), i + 1, numa=i // 4, **given) for i in range(8)], others,
        **({"link_layer": given["layer"]} if "layer" in given else {}),
    )


def two_each() -> Built:
    """Dual-port adapters, both ports in use: sixteen ports for eight GPUs."""
    return Built(
        [(gpu_path(i), i // 4) for i in range(8)],
        [hca(rail_path(i)[:-1] + str(port), 2 * i + port, layer="Ethernet", rate="200 Gb/sec (4X HDR)", numa=i // 4) for i in range(8) for port in range(2)],
        link_layer="Ethernet",
    )


def one_cable_each() -> Built:
    """Four dual-port adapters, each for two GPUs and with one cable."""
    gpus = [(f"{gpu_path(i).rpartition('/0000')[0]}/0000:{0x14 + 16 * i + k:02x}:00.0", i // 2) for i in range(4) for k in range(2)]
    return Built(
        gpus, [hca(rail_path(i), 2 * i, numa=i // 2) for i in range(4)],
        [hca(rail_path(i)[:-1] + "1", 2 * i + 1, numa=i // 2, up=False) for i in range(4)],
    )


def virtual(storage: bool) -> Built:
    """A virtual machine that puts all on one bus."""
    others = [hca("pci0000:00/0000:00:1e.0", 30, numa=-1, board=("MT4129", "MT_0000000892"))] if storage else []
    return Built(
        [(f"pci0000:00/0000:00:{4 + i:02x}.0", -1) for i in range(8)],
        [hca(f"pci0000:00/0000:00:{12 + i:02x}.0", i + 1, numa=-1) for i in range(8)], others,
    )


def dgx_a100() -> Built:
    """HDR rails beside two faster adapters, which are storage's and in slots."""
    built = hgx(rate=HDR, board=CONNECTX6)
    built.others = [hca(lone_path(1, function), 20 + function, rate=NDR, board=CONNECTX7) for function in range(2)]
    return built


LAYOUTS = {
    "H100": hgx, "H100 with storage as fast": lambda: hgx(True), "H100 RoCE": lambda: hgx(layer="Ethernet"), "A100 with faster storage": dgx_a100,
    "GB200 InfiniBand": lambda: gb200("InfiniBand"), "GB200 RoCE": lambda: gb200("Ethernet"),
    "two ports a GPU": two_each, "dual-port adapters with one cable": one_cable_each,
    "virtual machine": lambda: virtual(False), "virtual machine with storage as fast": lambda: virtual(True),
}


def made(folder, built: Built, fault: str = "", at: int = 0) -> Sysfs:
    machine = Sysfs(folder)
    for number, (path, numa) in enumerate(built.gpus):
        if (fault, number) != ("no GPU", at):
            machine.gpu(path, numa=numa)
    for number, given_ in enumerate([*built.rails, *built.others]):
        values = dict(given_)
        if number == at and fault == "down":
            values["up"] = False
        if number == at and fault == "slow":
            values["rate"] = "100 Gb/sec (1X NDR)"
        # With the unused port of its board.
        gone = fault == "absent" and (number == at or number >= len(built.rails) and given_["path"][:-1] == built.rails[at]["path"][:-1])
        if not gone:
            machine.hca(values.pop("name"), values.pop("path"), **values)
    return machine


def named(machine: Sysfs, built: Built) -> list[tuple[str, int]]:
    return [(rail.port.name, rail.index) for rail in rails.rails(machine, built.declared)]


def said(machine: Sysfs, built: Built) -> list[str]:
    return [item["field"] for item in kind.check(machine, [{"name": "rails", **built.declared}])]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_in_order(tmp_path, layout):
    built = layout()
    machine = made(tmp_path, built)
    assert named(machine, built) == [(rail["name"], number) for number, rail in enumerate(built.rails)]
    assert said(machine, built) == []


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_one_thing_broken(tmp_path_factory, data):
    built = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))]()
    fault = data.draw(st.sampled_from(["down", "slow", "absent", "no GPU"]))
    at = data.draw(st.integers(0, len(built.gpus if fault == "no GPU" else built.rails) - 1))
    machine = made(tmp_path_factory.mktemp("node"), built, fault, at)
    whole = [rail["name"] for rail in built.rails]
    name = whole[at] if fault != "no GPU" else ""
    found = named(machine, built)
    assert [rail for rail, _index in found] == [rail for rail in whole if fault != "absent" or rail != name]
    if fault == "no GPU":
        assert (said(machine, built), [index for _name, index in found]) == ([], list(range(len(whole)))), "the GPU is another kind's"
    else:
        assert said(machine, built) == [{"down": f"{name} state", "slow": f"{name} rate", "absent": "count"}[fault]]
        if fault == "absent":
            item, = kind.check(machine, [{"name": "rails", **built.declared}])
            assert (item["is"], item["should"]) == (len(whole) - 1, len(whole))
    hidden = not rails.layout(machine, built.declared).by_affinity or built.gpus[0][0].startswith("pci0008")
    if fault == "absent" and not hidden and len(whole) == 8:
        assert [index for _name, index in found] == [number for number in range(8) if number != at]


@pytest.mark.parametrize("layer", ["InfiniBand", "Ethernet"])
@pytest.mark.parametrize("fault", [{"up": False}, {"rate": "100 Gb/sec (1X NDR)"}])
def test_all_rails_dead_or_slow_beside_a_slower_set_that_is_whole(tmp_path, layer, fault):
    """The model says that they can do more."""
    built = gb200(layer)
    built.rails = [{**rail, **fault} for rail in built.rails]
    assert [name for name, _index in named(made(tmp_path, built), built)] == [rail["name"] for rail in built.rails]


def test_a_rail_of_another_board_at_its_gpu(tmp_path):
    """As after a repair with another make of the same adapter: it stays a rail when it is down."""
    built = hgx()
    built.rails[7]["board"] = ("MT4129", "MT_0000000892")
    assert said(made(tmp_path / "whole", built), built) == []
    assert said(made(tmp_path / "down", built, "down", 7), built) == ["mlx5_8 state"]


def test_most_are_slow(tmp_path):
    built = hgx()
    for rail in built.rails[:6]:
        rail["rate"] = HDR
    assert said(made(tmp_path, built), built) == [f"mlx5_{number} rate" for number in range(1, 7)]


def test_whose_gpu_a_rail_is_where_pci_is_hidden_and_one_is_gone(tmp_path):
    """By address, and at no GPU: nobody knows which one is gone."""
    built = virtual(False)
    machine = made(tmp_path, built, "no GPU", 3)
    assert [rail.gpu for rail in rails.rails(machine, {})] == [None] * 8
    assert address(built.rails[0]["path"]) == rails.rails(machine, {})[0].port.address


def test_one_gpu_with_two_rails_of_which_one_is_dead(tmp_path):
    built = Built([(gpu_path(0), 0)], [hca(rail_path(0), 0), hca(rail_path(0).replace("12:01.0/0000:13", "12:02.0/0000:15"), 1)])
    assert said(made(tmp_path / "whole", built), built) == []
    assert said(made(tmp_path / "down", built, "down", 1), built) == ["mlx5_1 state"]
