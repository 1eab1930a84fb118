# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import facts, rails, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import rails as kind
from ansible_collections.onecc.cluster.plugins.modules.node_facts import SUBSETS
from ansible_collections.onecc.cluster.tests.unit.sysfs import (
    CONNECTX6,
    CONNECTX7,
    HDR,
    NDR,
    Sysfs,
    address,
    bridged,
    gpu_path,
    lone_path,
    rail_path,
    rewrite,
)
from hypothesis import given
from hypothesis import strategies as st

DGX = ["mlx5_0", "mlx5_3", "mlx5_4", "mlx5_5", "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"]
EIGHT = [f"mlx5_{i}" for i in range(1, 9)]


@pytest.fixture
def machine(tmp_path):
    return Sysfs(tmp_path)


def names(machine: Sysfs, **declared: object) -> list[str]:
    return [rail.port.name for rail in rails.rails(machine, declared)]


def differences(machine: Sysfs, **declared: object) -> list[tuple]:
    found = list(kind.check(machine, [{"name": "fabric", **declared}]))
    assert all((item["remedy"] == "manual") and item["name"] == "fabric" and item["message"].startswith("fabric: ") for item in found)
    return [(item["field"], item["is"], item["should"]) for item in found]


def message(machine: Sysfs, **declared: object) -> str:
    item, = kind.check(machine, [{"name": "fabric", **declared}])
    return item["message"]


def virtual_node(machine: Sysfs, count: int = 8, **given: object) -> None:
    """A virtual machine that puts every device on its one bus: GPUs first, then rails mlx5_1 and so on; mlx5_0 is Ethernet."""
    machine.hca("mlx5_0", "pci0000:00/0000:00:03.0", "Ethernet", "100 Gb/sec (4X EDR)", ("MT4126", "MT_0000000359"), link=("Unknown", "0"), net="eth0")
    for number in range(count):
        machine.gpu(f"pci0000:00/0000:00:{number + 4:02x}.0", numa=-1, link=("Unknown", "0"))
        machine.hca(f"mlx5_{number + 1}", virtual(number), numa=-1, link=("Unknown", "0"), **given)


def virtual(number: int) -> str:
    return f"pci0000:00/0000:00:{number + 12:02x}.0"


# Which ports are rails, and their order


def test_eight_rails_and_an_ethernet_port(machine):
    machine.gpu_node()
    found = rails.layout(machine, {})
    assert [rail.port.name for rail in found.rails] == EIGHT
    assert [rail.gpu for rail in found.rails] == found.gpus
    assert [rail.index for rail in found.rails] == list(range(8))
    assert found.by_affinity and found.bare == []
    assert differences(machine) == differences(machine, count=8, rate=400, width=16) == []
    assert found.rails[3].label == "rail 3 (mlx5_4, ib3, 0000:43:00.0, at GPU 0000:44:00.0)"


def test_names_tell_nothing(machine):
    machine.gpu_node(DGX)
    assert names(machine) == DGX


def test_order_follows_the_gpus_and_not_names_or_addresses(machine):
    """Names count down, and in the second half the switch has the adapter behind the GPU's bus."""
    machine.gpu_node(EIGHT[::-1])
    assert names(machine) == EIGHT[::-1]
    crossed = Sysfs(machine.folder / "crossed")
    for number in range(8):
        # The rail of GPU i hangs at a switch whose bus number counts the other way.
        crossed.gpu(gpu_path(number).replace("pci0000:", "pci0001:").replace("0000:", "0001:"))
    for number in range(8):
        crossed.hca(f"mlx5_{number}", rail_path(number).replace("pci0000:", "pci0001:").replace("0000:", "0001:"))
    assert names(crossed) == [f"mlx5_{i}" for i in range(8)]


