# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: lambda_cloud
short_description: Nodes of a Lambda 1-Click Cluster
version_added: 0.1.0
author:
  - The onecc.cluster developers (@onecc)
description:
  - Lists the instances of a Lambda account, or of one 1-Click Cluster, as hosts in the groups C(onecc_head),
    C(onecc_compute) and C(onecc_generic_cpu) below C(onecc), each with the way to reach it.
  - Head nodes are contacted by public address. The other nodes have addresses of a private network only; they are
    contacted through a head node, spread evenly over all of them, and through another one where a head node is down.
  - Each host has one variable, C(onecc_instance), that says what it is; its keys are C(id), C(name), C(hostname),
    C(role) (V(head), V(compute) or V(generic_cpu)), C(region), C(instance_type), C(gpus), C(status), C(ip),
    C(private_ip), C(file_systems) (a list of C(id), C(name), C(mount_point)) and C(tags) (a dictionary). What the API
    does not say is null. The other variables are Ansible's own for the connection.
  - Where it gives no node, the variable C(onecc_no_nodes) of all hosts says why. The playbooks of this collection then end with it.
  - Nodes that are left out for their status and may come back are in the variable C(onecc_absent) of each host of the same
    source, a list of C(name), C(hostname), C(ip), C(private_ip) and C(status), so that the others can keep their names.
  - User, private key and way of a connection are variables of the hosts, so that those of several sources do not mix. Variables
    of a group do not change them; the options here, C(host_vars) and extra variables do.
  - The inventory file is YAML, and its name ends in C(lambda_cloud.yml) or C(lambda_cloud.yaml).
  - All strings of the API are data. None is ever a template or part of a command; names that cannot be names of hosts
    are not used as such. Nor are addresses, C(localhost) and its like in any case, and the names of groups that there are
    when this source is read.
  - An instance is left out, and named in a warning, where an address of it cannot be that of a node, such as a loopback, link-local,
    multicast or reserved one. Loopback addresses are taken where O(api_url) is one, as a stand-in for the API has it.
  - Where the API lists instances in pages, all are read, or the source fails.
