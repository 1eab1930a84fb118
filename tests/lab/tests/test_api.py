# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API's operations do, through Flask's client. `client.checked` holds every answer against the contract."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import BEARER, HEAD, KEY, PUBLIC_KEY, REGION, Api, launch_body

from onecc_lab.store import FileSystem, Instance

INVALID = (400, "global/invalid-parameters")
MISSING = (404, "global/object-does-not-exist")
LAUNCH = "/instance-operations/launch"
RESTART = "/instance-operations/restart"
TERMINATE = "/instance-operations/terminate"


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.store.close()


# Authentication and routing


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header", [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer  {KEY} ", basic(f"{KEY}:"), f"Basic {KEY}"]
)
def test_the_key_is_taken_in_every_documented_way(api: Api, header: str) -> None:
    assert api("GET", "/instances", headers={"Authorization": header}).data == []


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY, f"Token {KEY}", "Basic ", "Basic !",
     basic(KEY), basic(f"{KEY}:x"), basic(f"x:{KEY}"), "Basic /w==", "Bearer \xff\xfe", "Bearer " + "x" * 10000],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/instances", "/images", "/nowhere", "/lab/requests"])
def test_without_the_key_nothing_is_answered(api: Api, header: str | None, path: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert api("GET", path, headers=headers).error == (401, "global/invalid-api-key")


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/clusters", "/api/v1/instances/", "/api/v2/instances",
                                  "/api//v1/instances", "/api/v1/instances/a/b", "/api/v1/filesystems/", "/lab/x"])  # fmt: skip
def test_an_unknown_address_is_the_apis_404(api: Api, path: str) -> None:
    assert api("GET", path).error == (404, "global/not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/instances", "GET, HEAD"), ("DELETE", "/instances/0", "GET, HEAD, POST"), ("GET", LAUNCH, "POST"),
     ("OPTIONS", "/regions", "GET, HEAD"), ("GET", "/filesystems", "POST"), ("POST", "/file-systems", "GET, HEAD"),
     ("PATCH", "/ssh-keys", "GET, HEAD, POST"), ("BREW", "/images", "GET, HEAD")],
)  # fmt: skip
def test_a_wrong_method_is_answered_with_the_right_ones(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api(method, path)
    assert answer.error == (405, "global/method-not-allowed")
    assert answer.message == f"This address answers to {allowed}."


# Bodies


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"a"', b"\xff", b"{}{}", b'{"a": NaN}', b'{"a": -Infinity}',
                                  b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"\x00"])  # fmt: skip
@pytest.mark.parametrize("path", [LAUNCH, RESTART, "/ssh-keys", "/filesystems"])
def test_a_body_that_is_no_json_object_is_refused(api: Api, path: str, body: bytes) -> None:
    assert api("POST", path, data=body).error == INVALID


@pytest.mark.parametrize("body", [{"name": "\ud800"}, {"name": "n", "public_key": f"{PUBLIC_KEY} \udfff"}])
def test_text_that_is_none_is_refused(api: Api, body: dict[str, str]) -> None:
    assert api("POST", "/ssh-keys", body).error == INVALID


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    assert api("POST", "/ssh-keys", {"name": "x" * 9_000_000}).error == (413, "global/invalid-parameters")