def test_two_gpus_and_two_rails_at_a_switch(machine):
    """As HGX A100 has it. Within a switch, addresses decide."""
    for switch in range(4):
        top = f"pci0000:{switch + 1:02x}/0000:{switch + 1:02x}:01.0/0000:{switch + 1:02x}:02.0"
        bus = 0x20 + switch * 0x10
        for i in range(2):
            machine.gpu(f"{top}/0000:{bus:02x}:0{i}.0/0000:{bus + 1 + i:02x}:00.0")
            machine.hca(f"mlx5_{2 * switch + i}", f"{top}/0000:{bus:02x}:1{i}.0/0000:{bus + 5 + i:02x}:00.0", rate=HDR, board=CONNECTX6)
    found = rails.layout(machine, {})
    assert [rail.port.name for rail in found.rails] == [f"mlx5_{i}" for i in range(8)]
    assert [rail.gpu for rail in found.rails] == found.gpus


def test_a_rail_for_two_gpus(machine):
    for switch in range(4):
        bus = 0x10 + switch * 0x10
        machine.gpu(gpu_path(switch))
        machine.gpu(f"{bridged(switch)}/0000:{bus + 2:02x}:02.0/0000:{bus + 5:02x}:00.0")
        machine.hca(f"mlx5_{switch}", rail_path(switch))
    found = rails.layout(machine, {})
    assert len(found.gpus) == 8
    assert [(rail.index, rail.port.name) for rail in found.rails] == [(i, f"mlx5_{i}") for i in range(4)]
    assert found.bare == [] and differences(machine) == []


def test_twelve_devices(machine):
    """mlx5_10 comes after mlx5_9 where nothing but names and addresses order them."""
    for number in range(12):
        machine.hca(f"mlx5_{number}", lone_path(number))
    assert names(machine) == [f"mlx5_{i}" for i in range(12)]
    bare = Sysfs(machine.folder / "soft")
    for number in range(12):
        bare.rxe(f"mlx5_{number}", f"rail{number}")
    assert names(bare, link_layer="Ethernet") == [f"mlx5_{i}" for i in range(12)]


def test_a_virtual_machine_that_hides_pci(machine):
    virtual_node(machine)
    found = rails.layout(machine, {})
    assert [rail.port.name for rail in found.rails] == EIGHT
    assert not found.by_affinity and [rail.gpu.address for rail in found.rails] == [gpu.address for gpu in found.gpus]
    assert differences(machine) == [], "a width of 0 and an unknown speed are no narrow link"


def test_numa_nodes_order_where_pci_does_not(machine):
    """Two GPUs and two rails on one bus, the rail with the lower address beside the second GPU."""
    machine.gpu("pci0000:00/0000:00:04.0", numa=0)
    machine.gpu("pci0000:00/0000:00:05.0", numa=1)
    machine.hca("mlx5_0", "pci0000:00/0000:00:06.0", numa=1)
    machine.hca("mlx5_1", "pci0000:00/0000:00:07.0", numa=0)
    assert names(machine) == ["mlx5_1", "mlx5_0"] and rails.layout(machine, {}).by_affinity


def test_soft_roce_is_a_rail_where_it_is_declared(machine):
    machine.rxe("mlx5_0", "rail0")
    machine.rxe("foo", "rail1")
    machine.rxe("mlx5_2", "eno1")
    assert names(machine) == []
    assert names(machine, link_layer="Ethernet", exclude=["eno*"]) == ["foo", "mlx5_0"]
    assert names(machine, devices=["rail*"]) == ["foo", "mlx5_0"]
    assert names(machine, devices=["mlx5_?"], exclude=["eno1"]) == ["mlx5_0"]


def test_storage_at_another_rate_is_none(machine):
    machine.gpu_node()
    machine.hca("mlx5_9", lone_path(1), rate=HDR, board=CONNECTX6)
    machine.hca("mlx5_10", lone_path(2), rate="100 Gb/sec (4X EDR)")
    assert names(machine) == EIGHT


@pytest.mark.parametrize("board", [CONNECTX7, ("MT4129", "MT_0000000892")])
def test_storage_at_the_same_rate_is_none_where_pci_shows_it(machine, board):
    machine.gpu_node(broken={2: {"gone": True}})
    machine.hca("mlx5_9", lone_path(1), board=board)
    machine.hca("mlx5_10", lone_path(1, 1), board=board)
    assert names(machine) == [name for name in EIGHT if name != "mlx5_3"]


