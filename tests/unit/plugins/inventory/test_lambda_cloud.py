# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import ansible_collections.onecc.cluster as collection
import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.plugins.loader import inventory_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager
from ansible_collections.onecc.cluster.plugins.module_utils import _lambda_api as api

NAME = "onecc.cluster.lambda_cloud"
KEY = "secret_test_0123.abcdef"
TOKEN = "JUPYTER-SECRET-0123"
COLLECTION = Path(next(iter(collection.__path__)))

ENVIRONMENT = ("LAMBDA_API_KEY", "LAMBDA_CLOUD_API_KEY", "LAMBDA_API_URL", "LAMBDA_API_TIMEOUT", "ONECC_CLUSTER_ID", "ONECC_SSH_CONFIG")


def instance(name, gpus=8, **changes):
    number = sum(name.encode() * 7) % 250 + 1
    return {
        "id": name.encode().hex().ljust(32, "0")[-32:],
        "name": name,
        "ip": None if gpus else f"198.51.100.{number}",
        "private_ip": f"10.19.0.{number}",
        "status": "active",
        "hostname": name,
        "region": {"name": "us-east-2", "description": "Washington DC"},
        "instance_type": {"name": "gpu_8x_h100_sxm5gdr" if gpus else "cpu_4x_general", "specs": {"gpus": gpus}},
        "ssh_key_names": ["k"],
        "file_system_names": ["data"],
        "file_system_mounts": [{"mount_point": "/lambda/nfs/data", "file_system_id": "f" * 32}],
        "jupyter_token": TOKEN,
        "jupyter_url": f"https://jupyter.example/?token={TOKEN}",
        "actions": {"restart": {"available": True}},
        "tags": [{"key": "team", "value": "vision"}],
        **changes,
    }


def cluster(compute=64, prefix="us-east-2-1cc"):
    heads = [instance(f"{prefix}-head-{i}", 0, ip=f"198.51.100.{i}") for i in (1, 2, 3)]
    return heads + [instance(f"{prefix}-node-{i}", private_ip=f"10.19.{i // 250}.{i % 250 + 1}") for i in range(1, compute + 1)]


class Api:
    """Answers requests by path, in this process."""

    def __init__(self, instances=(), file_systems=()):
        self.answers = {"/instances": list(instances), "/file-systems": list(file_systems)}
        self.failure = None
        self.requests = []

    def __call__(self, request):
        self.requests.append(request.url)
        if isinstance(self.failure, Exception):
            raise self.failure
        if self.failure is not None:
            return self.failure
        path = request.url.partition("/api/v1")[2].partition("?")[0]
        return api.Response(200, {}, json.dumps({"data": self.answers[path]}).encode())


class Screen:
    """Takes the place of the display, and remembers."""

    def __init__(self):
        self.warnings = []
        self.remarks = []

    def warning(self, text, *args, **kwargs):
        self.warnings.append(text)

    def v(self, text, *args, **kwargs):
        self.remarks.append(text)

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


class Result:
    def __init__(self, inventory, screen):
        self.inventory = inventory
        self.warnings = screen.warnings
        self.remarks = screen.remarks

    @property
    def hosts(self):
        return {name: host.vars for name, host in self.inventory.hosts.items()}

    def group(self, name):
        return {host.name for host in self.inventory.groups[name].get_hosts()}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAMBDA_API_KEY", KEY)
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(tmp_path / "cp"))


@pytest.fixture
def find(tmp_path):
    """Runs the plugin in this process: `find(Api(rows), "option: value")`."""

    def run(fake, config="", now=1_000_000.0, cache=True, loader=None, extra=None, inventory=None):
        path = tmp_path / "test.lambda_cloud.yml"
        path.write_text(f"plugin: {NAME}\n{config}\n")
        plugin = inventory_loader.get(NAME)
        plugin.display = screen = Screen()
        plugin._now = lambda: now
        plugin._make_client = functools.partial(api.Client, transport=fake, sleep=lambda seconds: None)
        inventory = inventory or InventoryData()
        assert plugin.verify_file(str(path))
        plugin.parse(inventory, loader or DataLoader(), str(path), cache)
        inventory.reconcile_inventory()
        return Result(inventory, screen)

    return run


@pytest.fixture
def cache_config(tmp_path):
    return f"cache: true\ncache_plugin: ansible.builtin.jsonfile\ncache_connection: {tmp_path / 'cache'}\ncache_timeout: 600"


