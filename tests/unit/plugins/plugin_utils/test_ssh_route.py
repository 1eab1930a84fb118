# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _ssh_route as ssh_route
from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import Host, Node, Notes
from hypothesis import given
from hypothesis import strategies as st


def host(name, role="compute", ip=None, private_ip="10.0.0.1", region="r", identifier=None, **rest):
    node = Node(
        id=identifier or name.encode().hex()[:32], name=name, hostname=None, region=region, instance_type=None, gpus=None,
        status="active", ip=ip, private_ip=private_ip, file_systems=[], tags={},
    )
    return Host(name, role, node, **rest)


HEADS = [host(f"head-{i}", "head", ip=f"198.51.100.{i}", private_ip=f"10.0.9.{i}") for i in (1, 2, 3)]


def routes(*hosts, connection="head"):
    notes = Notes()
    return ssh_route.routes(hosts, connection, notes), notes


def test_heads_directly_nodes_through_them_in_turn():
    nodes = [host(f"node-{i}", private_ip=f"10.0.0.{i}") for i in range(1, 12)]
    found, notes = routes(*reversed(nodes), *HEADS)
    assert found["head-2"] == ("198.51.100.2", ())
    assert found["node-1"].address == "10.0.0.1"
    # node-10 is the tenth, not the second
    assert [found[f"node-{i}"].heads[0].name for i in range(1, 12)] == [f"head-{(i - 1) % 3 + 1}" for i in range(1, 12)]
    assert [head.name for head in found["node-2"].heads] == ["head-2", "head-3", "head-1"]
    assert not notes.warnings


def test_generic_cpu_nodes_go_through_a_head_too():
    found, _notes = routes(host("cpu-1", "generic_cpu", ip="203.0.113.5"), *HEADS)
    assert found["cpu-1"].address == "10.0.0.1" and len(found["cpu-1"].heads) == 3


def test_a_private_network_ends_with_its_region():
    there = host("head-x", "head", ip="198.51.100.9", region="elsewhere")
    found, _notes = routes(host("node-1"), host("node-2", region="elsewhere"), host("node-3", region="nowhere"), there, HEADS[0])
    assert [head.name for head in found["node-1"].heads] == ["head-1"]
    assert [head.name for head in found["node-2"].heads] == ["head-x"]
    assert found["node-3"].heads == ()


def test_no_more_heads_are_tried_than_a_cluster_has():
    heads = [host(f"head-{i}", "head", ip=f"198.51.100.{i}") for i in range(1, 10)]
    found, _notes = routes(host("node-1"), *heads)
    assert len(found["node-1"].heads) == ssh_route.HEADS_TRIED


@pytest.mark.parametrize("heads", [[], [host("head-1", "head", ip=None)]])
def test_without_a_head_to_enter_by_the_reader_is_told(heads):
    found, notes = routes(host("node-1"), *heads)
    assert found["node-1"] == ("10.0.0.1", ())
    (warning,) = notes.warnings
    assert "node-1" in warning and "connection: public" in warning


def test_without_a_private_address_the_public_one_serves_else_none():
    found, notes = routes(host("node-1", private_ip=None, ip="203.0.113.1"), host("node-2", private_ip=None), *HEADS)
    assert found["node-1"] == ("203.0.113.1", ())
    assert "node-2" not in found
    (warning,) = notes.warnings
    assert "node-2" in warning


@pytest.mark.parametrize(("connection", "address"), [("public", "203.0.113.1"), ("private", "10.0.0.1")])
def test_other_connections_are_direct(connection, address):
    found, notes = routes(host("node-1", ip="203.0.113.1"), *HEADS, connection=connection)
    assert found["node-1"] == (address, ()) and not notes.warnings
    assert found["head-1"].address == ("198.51.100.1" if connection == "public" else "10.0.9.1")