def test_storage_in_a_virtual_machine_is_known_by_rate_and_board(machine):
    virtual_node(machine)
    machine.hca("mlx5_9", "pci0000:00/0000:00:1c.0", rate=HDR)
    machine.hca("mlx5_10", "pci0000:00/0000:00:1d.0", rate=NDR, board=("MT4129", "MT_0000000892"))
    assert names(machine) == EIGHT
    assert names(machine, exclude=["0000:00:0c.0", "mlx5_9"]) == EIGHT[1:], "storage takes no place of a rail that is gone"


def test_the_highest_rate_of_which_there_are_enough(machine):
    for number in range(2):
        machine.gpu(f"pci0000:00/0000:00:{number + 4:02x}.0")
        machine.hca(f"mlx5_{number}", f"pci0000:00/0000:00:{number + 16:02x}.0")
    for number in range(4):
        machine.hca(f"mlx5_{number + 2}", f"pci0000:00/0000:00:{number + 8:02x}.0", rate="100 Gb/sec (4X EDR)", board=CONNECTX6)
    assert names(machine) == ["mlx5_0", "mlx5_1"]


def test_without_gpus_the_most_common_rate(machine):
    for number in range(8):
        machine.hca(f"mlx5_{number}", lone_path(number))
    machine.hca("mlx5_8", lone_path(8), rate=HDR, board=CONNECTX6)
    assert names(machine) == [f"mlx5_{i}" for i in range(8)]
    assert names(machine, min_rate=500) == []


def test_virtual_functions_beside_physical_ones_are_none(machine):
    """One beside each rail, of the same board and as fast."""
    machine.gpu_node()
    for number in range(8):
        path = rail_path(number)[:-1] + "1"
        machine.hca(f"mlx5_{20 + number}", path)
        machine.link(f"/sys/devices/{path}/physfn", f"/sys/bus/pci/devices/{address(rail_path(number))}")
    assert names(machine) == EIGHT
    assert differences(machine) == []
    assert names(machine, devices=["mlx5_2?"]) == [f"mlx5_{20 + i}" for i in range(8)]


def test_sub_functions_are_none(machine):
    machine.gpu_node()
    function = f"/sys/devices/{rail_path(0)}/mlx5_core.sf.2"
    folder = f"{function}/infiniband/mlx5_20"
    machine.port(f"{folder}/ports/1")
    machine.link(f"{folder}/device", function)
    machine.link("/sys/class/infiniband/mlx5_20", folder)
    assert names(machine, count=9) == EIGHT


def test_a_virtual_function_given_to_a_virtual_machine_is_one(machine):
    virtual_node(machine, board=("MT4126", "MT_0000000838"))
    assert names(machine) == EIGHT


def test_two_ports_of_a_device(machine):
    for number in range(4):
        machine.gpu(gpu_path(number))
        folder = machine.hca(f"mlx5_{number}", rail_path(number), ports=2)
        machine.port(f"{folder}/ports/2", up=False)
    assert names(machine) == [f"mlx5_{i}:1" for i in range(4)]
    assert differences(machine) == [], "a second port that is not used is no dead rail"


def test_two_ports_of_a_device_without_gpus(machine):
    for number in range(2):
        folder = machine.hca(f"mlx5_{number}", lone_path(number), ports=2)
        machine.port(f"{folder}/ports/2", up=False)
    assert names(machine) == ["mlx5_0:1", "mlx5_1:1"]
    assert names(machine, count=4) == ["mlx5_0:1", "mlx5_0:2", "mlx5_1:1", "mlx5_1:2"]


def test_a_bond_is_ethernet(machine):
    machine.gpu_node()
    machine.hca("mlx5_bond_0", lone_path(3), "Ethernet", NDR, net="bond0")
    assert names(machine) == EIGHT
    assert names(machine, devices=["bond0"]) == ["mlx5_bond_0"]


def test_roce_rails_are_found_like_others(machine):
    for number in range(8):
        machine.gpu(gpu_path(number))
        machine.hca(f"rocep{number}", rail_path(number), "Ethernet", "400 Gb/sec (4X NDR)", net=f"eth{number}")
    machine.hca("mlx5_bond_0", lone_path(0), "Ethernet", HDR, CONNECTX6, net="bond0")
    assert names(machine, link_layer="Ethernet") == [f"rocep{i}" for i in range(8)]