def test_files_are_told_by_their_names(tmp_path):
    plugin = inventory_loader.get(NAME)
    for name, wanted in {"lambda_cloud.yml": True, "x.lambda_cloud.yaml": True, "lambda_cloud.json": False, "hosts.yml": False}.items():
        (tmp_path / name).write_text("")
        assert plugin.verify_file(str(tmp_path / name)) is wanted
    assert not plugin.verify_file(str(tmp_path / "missing.lambda_cloud.yml"))


def test_a_cluster(find):
    fake = Api(cluster())
    found = find(fake, "cluster_id: ddaedf1b7a0e41ac981711504493b242")
    assert fake.requests == ["https://cloud.lambda.ai/api/v1/instances?cluster_id=ddaedf1b7a0e41ac981711504493b242"]
    assert len(found.hosts) == 67 and not found.warnings
    assert found.group("onecc") == set(found.hosts)
    assert found.group("onecc_head") == {f"us-east-2-1cc-head-{i}" for i in (1, 2, 3)}
    assert len(found.group("onecc_compute")) == 64
    assert found.group("onecc_generic_cpu") == set()
    assert found.inventory.groups["onecc"].vars == {"ansible_python_interpreter": "/usr/bin/python3"}
    assert "ansible_ssh_timeout" not in found.hosts["us-east-2-1cc-head-1"]
    variables = {key: value for key, value in found.hosts["us-east-2-1cc-node-7"].items() if not key.startswith("inventory_")}
    assert set(variables) == {
        "ansible_control_path", "ansible_host", "ansible_ssh_common_args", "ansible_ssh_timeout", "ansible_user", "onecc_instance",
    }
    assert (variables["ansible_user"], variables["ansible_ssh_timeout"]) == ("ubuntu", 50)
    assert variables["ansible_host"] == "10.19.0.8"
    assert variables["onecc_instance"] == {
        "id": instance("us-east-2-1cc-node-7")["id"],
        "name": "us-east-2-1cc-node-7",
        "hostname": "us-east-2-1cc-node-7",
        "role": "compute",
        "region": "us-east-2",
        "instance_type": "gpu_8x_h100_sxm5gdr",
        "gpus": 8,
        "status": "active",
        "ip": None,
        "private_ip": "10.19.0.8",
        "file_systems": [{"id": "f" * 32, "name": "data", "mount_point": "/lambda/nfs/data"}],
        "tags": {"team": "vision"},
    }
    first = [found.hosts[f"us-east-2-1cc-node-{i}"]["ansible_ssh_common_args"].split(" -- ")[1].split()[0] for i in range(1, 65)]
    assert [first.count(f"198.51.100.{i}") for i in (1, 2, 3)] == [22, 21, 21]


def test_the_order_of_the_api_does_not_matter(find):
    rows = cluster() + [instance("twin"), instance("twin", id="e" * 32)]
    assert find(Api(rows)).hosts == find(Api(reversed(rows))).hosts


def test_file_systems_are_listed_only_when_needed(find):
    rows = [instance("node-1", ip="203.0.113.1", private_ip=None, file_system_names=["a", "b"], file_system_mounts=None)]
    fake = Api(rows, [{"id": "1", "name": "a", "mount_point": "/lambda/nfs/a"}, {"id": "2", "name": "b", "mount_point": "/b"}])
    found = find(fake)
    assert [url.rpartition("/")[2] for url in fake.requests] == ["instances", "file-systems"]
    assert found.hosts["node-1"]["onecc_instance"]["file_systems"] == fake.answers["/file-systems"]


def test_options_of_the_connection(find, tmp_path):
    config = tmp_path / "ssh config"
    config.write_text("")
    found = find(Api(cluster(1)), f"ssh_user: admin\nssh_port: 2222\nssh_config_file: {config}\nssh_private_key_file: {config}")
    for variables in found.hosts.values():
        assert variables["ansible_user"] == "admin"
        assert variables["ansible_ssh_private_key_file"] == str(config)
        assert variables["ansible_port"] == 2222
        assert variables["ansible_ssh_common_args"].startswith(f"-F '{config}' -o HostKeyAlias=")
    assert "-p 2222 -l admin" in found.hosts["us-east-2-1cc-node-1"]["ansible_ssh_common_args"]


def test_the_environment_serves_where_the_file_is_silent(find, monkeypatch, tmp_path):
    config = tmp_path / "ssh_config"
    config.write_text("")
    monkeypatch.setenv("LAMBDA_API_URL", "https://elsewhere.example/api/v1/")
    monkeypatch.setenv("ONECC_CLUSTER_ID", "c1")
    monkeypatch.setenv("ONECC_SSH_CONFIG", str(config))
    fake = Api(cluster(1))
    found = find(fake)
    assert fake.requests == ["https://elsewhere.example/api/v1/instances?cluster_id=c1"]
    assert found.hosts["us-east-2-1cc-head-1"]["ansible_ssh_common_args"].startswith(f"-F {config} ")
    fake = Api(cluster(1))
    find(fake, "cluster_id: c2")
    assert fake.requests == ["https://elsewhere.example/api/v1/instances?cluster_id=c2"]