class Readers:
    """What Ansible, ssh and the user's shell make of ansible_ssh_common_args, one after the other."""

    def __init__(self, args):
        self.ansible = shlex.split(args)
        options = [value for flag, value in zip(self.ansible, self.ansible[1:]) if flag == "-o"]
        self.options = dict(option.split("=", 1) for option in options)
        command = self.options.get("ProxyCommand", "")
        marks = {"%%": "%", "%h": "10.0.0.1", "%p": "22"}
        parts, rest = [], command
        while rest:
            step = 2 if rest[0] == "%" else 1
            parts.append(marks[rest[:2]] if step == 2 else rest[0])
            rest = rest[step:]
        self.ssh = "".join(parts)

    def run(self, tmp_path, *status):
        """Runs the command with a stand-in for ssh that writes down its arguments; returns them, call by call."""
        log = tmp_path / "log"
        log.write_text("")
        program = tmp_path / "ssh"
        program.write_text(
            '#!/bin/sh\nfor word; do printf "%s\\0" "$word" >> "$LOG"; done; printf "\\n\\0" >> "$LOG"\n'
            'case "$*" in *"-O check"*) exit 0;; esac\n'
            'n=$(cat "$LOG.n" 2>/dev/null || echo 0); echo $((n+1)) > "$LOG.n"; eval "exit \\${S$n:-0}"\n'
        )
        program.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log), **{f"S{i}": str(s) for i, s in enumerate(status)}}
        subprocess.run(["/bin/sh", "-c", f"exec {self.ssh}"], env=environment, cwd=tmp_path, check=False)
        calls = [call.split("\0")[:-1] for call in log.read_text().split("\n\0")[:-1]]
        return [call for call in calls if "check" not in call]


SETTINGS = ssh_route.Settings(user="ubuntu", control_dir="/tmp/cp")


def args_of(settings=SETTINGS, heads=tuple(HEADS), **node):
    target = host("node-1", **node)
    route = ssh_route.Route("10.0.0.1", tuple(heads))
    return ssh_route.common_args(target, ssh_route.proxy_commands([route], settings).get(route.by_way_of), settings)


def test_a_direct_way_needs_but_the_host_key():
    assert args_of(heads=()) == f"-o HostKeyAlias={host('node-1').node['id']}"


def test_nothing_turns_host_key_checking_off():
    assert "StrictHostKeyChecking" not in args_of() and "UserKnownHosts" not in args_of()


def test_the_heads_are_tried_in_turn(tmp_path):
    calls = Readers(args_of()).run(tmp_path, 255, 255, 0)
    assert [call[-1] for call in calls] == ["198.51.100.1", "198.51.100.2", "198.51.100.3"]
    assert all(call[call.index("-W") + 1] == "[10.0.0.1]:22" for call in calls)
    assert [option for option in calls[1] if option.startswith("HostKeyAlias=")] == [f"HostKeyAlias={HEADS[1].node['id']}"]
    assert "BatchMode=yes" in calls[0] and f"ConnectTimeout={ssh_route.CONNECT_TIMEOUT}" in calls[0]


def test_the_first_that_works_is_enough(tmp_path):
    assert [call[-1] for call in Readers(args_of()).run(tmp_path, 0)] == ["198.51.100.1"]


@pytest.mark.parametrize("settings", [SETTINGS, ssh_route.Settings()])
@pytest.mark.parametrize("status", [[0], [255, 0], [255, 255, 0], [255, 255, 255]])
def test_as_many_tries_as_it_takes(tmp_path, settings, status):
    assert len(Readers(args_of(settings)).run(tmp_path, *status)) == len(status)