# Dead, slow and narrow ones


def test_a_dead_rail_is_still_one(machine):
    machine.gpu_node(broken={3: {"up": False}})
    assert names(machine) == EIGHT
    assert differences(machine) == [("mlx5_4 state", "DOWN", "ACTIVE")]
    assert message(machine) == (
        "fabric: rail 3 (mlx5_4, ib3, 0000:43:00.0, at GPU 0000:44:00.0) is down (DOWN, Polling): it sees no partner: "
        "look at cable, transceiver and switch port"
    )


def test_a_dead_rail_in_a_virtual_machine(machine):
    """Beside an unused port of the same adapters, and one of another board."""
    virtual_node(machine)
    rewrite(machine, "/sys/class/infiniband/mlx5_5/ports/1", state="1: DOWN", phys_state="3: Disabled", rate="10 Gb/sec (4X SDR)")
    machine.hca("mlx5_9", "pci0000:00/0000:00:0c.1", up=False)
    machine.hca("mlx5_10", "pci0000:00/0000:00:1e.0", up=False, board=CONNECTX6)
    assert names(machine) == EIGHT
    assert "mlxlink -d mlx5_5 -a UP" in message(machine)


def test_unused_ports_are_no_dead_rails(machine):
    virtual_node(machine)
    machine.hca("mlx5_9", "pci0000:00/0000:00:1c.0", up=False)
    assert names(machine) == EIGHT and differences(machine) == []
    assert differences(machine, count=9) == [("mlx5_9 state", "DOWN", "ACTIVE")]


@pytest.mark.parametrize("hidden", [False, True])
def test_all_rails_dead(machine, hidden):
    """As without a subnet manager; storage has its own."""
    if hidden:
        virtual_node(machine, up=False)
    else:
        machine.gpu_node(broken={number: {"up": False} for number in range(8)})
    for number in range(2):
        machine.hca(f"mlx5_{20 + number}", lone_path(number + 1), rate=HDR, board=CONNECTX6)
    assert names(machine) == EIGHT
    assert len(differences(machine)) == 8


def test_a_rail_that_is_gone_from_a_virtual_machine(machine):
    virtual_node(machine)
    machine.folder.joinpath("sys/class/infiniband/mlx5_8").unlink()
    assert differences(machine) == [("count", 7, 8)]
    for number in range(5, 8):
        machine.folder.joinpath(f"sys/class/infiniband/mlx5_{number}").unlink()
    assert differences(machine) == [], "a rail for two GPUs each"


def test_a_rail_without_a_device(machine):
    """Its adapter is on the bus, and its driver gave up."""
    machine.gpu_node(broken={5: {"gone": True}})
    machine.pci(rail_path(5), numa=1, vendor="0x15b3", **{"class": "0x020700"})
    found = rails.layout(machine, {})
    assert [rail.index for rail in found.rails] == [0, 1, 2, 3, 4, 6, 7]
    assert [gpu.address for gpu in found.bare] == [address(gpu_path(5))]
    assert differences(machine) == [("count", 7, 8)]
    assert f"none at GPU {address(gpu_path(5))}; the InfiniBand adapter {address(rail_path(5))} has no RDMA device" in message(machine)


def test_a_rail_whose_gpu_is_gone_keeps_its_place(machine):
    machine.gpu_node()
    machine.folder.joinpath("sys/bus/pci/devices", address(gpu_path(3))).unlink()
    found = rails.layout(machine, {})
    assert [rail.port.name for rail in found.rails] == EIGHT
    assert [rail.gpu is None for rail in found.rails] == [i == 3 for i in range(8)]


def test_a_gpu_and_the_rail_of_another_one_are_gone(machine):
    """The rail without a GPU does not take the place of the one that is missing."""
    machine.gpu_node(broken={5: {"gone": True}})
    machine.folder.joinpath("sys/bus/pci/devices", address(gpu_path(3))).unlink()
    found = rails.layout(machine, {})
    assert [(rail.index, rail.port.name) for rail in found.rails] == [(i, EIGHT[i]) for i in (0, 1, 2, 3, 4, 6, 7)]
    assert found.rails[3].gpu is None and [gpu.address for gpu in found.bare] == [address(gpu_path(5))]