def test_either_variable_holds_the_key(find, monkeypatch):
    used = []

    def note(request):
        used.append(request.headers["Authorization"])
        return Api([instance("node-1")])(request)

    monkeypatch.setenv("LAMBDA_CLOUD_API_KEY", "second")
    find(note)
    monkeypatch.delenv("LAMBDA_API_KEY")
    find(note)
    find(note, "api_key: \"{{ 'thi' ~ 'rd' }}\"")
    assert used == [f"Bearer {KEY}", "Bearer second", "Bearer third"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("api_key: ''", "LAMBDA_API_KEY.*LAMBDA_CLOUD_API_KEY.*https://cloud.lambda.ai/api-keys"),
        ("api_key: ['a']", "api_key"),
        ("api_key: a b", "holds a space"),
        ("api_key: '{{ nothing }}'", "`api_key` cannot be templated"),
        ("api_url: http://cloud.lambda.ai", "in the clear"),
        ("api_url: '{{ [1] }}'", "`api_url` must be a string"),
        ("api_timeout: 0", "`api_timeout` is 0"),
        ("region: [us-east-1]", "do not exist: region. Do you mean `regions`"),
        ("1: 2", "do not exist: 1"),
        ("connection: bastion", "bastion.*connection"),
        ("statuses: [acitve]", "acitve.*statuses"),
        ("hostname_sources: [tag]", "tag.*hostname_sources"),
        ("group_by: [tags]", "tags.*group_by"),
        ("secret_vars: [actions]", "actions.*secret_vars"),
        ("role_overrides: {'*': login}", "'login'; roles are head, compute, generic_cpu"),
        ("role_overrides: [head]", "role_overrides"),
        ("ssh_user: -oProxyCommand=x", "`ssh_user`"),
        ("ssh_user: 'a b'", "`ssh_user`"),
        ("ssh_port: 65536", "`ssh_port` is 65536"),
        ("ssh_port: ssh", "ssh_port"),
        ("ssh_config_file: /nowhere/at/all", "`ssh_config_file` is '/nowhere/at/all'; there is no such file"),
        ('ssh_config_file: "/tmp/a\\nb"', "`ssh_config_file`.*no path here may hold"),
        ("console_ssh_config: /nowhere/at/all", "`console_ssh_config`"),
        ("names: [{a: 1}]", "names"),
    ],
)
def test_what_is_wrong_is_said_by_name(find, config, says):
    fake = Api(cluster(1))
    with pytest.raises(AnsibleError) as error:
        find(fake, config)
    assert __import__("re").search(says, str(error.value).replace("\n", " ")), str(error.value)
    assert not fake.requests


@pytest.mark.parametrize("text", ["", "[1]", "just text", "plugin: other", ": : :", "\0", "- a: b"])
def test_files_that_are_no_configuration(text, tmp_path):
    path = tmp_path / "x.lambda_cloud.yml"
    path.write_text(text)
    with pytest.raises(AnsibleError):
        inventory_loader.get(NAME).parse(InventoryData(), DataLoader(), str(path))


@pytest.mark.parametrize(
    "rows",
    [[], [None, 1, "x", [], {}], [{**instance("a"), key: 7} for key in instance("a")], [dict.fromkeys(instance("a"))], [{"id": "a"}]],
)
def test_odd_answers_are_warnings_at_most(find, rows):
    found = find(Api(rows))
    assert found.warnings and all(text.isprintable() for text in found.warnings)


def test_statuses_that_are_not_wanted(find):
    rows = cluster(1) + [instance(f"n-{status}", status=status) for status in ("booting", "unhealthy", "preempted", "terminating")]
    found = find(Api(rows))
    assert len(found.hosts) == 4
    (warning,) = found.warnings
    assert all(name in warning for name in ("n-booting (booting)", "n-unhealthy (unhealthy)", "n-preempted (preempted)"))
    assert "n-terminating" not in warning and "n-terminating" in found.remarks[0]
    assert len(find(Api(rows), "statuses: [active, unhealthy]").hosts) == 5
    away = found.hosts["us-east-2-1cc-node-1"]["onecc_absent"]
    assert all(variables["onecc_absent"] is away for variables in found.hosts.values())
    assert sorted((item["name"], item["status"]) for item in away) == [
        ("n-booting", "booting"), ("n-preempted", "preempted"), ("n-unhealthy", "unhealthy"),
    ]
    assert away[0].keys() == {"name", "hostname", "ip", "private_ip", "status"}


