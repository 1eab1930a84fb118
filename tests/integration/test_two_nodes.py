# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic between two compute nodes, over the devices and the host file that the role nccl wrote: perftest, and Open MPI."""

from __future__ import annotations

import json
import time

import pytest
from conftest import NODE, OTHER_NODE, Lab

NODES = (NODE, OTHER_NODE)
# The lab's rails are soft-RoCE.
DECLARED = {"onecc_rails": {"link_layer": "Ethernet"}}
WRITES, BYTES = 200, 65536
# Each rank gets the sum of all ranks' vectors, which no rank has by itself.
PROGRAM = """
import sys
from mpi4py import MPI
world = MPI.COMM_WORLD
vector = bytearray([world.rank + 1]) * int(sys.argv[1])
world.Allreduce(MPI.IN_PLACE, [vector, MPI.BYTE])
assert set(vector) == {sum(range(1, world.size + 1))}, set(vector)
print("rank", world.rank, "of", world.size, "on", MPI.Get_processor_name())
"""
# Not root, which mpirun refuses.
SSH = """
su ubuntu -c "test -f ~/.ssh/id_onecc_test || ssh-keygen -q -t ed25519 -C onecc-test -N '' -f ~/.ssh/id_onecc_test" >/dev/null
cat ~ubuntu/.ssh/id_onecc_test.pub
"""

pytestmark = pytest.mark.spoils(*NODES)


@pytest.fixture
def pair(lab: Lab) -> Lab:
    """The lab, with compute nodes in the state that names their rails."""
    done = lab.site("--limit", "onecc_compute", "-e", json.dumps(DECLARED))
    assert done.rc == 0, done.output
    return lab


def devices(lab: Lab, node: str) -> list[str]:
    """The devices that NCCL is told on a node."""
    return lab.ssh(node, "sed -n 's/^NCCL_IB_HCA==//p' /etc/nccl.conf").split(",")


def sent(lab: Lab, node: str) -> dict[str, int]:
    """Packets that each RDMA device of a node has sent."""
    rows = lab.ssh(node, "cd /sys/class/infiniband; for name in *; do echo $name $(cat $name/ports/1/hw_counters/sent_pkts); done")
    return {device: int(count) for device, count in map(str.split, rows.splitlines())}


def ib_write_bw(device: str, server: str = "", wrapper: str = "") -> str:
    """A script. RoCE needs the GID of the IPv4 address, whose index the tool takes as it is given.

    With -F it ends well too where it cannot measure its clock, as on a busy computer: what counts is what is sent, not how fast.
    """
    return f"""
        index=$(grep -l ffff /sys/class/infiniband/{device}/ports/1/gids/* 2>/dev/null | head -n 1 | xargs basename)
        {wrapper} ib_write_bw -F --ib-dev {device} --gid-index $index --size {BYTES} --iters {WRITES} {server}
    """


def test_ib_write_bw_on_each_device(pair: Lab) -> None:
    server, client = NODES
    named = devices(pair, server)
    assert named == devices(pair, client) == ["mlx5_0", "mlx5_1"]
    for device in named:
        before = sent(pair, client)
        pair.ssh(server, ib_write_bw(device, wrapper="systemd-run --quiet --collect --unit=onecc-test-server"))
        time.sleep(2)  # its socket is open when it has made its queue pair
        said = pair.ssh(client, ib_write_bw(device, server))
        after = sent(pair, client)
        rows = [line.split() for line in said.splitlines() if line.split()[:2] == [str(BYTES), str(WRITES)]]
        assert len(rows) == 1, said
        print(said)
        # A packet carries 4 KiB at most.
        moved = {name for name in after if after[name] - before[name] >= WRITES * BYTES // 4096}
        assert moved == {device}, (before, after)


def test_open_mpi_over_the_host_file(pair: Lab) -> None:
    first, second = NODES
    key = pair.ssh(first, SSH)
    hosts = {node: pair.ssh(node, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2] for node in NODES}
    known = "\n".join(f"{node} {' '.join(parts)}" for node, parts in hosts.items())
    for node in NODES:
        pair.ssh(node, f"""
            apt-get install -qq -y --no-install-recommends openmpi-bin openssh-client python3-mpi4py >/dev/null
            echo '{key}' >> ~ubuntu/.ssh/authorized_keys
            printf '%s\\n' '{PROGRAM}' > /tmp/onecc-test-sum.py
        """)
    before = {node: sent(pair, node) for node in NODES}
    # By libfabric: the handshake of UCX 1.13 times out on soft-RoCE. Of verbs alone, without TCP to fall back on; for two ranks,
    # as the completion queue for its default of 256 is larger than soft-RoCE's.
    said = pair.ssh(first, f"""
        printf '%s\\n' '{known}' > /tmp/onecc-test-known
        cat > /tmp/onecc-test-mpi <<'END'
        . /etc/profile.d/onecc-nccl.sh
        mpirun --hostfile /etc/onecc/mpi_hosts --map-by node -n 2 --mca pml cm --mca mtl ofi -x FI_UNIVERSE_SIZE=2 \\
            --mca mtl_ofi_provider_include 'verbs;ofi_rxm' \\
            --mca plm_rsh_args "-i $HOME/.ssh/id_onecc_test -o UserKnownHostsFile=/tmp/onecc-test-known -o StrictHostKeyChecking=yes" \\
            python3 /tmp/onecc-test-sum.py {4 * BYTES}
END
        su ubuntu -c 'bash /tmp/onecc-test-mpi'
    """)
    after = {node: sent(pair, node) for node in NODES}
    print(said)
    assert sorted(line for line in said.splitlines() if line.startswith("rank ")) == [f"rank {i} of 2 on {node}" for i, node in enumerate(NODES)]
    for node in NODES:
        moved = sum(after[node][device] - before[node][device] for device in devices(pair, node))
        assert moved >= 4 * BYTES // 4096, (before, after)
