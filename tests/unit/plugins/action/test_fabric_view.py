# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.onecc.cluster.plugins.action import fabric_view as action
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import FabricError
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Node
from ansible_collections.onecc.cluster.tests.unit import fabrics
from ansible_collections.onecc.cluster.tests.unit.playbook import LOCAL, Playbook, keep, kept

pytestmark = pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="/usr/bin/python3 is not here")


def look(name, **arguments):
    return {"onecc.cluster.fabric_view": arguments, "register": name, "ignore_errors": True}


def tool(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_task(tmp_path):
    """One run of many cases: the start of ansible-playbook is what costs time."""
    fabric = fabrics.cluster(nodes=4, spines=2, uplinks=2)
    (tmp_path / "right").write_text(fabric.text())
    fabric.slow((fabric.find("leaf-1-2"), 3), "4xHDR")
    (tmp_path / "wrong").write_text(fabric.text())
    hostile = f"{{{{ lookup('ansible.builtin.pipe', 'touch {tmp_path}/made') }}}}"
    fabric.names[fabric.find("leaf-1-5")] = hostile
    (tmp_path / "hostile").write_text(fabric.text())
    (tmp_path / "cut").write_text(fabric.text()[:-30])
    for case, script in {
        "good": f"echo warned >&2; cat {tmp_path}/wrong", "lonely": f"cat {tmp_path}/wrong", "absent": "exec no-such-program",
        "denied": "echo 'umad0: Permission denied' >&2; exit 255", "unknown": "exit 3",
    }.items():
        (tmp_path / case).mkdir()
        tool(tmp_path / case, "ibnetdiscover", script)
        tool(tmp_path / case, "iblinkinfo", "echo broken >&2; exit 1" if case == "lonely" else "exit 0")

    def text(name):
        return f"{{{{ lookup('ansible.builtin.file', '{tmp_path}/{name}', rstrip=false) }}}}"

    files = {name: str(tmp_path / f"{name}.out") for name in ("svg", "topology", "report")}
    tasks = [
        look("right", ibnetdiscover=text("right"), required=True, nodes=[{"name": "node-1"}, {"name": "node-2"}]),
        look("wrong", ibnetdiscover=text("wrong"), **files),
        look("again", ibnetdiscover=text("wrong"), **files),
        look("mended", ibnetdiscover=text("right"), svg=files["svg"]),
        look("required", ibnetdiscover=text("wrong"), required=True),
        look("inventory", ibnetdiscover=text("right"), rails=8, spines=2),
        look("hostile", ibnetdiscover=text("hostile")),
        *[{**look(case), "environment": {"PATH": f"{tmp_path}/{case}:/usr/bin:/bin"}} for case in ("good", "lonely", "absent", "denied", "unknown")],
        look("cut", ibnetdiscover=text("cut")),
        look("folder", ibnetdiscover=text("right"), svg=str(tmp_path / "no" / "such.svg")),
        look("option", output="x"),
        look("half", iblinkinfo="x"),
        look("guid", ibnetdiscover=text("right"), nodes=[{"name": "a", "guids": ["mlx5_1"]}]),
        look("node", ibnetdiscover=text("right"), nodes=[{"guids": []}]),
    ]
    names = [task["register"] for task in tasks]
    tasks.append({"ansible.builtin.set_fact": {"all": f"{{{{ {{{', '.join(f'{name!r}: {name}' for name in names)}}} }}}}"}})
    playbook = Playbook(tmp_path, {"node": LOCAL}, tasks + keep("all", folder=tmp_path))
    playbook.folder.joinpath("hosts").write_text(f"node {LOCAL}\n[onecc_compute]\nnode-1\nnode-2\nnode-3\nnode-4\nnode-5\n")
    playbook.folder.joinpath("play.yml").write_text(playbook.folder.joinpath("play.yml").read_text().replace('"hosts": "all"', '"hosts": "node"'))
    done = playbook.run("--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    result = kept(tmp_path, "all")
    assert not (tmp_path / "made").exists()

    assert (result["right"]["changed"], result["right"]["failed"], result["right"]["findings"], result["right"]["schema"]) == (False, False, [], 1)
    assert [node["name"] for node in result["right"]["nodes"]] == ["node-1", "node-2"]
    # The fifth of the inventory is not there.
    absent = "node-5: none of its HCAs is in the fabric"
    assert [finding["message"] for finding in result["inventory"]["findings"]] == [absent]
    slow = "node-3 rail 2 (mlx5_3) at leaf-1-2 port 3 runs at 4xHDR; most rails run at 4xNDR"
    for name in ("wrong", "required", "hostile", "good", "lonely"):
        assert [finding["message"] for finding in result[name]["findings"]] == [absent, slow], name
        assert result[name]["failed"] == (name == "required") and slow in result[name]["msg"]
    assert hostile in [switch["name"] for switch in result["hostile"]["switches"]]
    assert result["good"]["warnings"] == ["warned"]
    assert "iblinkinfo ended with status 1" in result["lonely"]["warnings"][0] and "broken" in result["lonely"]["warnings"][0]

    assert [result[name]["changed"] for name in ("wrong", "again", "mended", "good")] == [True, False, True, False]
    report = json.loads((tmp_path / "report.out").read_text())
    assert (report["schema"], report["findings"]) == (1, result["wrong"]["findings"])
    assert "SwitchName=pod1 Nodes=node-[1-4]\n" in (tmp_path / "topology.out").read_text()
    assert "1 finding" in (tmp_path / "svg.out").read_text() and slow not in (tmp_path / "svg.out").read_text()
    assert "+SwitchName=pod1 Nodes=node-[1-4]" in done.stdout
    assert not list(tmp_path.glob("*.new"))

    for name, words in {
        "absent": ["ended with status 127", "infiniband-diags"],
        "denied": ["become", "umad0: Permission denied"],
        "unknown": ["ended with status 3", "It said: nothing"],
        "cut": ["Line ", "ibnetdiscover"],
        "folder": ["such.svg cannot be written", "No such file"],
        "option": ["output", "svg"],
        "half": ["not enough"],
        "guid": ["'mlx5_1' is no GUID", "a088:c203:0012:3456"],
        "node": ["name"],
    }.items():
        assert result[name]["failed"] and "findings" not in result[name], name
        assert all(word in result[name]["msg"] for word in words), result[name]["msg"]


def test_check_mode_looks_and_writes_nothing(tmp_path):
    tool(tmp_path, "ibnetdiscover", f"cat {tmp_path}/network")
    tool(tmp_path, "iblinkinfo", "exit 0")
    (tmp_path / "network").write_text(fabrics.cluster(nodes=2).text())
    task = {**look("looked", svg=str(tmp_path / "picture.svg")), "environment": {"PATH": f"{tmp_path}:/usr/bin:/bin"}}
    done = Playbook(tmp_path, {"node": LOCAL}, [task]).run("--check", "--diff")
    assert done.returncode == 0 and "+++ after:" in done.stdout and "changed=1" in done.stdout, done.stdout
    assert not (tmp_path / "picture.svg").exists()


@pytest.mark.parametrize(("said", "words"), [
    ("/bin/sh: 2: ibnetdiscover: not found", "infiniband-diags"),
    ("ibwarn: [7] get_abi_version: can't read ABI version from /sys/class/infiniband_mad/abi_version: is ib_umad module loaded?", "ib_umad is not loaded"),
    ("ibwarn: [7] mad_rpc_open_port: can't open UMAD port ((null):0)", "no InfiniBand port of the node is up"),
    ("ibpanic: [7] main: Operation not permitted", "become"),
    ("something else", "something else"),
])
def test_failures(said, words):
    message = action.failure(255, said)
    assert words in message and said in message and "255" in message


@pytest.mark.parametrize(("text", "expected"), [
    ("0xa088c20300123456", "a088c20300123456"), ("a088:c203:0012:3456", "a088c20300123456"), ("0x2C903", "000000000002c903"), ("", None), (None, None),
])
def test_guids(text, expected):
    assert action.guid(text) == expected


@pytest.mark.parametrize("text", ["x", "0x", "0x12345678901234567", "mlx5_0"])
def test_what_is_no_guid(text):
    with pytest.raises(FabricError):
        action.guid(text)


def test_nodes_of_the_inventory():
    hosts = {
        "a": {"onecc_instance": {"hostname": "a1", "name": None}},
        "b": {
            "ansible_facts": {
                "hostname": "b1",
                "onecc_node": {
                    "rdma": [
                        {"device": "mlx5_1", "port": 1, "port_guid": "a088:c203:0000:0011"}, {"device": "mlx5_0", "port": 1, "port_guid": None},
                    ],
                    "rails": {"rails": [{"index": 0, "device": "mlx5_0", "port": 1}, {"index": 2, "device": "mlx5_1", "port": 1}]},
                },
            },
        },
        "c": {},
    }
    variables = {"hostvars": hosts, "groups": {"onecc_compute": ["a", "b"], "all": ["a", "b", "c"]}}
    assert action.inventory_nodes(variables) == [Node("a", ("a1",), ()), Node("b", ("b1",), (None, None, "a088c20300000011"))]
    assert action.inventory_nodes({}) == []