def test_nobody_is_away(find):
    assert not any("onecc_absent" in variables for variables in find(Api(cluster(1))).hosts.values())


@pytest.mark.parametrize("status", ["active", "booting", "unhealthy", "preempted"])
def test_a_name_does_not_depend_on_the_health_of_another(find, status):
    found = find(Api([instance("n", id="a" * 32), instance("n", id="b" * 32, status=status)]))
    assert "n-aaaaaaaa" in found.hosts and "n" not in found.hosts
    # One that is gone gives its name to its successor.
    assert set(find(Api([instance("n", id="a" * 32), instance("n", id="b" * 32, status="terminating")])).hosts) == {"n"}


class TestOtherSources:
    """What belongs to one source, or is another thing in the inventory, stays so."""

    def test_hosts_are_added_as_hosts(self, find):
        inventory = InventoryData()
        for group in ("training", "Vision"):
            inventory.add_group(group)
        inventory.add_host("payroll-db", group="training")
        rows = [*cluster(1), instance("training", hostname="vision"), instance("Vision", hostname="trainer")]
        found = find(Api(rows), "group_by: [region]", inventory=inventory)
        assert found.group("onecc") == {*(row["name"] for row in cluster(1)), instance("training")["id"], "trainer"}
        assert found.group("training") == {"payroll-db"} and not found.group("Vision")

    @pytest.mark.parametrize("name", ["onecc_region_us_east_2", "mine", "127.0.0.1", "LocalHost", "::1"])
    def test_names_of_own_groups_and_of_the_controller(self, find, name):
        found = find(Api([instance(name, hostname="other")]), "group_by: [region]\ngroups: {mine: true}")
        assert set(found.hosts) == {"other"} and found.inventory.localhost is None

    def test_a_group_of_an_expression_is_no_host(self, find):
        rows = [instance("team_vision"), instance("a"), instance("z")]
        found = find(Api(rows), "strict: true\nkeyed_groups: [{key: onecc_instance.tags.team, prefix: team}]\ncompose: {x: '1'}")
        assert set(found.hosts) == found.group("team_vision") == {"a", "z"}
        assert found.inventory.groups["team_vision"].vars == {} and any("team_vision" in text for text in found.warnings)

    def test_two_sources_with_two_users(self, find, tmp_path):
        key = tmp_path / "keya"
        key.write_text("")
        away = instance("a-node-2", status="unhealthy")
        first = find(Api([*cluster(1, "a"), away]), f"cluster_id: aa\nssh_user: alice\nssh_private_key_file: {key}")
        both = find(Api(cluster(1, "b")), "cluster_id: bb\nssh_user: bob", inventory=first.inventory)
        manager = VariableManager(loader=DataLoader(), inventory=InventoryManager(DataLoader(), sources=[]))
        manager._inventory._inventory = both.inventory
        effective = {name: manager.get_vars(host=both.inventory.hosts[name]) for name in ("a-node-1", "b-node-1")}
        a, b = effective["a-node-1"], effective["b-node-1"]
        assert (a["ansible_user"], a["ansible_ssh_private_key_file"]) == ("alice", str(key))
        assert [item["name"] for item in a["onecc_absent"]] == ["a-node-2"]
        assert b["ansible_user"] == "bob" and "onecc_absent" not in b and "ansible_ssh_private_key_file" not in b
        assert "-l alice" in a["ansible_ssh_common_args"] and "-l bob" in b["ansible_ssh_common_args"]


def test_addresses_of_this_machine(find, monkeypatch):
    rows = [*cluster(1), instance("x", private_ip="127.0.0.1"), instance("y", private_ip="169.254.169.254")]
    found = find(Api(rows))
    assert not {"x", "y"} & set(found.hosts) and "`private_ip`" in found.warnings[0]
    monkeypatch.setenv("LAMBDA_API_URL", "http://127.0.0.1:1")
    assert "x" in find(Api(rows)).hosts


@pytest.mark.parametrize("key", ["x{{y}}", "{{ lookup('pipe', 'touch OWNED') }}x", "{% x", "x{#y"])
def test_a_key_of_the_environment_is_no_template(find, monkeypatch, key, tmp_path):
    monkeypatch.setenv("LAMBDA_API_KEY", key.replace(" ", ""))
    fake = Api(cluster(1))
    assert find(fake).hosts


