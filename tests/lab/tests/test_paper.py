# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from client import Clock, Server

from onecc_lab.account import CLUSTER_ID, Account
from onecc_lab.backend import Addresses, Node
from onecc_lab.paper import PaperBackend, _Pool
from onecc_lab.store import Instance, SshKey, Store


def node(number: int, gpus: int = 0) -> Node:
    return Node(f"{number:032x}", f"n{number}", gpus, ())


def test_a_node_boots_is_restarted_and_terminated() -> None:
    clock = Clock()
    backend = PaperBackend(boot_seconds=2, clock=clock)
    backend.create(node(1))
    assert backend.status(node(1).id) == "booting"
    clock.now += 2
    assert backend.status(node(1).id) == "active"
    backend.restart(node(1).id)
    assert backend.status(node(1).id) == "booting"
    backend.terminate(node(1).id)
    backend.terminate(node(1).id)
    for call in (backend.status, backend.restart):
        with pytest.raises(KeyError):
            call(node(1).id)


def test_addresses_are_unique_valid_and_not_used_again_at_once() -> None:
    backend = PaperBackend()
    seen = [backend.create(node(number, gpus=0 if number < 1000 else 8)) for number in range(3000)]
    assert all((a.public is None) == (number >= 1000) for number, a in enumerate(seen))
    every = [a.private for a in seen] + [a.public for a in seen if a.public]
    assert len({ipaddress.IPv4Address(address) for address in every}) == 4000
    backend.terminate(node(0).id)
    assert backend.create(node(3000)).private not in every


def test_adopted_nodes_are_active_and_keep_their_addresses() -> None:
    backend = PaperBackend()
    addresses = PaperBackend().create(node(1))
    backend.adopt([(node(1).id, addresses)])
    assert backend.status(node(1).id) == "active"
    other = backend.create(node(2))
    assert other.private != addresses.private and other.public != addresses.public


def test_a_network_that_is_used_up_says_so() -> None:
    pool = _Pool(ipaddress.IPv4Network("192.0.2.0/30"))
    assert [pool.take(), pool.take()] == ["192.0.2.1", "192.0.2.2"]
    with pytest.raises(RuntimeError):
        pool.take()
    pool.release("192.0.2.1")
    assert pool.take() == "192.0.2.1"


def test_a_reserved_cluster_has_names_a_key_and_no_tags() -> None:
    store, backend = Store(None), PaperBackend()
    Account(store, backend).reserve(3, 64)
    instances = store.all(Instance)
    assert [i.name for i in instances[:4]] == ["1cc-head-1", "1cc-head-2", "1cc-head-3", "1cc-node-1"]
    assert len(instances) == 67 and all(i.hostname == i.name and i.cluster_id == CLUSTER_ID for i in instances)
    assert {i.tags for i in instances} == {()}
    assert {i.ssh_key_names for i in instances} == {(key.name,) for key in store.all(SshKey)}


def test_nothing_is_reserved_for_nobody() -> None:
    store = Store(None)
    Account(store, PaperBackend()).reserve(0, 0)
    assert store.all(SshKey) == [] == store.all(Instance)


def test_a_reservation_uses_the_key_that_is_there() -> None:
    store = Store(None)
    store.put([SshKey("1", "mine", "ssh-ed25519 x")])
    Account(store, PaperBackend()).reserve(1, 0)
    assert store.all(Instance)[0].ssh_key_names == ("mine",)


def test_a_cluster_that_cannot_be_made_whole_is_not_there() -> None:
    class Small(PaperBackend):
        def create(self, node: Node) -> Addresses:
            if node.hostname == "1cc-node-2":
                raise RuntimeError
            return super().create(node)

    store = Store(None)
    with pytest.raises(Exception, match="Provider unavailable"):
        Account(store, Small()).reserve(1, 3)
    assert store.all(Instance) == []


def test_thousands_of_instances_are_served() -> None:
    with Server(heads=3, compute=5000) as server:
        rows = server("GET", f"/instances?cluster_id={CLUSTER_ID}").data
        assert len(rows) == 5003
        assert Counter(row["instance_type"]["specs"]["gpus"] for row in rows) == {0: 3, 8: 5000}
        assert {row["status"] for row in rows} == {"active"}
        assert len({row["private_ip"] for row in rows}) == 5003
        assert sum("ip" in row for row in rows) == 3
        ids = [row["id"] for row in rows[3:1003]]
        answer = server("POST", "/instance-operations/terminate", {"instance_ids": ids})
        assert {row["status"] for row in answer.data["terminated_instances"]} == {"terminating"}
        last = server("GET", f"/instances/{rows[-1]['id']}").data
        assert last["name"] == "1cc-node-5000"
