# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what Linux shows of GPUs, RDMA devices and interfaces below /sys, with the links and the words that it uses."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.onecc.cluster.tests.unit.captured import Captured

PCI = "/sys/bus/pci/devices"
NDR, HDR = "400 Gb/sec (4X NDR)", "200 Gb/sec (4X HDR)"
# What mlx5 says of an InfiniBand port without a link.
NO_LINK = "10 Gb/sec (4X SDR)"
CONNECTX7 = ("MT4129", "MT_0000000838")
CONNECTX6 = ("MT4123", "MT_0000000223")


def bridged(number: int) -> str:
    """The PCI path of the switch of rail `number` of a bare-metal node: host bridge, root port, the switch's upstream port."""
    bus = 0x10 + number * 0x10
    return f"pci0000:{bus:02x}/0000:{bus:02x}:01.0/0000:{bus + 1:02x}:00.0"


def gpu_path(number: int) -> str:
    bus = 0x10 + number * 0x10
    return f"{bridged(number)}/0000:{bus + 2:02x}:00.0/0000:{bus + 4:02x}:00.0"


def rail_path(number: int) -> str:
    bus = 0x10 + number * 0x10
    return f"{bridged(number)}/0000:{bus + 2:02x}:01.0/0000:{bus + 3:02x}:00.0"


def lone_path(number: int, function: int = 0) -> str:
    """The PCI path of a card in a slot of its own, at no switch."""
    bus = 0xa0 + number * 4
    return f"pci0000:{bus:02x}/0000:{bus:02x}:02.0/0000:{bus + 1:02x}:00.{function}"


def address(path: str) -> str:
    return path.rpartition("/")[2]


class Sysfs(Captured):
    """A captured machine with PCI devices."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.guids = 0

    def pci(self, path: str, numa: int = 0, driver: str | None = None, link: tuple[str, str] | None = ("32.0 GT/s PCIe", "16"), **attributes: str) -> str:
        """A PCI device and the bridges above it; returns its folder."""
        parts = path.split("/")
        folder = "/sys/devices/" + parts[0]
        for part in parts[1:]:
            folder += "/" + part
            if not Path(self.path(f"{PCI}/{part}")).is_symlink():
                self.write(f"{folder}/numa_node", f"{numa}\n")
                self.link(f"{PCI}/{part}", folder)
                if link:
                    for which in ("current", "max"):
                        self.write(f"{folder}/{which}_link_speed", f"{link[0]}\n")
                        self.write(f"{folder}/{which}_link_width", f"{link[1]}\n")
        if driver:
            Path(self.path(f"/sys/bus/pci/drivers/{driver}")).mkdir(parents=True, exist_ok=True)
            self.link(f"{folder}/driver", f"/sys/bus/pci/drivers/{driver}")
        for name, value in attributes.items():
            self.write(f"{folder}/{name}", f"{value}\n")
        return folder

    def gpu(self, path: str, **attributes: object) -> str:
        given = {"vendor": "0x10de", "class": "0x030200", "device": "0x2330", "driver": "nvidia", **attributes}
        return self.pci(path, **given)

    def hca(
        self, name: str, path: str | None, layer: str = "InfiniBand", rate: str = NDR, board: tuple[str, str] | None = CONNECTX7,
        ports: int = 1, up: bool = True, net: str | None = None, **attributes: object,
    ) -> str:
        """An RDMA device with its ports, all alike; returns its folder."""
        self.guids += 1
        guid = f"a088:c203:00ab:{self.guids:04x}"
        if path:
            device = self.pci(path, **{"vendor": "0x15b3", "class": "0x020700" if layer == "InfiniBand" else "0x020000", "driver": "mlx5_core", **attributes})
        else:
            device = "/sys/devices/virtual"
        folder = f"{device}/infiniband/{name}"
        self.write(f"{folder}/node_guid", f"{guid}\n")
        self.write(f"{folder}/node_type", "1: CA\n")
        self.write(f"{folder}/fw_ver", "28.39.1002\n" if path else "\n")
        if board:
            self.write(f"{folder}/hca_type", f"{board[0]}\n")
            self.write(f"{folder}/board_id", f"{board[1]}\n")
        for number in range(1, ports + 1):
            self.port(f"{folder}/ports/{number}", layer, rate, up, guid)
            if net and layer == "Ethernet":
                self.write(f"{folder}/ports/{number}/gid_attrs/ndevs/0", f"{net}\n")
        if path:
            self.link(f"{folder}/device", device)
            if net:
                self.net(net, f"{device}/net/{net}")
                self.link(f"{device}/net/{net}/device", device)
        self.link(f"/sys/class/infiniband/{name}", folder)
        return folder

    def port(self, folder: str, layer: str = "InfiniBand", rate: str = NDR, up: bool = True, guid: str = "a088:c203:00ab:0001") -> None:
        self.write(f"{folder}/link_layer", f"{layer}\n")
        self.write(f"{folder}/state", "4: ACTIVE\n" if up else "1: DOWN\n")
        down = "2: Polling" if layer == "InfiniBand" else "3: Disabled"
        self.write(f"{folder}/phys_state", "5: LinkUp\n" if up else f"{down}\n")
        self.write(f"{folder}/rate", f"{rate if up or layer != 'InfiniBand' else NO_LINK}\n")
        self.write(f"{folder}/lid", "0x2a\n" if up else "0xffff\n")
        self.write(f"{folder}/gids/0", f"fe80:0000:0000:0000:{guid}\n")
        for counter in ("symbol_error", "link_error_recovery", "link_downed", "port_rcv_errors"):
            self.write(f"{folder}/counters/{counter}", "0\n")

    def net(self, name: str, folder: str, up: bool = True, dev_port: int = 0, **attributes: str) -> None:
        self.write(f"{folder}/dev_port", f"{dev_port}\n")
        self.write(f"{folder}/flags", "0x1003\n" if up else "0x1002\n")
        self.write(f"{folder}/operstate", "up\n" if up else "down\n")
        for attribute, value in attributes.items():
            self.write(f"{folder}/{attribute}", f"{value}\n")
        self.link(f"/sys/class/net/{name}", folder)

    def rxe(self, name: str, net: str, up: bool = True) -> None:
        """A soft-RoCE device, as Linux 6.1 shows it: no PCI device, no adapter type, 2.5 Gb/s whatever is beneath."""
        self.net(net, f"/sys/devices/pci0000:00/0000:00:05.0/virtio3/net/{net}", up)
        folder = self.hca(name, None, "Ethernet", "2.5 Gb/sec (1X SDR)", None, up=up, net=net)
        self.write(f"{folder}/parent", f"{net}\n")

    def gpu_node(self, names: list[str] | None = None, broken: dict[int, dict] | None = None) -> None:
        """A bare-metal node of eight GPUs, each at a PCI switch with its rail, and mlx5_0 as Ethernet."""
        for number in range(8):
            numa = number // 4
            self.gpu(gpu_path(number), numa=numa)
            given = {"numa": numa, "net": f"ib{number}", **(broken or {}).get(number, {})}
            if not given.pop("gone", False):
                self.hca((names or [f"mlx5_{i}" for i in range(1, 9)])[number], rail_path(number), **given)
        self.hca("mlx5_0" if not names else "mlx5_99", lone_path(0), "Ethernet", "100 Gb/sec (4X EDR)", ("MT4125", "MT_0000000359"), net="eno1")


def rewrite(machine: Captured, name: str, **values: str) -> None:
    """Gives attributes of a port, or of whatever folder, other values."""
    for attribute, value in values.items():
        machine.write(f"{name}/{attribute}", f"{value}\n")
