# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import struct

import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._node import network
from ansible_collections.onecc.cluster.tests.unit.captured import Captured
from hypothesis import given
from hypothesis import strategies as st

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.19.0.0/16 2 0 2
        |-- 10.19.0.0
           /16 link UNICAST
        |-- 10.19.51.71
           /32 host LOCAL
        |-- 10.19.255.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 172.26.135.124
        /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
        |-- 10.19.51.71
           /32 host LOCAL
"""


@pytest.fixture
def machine(tmp_path):
    return Captured(tmp_path)


def word(address: str) -> str:
    """An address as the kernel writes it, in the byte order of the machine."""
    return f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}"


def line(interface: str, network_: str, mask: str, gateway: str = "0.0.0.0", metric: int = 0, flags: int | None = None) -> str:
    flags = (1 if gateway == "0.0.0.0" else 3) if flags is None else flags
    return f"{interface}\t{word(network_)}\t{word(gateway)}\t{flags:04X}\t0\t0\t{metric}\t{word(mask)}\t0\t0\t0"


def table(machine: Captured, *lines: str) -> None:
    machine.write("/proc/net/route", "\n".join([HEADER, *lines, ""]))


def test_the_most_exact_route_leads_there(machine):
    table(
        machine,
        line("eth0", "0.0.0.0", "0.0.0.0", "10.0.2.2", 100),
        line("eno1", "10.19.0.0", "255.255.0.0"),
        line("ib0", "10.19.51.0", "255.255.255.0"),
        line("eno2", "172.16.0.0", "255.240.0.0", "10.19.0.1"),
    )
    assert network.interface_to(machine, "10.19.0.9") == "eno1"
    assert network.interface_to(machine, "10.19.51.71") == "ib0"
    assert network.interface_to(machine, "172.26.135.124") == "eno2"
    assert network.interface_to(machine, "192.0.2.1") == "eth0"


def test_the_least_metric_of_equals(machine):
    table(machine, line("wlan0", "10.0.0.0", "255.0.0.0", metric=600), line("eno1", "10.0.0.0", "255.0.0.0", metric=100))
    assert network.interface_to(machine, "10.1.2.3") == "eno1"


def test_routes_that_lead_nowhere(machine):
    table(machine, line("eno1", "10.0.0.0", "255.0.0.0", flags=0), line("eno2", "10.0.0.0", "255.0.0.0", flags=0x201))
    assert network.interface_to(machine, "10.1.2.3") is None


@pytest.mark.parametrize("address", ["", "10.1", "fe80::1", "head-1", "10.0.0.256", "10.0.0.1\n", "10.0.0.1\0", "ä", "\udc80"])
def test_what_is_no_address(machine, address):
    table(machine, line("eth0", "0.0.0.0", "0.0.0.0", "10.0.2.2"))
    assert network.interface_to(machine, address) is None


def test_own_addresses_by_interface(machine):
    machine.write("/proc/net/fib_trie", TRIE)
    table(machine, line("eno1", "10.19.0.0", "255.255.0.0"), line("eno2", "172.26.0.0", "255.255.0.0"), line("eno1", "0.0.0.0", "0.0.0.0", "10.19.0.1"))
    assert network.addresses(machine, "eno1") == ["10.19.51.71"]
    assert network.addresses(machine, "eno2") == ["172.26.135.124"]


def test_nothing(machine):
    assert network.interface_to(machine, "10.0.0.1") is None and network.addresses(machine, "eno1") == []


@given(st.text(), st.text())
def test_garbled(tmp_path_factory, routes, trie):
    machine = Captured(tmp_path_factory.getbasetemp() / "garbled")
    machine.write("/proc/net/route", f"{HEADER}\n{routes}\n{line('eno1', '10.0.0.0', '255.0.0.0')}\n".encode("utf-8", "replace"))
    machine.write("/proc/net/fib_trie", trie.encode("utf-8", "replace"))
    assert network.interface_to(machine, "10.0.0.1") is not None
    network.addresses(machine, "eno1")