def test_a_key_that_cannot_be_templated_is_not_shown(find):
    with pytest.raises(AnsibleParserError, match="`api_key`") as error:
        find(Api(), "api_key: 'secret-x{{ y'")
    shown = [error.value]
    while shown[-1].__cause__ is not None:
        shown.append(shown[-1].__cause__)
    assert not any("secret-x" in f"{said}" for said in shown)


def test_pages(find):
    rows = cluster(4)

    def paged(request):
        second = "page_token=t" in request.url
        body = {"data": rows[3:] if second else rows[:3], "page_token": None if second else "t"}
        return api.Response(200, {}, json.dumps(body).encode())

    assert len(find(paged).hosts) == 7


def test_groups_on_request(find):
    found = find(Api(cluster(1)), "group_by: [region, instance_type, status]")
    assert found.group("onecc_region_us_east_2") == set(found.hosts) == found.group("onecc_status_active")
    assert found.group("onecc_instance_type_cpu_4x_general") == found.group("onecc_head")
    parents = {group.name for group in found.inventory.groups["onecc_region_us_east_2"].parent_groups}
    assert parents == {"onecc"}


def test_without_the_api(find, tmp_path, monkeypatch):
    monkeypatch.delenv("LAMBDA_API_KEY")
    file = tmp_path / "config.us-east-2-1cc"
    file.write_text("Host c-head-1\nHostName 198.51.100.1\nPort 2200\nHost c-node-1\nHostName 10.0.0.5\nUser me\n")
    fake = Api()
    found = find(fake, f"console_ssh_config: {file}")
    assert fake.requests == [] and not found.warnings
    head, node = found.hosts["c-head-1"], found.hosts["c-node-1"]
    assert (head["ansible_host"], head["ansible_port"]) == ("198.51.100.1", 2200)
    assert (node["ansible_host"], node["ansible_user"]) == ("10.0.0.5", "me")
    assert "-p 2200 -l ubuntu" in node["ansible_ssh_common_args"] and "HostKeyAlias" not in node["ansible_ssh_common_args"]
    with pytest.raises(AnsibleParserError, match="`regions` needs the API"):
        find(fake, f"console_ssh_config: {file}\nregions: [x]")


class TestTrust:
    """Strings of the API are data, wherever they go."""

    def hostile(self, owned):
        payloads = [f"{{{{ lookup('pipe', 'touch {owned}') }}}}", f"$(touch {owned})", f"a\n; touch {owned} #", f"`touch {owned}`",
                    f"{{% if lookup('pipe', 'touch {owned}') %}}x{{% endif %}}", f"-oProxyCommand=touch {owned}"]
        for i, text in enumerate(payloads):
            changes = {
                "name": text,
                "hostname": text,
                "tags": [{"key": "team", "value": text}, {"key": text, "value": text}],
                "region": {"name": text},
                "instance_type": {"name": text, "specs": {"gpus": i % 2}},
                "file_system_names": [text],
                "file_system_mounts": [{"mount_point": text, "file_system_id": text}],
                "ip": "203.0.113.9",
            }
            yield {**instance(f"n-{i}"), **changes}

    def test_nothing_of_it_runs(self, find, tmp_path, cache_config):
        owned = tmp_path / "owned"
        rows = [*self.hostile(owned), *cluster(1)]
        config = cache_config + """
strict: true
group_by: [region, instance_type]
compose:
  mine: onecc_instance.tags.team
  both: onecc_instance.name ~ onecc_instance.region
groups:
  odd: onecc_instance.name is search('touch')
keyed_groups:
  - key: onecc_instance.tags.team
    prefix: team
  - key: onecc_instance.name
"""
        fake = Api(rows)
        for _round in range(2):  # the second from the cache
            found = find(fake, config)
            assert len(found.hosts) == len(rows)
            for name, variables in found.hosts.items():
                assert "touch" not in name
                templar = Templar(loader=DataLoader(), variables=variables)
                for key in variables:
                    assert templar.template(variables[key]) == variables[key]
            texts = {row["name"] for row in rows}
            assert {variables["onecc_instance"]["name"] for variables in found.hosts.values()} == texts
            assert {variables["mine"] for variables in found.hosts.values()} == {row["tags"][0]["value"] for row in rows}
            assert len(found.group("odd")) == 6
            assert all(text.isprintable() for text in found.warnings)
        assert len(fake.requests) == 1
        assert not owned.exists()

    def test_what_the_user_wrote_is_a_template(self, find):
        found = find(Api(cluster(1)), "strict: true\nssh_user: \"{{ 'ub' ~ 'untu' }}\"\ncompose: {x: onecc_instance.gpus * 2}")
        assert found.hosts["us-east-2-1cc-node-1"]["ansible_user"] == "ubuntu"
        assert found.hosts["us-east-2-1cc-node-1"]["x"] == 16

    def test_jinja_stays_away_unless_asked_for(self, find, monkeypatch):
        from ansible.plugins.inventory import Constructable

        monkeypatch.setattr(Constructable, "_compose", None)
        monkeypatch.setattr(Constructable, "_add_host_to_keyed_groups", None)
        find(Api(cluster(1)), "group_by: [region]")