def test_the_content_type_does_not_matter(api: Api) -> None:
    for number, content_type in enumerate(("application/x-www-form-urlencoded", "text/plain", "multipart/form-data")):
        data = json.dumps({"name": f"key{number}", "public_key": PUBLIC_KEY})
        assert api("POST", "/ssh-keys", data=data, content_type=content_type).data["name"] == f"key{number}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region_name", 1), ("region_name", None), ("instance_type_name", ["a"]), ("instance_type_name", True),
        ("ssh_key_names", "key"), ("ssh_key_names", []), ("ssh_key_names", ["key", "key"]), ("ssh_key_names", [1]),
        ("ssh_key_names", {}), ("file_system_names", "fs"), ("file_system_names", [None]), ("hostname", ""),
        ("hostname", "-a"), ("hostname", "A"), ("hostname", "a_b"), ("hostname", "a.b"), ("hostname", "a" * 64),
        ("hostname", "a\n"), ("hostname", None), ("name", "x" * 65), ("name", 5), ("name", None), ("image", {}),
        ("image", "lambda-stack-22-04"), ("image", None), ("image", []), ("user_data", {}),
        ("user_data", "x" * 1_000_001), ("user_data", "ä" * 500_001), ("tags", {}), ("tags", ["a"]), ("tags", None),
        ("firewall_rulesets", "x"), ("quantity", 2), ("quantity", 0), ("quantity", -1), ("quantity", "1"),
        ("quantity", True), ("quantity", 1.0), ("quantity", None), ("quantity", 10**30), ("file_system_mounts", "/data"),
    ],
)  # fmt: skip
def test_a_launch_with_a_wrong_field_names_it(api: Api, field: str, value: Any) -> None:
    api.key()
    answer = api("POST", LAUNCH, {**launch_body(), field: value})
    assert answer.error == INVALID
    assert answer.message.startswith(f"{field}:")
    assert api("GET", "/instances").data == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"image": {"id": 1}}, "image.id"), ({"image": {"family": []}}, "image.family"),
        ({"tags": [{"key": "ab"}]}, "tags[0].value"), ({"tags": [{"value": "v"}]}, "tags[0].key"),
        ({"tags": [{"key": "ab", "value": ""}, {"key": "a", "value": ""}]}, "tags[1].key"),
        ({"tags": [{"key": "Ab", "value": ""}]}, "tags[0].key"), ({"tags": [{"key": "a" * 56, "value": ""}]}, "tags[0].key"),
        ({"tags": [{"key": "ab", "value": "v" * 129}]}, "tags[0].value"), ({"tags": [{"key": "ab", "value": 1}]}, "tags[0].value"),
        ({"file_system_mounts": [{"mount_point": "/data"}]}, "file_system_mounts[0].file_system_id"),
        ({"file_system_mounts": [{"file_system_id": "x"}]}, "file_system_mounts[0].mount_point"),
        ({"file_system_mounts": [{"file_system_id": "x", "mount_point": "/etc"}]}, "file_system_mounts[0].mount_point"),
        ({"file_system_mounts": [{"file_system_id": "x", "mount_point": "/data/../etc"}]}, "file_system_mounts[0].mount_point"),
        ({"file_system_mounts": [{"file_system_id": "x", "mount_point": "/data\n"}]}, "file_system_mounts[0].mount_point"),
        ({"file_system_mounts": [{"file_system_id": "x", "mount_point": "/data" + "a" * 252}]}, "file_system_mounts[0].mount_point"),
        ({"firewall_rulesets": [{}]}, "firewall_rulesets[0].id"),
    ],
)  # fmt: skip
def test_a_launch_with_a_wrong_field_inside_names_it(api: Api, fields: dict[str, Any], named: str) -> None:
    api.key()
    answer = api.launch(**fields)
    assert answer.error == INVALID
    assert answer.message.startswith(f"{named}:")


@pytest.mark.parametrize("field", ["region_name", "instance_type_name", "ssh_key_names"])
def test_a_launch_without_a_required_field_names_it(api: Api, field: str) -> None:
    answer = api.launch(**{field: None})
    assert answer.error == INVALID
    assert answer.message == f"{field}: is required."


def test_more_than_one_instance_is_refused_in_the_known_words(api: Api) -> None:
    api.key()
    assert "Requested too many instances." in api.launch(quantity=2).message


