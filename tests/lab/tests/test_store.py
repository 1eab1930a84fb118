# SPDX-License-Identifier: GPL-3.0-or-later
"""The account on disk: restarts, kills at any moment, two servers, threads."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from client import PUBLIC_KEY, REGION, Api, Clock, Recorder, Server, launch_body

from onecc_lab.account import Account
from onecc_lab.backend import Mount
from onecc_lab.store import GOING, MAKING, READY, FileSystem, Instance, SshKey, Store, StoreInUse

INSTANCE = Instance(
    id="0" * 32,
    name=None,
    hostname="one",
    region=REGION,
    instance_type="cpu_4x_general",
    ssh_key_names=("key",),
    mounts=(Mount("f" * 32, "fs", "/data"),),
    tags=(("cluster-id", "x"),),
    cluster_id="x",
    jupyter_token="t",
    jupyter_host="h",
)


def numbered(number: int) -> Instance:
    return replace(INSTANCE, id=f"{number:032x}")


def test_records_come_back_as_they_were_and_in_their_order(tmp_path: Path) -> None:
    records = [
        numbered(3),
        numbered(1),
        SshKey("3", "k", "ssh-ed25519 \u00e9\U0001f600"),
        FileSystem("3", "f", REGION, "c"),
    ]
    store = Store(tmp_path / "new" / "state")
    store.put(records)
    store.put([replace(records[0], name="renamed")])
    store.close()
    store = Store(tmp_path / "new" / "state")
    assert store.all(Instance) == [replace(records[0], name="renamed"), records[1]]
    assert store.all(SshKey) == [records[2]]
    assert store.get(FileSystem, "3") == records[3]
    assert store.get(Instance, "3") is None
    store.drop(Instance, [numbered(3).id, "unknown"])
    assert store.all(Instance) == [records[1]]
    store.close()


def test_many_records_are_put_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(TypeError):
        store.put([numbered(1), replace(numbered(2), name=object())])  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        store.put([numbered(1), replace(numbered(2), id="\ud800")])
    assert store.all(Instance) == []
    store.close()


def test_a_second_server_on_the_same_account_is_refused(tmp_path: Path) -> None:
    for _state in ("a new account", "one that is there already"):
        store = Store(tmp_path)
        with pytest.raises(StoreInUse):
            Store(tmp_path)
        store.close()


def test_the_account_is_its_owners_alone(tmp_path: Path) -> None:
    Store(tmp_path / "state").close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_threads_do_not_lose_each_others_records(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def add(first: int) -> None:
        for number in range(first, first + 20):
            store.put([numbered(number)])
            assert store.get(Instance, numbered(number).id)

    threads = [threading.Thread(target=add, args=(100 * index,)) for index in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(store.all(Instance)) == 160
    store.close()


def test_concurrent_launches_and_names_stay_distinct() -> None:
    api = Api()
    api.key()
    answers = []

    def work() -> None:
        answers.append(api.launch())
        answers.append(api("POST", "/filesystems", {"name": "same", "region": REGION}))

    threads = [threading.Thread(target=work) for _time in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    rows = api("GET", "/instances").data
    assert len({row["id"] for row in rows}) == len({row["private_ip"] for row in rows}) == 16
    assert len(api("GET", "/file-systems").data) == 1
    assert sorted(answer.status for answer in answers) == [200] * 17 + [400] * 15


# What a killed server left half done


def recovered(*records: Instance | FileSystem) -> tuple[Store, Recorder]:
    store, backend = Store(None), Recorder(Clock())
    store.put(records)
    Account(store, backend, clock=lambda: 50.0).recover()
    return store, backend


def test_what_was_being_made_is_undone() -> None:
    store, backend = recovered(
        numbered(1), replace(numbered(2), phase=READY), FileSystem("f", "f", REGION, "c", MAKING)
    )
    assert [instance.id for instance in store.all(Instance)] == [numbered(2).id]
    assert store.all(FileSystem) == []
    assert backend.calls == [("terminate", numbered(1).id), ("delete_file_system", "f")]


def test_what_was_being_destroyed_is_destroyed() -> None:
    going, gone = replace(numbered(1), phase=GOING), replace(numbered(2), phase=GOING, terminated_at=40.0)
    store, backend = recovered(going, gone, FileSystem("f", "f", REGION, "c", GOING))
    assert [instance.terminated_at for instance in store.all(Instance)] == [50.0, 40.0]
    assert store.all(FileSystem) == []
    assert backend.calls == [("terminate", going.id), ("delete_file_system", "f")]


def test_recovery_goes_on_where_the_backend_fails() -> None:
    store, backend = Store(None), Recorder(Clock())
    backend.failing = {"terminate", "delete_file_system"}
    store.put([numbered(1), FileSystem("f", "f", REGION, "c")])
    Account(store, backend).recover()
    assert store.all(Instance) == [] == store.all(FileSystem)


# Real servers


def fill(server: Server, seconds: float) -> list[str]:
    """Launches and renames until the server dies; IDs of the instances whose launch and renaming were answered."""
    done = []
    threading.Timer(seconds, server.process.kill).start()
    try:
        while True:
            [id] = server("POST", "/instance-operations/launch", launch_body(name="new")).data["instance_ids"]
            server("POST", f"/instances/{id}", {"name": "renamed"})
            done.append(id)
    except OSError:
        return done


def test_what_was_answered_survives_kills(tmp_path: Path) -> None:
    kept: list[str] = []
    addresses: set[str] = set()
    for attempt in range(4):
        with Server(state_dir=tmp_path) as server:
            if not attempt:
                server("POST", "/ssh-keys", {"name": "key", "public_key": PUBLIC_KEY})
                server("POST", "/filesystems", {"name": "fs", "region": REGION})
            rows = {row["id"]: row for row in server("GET", "/instances").data}
            assert all(rows[id]["name"] == "renamed" and rows[id]["status"] == "active" for id in kept)
            assert len(rows) - len(kept) <= attempt  # one launch a kill may have been done, but not answered
            addresses = {row["private_ip"] for row in rows.values()}
            assert len(addresses) == len(rows)
            assert [key["name"] for key in server("GET", "/ssh-keys").data] == ["key"]
            assert [fs["name"] for fs in server("GET", "/file-systems").data] == ["fs"]
            kept += fill(server, 0.7 + attempt / 10)
            assert server.process.wait(10) == -signal.SIGKILL
    assert len(kept) > 10


def test_a_server_that_is_stopped_and_started_knows_its_cluster(tmp_path: Path) -> None:
    with Server(state_dir=tmp_path, heads=3, compute=4) as server:
        before = server("GET", "/instances").data
        server("POST", "/instance-operations/terminate", {"instance_ids": [before[-1]["id"]]})
        assert server.stop()[0] == 0
    with Server(state_dir=tmp_path, heads=3, compute=4) as server:
        after = server("GET", "/instances").data
        assert [row for row in after if row["status"] != "terminating"] == before[:-1]
