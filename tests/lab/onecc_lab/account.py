# SPDX-License-Identifier: GPL-3.0-or-later
"""The account: what the API's operations do, between the store and the backend.

Whatever is made or destroyed is written down first, then done by the backend, then written down as done. A server that
is killed in between finds the unfinished work when it starts again (`Account.recover`): what was being made is undone,
as nobody has been told of it, and what was being destroyed is destroyed.

The real API has no way to make a 1-Click Cluster or to say which cluster an instance belongs to; one is reserved in the
console, and GET /instances?cluster_id= is the only sign of it. In the lab an instance belongs to the cluster that its
tag `cluster-id` names when it is launched, and `Account.reserve` stands in for the console.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from . import bodies, catalogue, errors, keys
from .backend import Backend, Mount, Node
from .store import GOING, MAKING, READY, FileSystem, Instance, SshKey, Store

GONE_AFTER_SECONDS = 5.0
"""From a termination until the instance is no longer listed. Terminating is an acknowledgement, not yet the end."""

CLUSTER_TAG = "cluster-id"
"""The tag that names an instance's cluster in the lab."""

CLUSTER_ID = "1cc1cc1cc1cc1cc1cc1cc1cc1cc1cc01"
"""The cluster that `Account.reserve` makes."""

CLUSTER_REGION = "us-east-2"
"""Where that cluster is: the region of the cluster in Lambda's tutorial for 1-Click Clusters."""

MAX_FILE_SYSTEMS = 24
"""For an account (Lambda's documentation, file systems)."""

MAX_SSH_KEYS = 1024
"""For an account (Lambda's documentation, Cloud API)."""

OWNER = {"id": "0cc0cc0cc0cc0cc0cc0cc0cc0cc0cc0c", "email": "owner@example.com", "status": "active"}
"""The only user of the account."""

ACTIONS = ("migrate", "rebuild", "restart", "cold_reboot", "terminate")
"""What an instance says of itself whether it can be done (Lambda Cloud API 1.10.0, InstanceActionAvailability)."""