class TestSecrets:
    def test_they_are_nowhere(self, find, cache_config, tmp_path):
        found = find(Api(cluster(3)), cache_config)
        assert TOKEN not in repr(found.hosts) + repr(found.warnings) + repr(found.remarks)
        files = [path.read_text() for path in (tmp_path / "cache").iterdir()]
        assert files and not any(TOKEN in text or KEY in text for text in files)

    def test_they_are_where_they_are_asked_for_and_not_in_the_cache(self, find, cache_config, tmp_path):
        fake = Api(cluster(1))
        config = cache_config + "\nsecret_vars: [jupyter_token]"
        for _round in range(2):
            found = find(fake, config)
            (node,) = found.group("onecc_compute")
            assert found.hosts[node]["onecc_instance"]["jupyter_token"] == TOKEN
            assert "jupyter_url" not in found.hosts[node]["onecc_instance"]
        assert len(fake.requests) == 2
        assert not any(TOKEN in path.read_text() for path in (tmp_path / "cache").iterdir())
        fake.failure = api.TransportError("gone")
        found = find(fake, config)
        assert "jupyter_token" not in found.hosts[node]["onecc_instance"] and "without jupyter_token" in found.warnings[0]

    def test_the_key_is_in_no_message(self, find):
        fake = Api()
        fake.failure = api.Response(400, {}, json.dumps({"error": {"code": "x", "message": f"bad {KEY}"}}).encode())
        with pytest.raises(AnsibleParserError) as error:
            find(fake)
        assert KEY not in str(error.value)