def test_the_longest_values_and_unknown_fields_are_taken(api: Api) -> None:
    api.key()
    id = api.launched(
        hostname="a" * 63,
        name="ä" * 64,
        user_data="#" * 1_000_000,
        tags=[{"key": "a" * 55, "value": "v" * 128}, {"key": "b-:", "value": ""}],
        image={"family": "ubuntu-22-04", "unknown": 1},
        firewall_rulesets=[],
        file_system_names=[],
        file_system_mounts=[],
        quantity=1,
        unknown={"x": [1]},
    )
    instance = api.instance(id)
    assert (instance["hostname"], instance["name"]) == ("a" * 63, "ä" * 64)
    assert instance["tags"] == [{"key": "a" * 55, "value": "v" * 128}, {"key": "b-:", "value": ""}]


# Launching


def test_a_launched_instance_boots_and_becomes_active(api: Api) -> None:
    api.key()
    id = api.launched(name="one", hostname="one")
    booting = api.instance(id)
    assert booting["status"] == "booting"
    assert booting["actions"]["restart"]["reason_code"] == "vm-has-not-launched"
    assert booting["actions"]["terminate"] == {"available": True}
    api.pass_seconds(10)
    active = api.instance(id)
    assert active["status"] == "active"
    assert all(action == {"available": True} for action in active["actions"].values())
    assert {name: active[name] for name in ("id", "name", "hostname", "ssh_key_names")} == {
        "id": id, "name": "one", "hostname": "one", "ssh_key_names": ["key"]
    }  # fmt: skip
    assert active["region"] == {"name": REGION, "description": "Washington DC, USA"}
    assert api("GET", "/instances").data == [active]


def test_a_compute_node_has_no_public_address_and_a_head_has_one(api: Api) -> None:
    api.key()
    compute, head = api.instance(api.launched()), api.instance(api.launched(instance_type_name=HEAD))
    assert "ip" not in compute and compute["private_ip"]
    assert head["ip"] and head["private_ip"] and head["private_ip"] != compute["private_ip"]


def test_what_is_not_known_is_absent(api: Api) -> None:
    api.key()
    instance = api.instance(api.launched())
    assert not {"name", "ip", "file_system_mounts"} & instance.keys()
    assert None not in instance.values()


def test_an_empty_name_is_kept_and_a_hostname_made_up(api: Api) -> None:
    api.key()
    instance = api.instance(api.launched(name=""))
    assert instance["name"] == ""
    assert instance["hostname"] == f"node-{instance['id'][:12]}"


def test_every_instance_has_jupyter_secrets_of_its_own(api: Api) -> None:
    api.key()
    first, second = (api.instance(api.launched()) for _time in range(2))
    assert first["jupyter_url"].endswith(f"?token={first['jupyter_token']}")
    assert first["jupyter_token"] != second["jupyter_token"]
    assert first["jupyter_url"].partition("?")[0] != second["jupyter_url"].partition("?")[0]


def test_the_backend_is_told_what_the_instance_is(api: Api) -> None:
    api.key()
    fs = api.file_system()
    id = api.launched(hostname="one", user_data="#cloud-config", file_system_names=["fs"])
    node = api.backend.nodes[id]
    assert (node.id, node.hostname, node.gpus, node.user_data) == (id, "one", 8, "#cloud-config")
    assert node.public_keys == (PUBLIC_KEY,)
    assert [vars(mount) for mount in node.mounts] == [
        {"file_system_id": fs, "name": "fs", "mount_point": "/lambda/nfs/fs"}
    ]


@pytest.mark.parametrize(
    "fields",
    [{"region_name": "nowhere"}, {"instance_type_name": "gpu_9x"}, {"ssh_key_names": ["other"]}, {"image": {"id": "x"}},
     {"image": {"family": "windows"}}, {"file_system_names": ["none"]}, {"firewall_rulesets": [{"id": "0"}]},
     {"file_system_mounts": [{"file_system_id": "none", "mount_point": "/data"}]}],
)  # fmt: skip
def test_a_launch_with_what_does_not_exist_is_refused(api: Api, fields: dict[str, Any]) -> None:
    api.key()
    answer = api.launch(**fields)
    assert answer.error == MISSING
    assert answer.body["error"]["suggestion"]
    assert api("GET", "/instances").data == [] == api.backend.calls