_REASONS = {
    "vm-has-not-launched": "The instance has not launched yet.",
    "vm-action-in-progress": "The instance is restarting.",
    "vm-is-terminating": "The instance is terminating.",
}

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Account:
    """The operations of one account. Safe for threads. They raise ApiError where the API answers with an error."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        *,
        gone_after_seconds: float = GONE_AFTER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._backend = backend
        self._gone_after_seconds = gone_after_seconds
        self._clock = clock
        self._catalogue = catalogue.load()
        # Held by everything that changes the account; the backend never waits for a machine.
        self._lock = threading.RLock()

    def recover(self) -> None:
        """Finishes what an earlier server was killed in."""
        with self._lock:
            half_done = [i for i in self._store.all(Instance) if i.phase != READY and i.terminated_at is None]
            for instance in half_done:
                self._try(self._backend.terminate, instance.id)
            self._store.put(replace(i, terminated_at=self._clock()) for i in half_done if i.phase == GOING)
            self._store.drop(Instance, [i.id for i in half_done if i.phase == MAKING])
            file_systems = [f for f in self._store.all(FileSystem) if f.phase != READY]
            for file_system in file_systems:
                self._try(self._backend.delete_file_system, file_system.id)
            self._store.drop(FileSystem, [f.id for f in file_systems])

    def reserve(self, heads: int, compute: int) -> None:
        """Makes a cluster as the console does: its nodes carry no tags, and its ID is CLUSTER_ID.

        The nodes have the account's first SSH key. In an account that has none they get one that nobody can use.
        """
        with self._lock:
            if not heads + compute:
                return
            key = self._first_key()
            kinds = (("1cc-head", catalogue.HEAD_TYPE, heads), ("1cc-node", catalogue.COMPUTE_TYPE, compute))
            plans = [
                _new_instance(CLUSTER_REGION, offer, key.name, name, name, cluster_id=CLUSTER_ID)
                for prefix, offer, count in kinds
                for name in (f"{prefix}-{number}" for number in range(1, count + 1))
            ]
            self._make(plans, key, "")

    def instances(self, cluster_id: str | None = None) -> list[dict[str, Any]]:
        """All instances, or those of a cluster."""
        found = self._present()
        return [self._instance_json(i) for i in found if cluster_id is None or i.cluster_id == cluster_id]

    def instance(self, id: str) -> dict[str, Any]:
        """One instance."""
        return self._instance_json(self._find_instances([id])[0])

    def rename(self, id: str, name: str | None) -> dict[str, Any]:
        """Gives an instance another name; None leaves it."""
        with self._lock:
            [instance] = self._find_instances([id])
            if name is not None:
                instance = replace(instance, name=name)
                self._store.put([instance])
            return self._instance_json(instance)

    def launch(self, request: bodies.LaunchRequest) -> dict[str, Any]:
        """Starts an instance. It is known as soon as this returns, and boots then."""
        with self._lock:
            self._check_offer(request)
            key = next((key for key in self._store.all(SshKey) if key.name == request.ssh_key_name), None)
            if key is None:
                raise errors.does_not_exist(f"The SSH key {request.ssh_key_name}")
            instance = _new_instance(
                request.region,
                request.instance_type,
                key.name,
                request.name,
                request.hostname,
                cluster_id=dict(request.tags).get(CLUSTER_TAG),
                tags=request.tags,
                mounts=self._mounts(request),
            )
            self._make([instance], key, request.user_data)
            return {"instance_ids": [instance.id]}

    def restart(self, ids: Iterable[str]) -> dict[str, Any]:
        """Restarts instances: all of them or, where one cannot be, none."""
        with self._lock:
            found = self._find_instances(ids)
            for instance in found:
                reason = _blocked(self._status(instance), instance.restarted, "restart")
                if reason is not None:
                    raise errors.conflict(f"{instance.id}: {_REASONS[reason]}")
            restarted = [replace(instance, restarted=True) for instance in found]
            self._store.put(restarted)
            for instance in restarted:
                self._provider(self._backend.restart, instance.id)
            return {"restarted_instances": [self._instance_json(instance) for instance in restarted]}

    def terminate(self, ids: Iterable[str]) -> dict[str, Any]:
        """Terminates instances: all of them or, where one does not exist, none. Again is no error."""
        with self._lock:
            going = [replace(instance, phase=GOING) for instance in self._find_instances(ids)]
            self._store.put(going)
            for instance in going:
                if instance.terminated_at is None:
                    self._provider(self._backend.terminate, instance.id)
            ended = [replace(instance, terminated_at=instance.terminated_at or self._clock()) for instance in going]
            self._store.put(ended)
            return {"terminated_instances": [self._instance_json(instance) for instance in ended]}

    def ssh_keys(self) -> list[dict[str, str]]:
        """All SSH keys."""
        return [dict(vars(key)) for key in self._store.all(SshKey)]

    def add_ssh_key(self, name: str, public_key: str | None) -> dict[str, str]:
        """Adds a public key, or a new pair whose private key is in this answer and nowhere else."""
        if public_key is not None:
            return dict(vars(self._put_ssh_key(name, _normalized(public_key))))
        pair = keys.generate("onecc-lab")
        return {**vars(self._put_ssh_key(name, pair.public_key)), "private_key": pair.private_key}

    def delete_ssh_key(self, id: str) -> dict[str, Any]:
        """Forgets a key. Instances that were launched with it keep it."""
        with self._lock:
            if self._store.get(SshKey, id) is None:
                raise errors.does_not_exist(f"The SSH key {id}")
            self._store.drop(SshKey, [id])
            return {}

    def file_systems(self) -> list[dict[str, Any]]:
        """All file systems."""
        used = self._mounted()
        return [self._file_system_json(f, used) for f in self._store.all(FileSystem) if f.phase == READY]

    def add_file_system(self, name: str, region: str) -> dict[str, Any]:
        """Makes a file system."""
        if region not in self._catalogue.regions:
            raise errors.invalid_parameters(f"region: there is no region {region}.")
        with self._lock:
            known = self._store.all(FileSystem)
            if any(other.name == name for other in known):
                raise errors.duplicate(f"A file system {name}")
            if len(known) >= MAX_FILE_SYSTEMS:
                raise errors.quota_exceeded(f"{MAX_FILE_SYSTEMS} file systems")
            created = datetime.fromtimestamp(self._clock(), UTC).isoformat()
            file_system = FileSystem(_new_id(), name, region, created)
            self._store.put([file_system])
            try:
                self._provider(self._backend.create_file_system, file_system.id)
            except errors.ApiError:
                self._store.drop(FileSystem, [file_system.id])
                raise
            ready = replace(file_system, phase=READY)
            self._store.put([ready])
            return self._file_system_json(ready, set())

    def delete_file_system(self, id: str) -> dict[str, Any]:
        """Destroys a file system that no instance mounts."""
        with self._lock:
            file_system = self._store.get(FileSystem, id)
            if file_system is None:
                raise errors.does_not_exist(f"The file system {id}")
            if id in self._mounted():
                raise errors.file_system_in_use(file_system.name)
            self._store.put([replace(file_system, phase=GOING)])
            self._provider(self._backend.delete_file_system, id)
            self._store.drop(FileSystem, [id])
            return {"deleted_ids": [id]}

    def _make(self, plans: list[Instance], key: SshKey, user_data: str) -> None:
        """Has the backend make instances: all of them or, where it fails, none."""
        self._store.put(plans)
        made = []
        try:
            for plan in plans:
                addresses = self._provider(self._backend.create, self._node(plan, key, user_data))
                made.append(replace(plan, phase=READY, public_ip=addresses.public, private_ip=addresses.private))
        except errors.ApiError:
            for plan in plans:
                self._try(self._backend.terminate, plan.id)
            self._store.drop(Instance, [plan.id for plan in plans])
            raise
        self._store.put(made)

    def _node(self, instance: Instance, key: SshKey, user_data: str) -> Node:
        gpus = self._catalogue.instance_types[instance.instance_type].gpus
        return Node(instance.id, instance.hostname, gpus, (key.public_key,), instance.mounts, user_data)

    def _put_ssh_key(self, name: str, public_key: str) -> SshKey:
        """The API documents no other error here than that the request is wrong."""
        with self._lock:
            known = self._store.all(SshKey)
            if any(other.name == name for other in known):
                raise errors.invalid_parameters(f"name: there is an SSH key {name} already.")
            if len(known) >= MAX_SSH_KEYS:
                raise errors.invalid_parameters(f"name: an account has at most {MAX_SSH_KEYS} SSH keys.")
            key = SshKey(_new_id(), name, public_key)
            self._store.put([key])
            return key

    def _first_key(self) -> SshKey:
        known = self._store.all(SshKey)
        return known[0] if known else self._put_ssh_key("1cc", keys.generate("onecc-lab").public_key)

    def _check_offer(self, request: bodies.LaunchRequest) -> None:
        offer = self._catalogue.instance_types.get(request.instance_type)
        if offer is None:
            raise errors.does_not_exist(f"The instance type {request.instance_type}")
        if request.region not in self._catalogue.regions:
            raise errors.does_not_exist(f"The region {request.region}")
        if self._catalogue.find_image(request.region, id=request.image_id, family=request.image_family) is None:
            raise errors.does_not_exist("The image in this region")
        if request.firewall_rulesets:
            # The lab has no endpoints to make one with.
            raise errors.does_not_exist(f"The firewall ruleset {request.firewall_rulesets[0]}")
        if request.region not in offer.capacity:
            raise errors.insufficient_capacity(offer.name, request.region)

    def _mounts(self, request: bodies.LaunchRequest) -> tuple[Mount, ...]:
        """Both ways to ask for a file system; the one with a mount point wins (Lambda Cloud API 1.10.0, launch)."""
        known = [file_system for file_system in self._store.all(FileSystem) if file_system.phase == READY]
        by_id = {file_system.id: file_system for file_system in known}
        by_name = {file_system.name: file_system for file_system in known}
        named = [_pick(by_name, name, request.region) for name in request.file_system_names]
        points = {f.id: _default_mount_point(f.name) for f in named}
        points.update((_pick(by_id, id, request.region).id, point) for id, point in request.mounts)
        _check_distinct("file_system_mounts", [id for id, _path in request.mounts])
        _check_distinct("file_system_mounts", [point.rstrip("/") for point in points.values()])
        return tuple(Mount(id, by_id[id].name, point) for id, point in points.items())

    def _present(self) -> list[Instance]:
        """The instances that are not gone yet; what is gone is forgotten on the way."""
        limit = self._clock() - self._gone_after_seconds
        with self._lock:
            known = self._store.all(Instance)
            gone = {i.id for i in known if i.terminated_at is not None and i.terminated_at <= limit}
            if gone:
                self._store.drop(Instance, gone)
        return [instance for instance in known if instance.id not in gone and instance.phase != MAKING]

    def _find_instances(self, ids: Iterable[str]) -> list[Instance]:
        known = {instance.id: instance for instance in self._present()}
        wanted = list(ids)
        for id in wanted:
            if id not in known:
                raise errors.does_not_exist(f"The instance {id}")
        return [known[id] for id in wanted]

    def _mounted(self) -> set[str]:
        """IDs of the file systems that instances mount."""
        return {mount.file_system_id for instance in self._present() for mount in instance.mounts}

    def _status(self, instance: Instance) -> str:
        if instance.phase == GOING:
            return "terminating"
        try:
            return self._backend.status(instance.id)
        except Exception:
            _log.exception("the backend knows no status of %s", instance.id)
            return "unhealthy"

    def _instance_json(self, instance: Instance) -> dict[str, Any]:
        """The API's Instance. What is not known is absent, not null."""
        status = self._status(instance)
        fields = {
            "id": instance.id,
            "name": instance.name,
            "ip": instance.public_ip,
            "private_ip": instance.private_ip,
            "status": status,
            "ssh_key_names": list(instance.ssh_key_names),
            "file_system_names": [mount.name for mount in instance.mounts],
            "file_system_mounts": [
                {"mount_point": mount.mount_point, "file_system_id": mount.file_system_id} for mount in instance.mounts
            ]
            or None,
            "region": self._catalogue.region_json(instance.region),
            "instance_type": self._catalogue.instance_types[instance.instance_type].as_json(),
            "hostname": instance.hostname,
            "jupyter_token": instance.jupyter_token,
            "jupyter_url": f"https://{instance.jupyter_host}.lambdaspaces.com/?token={instance.jupyter_token}",
            "actions": {action: _action(status, instance.restarted, action) for action in ACTIONS},
            "tags": [{"key": key, "value": value} for key, value in instance.tags],
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _file_system_json(self, file_system: FileSystem, used: set[str]) -> dict[str, Any]:
        """The API's Filesystem. `bytes_used` is 0: the real figure is hours old as well."""
        return {
            "id": file_system.id,
            "name": file_system.name,
            "mount_point": _default_mount_point(file_system.name),
            "created": file_system.created,
            "created_by": OWNER,
            "is_in_use": file_system.id in used,
            "region": self._catalogue.region_json(file_system.region),
            "bytes_used": 0,
        }

    def _provider(self, do: Callable[..., _Result], *arguments: Any) -> _Result:
        """Has the backend do something; whatever goes wrong there is the provider's error to a client."""
        try:
            return do(*arguments)
        except Exception:
            _log.exception("the backend failed")
            raise errors.provider_unavailable() from None

    def _try(self, do: Callable[[str], None], id: str) -> None:
        """Has the backend undo something that may never have been done."""
        try:
            do(id)
        except Exception:
            _log.exception("the backend could not clean up after %s", id)


def _new_id() -> str:
    return uuid.uuid4().hex


def _new_instance(
    region: str,
    instance_type: str,
    key_name: str,
    name: str | None,
    hostname: str | None,
    *,
    cluster_id: str | None,
    tags: tuple[tuple[str, str], ...] = (),
    mounts: tuple[Mount, ...] = (),
) -> Instance:
    id = _new_id()
    return Instance(
        id=id,
        name=name,
        # The API's default is made of the address, which is not known before the machine is; this one is as unique.
        hostname=hostname or f"node-{id[:12]}",
        region=region,
        instance_type=instance_type,
        ssh_key_names=(key_name,),
        mounts=mounts,
        tags=tags,
        cluster_id=cluster_id,
        jupyter_token=secrets.token_hex(16),
        jupyter_host=f"jupyter-{secrets.token_hex(16)}",
    )


def _default_mount_point(name: str) -> str:
    """Lambda Cloud API 1.10.0, Filesystem, example."""
    return f"/lambda/nfs/{name}"


def _pick(known: dict[str, FileSystem], wanted: str, region: str) -> FileSystem:
    file_system = known.get(wanted)
    if file_system is None:
        raise errors.does_not_exist(f"The file system {wanted}")
    if file_system.region != region:
        raise errors.file_system_in_wrong_region(file_system.name, region)
    return file_system


def _check_distinct(field: str, values: list[str]) -> None:
    if len(set(values)) != len(values):
        raise errors.invalid_parameters(f"{field}: a file system or mount point is there twice.")


def _normalized(public_key: str) -> str:
    try:
        return keys.normalize(public_key)
    except keys.InvalidKey as error:
        raise errors.invalid_parameters(f"public_key: {error}.") from None


def _action(status: str, restarted: bool, action: str) -> dict[str, Any]:
    reason = _blocked(status, restarted, action)
    if reason is None:
        return {"available": True}
    return {"available": False, "reason_code": reason, "reason_description": _REASONS[reason]}


def _blocked(status: str, restarted: bool, action: str) -> str | None:
    """Why an action is not available, as one of the API's InstanceActionUnavailableCode; None where it is."""
    if status == "terminating":
        return "vm-is-terminating"
    if status == "booting" and action != "terminate":
        return "vm-action-in-progress" if restarted else "vm-has-not-launched"
    return None