class TestCache:
    def test_it_serves_while_it_is_fresh(self, find, cache_config):
        fake = Api(cluster(2))
        first = find(fake, cache_config, now=1000)
        second = find(fake, cache_config, now=1600)
        assert len(fake.requests) == 1 and second.hosts == first.hosts and not second.warnings
        find(fake, cache_config, now=1601)
        assert len(fake.requests) == 2

    def test_filters_apply_to_what_it_holds(self, find, cache_config):
        fake = Api(cluster(2))
        find(fake, cache_config + "\nnames: ['*-head-*']")
        assert len(find(fake, cache_config).hosts) == 5
        assert len(fake.requests) == 1

    def test_it_can_be_flushed(self, find, cache_config):
        fake = Api(cluster(2))
        find(fake, cache_config)
        fake.answers["/instances"] = cluster(3)
        assert len(find(fake, cache_config, cache=False).hosts) == 6
        assert len(find(fake, cache_config).hosts) == 6
        assert len(fake.requests) == 2

    @pytest.mark.parametrize(
        ("failure", "says"),
        [
            (api.TransportError("Connection refused"), "no answer: Connection refused"),
            (api.Response(503, {}, b"<html>"), "503"),
            (api.Response(429, {}, b""), "429"),
            (api.Response(200, {}, b"<!doctype html>"), "an HTML page"),
            (api.Response(302, {"location": "https://x.example/"}, b""), "redirects"),
        ],
    )
    def test_an_old_entry_is_better_than_none(self, find, cache_config, failure, says):
        fake = Api(cluster(2))
        first = find(fake, cache_config, now=1000)
        fake.failure = failure
        found = find(fake, cache_config, now=1000 + 3 * 86400)
        assert found.hosts == first.hosts
        (warning,) = found.warnings
        assert "3 days ago, from the cache" in warning and says in warning

    def test_the_cache_plugin_does_not_drop_old_entries(self, find, cache_config, tmp_path):
        fake = Api(cluster(2))
        find(fake, cache_config, now=1000)
        (file,) = (tmp_path / "cache").iterdir()
        os.utime(file, (1000, 1000))
        fake.failure = api.TransportError("gone")
        assert len(find(fake, cache_config, now=9000).hosts) == 5

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_is_never_hidden(self, find, cache_config, status):
        fake = Api(cluster(2))
        find(fake, cache_config, now=1000)
        fake.failure = api.Response(status, {}, b'{"error": {"code": "global/invalid-api-key", "message": "No."}}')
        with pytest.raises(AnsibleParserError, match="global/invalid-api-key"):
            find(fake, cache_config, now=9000)

    def test_without_an_entry_the_error_is_the_error(self, find, cache_config):
        fake = Api()
        fake.failure = api.TransportError("gone")
        with pytest.raises(AnsibleParserError, match="gone"):
            find(fake, cache_config)

    def test_entries_are_of_one_account_one_url_and_one_cluster(self, find, cache_config, monkeypatch, tmp_path):
        fake = Api(cluster(2))
        find(fake, cache_config)
        for config in ("cluster_id: c1", "api_url: https://elsewhere.example", "api_key: another"):
            find(fake, f"{cache_config}\n{config}")
        assert len(fake.requests) == 4
        assert len(list((tmp_path / "cache").iterdir())) == 4

    @pytest.mark.parametrize(
        "entry",
        ["", "{", "[]", "{}", "null", '{"__payload__": "[]"}', '{"__payload__": "x"}', '{"__payload__": "{\\"schema\\": 1}"}',
         *(json.dumps({"__payload__": json.dumps({"schema": schema, "fetched_at": at, "nodes": nodes})})
           for schema, at, nodes in [(0, 1000, []), (1, "x", []), (1, 1000, {}), (1, True, None)])],
    )
    def test_an_entry_that_is_none_is_none(self, find, cache_config, tmp_path, entry):
        fake = Api(cluster(2))
        find(fake, cache_config, now=1000)
        (file,) = (tmp_path / "cache").iterdir()
        file.write_text(entry)
        assert len(find(fake, cache_config, now=1000).hosts) == 5
        assert len(fake.requests) == 2

    def test_what_somebody_wrote_into_it_is_checked(self, find, cache_config, tmp_path):
        fake = Api(cluster(1))
        find(fake, cache_config, now=1000)
        (file,) = (tmp_path / "cache").iterdir()
        envelope = json.loads(file.read_text())
        entry = json.loads(envelope["__payload__"])
        nodes = entry["nodes"]
        nodes[0]["ip"] = nodes[1]["private_ip"] = "10.0.0.1$(touch owned)"
        nodes[2]["id"] = "-oX"
        file.write_text(json.dumps({**envelope, "__payload__": json.dumps(entry)}))
        found = find(fake, cache_config, now=1000)
        assert len(found.hosts) == 1 and "Left out" in found.warnings[0]

    def test_a_clock_that_was_wrong(self, find, cache_config):
        fake = Api(cluster(1))
        find(fake, cache_config, now=10_000)
        find(fake, cache_config, now=9_000)
        assert len(fake.requests) == 2


@pytest.fixture
def command(tmp_path):
    """Runs ansible-inventory against a server on a loopback address: `command(rows, "--list")`."""
    tree = COLLECTION.parents[2]
    state = {"rows": b"", "keys": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state["keys"].append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", str(len(state["rows"])))
            self.end_headers()
            self.wfile.write(state["rows"])

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def run(rows, *args, config="", **environment):
        state["rows"] = json.dumps({"data": rows}).encode()
        path = tmp_path / "1cc.lambda_cloud.yml"
        path.write_text(f"plugin: {NAME}\n{config}\n")
        (tmp_path / "ansible.cfg").write_text("[inventory]\nany_unparsed_is_failed = true\n")
        program = Path(sys.executable).parent / "ansible-inventory"
        return subprocess.run(
            [str(program) if program.exists() else shutil.which("ansible-inventory"), "-i", str(path), *args],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
                "ANSIBLE_HOME": str(tmp_path / "home"),
                "ANSIBLE_COLLECTIONS_PATH": str(tree),
                "LAMBDA_API_URL": f"http://127.0.0.1:{server.server_port}",
                "NO_COLOR": "1",
                "LC_ALL": "C.UTF-8",
                **environment,
            },
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )

    run.keys = state["keys"]
    yield run
    server.shutdown()
    server.server_close()


def test_ansible_inventory_lists_a_cluster(command, cache_config, tmp_path):
    result = command(cluster(), "--list", "-vvvv", config=cache_config)
    assert result.returncode == 0, result.stderr
    listed = json.loads(result.stdout[result.stdout.index("{\n"):])
    assert len(listed["_meta"]["hostvars"]) == 67
    assert {"onecc_compute", "onecc_head"} <= set(listed["onecc"]["children"])
    cached = "".join(path.read_text() for path in (tmp_path / "cache").iterdir())
    for text in (result.stdout, result.stderr, cached):
        assert TOKEN not in text and KEY not in text