def test_a_region_without_capacity_is_refused(api: Api) -> None:
    api.key()
    answer = api.launch(instance_type_name="gpu_1x_a10")
    assert answer.error == (400, "instance-operations/launch/insufficient-capacity")
    assert api.launch(instance_type_name="gpu_1x_a10", region_name="us-west-1").status == 200


def test_a_backend_that_fails_is_the_providers_error_and_leaves_nothing(api: Api) -> None:
    api.key()
    api.backend.failing = {"create"}
    assert api.launch().error == (503, "provider/internal-unavailable")
    assert api("GET", "/instances").data == []
    assert [call for call, _arguments in api.backend.calls] == ["create", "terminate"]
    assert api.store.all(Instance) == []


def test_a_node_that_the_backend_lost_is_unhealthy(api: Api) -> None:
    api.key()
    id = api.launched()
    api.backend.terminate(id)
    instance = api.instance(id)
    assert instance["status"] == "unhealthy"
    assert instance["actions"]["restart"] == {"available": True}


# Clusters


def test_instances_are_listed_by_the_cluster_of_their_tag(api: Api) -> None:
    api.key()
    one = api.launched(tags=[{"key": "cluster-id", "value": "one"}])
    api.launched(tags=[{"key": "cluster-id", "value": "two"}])
    api.launched(tags=[{"key": "cluster", "value": "one"}])
    assert [row["id"] for row in api("GET", "/instances?cluster_id=one").data] == [one]
    assert len(api("GET", "/instances").data) == 3
    assert api("GET", "/instances?cluster_id=").data == api("GET", "/instances?cluster_id=three").data == []


# Renaming, restarting, terminating


def test_an_instance_is_renamed(api: Api) -> None:
    api.key()
    id = api.launched(name="old")
    assert api("POST", f"/instances/{id}", {"name": "new"}).data["name"] == "new"
    assert api("POST", f"/instances/{id}", {}).data["name"] == "new"
    assert api("POST", f"/instances/{id}", {"name": "x" * 65}).error == INVALID
    assert api.instance(id)["name"] == "new"


def test_an_instance_is_restarted(api: Api) -> None:
    api.key()
    id = api.launched()
    api.pass_seconds(10)
    [instance] = api("POST", RESTART, {"instance_ids": [id, id]}).data["restarted_instances"]
    assert instance["status"] == "booting"
    assert instance["actions"]["restart"]["reason_code"] == "vm-action-in-progress"
    api.pass_seconds(10)
    assert api.instance(id)["status"] == "active"
    assert api.backend.calls == [("create", id), ("restart", id)]


def test_what_boots_or_terminates_is_not_restarted_and_nothing_else_either(api: Api) -> None:
    api.key()
    active = api.launched()
    api.pass_seconds(10)
    booting, terminating = api.launched(), api.launched()
    api("POST", TERMINATE, {"instance_ids": [terminating]})
    for other in (booting, terminating):
        assert api("POST", RESTART, {"instance_ids": [active, other]}).error == (409, "global/conflict")
    assert ("restart", active) not in api.backend.calls


def test_a_terminated_instance_is_gone_after_a_while(api: Api) -> None:
    api.key()
    id, other = api.launched(), api.launched()
    [instance] = api("POST", TERMINATE, {"instance_ids": [id]}).data["terminated_instances"]
    assert instance["status"] == "terminating"
    assert {action["reason_code"] for action in instance["actions"].values()} == {"vm-is-terminating"}
    assert ("terminate", id) in api.backend.calls
    api.pass_seconds(4)
    assert api.instance(id)["status"] == "terminating"
    assert api("POST", TERMINATE, {"instance_ids": [id]}).status == 200
    api.pass_seconds(1)
    assert api("GET", f"/instances/{id}").error == MISSING
    assert [row["id"] for row in api("GET", "/instances").data] == [other]
    assert api.backend.calls.count(("terminate", id)) == 1


