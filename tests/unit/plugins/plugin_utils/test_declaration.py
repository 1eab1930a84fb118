# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = ["a\nb", "$(id)", "`id`", "a; id", "{{ 7 * 7 }}", "a'b", 'a"b', "../../etc", "a\0b", "ä", "-x y", ""]


@pytest.fixture
def loader():
    return DataLoader()


@pytest.fixture
def templar(loader):
    return Templar(loader=loader, variables={})


@pytest.fixture
def roles(tmp_path, monkeypatch):
    """A folder of roles with one of them, whose declaration a test may write."""
    monkeypatch.setattr(_declaration, "ROLES", tmp_path)
    return Role(tmp_path / "mine")


class Role:
    """A role with a variable of each sort."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("defaults", "meta", "templates"):
            (folder / name).mkdir(parents=True)
        (folder / "defaults" / "main.yml").write_text(
            "mine_name: chrony\nmine_port: 80\nmine_list: [a]\nmine_derived: \"{{ mine_name }}-{{ mine_port }}\"\n"
        )
        (folder / "meta" / "argument_specs.yml").write_text(
            "argument_specs: {main: {options: {mine_name: {type: str, default: chrony}, mine_port: {type: int, default: 80},"
            " mine_list: {type: list, elements: str, default: [a]}, mine_level: {type: str, choices: [low, high]}}}}\n"
        )
        self.state("packages: [{name: \"{{ mine_name }}\"}]\n")

    def state(self, text):
        (self.folder / "state.yml").write_text(text)

    def template(self, text, name="x.conf.j2"):
        (self.folder / "templates" / name).write_text(text)
        self.state(f"files: [{{path: /etc/x.conf, template: {name}}}]\n")

    def __call__(self, templar, loader, **variables):
        return _declaration.role_state("mine", templar, loader, variables)


def complete(state):
    return _declaration.complete(state)


def error(state) -> str:
    with pytest.raises(_declaration.DeclarationError) as raised:
        complete(state)
    return raised.value.message


# What is wrong is named, with its value and what is allowed


@pytest.mark.parametrize(("state", "words"), [
    ([], ["mapping of kinds to lists", "[]"]),
    (None, ["mapping of kinds", "None"]),
    ("packages", ["mapping of kinds", "'packages'"]),
    ({"package": [], 1: []}, ["kind 1, package", f"There are: {', '.join(_declaration.KINDS)}"]),
    ({"packages": {"name": "x"}}, ["packages is a list of mappings", "{'name': 'x'}"]),
    ({"packages": "mdadm"}, ["packages is a list of mappings", "'mdadm'"]),
    ({"packages": ["mdadm"]}, ["packages is a list of mappings", "['mdadm']"]),
    ({"packages": [{}]}, ["packages, without a name", "missing required arguments: name"]),
    ({"packages": [{"name": None}]}, ["packages, without a name", "missing required arguments: name"]),
    ({"packages": [{"name": "mdadm", "state": "latest"}]}, ["packages, mdadm", "state", "Supported parameters include: name, replaces, version"]),
    ({"packages": [{"name": "mdadm", "version": 1.1}]}, ["version is 1.1", "quotes"]),
    ({"packages": [{"name": "mdadm", "version": "1.0 "}]}, ["version is '1.0 '", "a Debian version"]),
    ({"units": [{"name": "x.timer", "enabled": "maybe"}]}, ["units, x.timer", "enabled", "'maybe'", "boolean"]),
    ({"units": [{"name": "chrony"}]}, ["name is 'chrony'", "full name, such as fstrim.timer"]),
    ({"files": [{"path": "/x", "content": "", "mode": 0o644}]}, ["files, /x", "mode is 420", "quotes"]),
    ({"files": [{"path": "/x", "content": "", "mode": "u=rw"}]}, ["mode is 'u=rw'", "octal"]),
    ({"files": [{"path": "/x", "content": {"a": 1}}]}, ["content is {'a': 1}"]),
    ({"files": [{"path": "/x"}]}, ["files, /x", "either content or template"]),
    ({"files": [{"path": "/x", "content": "", "template": "x.j2"}]}, ["either content or template"]),
    ({"files": [{"path": "/x", "template": "x.j2"}]}, ["only a role has templates"]),
    ({"directories": [{"path": "x"}]}, ["path is 'x'", "an absolute path"]),
    ({"arrays": [{"name": "x", "layout": "raid5"}]}, ["arrays, x", "layout", "auto, array, drive, directory", "raid5"]),
    ({"arrays": [{"name": "x", "drives": "many"}]}, ["drives", "'many'", "int"]),
    ({"arrays": [{"name": "x", "drives": True}]}, ["drives is True", "number"]),
    ({"arrays": [{"name": "x", "drives": 0}]}, ["drives is 0", "from 1 on"]),
    ({"arrays": [{"name": "x", "chunk_kib": 100}]}, ["chunk_kib is 100", "power of two"]),
    ({"arrays": [{"name": "Scratch"}]}, ["name is 'Scratch'", "lower-case"]),
    ({"arrays": [{"name": "x", "ignore": [10]}]}, ["ignore has 10", "quotes"]),
    ({"mounts": [{"path": "/x", "fstype": "xfs"}]}, ["mounts, /x", "either array or source"]),
    ({"mounts": [{"path": "/x", "fstype": "xfs", "source": "a", "array": "b"}]}, ["either array or source"]),
    ({"mounts": [{"path": "/x", "fstype": "xfs", "array": "y"}], "arrays": [{"name": "x"}]}, ["mounts, /x", "no array 'y'"]),
    ({"mounts": [{"path": "/x", "fstype": "xfs", "source": "a b"}]}, ["source is 'a b'", "white space"]),
    ({"mounts": [{"path": "/x", "fstype": "xfs", "source": "a", "options": ["ro,rw"]}]}, ["options has 'ro,rw'", "one option"]),
    ({"packages": [{"name": "a1"}, {"name": "b1"}, {"name": "a1"}]}, ["packages declares a1 more than once"]),
    ({"directories": [{"path": "/a"}, {"path": "/a", "mode": "0700"}]}, ["directories declares /a more than once"]),
    ({"limits": [{"name": "memory", "value": "1"}]}, ["name is 'memory'", "memlock, nofile"]),
    ({"limits": [{"name": "nofile", "value": "many"}]}, ["value is 'many'", "unlimited"]),
    ({"users": [{"name": "Ada"}]}, ["'Ada'", "a-z"]),
    ({"users": [{"name": "ada", "groups": ["a.b"]}]}, ["'a.b'", "group"]),
    ({"users": [{"name": "ada", "uid": 0}]}, ["uid is 0", "from 1"]),
    ({"users": [{"name": "ada", "shell": "bash"}]}, ["shell is 'bash'", "an absolute path"]),
    ({"users": [{"name": "ada", "keys": ["command=\"id\" ssh-ed25519 " + "A" * 68]}]}, ["keys has", "without options"]),
    ({"locked_packages": [{"name": "nvidia-driver-580-open", "version": "580.105.08-1"}, {"name": "nvidia-fabricmanager-570", "version": "570.148.08-1"}]},
     ["nvidia-driver-580-open 580.105.08 and nvidia-fabricmanager-570 570.148.08 do not match"]),
    ({"locked_packages": [{"name": "a1", "version": "1", "family": "x"}, {"name": "b1", "version": "2", "family": "x"}]}, ["a1 1 and b1 2 do not match"]),
    ({"locked_packages": [{"name": "a1", "running": "ofed"}]}, ["running", "none, driver, kernel"]),
    ({"debconf_answers": [{"name": "a/b", "owner": "xx", "value": "1", "type": "password"}]}, ["type", "select"]),
    ({"packages": [{"name": "a1", "when": "yes"}]}, ["packages: when is 'yes'", "true or false"]),
    ({"sysctls": [{"name": "swappiness", "value": "1"}]}, ["name is 'swappiness'", "vm.swappiness"]),
    ({"sysctls": [{"name": "vm.x", "value": True}]}, ["value is True", "quotes"]),
    ({"sysctls": [{"name": "vm.x", "value": ""}]}, ["value is ''", "one line"]),
    ({"rails": [{"count": 8}]}, ["rails, without a name", "missing required arguments: name"]),
    ({"rails": [{"name": "r", "count": 0}]}, ["rails, r", "count is 0", "above 0"]),
    ({"rails": [{"name": "r", "rate": "fast"}]}, ["rails, r", "'rate'", "float"]),
    ({"rails": [{"name": "r", "width": 3}]}, ["width", "1, 2, 4, 8, 12, 16, 32", "3"]),
    ({"rails": [{"name": "r", "link_layer": "IB"}]}, ["link_layer", "InfiniBand, Ethernet", "IB"]),
    ({"rails": [{"name": "r", "exclude": ["a b"]}]}, ["exclude has 'a b'", "mlx5_*"]),
    ({"rails": [{"name": "a b"}]}, ["name is 'a b'", "letters"]),
])
def test_errors(state, words):
    message = error(state)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(("kind", "field", "others"), [
    ("packages", "name", {}),
    ("packages", "version", {"name": "mdadm"}),
    ("locked_packages", "name", {}),
    ("locked_packages", "version", {"name": "mdadm"}),
    ("debconf_answers", "name", {"owner": "xx", "value": "1"}),
    ("debconf_answers", "owner", {"name": "a/b", "value": "1"}),
    ("kernel_modules", "name", {}),
    ("sysctls", "name", {"value": "1"}),
    ("directories", "path", {}),
    ("directories", "mode", {"path": "/x"}),
    ("files", "path", {"content": ""}),
    ("arrays", "name", {}),
    ("mounts", "path", {"fstype": "xfs", "source": "x"}),
    ("mounts", "fstype", {"path": "/x", "source": "x"}),
    ("units", "name", {}),
])
def test_hostile_values_are_refused(kind, field, others, value):
    assert repr(value) in error({kind: [{**others, field: value}]})


@pytest.mark.parametrize("path", ["/", "/a", "/a/.b", "/a/b..c", "/a/...", "/var/lib/x@1:2%+=-_"])
def test_paths(path):
    assert complete({"directories": [{"path": path}]})["directories"][0]["path"] == path


@pytest.mark.parametrize("path", ["/.", "/..", "/a/..", "/a/./b", "/a//b", "/a/", "//", "a", "/a\n", "~/a", "/a*"])
def test_paths_that_are_none(path):
    assert repr(path) in error({"directories": [{"path": path}]})


@given(st.text())
def test_any_content_stays_what_it_is(content):
    try:
        content.encode()
    except UnicodeEncodeError:
        return
    assert complete({"files": [{"path": "/x", "content": content}]})["files"][0]["content"] == content


# Completing


def test_kinds_come_in_the_order_of_applying():
    state = {
        "units": [{"name": "x.timer"}], "mounts": [{"path": "/s", "fstype": "xfs", "array": "s"}], "arrays": [{"name": "s"}],
        "files": [{"path": "/x", "content": ""}], "directories": [{"path": "/d"}], "sysctls": [{"name": "vm.x", "value": 1}],
        "kernel_modules": [{"name": "x"}], "packages": [{"name": "b1"}, {"name": "a1"}],
    }
    found = complete(state)
    assert list(found) == ["packages", "directories", "files", "kernel_modules", "sysctls", "arrays", "mounts", "units"]
    assert [package["name"] for package in found["packages"]] == ["b1", "a1"]


@pytest.mark.parametrize("state", [{}, {"packages": []}, {"packages": None}])
def test_nothing_declared(state):
    assert complete(state) == {}


def test_defaults_of_resources():
    found = complete({"directories": [{"path": "/d", "mode": None}], "files": [{"path": "/f", "content": "é"}], "arrays": [{"name": "s"}]})
    assert found["directories"] == [{"path": "/d", "owner": "root", "group": "root", "mode": "0755", "where": None}]
    file, = found["files"]
    assert (file["mode"], file["owner"], file["content"]) == ("0644", "root", "é")
    assert file["sha256"] == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
    assert found["arrays"] == [{
        "name": "s", "layout": "auto", "drives": None, "chunk_kib": 512, "ignore": [], "rebuild": [], "overwrite": [], "recreate": False,
        "adopt": False,
    }]


def test_a_mount_carries_the_declaration_of_its_array():
    found = complete({"arrays": [{"name": "s", "drives": "8"}], "mounts": [{"path": "/s", "fstype": "xfs", "array": "s"}]})
    assert found["mounts"][0]["array"] == found["arrays"][0] and found["arrays"][0]["drives"] == 8


def test_what_a_boot_reads():
    found = complete({
        "kernel_modules": [{"name": "nvme-tcp"}], "sysctls": [{"name": "net.ipv4.conf.eth0/1.forwarding", "value": "1"}],
    })
    module, sysctl = found["kernel_modules"][0], found["sysctls"][0]
    assert (module["file"], module["content"]) == ("/etc/modules-load.d/onecc-nvme-tcp.conf", "nvme-tcp\n")
    assert sysctl["file"] == "/etc/sysctl.d/90-onecc-net.ipv4.conf.eth0.1.forwarding.conf"
    assert sysctl["content"] == "net.ipv4.conf.eth0/1.forwarding = 1\n"


def test_a_number_may_stand_where_it_reads_the_same():
    assert complete({"sysctls": [{"name": "vm.x", "value": 1}]})["sysctls"][0]["value"] == "1"


def test_a_declaration_is_not_changed():
    state = {"arrays": [{"name": "s"}], "mounts": [{"path": "/s", "fstype": "xfs", "array": "s", "owner": None}]}
    before = copy.deepcopy(state)
    complete(state)
    assert state == before


# What is sent, and what is applied


def test_a_resource_that_is_not_meant_is_none():
    assert complete({"packages": [{"name": "a1", "when": False}], "units": [{"name": "b.timer", "when": True}]}).keys() == {"units"}


def test_no_users_at_all_is_a_declaration():
    assert complete({"users": [], "packages": []}) == {"users": []}
    assert complete({"packages": []}) == {}


def test_a_limit_is_for_logins_and_services():
    limit = complete({"limits": [{"name": "memlock", "value": "unlimited"}]})["limits"][0]
    logins, services, users = (item["content"] for item in limit["files"])
    assert "* hard memlock unlimited\n" in logins and "root soft memlock unlimited\n" in logins
    assert services == users == "[Manager]\nDefaultLimitMEMLOCK=infinity\n"
    assert limit["manager"] == "infinity"


def test_a_file_that_a_unit_reads_has_a_stamp():
    read, other = complete({"files": [{"path": "/etc/a/b.conf", "content": "", "unit": "b.service"}, {"path": "/c", "content": ""}]})["files"]
    assert read["stamp"] == "/run/onecc-read/etc-a-b.conf" and "stamp" not in other


def test_contents_are_not_sent():
    found = _declaration.to_check(complete({"files": [{"path": "/f", "content": "x"}], "kernel_modules": [{"name": "x"}]}))
    assert set(found["files"][0]) == {"path", "owner", "group", "mode", "unit", "where", "sha256"}
    assert set(_declaration.to_check(complete({"blocks": [{"path": "/f", "content": "x"}]}))["blocks"][0]) == {"path", "sha256"}
    assert found["kernel_modules"][0]["content"] == "x\n"


def test_packages_of_a_family_that_match_or_say_nothing():
    found = complete({"locked_packages": [
        {"name": "nvidia-driver-580-open", "version": "580.105.08-0lambda0.22.04.1"}, {"name": "nvidia-fabricmanager", "version": "580.105.08-1"},
        {"name": "libnvidia-compute-580"}, {"name": "nvidia-imex-570", "version": "570.1-1", "family": "none"},
        {"name": "nvidia-utils-580", "version": "newest"},
    ]})["locked_packages"]
    assert [package["family"] for package in found] == ["driver", "driver", "driver", "none", "driver"]
    assert [package["running"] for package in found] == ["driver", "none", "none", "none", "none"]
    assert all(package["hold"] for package in found)


# Roles


@pytest.mark.parametrize("name", ["nvme_raid", "onecc.cluster.nvme_raid"])
def test_a_role_by_its_name(name):
    assert _declaration.folder_of(name, {}).name == "nvme_raid"


@pytest.mark.parametrize("name", [
    "", "no_such_role", "../nvme_raid", "nvme_raid/", "other.collection.nvme_raid", "other.nvme_raid", "nvme_raid\n", "/etc", "a.b.c.d",
])
def test_a_role_that_has_no_declaration(name):
    with pytest.raises(_declaration.DeclarationError) as raised:
        _declaration.folder_of(name, {})
    assert repr(name) in raised.value.message


def test_a_role_of_the_user_s_own_beside_the_playbook(tmp_path, templar, loader):
    Role(tmp_path / "roles" / "mine")
    found = _declaration.role_state("mine", templar, loader, {"playbook_dir": str(tmp_path)})
    assert found["packages"][0]["name"] == "chrony"
    with pytest.raises(_declaration.DeclarationError, match=f"none in {tmp_path}/roles"):
        _declaration.folder_of("yours", {"playbook_dir": str(tmp_path)})


def test_a_template_that_is_not_there_is_named(roles, templar, loader):
    roles.state("files: [{path: /etc/x.conf, template: no-such.j2}]\n")
    with pytest.raises(_declaration.DeclarationError, match="role mine, template no-such.j2: .*No such file"):
        roles(templar, loader)


@pytest.mark.parametrize(("name", "text"), [
    ("state.yml", "packages: [{name: x\n"), ("defaults/main.yml", "a: [\n"), ("state.yml", "packages: [{name: \"{{ no_such }}\"}]\n"),
    ("state.yml", "packages: [{name: \"{{ 1 +\"}]\n"),
])
def test_a_role_that_is_wrong_says_in_which_file(roles, templar, loader, name, text):
    (roles.folder / name).write_text(text)
    with pytest.raises(_declaration.DeclarationError) as raised:
        roles(templar, loader)
    assert str(roles.folder / name) in raised.value.message


@pytest.mark.parametrize("role", _declaration.DEFAULT_ROLES)
def test_every_role_is_complete_with_its_defaults(role, templar, loader):
    # filesystems declares what is attached: without an instance, nothing. lambda_stack declares what a lock says.
    assert bool(_declaration.role_state(role, templar, loader, {})) == (role not in ("filesystems", "lambda_stack"))


def test_every_role_with_a_declaration_has_its_place():
    assert sorted(_declaration.ORDER) == sorted(path.parent.name for path in _declaration.ROLES.glob("*/state.yml"))
    assert set(_declaration.ORDER) - set(_declaration.DEFAULT_ROLES) == {"ofed", "login_message"}


def test_a_host_variable_goes_before_a_default(roles, templar, loader):
    assert roles(templar, loader)["packages"][0]["name"] == "chrony"
    assert roles(templar, loader, mine_name="ntpsec")["packages"][0]["name"] == "ntpsec"
    assert roles(templar, loader, mine_name=None)["packages"][0]["name"] == "chrony"


def test_a_default_may_be_made_of_host_variables(roles, templar, loader):
    roles.state("packages: [{name: \"{{ mine_derived }}\"}]\n")
    assert roles(templar, loader, mine_name="x")["packages"][0]["name"] == "x-80"


def test_variables_have_the_types_of_the_specification(roles, templar, loader):
    roles.state("sysctls: [{name: vm.x, value: \"{{ mine_port + 1 }} {{ mine_list | length }}\"}]\n")
    assert roles(templar, loader, mine_port="90", mine_list="a,b")["sysctls"][0]["value"] == "91 2"


def test_a_variable_that_is_a_template(roles, templar, loader):
    found = roles(templar, loader, mine_name=trust_as_template("{{ other }}"), other="ntpsec")
    assert found["packages"][0]["name"] == "ntpsec"


@pytest.mark.parametrize(("variables", "words"), [
    ({"mine_port": "many"}, ["role mine", "mine_port", "'many'", "int"]),
    ({"mine_level": "middle"}, ["mine_level", "low, high", "middle"]),
    ({"mine_list": {"a": 1}}, ["mine_list", "list"]),
    ({"mine_list": [12]}, ["mine_list has 12", "quotes"]),
    ({"mine_name": True}, ["mine_name is True", "quotes"]),
    ({"mine_port": "many", "mine_level": "middle"}, ["mine_port", "mine_level"]),
    ({"mine_name": "a b"}, ["packages, a b", "'a b'"]),
])
def test_variables_that_are_wrong(roles, templar, loader, variables, words):
    with pytest.raises(_declaration.DeclarationError) as raised:
        roles(templar, loader, **variables)
    assert all(word in raised.value.message for word in words), raised.value.message


@pytest.mark.parametrize("value", ["{{ 7 * 7 }}", "{% for x in y %}", "{{ lookup('pipe', 'id') }}"])
def test_a_variable_that_is_no_template_stays_data(roles, templar, loader, value):
    """What a fact or an API says is not trusted, so it is never rendered."""
    roles.state("files: [{path: /x, content: \"{{ mine_name }}\"}, {path: /y, content: \"= {{ mine_name }}\"}]\n")
    assert [file["content"] for file in roles(templar, loader, mine_name=value)["files"]] == [value, f"= {value}"]


def test_template_files(roles, templar, loader):
    roles.template("name {{ mine_name }}\n{% for x in mine_list %}\n- {{ x }}\n{% endfor %}\nend\n")
    found = roles(templar, loader, mine_list=["a", "{{ b }}"])["files"][0]
    assert found["content"] == "name chrony\n- a\n- {{ b }}\nend\n"


def test_a_template_file_of_one_number(roles, templar, loader):
    roles.template("{{ mine_port }}")
    assert roles(templar, loader)["files"][0]["content"] == "80"


def test_a_reference_to_a_variable_is_that_variable_and_never_a_template_again():
    given = {"a": "{{ name }}", "b": ["{{name}}", "{{ other }}", "x {{ name }}/{{ it }}", 1], "c": "{{ list }}"}
    assert _declaration._filled(given, {"name": "{{ 1 + 1 }}", "it": "y", "list": ["x"]}) == {
        "a": "{{ 1 + 1 }}", "b": ["{{ 1 + 1 }}", "{{ other }}", "x {{ 1 + 1 }}/y", 1], "c": ["x"],
    }


@pytest.mark.parametrize(("value", "result"), [
    ("{{ name in ['a', 'b'] }}", True), ("{{ 'x' if name == 'a' else none }}", "x"), ("{{ not list and list != [] }}", False),
    ("{{ {'a': 1}[name] }}", 1), ("{{ [{'name': name, 'on': true}] }}", [{"name": "a", "on": True}]),
])
def test_a_plain_expression_is_evaluated(value, result):
    assert _declaration._filled(value, {"name": "a", "list": ["x"]}) == result


@pytest.mark.parametrize("value", [
    "{{ name == other }}", "{{ list | select('in', list) }}", "{{ list | dict2items }}", "{{ lookup('file', name) }}", "{{- name == 'a' -}}",
    "{{ name is none }}", "{{ name.x }}", "{{ name == 'a' }}x", "{{ name }}{{ name }}{{ list }}",
])
def test_any_other_expression_is_left_to_ansible(value):
    assert _declaration._filled(value, {"name": "a", "list": ["x"]}) == value


@pytest.mark.parametrize("value", ["{{ list }}/x", "{{ name }} {{ other }}", "{{ name }} {{ name | upper }}", "{{ name }}{# x #}", "{% if x %}{{ name }}"])
def test_any_other_text_is_left_to_jinja(value):
    assert _declaration._filled(value, {"name": "a", "list": ["x"]}) == value


def test_the_files_of_roles_are_read_before_workers_are_forked():
    for path in _declaration.ROLES.glob("*/state.yml"):
        assert {path, path.parent / "defaults/main.yml", path.parent / "meta/argument_specs.yml"} <= set(_declaration._LOADED)


@pytest.mark.parametrize("state", [
    {"blocks": [{"path": "/etc/hosts", "content": "a\n# END onecc.cluster\nb"}]},
    {"blocks": [{"path": "/etc/hosts", "content": "# BEGIN onecc.cluster"}]},
    {"nccl_configs": [{"settings": [{"name": "NCCL_DEBUG", "value": "INFO", "reason": "END onecc.cluster"}]}]},
])
def test_what_would_end_its_own_block_is_refused(state):
    with pytest.raises(_declaration.DeclarationError, match="which marks the block itself"):
        complete(state)


@pytest.mark.parametrize(("access", "right"), [
    ({}, True), ({"mode": "1777"}, True), ({"mode": "0775"}, True), ({"group": "0", "mode": "0775"}, True),
    ({"owner": "munge", "mode": "0700"}, False), ({"group": "staff", "mode": "0775"}, False), ({"mode": "0777"}, False), ({"group": "staff"}, True),
])
def test_root_writes_in_directories_of_its_own_alone(access, right):
    """The node would refuse to go through any other, in the middle of a run that has just made it."""
    state = {"directories": [{"path": "/srv/x", **access}], "files": [{"path": "/srv/x/y/z", "content": ""}, {"path": "/srv/xy", "content": ""}]}
    if right:
        complete(state)
    else:
        with pytest.raises(_declaration.DeclarationError, match="directories, /srv/x: .*root is to write /srv/x/y/z"):
            complete(state)


# Facts of a node


@pytest.mark.parametrize("injected", [True, False])
def test_facts_set_nothing(monkeypatch, injected):
    monkeypatch.setattr(_declaration.C, "INJECT_FACTS_AS_VARS", injected, raising=False)
    variables = {"ansible_facts": {"onecc_roles": ["ofed"]}}
    if injected:
        with pytest.raises(_declaration.DeclarationError, match="inject_facts_as_vars"):
            _declaration.see_no_facts(["base_users", "onecc_roles"], variables, "drift")
    _declaration.see_no_facts(["base_users"], {"ansible_facts": {"onecc_node": {}, "distribution": "Debian"}}, "drift")