def test_ansible_inventory_lists_5000_instances(command):
    rows = [row for i in range(75) for row in cluster(64, prefix=f"c{i}")][:5000]
    for i, row in enumerate(rows):
        row["id"] = f"{i:032x}"
        row["region"] = {"name": f"region-{row['name'].partition('-')[0]}", "description": ""}
    result = command(rows, "--list")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["_meta"]["hostvars"]) == 5000
    assert "WARNING" not in result.stderr


def test_ansible_inventory_without_a_key(command):
    result = command([], "--list", LAMBDA_API_KEY="")
    assert result.returncode != 0
    assert "LAMBDA_API_KEY" in result.stderr and "https://cloud.lambda.ai/api-keys" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_the_key_may_be_a_vaulted_value(command, tmp_path):
    secret = VaultSecret(b"password")
    text = VaultLib([("default", secret)]).encrypt(b"from-the-vault", secret).decode()
    (tmp_path / "password").write_text("password")
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    config = f"api_key: !vault |\n{indented}"
    result = command(cluster(1), "--graph", "--vault-password-file", str(tmp_path / "password"), config=config)
    assert result.returncode == 0, result.stderr
    assert command.keys == ["Bearer from-the-vault"]


def test_the_example_in_the_checkout_works_as_it_is(find):
    example = COLLECTION / "inventory" / "1cc.lambda_cloud.yml"
    if not example.exists():
        pytest.skip("not in a checkout")
    assert len(find(Api(cluster()), example.read_text().partition(f"plugin: {NAME}\n")[2]).hosts) == 67


@pytest.mark.parametrize(("text", "trusted"), [("10.0.0.2", True), ("-o 'ProxyCommand={ ssh a; }'", True), ("{{ x }}", False), ("{% x %}", False)])
def test_connection_variables_are_plain_unless_they_could_be_templates(text, trusted):
    from ansible.template import is_trusted_as_template
    from ansible_collections.onecc.cluster.plugins.inventory import lambda_cloud

    assert is_trusted_as_template(lambda_cloud.plain(text)) is trusted


class TestFacts:
    FILE_SYSTEM = {"id": "f" * 32, "name": "data", "mount_point": "/lambda/nfs/data", "bytes_used": 5}
    TYPE = {"name": "gpu_8x_h100_sxm5gdr", "specs": {"gpus": 8}, "price_cents_per_hour": 2392}

    def rows(self, price=2392):
        return [instance("node-1", ip="203.0.113.1", private_ip=None, instance_type={**self.TYPE, "price_cents_per_hour": price})]

    def test_nothing_is_asked_or_said_that_nobody_wants(self, find):
        fake = Api(self.rows(), [self.FILE_SYSTEM])
        variable = find(fake).hosts["node-1"]["onecc_instance"]
        assert len(fake.requests) == 1
        assert "price_cents_per_hour" not in variable and "bytes_used" not in variable["file_systems"][0]

    def test_usage_and_price(self, find):
        fake = Api(self.rows(), [self.FILE_SYSTEM])
        variable = find(fake, "facts: [usage, price]").hosts["node-1"]["onecc_instance"]
        assert (variable["price_cents_per_hour"], variable["file_systems"]) == (2392, [self.FILE_SYSTEM])
        assert [url.rpartition("/")[2] for url in fake.requests] == ["instances", "file-systems"]

    def test_price_costs_no_request(self, find):
        fake = Api(self.rows(), [self.FILE_SYSTEM])
        assert find(fake, "facts: [price]").hosts["node-1"]["onecc_instance"]["price_cents_per_hour"] == 2392
        assert len(fake.requests) == 1

    @pytest.mark.parametrize("value", [None, "5", -1, True, 5.5, [5]])
    def test_what_is_no_number_is_null(self, find, value):
        found = find(Api(self.rows(value), [{**self.FILE_SYSTEM, "bytes_used": value}]), "facts: [usage, price]")
        variable = found.hosts["node-1"]["onecc_instance"]
        assert variable["price_cents_per_hour"] is None and variable["file_systems"][0]["bytes_used"] is None

    def test_a_cache_serves_those_that_it_was_written_for(self, find, cache_config):
        fake = Api(self.rows(), [self.FILE_SYSTEM])
        config = f"{cache_config}\nfacts: [usage, price]"
        find(fake, cache_config)
        first = find(fake, config).hosts
        assert len(fake.requests) == 3
        assert find(fake, config).hosts == first and len(fake.requests) == 3
        assert first["node-1"]["onecc_instance"]["file_systems"][0]["bytes_used"] == 5
        assert "bytes_used" not in find(fake, cache_config).hosts["node-1"]["onecc_instance"]["file_systems"][0]