def test_a_termination_that_fails_can_be_asked_for_again(api: Api) -> None:
    api.key()
    id = api.launched()
    api.backend.failing = {"terminate"}
    assert api("POST", TERMINATE, {"instance_ids": [id]}).error == (503, "provider/internal-unavailable")
    api.pass_seconds(100)
    assert api.instance(id)["status"] == "terminating"
    api.backend.failing = set()
    assert api("POST", TERMINATE, {"instance_ids": [id]}).status == 200
    api.pass_seconds(5)
    assert api("GET", "/instances").data == []


@pytest.mark.parametrize("path", [RESTART, TERMINATE])
def test_operations_on_unknown_instances_do_nothing(api: Api, path: str) -> None:
    api.key()
    id = api.launched()
    api.pass_seconds(10)
    assert api("POST", path, {"instance_ids": [id, "f" * 32]}).error == MISSING
    assert api.instance(id)["status"] == "active"
    assert list(api("POST", path, {"instance_ids": []}).data.values()) == [[]]
    for wrong in ({}, {"instance_ids": id}, {"instance_ids": [1]}, {"instance_ids": None}):
        answer = api("POST", path, wrong)
        assert answer.error == INVALID
        assert answer.message.startswith("instance_ids:")


def test_an_unknown_instance_is_not_found(api: Api) -> None:
    for method in ("GET", "POST"):
        assert api(method, "/instances/nobody", {}).error == MISSING


# SSH keys


def test_a_public_key_is_added_listed_and_deleted(api: Api) -> None:
    key = api("POST", "/ssh-keys", {"name": "mine", "public_key": f" {PUBLIC_KEY}\n"}).data
    assert key["public_key"] == PUBLIC_KEY and "private_key" not in key
    assert api("GET", "/ssh-keys").data == [key]
    assert api("DELETE", f"/ssh-keys/{key['id']}").data == {}
    assert api("GET", "/ssh-keys").data == []
    assert api("DELETE", f"/ssh-keys/{key['id']}").error == MISSING


def test_a_key_pair_is_generated_and_its_private_half_given_once(api: Api, tmp_path: Path) -> None:
    pair = api("POST", "/ssh-keys", {"name": "a\x00-\nb"}).data
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(pair["private_key"])
    derived = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout
    assert derived.split()[:2] == pair["public_key"].split()[:2]
    assert "private_key" not in api("GET", "/ssh-keys").data[0]
    assert not any("PRIVATE" in row[0] for row in api.store._rows("SELECT document FROM records"))


@pytest.mark.parametrize("key_format", ["RFC4716", "PKCS8", "PEM"])
def test_other_formats_of_public_keys_become_openssh(api: Api, tmp_path: Path, key_format: str) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "", "-f", path], check=True)
    export = ["ssh-keygen", "-e", "-m", key_format, "-f", f"{path}.pub"]
    exported = subprocess.run(export, check=True, capture_output=True, text=True).stdout
    key = api("POST", "/ssh-keys", {"name": key_format, "public_key": exported}).data
    assert key["public_key"].split()[:2] == Path(f"{path}.pub").read_text().split()[:2]


@pytest.mark.parametrize(
    "text",
    ["x", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + PUBLIC_KEY.split()[1][:-4], f'command="id" {PUBLIC_KEY}',
     f"{PUBLIC_KEY}\n{PUBLIC_KEY}", f"{PUBLIC_KEY}\r{PUBLIC_KEY}", f"{PUBLIC_KEY}\x85x", f"# x\n{PUBLIC_KEY}",
     "\x00", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "-h"],
)  # fmt: skip
def test_what_is_no_public_key_is_refused(api: Api, text: str) -> None:
    answer = api("POST", "/ssh-keys", {"name": "bad", "public_key": text})
    assert answer.error == INVALID
    assert answer.message.startswith("public_key:")