def test_no_driver_at_all(machine):
    machine.gpu_node(broken={number: {"gone": True} for number in range(8)})
    for number in range(8):
        machine.pci(rail_path(number), driver="vfio-pci" if number == 7 else None, **{"class": "0x020700"})
    assert differences(machine) == [("count", 0, 7)], "the one that a virtual machine has counts for nobody"


def test_a_slow_rail(machine):
    machine.gpu_node(broken={6: {"rate": HDR}})
    assert names(machine) == EIGHT
    assert differences(machine) == [("mlx5_7 rate", 200, 400)]
    assert "has 200 Gb/s and should have 400" in message(machine)


def test_a_slow_rail_in_a_virtual_machine(machine):
    virtual_node(machine)
    rewrite(machine, "/sys/class/infiniband/mlx5_2/ports/1", rate="100 Gb/sec (1X NDR)")
    assert names(machine) == EIGHT and differences(machine) == [("mlx5_2 rate", 100, 400)]


def test_all_slower_than_declared(machine):
    machine.gpu_node(broken={number: {"rate": HDR} for number in range(8)})
    assert differences(machine) == []
    assert len(differences(machine, rate=400)) == 8


def test_half_of_them_slow(machine):
    """A tie is the faster ones'."""
    machine.gpu_node(broken={number: {"rate": HDR} for number in range(4)})
    assert names(machine) == EIGHT
    assert [field for field, _is, _should in differences(machine)] == [f"mlx5_{i} rate" for i in range(1, 5)]


def test_a_narrow_link(machine):
    machine.gpu_node()
    device = f"/sys/bus/pci/devices/{address(rail_path(1))}"
    rewrite(machine, device, current_link_width="8")
    assert differences(machine) == [("mlx5_2 width", 8, 16)]
    rewrite(machine, device, current_link_width="16", current_link_speed="16.0 GT/s PCIe")
    assert differences(machine) == [("mlx5_2 speed", 16, 32)]


@pytest.mark.parametrize("width", ["0", "63", "255", "Unknown", "-1", ""])
def test_widths_that_there_are_not(machine, width):
    """What virtual machines and sleeping devices show."""
    virtual_node(machine)
    device = f"/sys/bus/pci/devices/{address(virtual(0))}"
    rewrite(machine, device, current_link_width="16", max_link_width=width)
    assert differences(machine) == []
    rewrite(machine, device, current_link_width=width, max_link_width="16")
    assert differences(machine) == []


def test_a_slot_that_cannot_do_more_is_no_narrow_link(machine):
    machine.gpu_node()
    for number in range(8):
        rewrite(machine, f"/sys/bus/pci/devices/{rail_path(number).split('/')[-2]}", max_link_width="8", max_link_speed="16.0 GT/s PCIe")
        rewrite(machine, f"/sys/bus/pci/devices/{address(rail_path(number))}", current_link_width="8", current_link_speed="16.0 GT/s PCIe")
    assert differences(machine) == []
    assert len(differences(machine, width=16)) == 8


@pytest.mark.parametrize(("values", "words"), [
    ({"state": "2: INIT", "phys_state": "5: LinkUp"}, "no subnet manager"),
    ({"state": "3: ARMED", "phys_state": "5: LinkUp"}, "no subnet manager"),
    ({"state": "1: DOWN", "phys_state": "6: LinkErrorRecovery"}, "ibstat mlx5_4"),
    ({"state": "", "phys_state": ""}, "(unknown, unknown): the adapter does not answer"),
])
def test_what_to_do(machine, values, words):
    machine.gpu_node()
    rewrite(machine, "/sys/class/infiniband/mlx5_4/ports/1", **values)
    assert words in message(machine)


def test_an_adapter_that_answers_nothing(machine):
    """Attributes that the kernel refuses to read are as good as absent."""
    machine.gpu_node()
    port = machine.folder / "sys/class/infiniband/mlx5_4/ports/1"
    for name in ("state", "phys_state", "rate", "link_layer"):
        (port / name).unlink()
        (port / name).mkdir()  # reading it fails, with another error
    assert names(machine) == EIGHT
    assert differences(machine) == [("mlx5_4 state", "", "ACTIVE")]