extends_documentation_fragment:
  - onecc.cluster._api
  - onecc.cluster._api.plugin
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - The values of O(api_key), O(api_url), O(cluster_id), O(ssh_user), O(ssh_config_file), O(ssh_private_key_file),
    O(console_ssh_config) and the items of O(regions), O(instance_types) and O(names) may be templates. What comes from
    the environment is never one.
  - Host keys are checked, and nothing here turns that off. Each node's is kept under the id of its instance
    (C(HostKeyAlias)) and not under its address, because the next reservation uses the same private addresses again.
    A head node that a connection passes through cannot ask you whether to accept a new key. Either
    connect to each head node once, or write C(StrictHostKeyChecking accept-new) into the OpenSSH configuration,
    which accepts the key of an instance that was never seen before and refuses one that changed.
  - Tasks of many hosts share one connection to each head node. It stays open for 15 minutes after its last use.
  - The variable C(ansible_ssh_common_args) is set for each host, so the setting and command line option of that name
    have no effect here. Use O(ssh_config_file), C(ansible_ssh_extra_args) or C(ssh_args) instead.
  - Where a way through a head node is used, the variable C(ansible_ssh_timeout) allows the time for head nodes that
    are down. A C(ConnectTimeout) in C(ssh_args) of F(ansible.cfg) comes before it; leave it out there.
  - The cache holds what C(onecc_instance) shows of all instances that the API lists, without secrets. A cache plugin
    that keeps data between runs, such as P(ansible.builtin.jsonfile#cache), is needed for it to be of use.
  - When the API does not answer (connection errors, C(5xx), C(429), something that is not this API, such as the page of a
    proxy, whatever its status), an entry of the cache serves whatever its age, with a warning that says how old it is. A key that
    the API itself refuses is always an error.
  - Where the API lists several clusters in one region, set O(cluster_id), for their nodes cannot be told apart.
options:
  plugin:
    description: Token that says that this is a file for this plugin.
    type: str
    required: true
    choices:
      - onecc.cluster.lambda_cloud
  cluster_id:
    description:
      - Id of the 1-Click Cluster. Without it, all instances of the account are listed.
    type: str
    env:
      - name: ONECC_CLUSTER_ID
  regions:
    description:
      - Patterns, such as V(us-east-*). Only nodes in a region that matches one are listed; all, if there is none.
    type: list
    elements: str
    default: []
  instance_types:
    description:
      - Patterns, such as V(gpu_8x_*). Only nodes of an instance type that matches one are listed; all, if there is none.
      - Keep the head nodes in, or nothing leads to the others.
    type: list
    elements: str
    default: []
  names:
    description:
      - Patterns, such as V(us-east-2-1cc-*). Only nodes whose name or host name matches one are listed; all, if there
        is none.
    type: list
    elements: str
    default: []
  statuses:
    description:
      - Only nodes in one of these statuses are listed. A warning names those that are left out, unless they are
        terminating or terminated.
    type: list
    elements: str
    choices: [booting, active, unhealthy, preempted, terminating, terminated]
    default: [active]
  hostname_sources:
    description:
      - Where the name of a host comes from. The first that an instance has, and that can name a host, is used; its id,
        if there is none.
      - The name is the one that the console shows.
      - Instances that share a name, in whatever case, each get C(-) and the first eight digits of their id appended; also while
        some of them are left out for their status, unless they are gone.
    type: list
    elements: str
    choices: [name, hostname, id]
    default: [name, hostname, id]
  role_overrides:
    description:
      - Roles by pattern of host name, as in C({"*-login-*":) V(head)C(}). The first pattern that matches decides. Roles are
        V(head), V(compute) and V(generic_cpu).
      - Of its own accord the plugin goes by the GPUs of the instance type. A node that has some is a compute node. One
        that has none is a head node if O(cluster_id) is set, or if a word of its name is C(head), C(login) or C(mgmt);
        else it is a generic CPU node.
    type: dict
    default: {}
  connection:
    description:
      - How nodes are contacted.
    type: str
    choices:
      head: Head nodes by public address, the others by private address through a head node. A node that has no private
        address is contacted by its public one.
      public: All nodes by public address; those that have none, by private address.
      private: All nodes by private address, for a controller that is inside the private network, such as a head node.
    default: head
  ssh_user:
    description:
      - User to log in as, on nodes and on head nodes on the way.
    type: str
    default: ubuntu
  ssh_port:
    description:
      - Port of the SSH server, on nodes and on head nodes on the way. Where it is not set, OpenSSH's configuration decides.
    type: int
  ssh_config_file:
    description:
      - OpenSSH client configuration used in place of F(~/.ssh/config), for nodes and for head nodes on the way.
    type: path
    env:
      - name: ONECC_SSH_CONFIG
  ssh_private_key_file:
    description:
      - Private key to log in with, on nodes and on head nodes on the way. By default the one that Ansible is told to use;
        if there is none, OpenSSH's configuration or agent decides.
    type: path
    env:
      - name: ANSIBLE_PRIVATE_KEY_FILE
    ini:
      - section: defaults
        key: private_key_file
    cli:
      - name: private_key_file
        option: --private-key
  ssh_control_path_dir:
    description:
      - Directory for the sockets of shared connections to head nodes. By default the one that Ansible uses for its own.
    type: path
    default: ~/.ansible/cp
    env:
      - name: ANSIBLE_SSH_CONTROL_PATH_DIR
    ini:
      - section: ssh_connection
        key: control_path_dir
  group_by:
    description:
      - Extra groups below C(onecc), such as C(onecc_region_us_east_1), C(onecc_instance_type_gpu_8x_h100_sxm5gdr) and
        C(onecc_status_active). O(keyed_groups) can do the same, and more, at a multiple of the time.
    type: list
    elements: str
    choices: [region, instance_type, status]
    default: []
  facts:
    description:
      - What else C(onecc_instance) says. V(usage) puts C(bytes_used) into each of its C(file_systems), as the API counted it
        in the last hours, and costs a request more. V(price) puts C(price_cents_per_hour) into it, that of the whole
        instance. What the API does not say is null.
    type: list
    elements: str
    choices: [usage, price]
    default: []
  secret_vars:
    description:
      - Secrets to put into C(onecc_instance) too. Whoever can read the variables of a host can then open its JupyterLab.
      - They are never written into the cache, so with this option the cache serves only when the API does not answer,
        and then without them.
    type: list
    elements: str
    choices: [jupyter_token, jupyter_url]
    default: []
  console_ssh_config:
    description:
      - SSH configuration that the console hands out for a cluster (F(~/.ssh/config.d/config.<cluster>)). With it, the
        nodes are those that the file names, and the API is not used.
      - Each C(Host) with an address as its C(HostName) is a node; C(Port) and C(User) are respected. A name with the word
        C(head), C(login) or C(mgmt) is that of a head node; the others are compute nodes, unless O(role_overrides) says otherwise.
      - The file is read as C(ssh) reads it. What C(ssh) refuses, and what is not read here (C(Include), C(IgnoreUnknown), a C(Match) by other
        criteria than C(all), C(host), C(originalhost) and C(user)), is an error that names the line. Values of other keywords than
        C(HostName), C(Port) and C(User) are not looked at.
      - A host whose C(HostName) is a loopback address or another one that cannot be a node's is left out with a warning.
    type: path
"""

EXAMPLES = r"""
---
# All instances of the account. The key comes from the environment variable LAMBDA_API_KEY.
plugin: onecc.cluster.lambda_cloud

---
# One 1-Click Cluster, with the key from a vault.
plugin: onecc.cluster.lambda_cloud
api_key: "{{ lookup('ansible.builtin.unvault', '~/.config/lambda/api_key.vault') | trim }}"
cluster_id: ddaedf1b7a0e41ac981711504493b242

---
# The cluster that the console calls us-east-2-1cc, where the names say which nodes to log in to.
plugin: onecc.cluster.lambda_cloud
names: ["us-east-2-1cc-*"]
role_overrides:
  "*-gateway-*": head
  "us-east-2-1cc-cpu-*": generic_cpu

---
# On a head node: the private network is right here.
plugin: onecc.cluster.lambda_cloud
connection: private

---
# A lasting cache. When the API is down, yesterday's nodes are better than none.
plugin: onecc.cluster.lambda_cloud
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/onecc
cache_timeout: 600 # seconds

---
# Groups by region, and by a tag `team`.
plugin: onecc.cluster.lambda_cloud
group_by: [region]
keyed_groups:
  - key: onecc_instance.tags.team | default("none")
    prefix: team

---
# Without the API: what the console offers under "SSH LOGIN > SETUP".
plugin: onecc.cluster.lambda_cloud
console_ssh_config: ~/.ssh/config.d/config.us-east-2-1cc
"""

import difflib
import hashlib
import json
import os
import time
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.template import trust_as_template
from ansible.utils.path import makedirs_safe
from ansible_collections.onecc.cluster.plugins.module_utils import _lambda_api as api
from ansible_collections.onecc.cluster.plugins.plugin_utils import _discovery as discovery
from ansible_collections.onecc.cluster.plugins.plugin_utils import _ssh_route as ssh_route
from ansible_collections.onecc.cluster.plugins.plugin_utils._console_ssh_config import Refused, hosts_from_config, is_user

FILE_SUFFIXES = ("lambda_cloud.yml", "lambda_cloud.yaml")
TEMPLATABLE = (
    "api_key", "api_url", "cluster_id", "ssh_user", "ssh_config_file", "ssh_private_key_file", "console_ssh_config",
    "regions", "instance_types", "names",
)
# Of what the cache holds; an entry with another number is as good as none.
CACHE_SCHEMA = 1
# Nodes have this one (Ubuntu); looking for it costs a round trip a host, and other ones are found that do not last.
PYTHON_INTERPRETER = "/usr/bin/python3"


def plain(text: str | None) -> str | None:
    """A connection variable that every reader of `ansible-inventory --list` sees as a string.

    Ansible wraps strings that it does not trust, and tools that read its output, such as testinfra, then find no address.
    These are checked addresses and ids and the user's own settings. None can be a template, for what could stays as it is.
    """
    return text if not text or any(start in text for start in ("{{", "{%", "{#")) else trust_as_template(text)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Hosts from the Lambda Cloud API. What is decided about them is decided in `_discovery` and `_ssh_route`."""

    NAME = "onecc.cluster.lambda_cloud"

    # Replaced in tests.
    _now = staticmethod(time.time)
    _make_client = staticmethod(api.Client)

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(FILE_SUFFIXES)

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        notes = discovery.Notes()
        try:
            self._read_options(path)
            hosts, absent, secrets = self._find_hosts(cache, notes)
            routes = ssh_route.routes(hosts, self.get_option("connection"), notes)
            self._populate([host for host in hosts if host.name in routes], routes, secrets, absent)
        except (api.ApiError, AnsibleParserError) as error:
            said = error if isinstance(error, AnsibleParserError) else AnsibleParserError(f"Lambda Cloud API: {error}")
            self._no_nodes(said.message)
            raise said from None
        finally:
            for warning in notes.warnings:
                self.display.warning(warning)
            for remark in notes.remarks:
                self.display.v(remark)

    # --- options ---

    def _read_options(self, path: str) -> None:
        try:
            config = self._read_config_data(path)
        except AttributeError:
            raise AnsibleParserError(f"{path} must be a dictionary of options, such as `plugin: {self.NAME}`.") from None
        unknown = sorted(str(key) for key in config if key not in self.option_definitions)
        if unknown:
            # A misspelt filter that went unnoticed would let a play loose on nodes that nobody meant.
            close = difflib.get_close_matches(unknown[0], self.option_definitions, n=1)
            hint = f" Do you mean `{close[0]}`?" if close else ""
            raise AnsibleParserError(f"{path} has options that do not exist: {', '.join(unknown)}.{hint}")
        self.templar.available_variables = self._vars
        for name in TEMPLATABLE:
            value, origin = self.get_option_and_origin(name)
            # What is in the environment is text, never a template, whoever put it there.
            self.set_option(name, value if origin.startswith("env") else self._templated(name, value))
        self._check_options()

    def _templated(self, name: str, value: t.Any) -> t.Any:
        """The value without templates: plain strings, which are not templates again wherever they end up."""
        if isinstance(value, list):
            return [self._templated(name, item) for item in value]
        if value is None:
            return None
        try:
            result = self.templar.template(value)
        except AnsibleError as error:
            if name == "api_key":  # the error shows what it failed at
                raise AnsibleParserError(
                    "The option `api_key` cannot be templated; why is not shown here, as that could show the key. A key that "
                    "holds `{{` goes into the environment variable LAMBDA_API_KEY, or behind `!unsafe`."
                ) from None
            raise AnsibleParserError(f"The option `{name}` cannot be templated: {error}") from error
        if not isinstance(result, (str, int, float)) or isinstance(result, bool):
            raise AnsibleParserError(f"The option `{name}` must be a string; it is {type(result).__name__}.")
        return f"{result}"

    def _check_options(self) -> None:
        for pattern, role in self.get_option("role_overrides").items():
            if role not in discovery.ROLES:
                raise AnsibleParserError(
                    f"The option `role_overrides` gives {pattern!r} the role {role!r}; roles are {', '.join(discovery.ROLES)}."
                )
        user = self.get_option("ssh_user")
        if user and not is_user(user):
            raise AnsibleParserError(f"The option `ssh_user` is {user!r}, which is not usable as a user name.")
        port = self.get_option("ssh_port")
        if port is not None and not 0 < port < 65536:
            raise AnsibleParserError(f"The option `ssh_port` is {port}; it must be from 1 to 65535.")
        if self.get_option("api_timeout") < 1:
            raise AnsibleParserError(f"The option `api_timeout` is {self.get_option('api_timeout')}; it must be at least 1 second.")
        for name in ("ssh_config_file", "ssh_private_key_file", "console_ssh_config"):
            self._check_path(name)
        if self.get_option("console_ssh_config"):
            for name in ("regions", "instance_types", "group_by", "facts", "secret_vars"):
                if self.get_option(name):
                    raise AnsibleParserError(f"The option `{name}` needs the API, which `console_ssh_config` takes the place of.")

    def _check_path(self, name: str) -> None:
        value = self.get_option(name)
        if not value:
            return
        path = os.path.abspath(os.path.expanduser(value))
        if not path.isprintable():
            raise AnsibleParserError(f"The option `{name}` is {value!r}, which holds characters that no path here may hold.")
        if not os.path.isfile(path):
            raise AnsibleParserError(f"The option `{name}` is {value!r}; there is no such file.")
        self.set_option(name, path)

    # --- hosts ---

    def _find_hosts(
        self, cache: bool, notes: discovery.Notes
    ) -> tuple[list[discovery.Host], list[dict[str, str | None]], dict[str, dict[str, str]]]:
        """The hosts, what other nodes may know of those that are left out for now, and secrets by id."""
        overrides = {str(pattern): str(role) for pattern, role in self.get_option("role_overrides").items()}
        file = self.get_option("console_ssh_config")
        if file:
            try:
                text = Path(file).read_bytes().decode("utf-8", errors="replace")
                return hosts_from_config(text, self.get_option("names"), overrides, notes, self.inventory.groups), [], {}
            except OSError as error:
                raise AnsibleParserError(f"The option `console_ssh_config`: {error}") from error
            except Refused as error:
                raise AnsibleParserError(f"The option `console_ssh_config`: {file}, {error}") from None
        nodes, secrets = self._nodes(cache, notes)
        chosen = discovery.filtered(nodes, *(self.get_option(name) for name in ("regions", "instance_types", "names")))
        sources, statuses = self.get_option("hostname_sources"), self.get_option("statuses")
        # Named together, so that the name of one does not depend on the health of another.
        pairs = discovery.named(discovery.lasting(chosen, statuses), sources, notes, self._group_names(chosen))
        absent = [
            {"name": name, **{key: node[key] for key in ("hostname", "ip", "private_ip", "status")}}
            for name, node in pairs
            if node["status"] not in statuses
        ]
        if not discovery.with_status(chosen, statuses, notes):
            cluster = self.get_option("cluster_id")
            of = f" with the cluster id {discovery.quoted(cluster)}" if cluster else ""
            said = f"No node to list: the API knows {len(nodes)}{of} in all, none of which is as the options ask."
            self._no_nodes(said)
            notes.warnings.append(said)
        pairs = [(name, node) for name, node in pairs if node["status"] in statuses]
        return discovery.with_roles(pairs, overrides, bool(self.get_option("cluster_id")), notes), absent, secrets

    def _no_nodes(self, why: str) -> None:
        """For playbooks of no node, which would end well without having looked at one."""
        self.inventory.set_variable("all", "onecc_no_nodes", why)

    def _group_names(self, nodes: list[discovery.Node]) -> set[str]:
        """Groups that there are by now, of other sources too, and those that will be made here by their names."""
        own = {discovery.group_name(dimension, node[dimension]) for dimension in self.get_option("group_by") for node in nodes}
        return {*self.inventory.groups, *own, *map(str, self.get_option("groups") or ())}

    def _nodes(self, cache: bool, notes: discovery.Notes) -> tuple[list[discovery.Node], dict[str, dict[str, str]]]:
        """All nodes: from the cache while it is fresh, else from the API, else from the cache as it is."""
        key = self.get_option("api_key")
        if not key or not key.strip():
            raise AnsibleParserError(
                "No key of the Lambda Cloud API. Set the environment variable LAMBDA_API_KEY (or LAMBDA_CLOUD_API_KEY), or "
                f"the option `api_key` of the inventory file. Keys are made at {api.KEYS_PAGE}"
            )
        client = self._make_client(self.get_option("api_url") or api.DEFAULT_URL, key, timeout=self.get_option("api_timeout"))
        secret_vars = self.get_option("secret_vars")
        cached = self._read_cache(client.url, key)
        if cached and cache and not secret_vars and self._age(cached) <= self._cache_lifetime:
            return self._cached_nodes(cached, client, notes), {}
        try:
            rows = client.instances(self.get_option("cluster_id") or None)
        except api.Unavailable as error:
            if not cached:
                raise
            without = f", without {', '.join(secret_vars)}" if secret_vars else ""
            notes.warnings.append(f"The nodes are those of {_ago(self._age(cached))} ago, from the cache{without}. Lambda Cloud API: {error}")
            return self._cached_nodes(cached, client, notes), {}
        facts = self.get_option("facts")
        nodes = discovery.nodes_from_rows(rows, self._file_systems(client, rows, facts, notes), notes, facts, client.is_local())
        self._write_cache(client.url, key, nodes)
        return nodes, discovery.secrets_from_rows(rows, secret_vars)

    @staticmethod
    def _file_systems(client: api.Client, rows: list[t.Any], facts: list[str], notes: discovery.Notes) -> list[t.Any]:
        if not discovery.needs_file_systems(rows, facts):
            return []
        try:
            return client.file_systems()
        except api.ApiError as error:
            notes.warnings.append(f"Names, mount points and usage of file systems are incomplete. Lambda Cloud API: {error}")
            return []

    # --- cache ---

    def load_cache_plugin(self) -> None:
        # An entry that has expired can still be of use, so the cache plugin is not to drop any; its age is judged here.
        self._cache_lifetime = self.get_option("cache_timeout") or float("inf")
        self.set_option("cache_timeout", 0)
        super().load_cache_plugin()

    def _cache_name(self, url: str, key: str) -> str:
        """Of whom and what the nodes are. Of the key there is only a digest, which does not lead back to it."""
        # Without facts as it always was. With some, an entry of its own: one that lacks them would not serve.
        facts = sorted(set(self.get_option("facts")))
        identity = json.dumps([url, key.strip(), self.get_option("cluster_id") or None, *([facts] if facts else [])])
        return "onecc_" + hashlib.sha256(identity.encode()).hexdigest()[:32]

    def _read_cache(self, url: str, key: str) -> dict[str, t.Any] | None:
        if not self.get_option("cache"):
            return None
        self.load_cache_plugin()
        try:
            entry = self._cache.get(self._cache_name(url, key))
        except Exception as error:  # a file that is not a cache's makes a cache plugin fail in any way
            self.display.warning(f"The entry of the cache cannot be read, so it is not used: {error}")
            return None
        usable = (
            isinstance(entry, Mapping)
            and entry.get("schema") == CACHE_SCHEMA
            and isinstance(entry.get("fetched_at"), (int, float))
            and isinstance(entry.get("nodes"), list)
        )
        return dict(entry) if usable else None

    def _write_cache(self, url: str, key: str, nodes: list[discovery.Node]) -> None:
        if self.get_option("cache"):
            self._cache[self._cache_name(url, key)] = {"schema": CACHE_SCHEMA, "fetched_at": self._now(), "nodes": nodes}
            self._cache.set_cache()

    def _age(self, cached: Mapping[str, t.Any]) -> float:
        age = self._now() - cached["fetched_at"]
        # From the future: a clock was wrong, and there is no telling how old it is.
        return age if age >= 0 else float("inf")

    @staticmethod
    def _cached_nodes(cached: Mapping[str, t.Any], client: api.Client, notes: discovery.Notes) -> list[discovery.Node]:
        return discovery.nodes_from_cache(cached["nodes"], notes, client.is_local())

    # --- inventory ---

    def _populate(
        self,
        hosts: list[discovery.Host],
        routes: Mapping[str, ssh_route.Route],
        secrets: Mapping[str, Mapping[str, str]],
        absent: list[dict[str, str | None]],
    ) -> None:
        self._add_groups()
        settings = self._ssh_settings(any(route.heads for route in routes.values()))
        proxies = ssh_route.proxy_commands(routes.values(), settings)
        group_by = self.get_option("group_by")
        # With each host and not with a group: another source has users, keys and absent nodes of its own.
        user, key_file = self.get_option("ssh_user"), self.get_option("ssh_private_key_file")
        connection: dict[str, dict[str, t.Any]] = {}
        for host in hosts:
            self.inventory.add_host(host.name, group=discovery.ROLE_GROUPS[host.role])
            for dimension in group_by:
                group = discovery.group_name(dimension, host.node[dimension])
                if group not in self.inventory.groups:
                    self.inventory.add_group(group)
                    self.inventory.add_child(discovery.GROUP, group)
                self.inventory.add_host(host.name, group=group)
            route = routes[host.name]
            args = ssh_route.common_args(host, proxies.get(route.by_way_of), settings)
            port = host.port or settings.port
            variables = {
                "ansible_host": plain(route.address),
                **({"ansible_port": port} if port else {}),
                **({"ansible_user": plain(host.user or user)} if host.user or user else {}),
                **({"ansible_ssh_private_key_file": plain(key_file)} if key_file else {}),
                **({"ansible_ssh_timeout": ssh_route.connect_timeout(len(route.heads))} if route.heads else {}),
                **({"ansible_ssh_common_args": plain(args)} if args else {}),
                "ansible_control_path": plain(ssh_route.control_path(host, route, settings)),
                "onecc_instance": discovery.instance_variable(host, secrets.get(host.node["id"] or "", {})),
                **({"onecc_absent": absent} if absent else {}),
            }
            for name, value in variables.items():
                self.inventory.set_variable(host.name, name, value)
            connection[host.name] = variables
        if any(self.get_option(name) for name in ("compose", "groups", "keyed_groups")):
            self._construct(connection)  # at half a millisecond an expression, only for those who ask

    def _construct(self, variables_of: Mapping[str, dict[str, t.Any]]) -> None:
        """What expressions of the user add. They may make groups of any name, also of a host's; to Ansible that would be one thing."""
        strict = self.get_option("strict")
        for name, variables in variables_of.items():
            if name not in self.inventory.groups:
                self._set_composite_vars(self.get_option("compose"), variables, name, strict)
                self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict)
                self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict)
        both = [name for name in variables_of if name in self.inventory.groups]
        for name in both:
            self.inventory.remove_host(self.inventory.hosts[name])
        if both:
            self.display.warning(
                f"Left out, because `keyed_groups` or `groups` made a group of the same name: {discovery.listed(both)}. Give the "
                "groups a prefix that no node's name begins with."
            )

    def _add_groups(self) -> None:
        """All groups, with and without hosts, and what is equal for all hosts of all sources."""
        self.inventory.add_group(discovery.GROUP)
        self.inventory.set_variable(discovery.GROUP, "ansible_python_interpreter", plain(PYTHON_INTERPRETER))
        for group in discovery.ROLE_GROUPS.values():
            self.inventory.add_group(group)
            self.inventory.add_child(discovery.GROUP, group)

    def _ssh_settings(self, through_heads: bool) -> ssh_route.Settings:
        directory = os.path.abspath(os.path.expanduser(self.get_option("ssh_control_path_dir")))
        if through_heads:
            makedirs_safe(directory, 0o700)
        return ssh_route.Settings(
            user=self.get_option("ssh_user") or None,
            port=self.get_option("ssh_port"),
            config_file=self.get_option("ssh_config_file") or None,
            key_file=self.get_option("ssh_private_key_file") or None,
            control_dir=directory,
        )


def _ago(seconds: float) -> str:
    if seconds == float("inf"):
        return "an unknown time"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