@pytest.mark.parametrize(
    ("body", "named"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": "x" * 65}, "name"), ({"name": 1}, "name"), ({"name": None}, "name"),
     ({"name": "n", "public_key": ""}, "public_key"), ({"name": "n", "public_key": None}, "public_key"),
     ({"name": "n", "public_key": PUBLIC_KEY + "x" * 4096}, "public_key")],
)  # fmt: skip
def test_a_wrong_ssh_key_names_its_field(api: Api, body: dict[str, Any], named: str) -> None:
    answer = api("POST", "/ssh-keys", body)
    assert answer.error == INVALID
    assert answer.message.startswith(f"{named}:")


def test_a_name_of_a_key_is_taken_once(api: Api) -> None:
    api.key()
    assert api("POST", "/ssh-keys", {"name": "key", "public_key": PUBLIC_KEY}).error == INVALID


def test_an_account_has_at_most_1024_keys(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onecc_lab.account.MAX_SSH_KEYS", 2)
    api.key("a"), api.key("b")
    assert api("POST", "/ssh-keys", {"name": "c"}).error == INVALID


# File systems


def test_a_file_system_is_made_used_and_deleted(api: Api) -> None:
    api.key()
    fs = api.file_system("data")
    [row] = api("GET", "/file-systems").data
    assert (row["id"], row["mount_point"], row["is_in_use"]) == (fs, "/lambda/nfs/data", False)
    assert row["region"]["name"] == REGION
    id = api.launched(file_system_names=["data"])
    assert api("GET", "/file-systems").data[0]["is_in_use"] is True
    assert api("DELETE", f"/filesystems/{fs}").error == (400, "filesystems/filesystem-in-use")
    api("POST", TERMINATE, {"instance_ids": [id]})
    assert api("DELETE", f"/filesystems/{fs}").error == (400, "filesystems/filesystem-in-use")
    api.pass_seconds(5)
    assert api("DELETE", f"/filesystems/{fs}").data == {"deleted_ids": [fs]}
    assert api("GET", "/file-systems").data == []
    assert api("DELETE", f"/filesystems/{fs}").error == MISSING
    assert [call for call in api.backend.calls if call[1] == fs] == [
        ("create_file_system", fs),
        ("delete_file_system", fs),
    ]


def test_mount_points_are_the_default_or_what_was_asked_for(api: Api) -> None:
    api.key()
    a, b, c = (api.file_system(name) for name in "abc")
    mounts = [{"file_system_id": b, "mount_point": "/data/b"}, {"file_system_id": c, "mount_point": "/home"}]
    instance = api.instance(api.launched(file_system_names=["a", "b"], file_system_mounts=mounts))
    assert instance["file_system_names"] == ["a", "b", "c"]
    assert instance["file_system_mounts"] == [
        {"mount_point": "/lambda/nfs/a", "file_system_id": a},
        {"mount_point": "/data/b", "file_system_id": b},
        {"mount_point": "/home", "file_system_id": c},
    ]


def test_two_mounts_do_not_share_a_place(api: Api) -> None:
    api.key()
    a, b = api.file_system("a"), api.file_system("b")
    for mounts in ([(a, "/data"), (b, "/data/")], [(a, "/data/a"), (a, "/data/b")], [(b, "/lambda/nfs/a")]):
        entries = [{"file_system_id": id, "mount_point": point} for id, point in mounts]
        answer = api.launch(file_system_names=["a"], file_system_mounts=entries)
        assert answer.error == INVALID
        assert answer.message.startswith("file_system_mounts:")


def test_a_file_system_of_another_region_is_refused(api: Api) -> None:
    api.key()
    fs = api.file_system("far", "us-west-1")
    by_id = [{"file_system_id": fs, "mount_point": "/data"}]
    for answer in (api.launch(file_system_names=["far"]), api.launch(file_system_mounts=by_id)):
        assert answer.error == (400, "instance-operations/launch/file-system-in-wrong-region")


@pytest.mark.parametrize(
    ("body", "named"),
    [({"region": REGION}, "name"), ({"name": "", "region": REGION}, "name"), ({"name": "1a", "region": REGION}, "name"),
     ({"name": "a_b", "region": REGION}, "name"), ({"name": "a\n", "region": REGION}, "name"),
     ({"name": "a" * 61, "region": REGION}, "name"), ({"name": "é", "region": REGION}, "name"), ({"name": "a"}, "region"),
     ({"name": "a", "region": "nowhere"}, "region"), ({"name": "a", "region": {}}, "region")],
)  # fmt: skip
def test_a_wrong_file_system_names_its_field(api: Api, body: dict[str, Any], named: str) -> None:
    answer = api("POST", "/filesystems", body)
    assert answer.error == INVALID
    assert answer.message.startswith(f"{named}:")


def test_a_name_of_a_file_system_is_taken_once(api: Api) -> None:
    api.file_system("a")
    assert api("POST", "/filesystems", {"name": "a", "region": REGION}).error == (400, "global/duplicate")


def test_an_account_has_at_most_24_file_systems(api: Api) -> None:
    for number in range(24):
        api.file_system(f"fs-{number}")
    assert api("POST", "/filesystems", {"name": "more", "region": REGION}).error == (400, "global/quota-exceeded")


def test_a_file_system_that_cannot_be_made_is_not_there(api: Api) -> None:
    api.backend.failing = {"create_file_system"}
    answer = api("POST", "/filesystems", {"name": "a", "region": REGION})
    assert answer.error == (503, "provider/internal-unavailable")
    assert api("GET", "/file-systems").data == [] == api.store.all(FileSystem)


# A file of instances


def test_a_file_of_instances_is_answered_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    text = '[ {"id": "a", "ip": null, "x": 1.50}, {"name": "{{ x }}"}, 3 ]\n'
    path.write_text(text)
    api = Api(instances_file=path)
    for query in ("", "?cluster_id=any"):
        assert api.raw("GET", f"/instances{query}").get_data(as_text=True) == f'{{"data": {text}}}'
    assert json.loads(api.raw("GET", "/instances/a").get_data()) == {"data": {"id": "a", "ip": None, "x": 1.5}}
    assert api("GET", "/instances/b").error == MISSING
    path.write_text("[]")
    assert api("GET", "/instances").data == []


@pytest.mark.parametrize("text", [None, "", "[", "{}", "\xff"])
def test_a_broken_file_of_instances_is_said_to_be(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "instances.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    for suffix in ("", "/a"):
        answer = Api(instances_file=path)("GET", f"/instances{suffix}")
        assert answer.error == (500, "global/internal-error")
        assert "file of instances" in answer.message


# The journal


def test_requests_are_counted_and_the_key_is_never_shown(api: Api) -> None:
    api("GET", f"/instances?cluster_id={KEY}")
    api("GET", "/instances?cluster_id=" + KEY.replace("_", "%5F"))
    api("GET", f"/nowhere/{KEY}", headers={})
    api("GET", "/instances/x")
    text = api.raw("GET", "/lab/requests").get_data(as_text=True)
    seen = json.loads(text)["data"]
    assert KEY not in text
    assert seen["total"] == 4
    assert seen["counts"] == {
        "GET /api/v1/instances 200": 2, "unknown 401": 1, "GET /api/v1/instances/<id> 404": 1
    }  # fmt: skip
    first = seen["last"][0]
    assert (first["method"], first["path"], first["status"]) == ("GET", "/api/v1/instances", 200)
    assert first["query"] == "cluster_id=***" == seen["last"][1]["query"]
    assert first["response_bytes"] == len('{"data": []}')
    assert len(seen["last"]) == 4


def test_a_defect_is_an_error_of_the_api(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.store, "all", lambda kind: 1 / 0)
    answer = api("GET", "/instances")
    assert answer.error == (500, "global/internal-error")
    assert "ZeroDivision" not in json.dumps(answer.body)


def test_head_is_get_without_a_body(api: Api) -> None:
    response = api.raw("HEAD", "/instances", headers=BEARER)
    assert (response.status_code, response.get_data()) == (200, b"")