def test_an_interface_that_is_set_down(machine):
    machine.rxe("mlx5_0", "rail0")
    machine.rxe("mlx5_1", "rail1", up=False)
    assert differences(machine, link_layer="Ethernet") == [("mlx5_1 state", "DOWN", "ACTIVE")]
    assert "`ip link set rail1 up`" in message(machine, link_layer="Ethernet")


def test_declared_devices_that_are_not_there(machine):
    machine.rxe("mlx5_0", "rail0")
    assert differences(machine, devices=["mlx5_0", "mlx5_1"]) == [("count", 1, 2)]
    assert "no port is mlx5_1" in message(machine, devices=["mlx5_0", "mlx5_1"])


def test_more_than_declared(machine):
    machine.gpu_node()
    assert differences(machine, count=4) == [("count", 8, 4)]
    assert "name in `exclude`" in message(machine, count=4)


def test_a_dangling_device_link(machine):
    machine.gpu_node()
    for number in range(8):
        device = machine.folder / "sys/class/infiniband" / EIGHT[number] / "device"
        target = device.readlink()
        device.unlink()
        device.symlink_to(f"{target}-gone/../{address(rail_path(number))}")
    assert names(machine) == EIGHT


def test_nothing_at_all(machine):
    found = rails.layout(machine, {})
    assert found.rails == found.gpus == found.bare == [] and not found.by_affinity
    assert differences(machine) == []
    assert differences(machine, count=8) == [("count", 0, 8)]


# Whatever stands in the files


GARBLED = st.one_of(st.binary(max_size=40), st.sampled_from([
    b"4: ACTIVE\n", b"400 Gb/sec (4X NDR)\n", b"\xff\xfe", b"4" * 5000, b"-1\n", b"0x", b"InfiniBand\n", b"1e999 Gb/sec", b"\xd9\xa3\n",
]))
FILES = [
    "sys/class/infiniband/mlx5_1/ports/1/" + name for name in ("state", "phys_state", "rate", "link_layer", "gids/0", "lid", "counters/link_downed")
] + ["sys/class/infiniband/mlx5_1/" + name for name in ("hca_type", "board_id", "fw_ver", "node_guid", "parent", "ports/1/gid_attrs/ndevs/0")] + [
    f"sys/bus/pci/devices/{address(rail_path(0))}/" + name
    for name in ("numa_node", "current_link_width", "max_link_speed", "net/ib0/dev_port", "net/ib0/phys_port_name", "class")
] + [f"sys/bus/pci/devices/{address(gpu_path(0))}/" + name for name in ("class", "vendor", "device")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    machine = Sysfs(tmp_path_factory.mktemp("whole"))
    machine.gpu_node()
    return machine


@given(st.dictionaries(st.sampled_from(FILES), GARBLED))
def test_garbled_content(whole, contents):
    before = {name: whole.data(name) for name in contents}
    for name, content in contents.items():
        whole.write("/" + name, content)
    try:
        found = names(whole)
        assert set(EIGHT[1:]) <= set(found) <= set(EIGHT)
        for item in kind.check(whole, [{"name": "rails"}]):
            assert "mlx5_1" in item["field"] or item["field"] == "count"
        json.dumps(facts.gathered(whole, SUBSETS, {}, "10.0.0.1"), allow_nan=False)
    finally:
        for name, content in before.items():
            whole.folder.joinpath(name).unlink() if content is None else whole.write("/" + name, content)


# Declarations


@pytest.mark.parametrize(("declared", "words"), [
    ({"devices": ["a b"]}, ["devices has 'a b'", "mlx5_*"]),
    ({"exclude": [""]}, ["exclude has ''"]),
    ({"count": 0}, ["count is 0", "above 0"]),
    ({"min_rate": -1.0}, ["min_rate is -1"]),
    ({"rate": float("nan")}, ["rate is nan"]),
    ({"devices": ["mlx5_*", "0000:1a:00.[01]", "rail?"], "count": 8, "rate": 400.0}, []),
])
def test_declarations(declared, words):
    said = specs.invalid_rails({"devices": [], "exclude": [], **declared})
    assert (said is None) == (not words) and all(word in (said or "") for word in words), said