ODD_PATHS = [
    "/home/me/it's 100% mine/ssh config", "/a/%h/%p/%%/x", "/a/$(touch owned)/`touch owned`", '/a/"b"', "/a/;touch owned;",
    "/a/[%h]:%p", "/a/{{ 7 * 7 }}", "/a/\\b", "/a/~ * ? !", "/a/&& touch owned", "/a/#x", "/a/=x", "/a/\u00e4",
]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_paths_survive_all_readers(tmp_path, path):
    settings = ssh_route.Settings(user="ubuntu", port=2222, config_file=path, key_file=path, control_dir=path)
    readers = Readers(args_of(settings))
    assert readers.ansible[readers.ansible.index("-F") + 1] == path
    (call,) = readers.run(tmp_path)
    assert call[call.index("-F") + 1] == path
    # ssh fills in % in these two itself
    assert call[call.index("-i") + 1].replace("%%", "%") == path
    assert os.path.dirname(call[call.index("-S") + 1]).replace("%%", "%") == path
    assert call[call.index("-p") + 1] == "2222" and call[call.index("-l") + 1] == "ubuntu"
    assert not (tmp_path / "owned").exists()


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).map(lambda text: "/" + text))
def test_any_path_survives_ansible_and_ssh(path):
    readers = Readers(args_of(ssh_route.Settings(config_file=path)))
    assert shlex.split(shlex.split(readers.ssh)[2])[2] == path


def test_ansible_must_not_see_a_control_path_in_its_arguments():
    assert "controlpath" not in args_of().lower()


def test_heads_share_connections_by_what_makes_them_the_same():
    def of(head=HEADS[0], **changes):
        return ssh_route.control_socket(head, ssh_route.Settings(**{"user": "ubuntu", "control_dir": "/tmp/cp", **changes}))

    assert of() == of() and of().startswith("/tmp/cp/onecc-")
    assert len({of(), of(HEADS[1]), of(user="x"), of(port=1), of(config_file="/x"), of(key_file="/x")}) == 6


def test_a_path_too_long_for_a_socket_means_no_shared_connection():
    settings = ssh_route.Settings(control_dir="/" + "x" * 100)
    assert ssh_route.control_socket(HEADS[0], settings) is None
    assert "ControlMaster" not in args_of(settings) and "-O check" not in args_of(settings)
    assert ssh_route.control_socket(HEADS[0], ssh_route.Settings(control_dir="/" + "x" * 68)) is not None


def test_port_and_user_of_the_head_come_first(tmp_path):
    head = host("head-1", "head", ip="198.51.100.1", port=2200, user="admin")
    (call,) = Readers(args_of(ssh_route.Settings(user="ubuntu", port=22), heads=[head])).run(tmp_path)
    assert call[call.index("-p") + 1] == "2200" and call[call.index("-l") + 1] == "admin"


def test_ipv6(tmp_path):
    head = host("head-1", "head", ip="2001:db8::1")
    (call,) = Readers(args_of(heads=[head])).run(tmp_path)
    assert call[-2:] == ["--", "2001:db8::1"]


def test_time_for_dead_heads_is_allowed():
    assert ssh_route.connect_timeout(1) > ssh_route.CONNECT_TIMEOUT
    assert ssh_route.connect_timeout(3) > 2 * ssh_route.HEAD_LOST_AFTER + ssh_route.CONNECT_TIMEOUT


def test_nodes_of_two_clusters_with_one_address_share_no_connection():
    settings = ssh_route.Settings()
    route = ssh_route.Route("10.0.0.1", tuple(HEADS))
    here, there = host("node-1"), host("node-1", identifier="f" * 32)
    assert ssh_route.control_path(here, route, settings) != ssh_route.control_path(there, route, settings)
    # One that the API did not list, from the console's SSH configuration, has no id; its way tells it from others.
    here.node["id"] = there.node["id"] = None
    assert ssh_route.control_path(here, route, settings) != ssh_route.control_path(there, route._replace(heads=()), settings)


def test_the_path_of_a_connection_is_one_for_ansible_to_fill_in():
    path = ssh_route.control_path(host("node-1"), ssh_route.Route("10.0.0.1", ()), ssh_route.Settings())
    assert path % {"directory": "/d"} == "/d/" + path.rsplit("/", 1)[1].replace("%%", "%")
    assert path.endswith("-%%r")
