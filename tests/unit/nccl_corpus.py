# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration files of NCCL, faulty and good, with the nodes that they are for."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._inspect.nccl_findings import Device, Node


def devices(*names: str, layer: str = "InfiniBand", active: bool = True) -> list[Device]:
    return [Device(name, 1, layer, active) for name in names]


RAILS = [f"mlx5_{i}" for i in range(1, 9)]
TOPOLOGY = """<system version="1">
  <cpu numaid="0" affinity="0000ffff,0000ffff" arch="x86_64" vendor="AuthenticAMD" familyid="143" modelid="49">
    <pci busid="ffff:ff:01.0" class="0x060400" link_speed="16 GT/s" link_width="16">
      <pci busid="0001:00:00.0" class="0x030200" link_speed="16 GT/s" link_width="16"/>
      <pci link_width="16" class="0x020700" busid="0101:00:00.0"/>
    </pci>
  </cpu>
</system>
"""
# A compute node of a 1-Click Cluster: mlx5_0 is its Ethernet adapter.
CLUSTER = Node(
    version=(2, 26),
    devices=devices("mlx5_0", layer="Ethernet") + devices(*RAILS),
    interfaces=["lo", "eno1", "enp5s0", "enp5s1", "docker0"],
    pci={"0001:00:00.0", "0101:00:00.0"},
    topologies={
        "/etc/topo.xml": TOPOLOGY.encode(), "/etc/other.xml": TOPOLOGY.replace("0101:", "0202:").encode(), "/etc/gone.xml": None,
        "/etc/no.xml": b"mlx5_1\n",
    },
)
# As it has them: twelve rails and more devices whose names begin alike.
MANY = CLUSTER._replace(devices=devices(*(f"mlx5_{i}" for i in range(12))), interfaces=["lo", "eth0", "eth0.100", "eth1", "ib0"])
ROCE = CLUSTER._replace(devices=devices("mlx5_0", "mlx5_1", layer="Ethernet"))
DOWN = CLUSTER._replace(devices=devices("mlx5_1", "mlx5_2") + devices("mlx5_3", active=False))
HUGE = CLUSTER._replace(devices=devices(*(f"mlx5_{i}" for i in range(40))))
HEAD = CLUSTER._replace(devices=[])
UNKNOWN = Node()
OLD = CLUSTER._replace(version=(2, 18))
NEW = CLUSTER._replace(version=(2, 32))
NEWER = CLUSTER._replace(version=(2, 40))
V28, V30 = CLUSTER._replace(version=(2, 28)), CLUSTER._replace(version=(2, 30))
PORTS = [f"p{i}" for i in range(20)]
MANY_PORTS = CLUSTER._replace(interfaces=["lo", "eno1", *PORTS])

GOOD_HCA = b"NCCL_IB_HCA==mlx5_1,mlx5_2,mlx5_3,mlx5_4,mlx5_5,mlx5_6,mlx5_7,mlx5_8\n"

# What is wrong, the file, the node, and the findings: line, rule and severity.
FAULTY: list[tuple[str, bytes, Node, list[tuple[int, str, str]]]] = [
    ("prefix takes ten", b"NCCL_IB_HCA=mlx5_1\n", MANY, [(1, "prefix-match", "error")]),
    ("prefix among others", b"NCCL_IB_HCA=mlx5_0,mlx5_1,mlx5_2\n", MANY, [(1, "prefix-match", "error")]),
    ("prefix of what is not there", b"NCCL_IB_HCA=mlx5_1\n", MANY._replace(devices=devices("mlx5_10", "mlx5_11")), [
        (1, "prefix-match", "error")]),
    ("prefix with a port", b"NCCL_IB_HCA=mlx5_1:1\n", MANY, [(1, "prefix-match", "error")]),
    ("prefix that excludes more", b"NCCL_IB_HCA=^mlx5_1\n", MANY, [(1, "prefix-match", "error")]),
    ("prefix, nobody knows the devices", b"NCCL_IB_HCA=mlx5_1\n", UNKNOWN, [(1, "prefix-match", "warning")]),
    ("interface prefix", b"NCCL_SOCKET_IFNAME=eth0\n", MANY, [(1, "prefix-match", "error")]),
    ("interface prefix of a family", b"NCCL_SOCKET_IFNAME=enp\n", CLUSTER, [(1, "prefix-match", "warning")]),
    ("Ethernet among InfiniBand", b"NCCL_IB_HCA=mlx5\n", CLUSTER, [(1, "ethernet-device", "error")]),
    ("Ethernet named among InfiniBand", b"NCCL_IB_HCA==mlx5_0,mlx5_1\n", CLUSTER, [(1, "ethernet-device", "error")]),
    ("Ethernet alone, beside InfiniBand", b"NCCL_IB_HCA==mlx5_0\n", CLUSTER, [(1, "ethernet-device", "error")]),
    ("another machine's devices", b"NCCL_IB_HCA==mlx5_1,mlx5_9,ibp1s0\n", CLUSTER, [
        (1, "no-such-device", "error"), (1, "no-such-device", "error")]),
    ("excludes what is not there", b"NCCL_IB_HCA=^=mlx5_9\n", ROCE, [(1, "no-such-device", "warning")]),
    ("a head node", b"NCCL_IB_HCA==mlx5_1\n", HEAD, [(1, "no-such-device", "error")]),
    ("another machine's interface", b"NCCL_SOCKET_IFNAME==enp8s0\n", CLUSTER, [(1, "no-such-interface", "error")]),
    ("loopback", b"NCCL_SOCKET_IFNAME==lo\n", CLUSTER, [(1, "unsuitable-interface", "error")]),
    ("no interface left", b"NCCL_SOCKET_IFNAME=^e,lo,docker\n", CLUSTER, [(1, "nothing-taken", "error")]),
    ("no device left", b"NCCL_IB_HCA=^mlx5\n", CLUSTER, [(1, "nothing-taken", "error")]),
    ("33 devices", b"NCCL_IB_HCA==" + b",".join(b"mlx5_%d" % i for i in range(33)) + b"\n", HUGE, [(1, "too-many-devices", "error")]),
    ("40 devices by a prefix", b"NCCL_IB_HCA=mlx5_\n", HUGE, [(1, "too-many-devices", "error")]),
    ("a rail that is down", b"NCCL_IB_HCA==mlx5_1,mlx5_2,mlx5_3\n", DOWN, [(1, "device-down", "warning")]),
    ("port 0", b"NCCL_IB_HCA==mlx5_1:0\n", CLUSTER, [(1, "no-such-device", "error")]),
    ("port by name", b"NCCL_IB_HCA==mlx5_1:p1\n", CLUSTER, [(1, "bad-list", "error")]),
    ("marks in the wrong order", b"NCCL_IB_HCA==^mlx5_0\n", CLUSTER, [(1, "bad-list", "error")]),
    ("a mark at each name", b"NCCL_IB_HCA==mlx5_1,=mlx5_2\n", CLUSTER, [(1, "bad-list", "error")]),
    ("spaces in the list", b"NCCL_IB_HCA==mlx5_1, mlx5_2\n", CLUSTER, [(1, "whitespace", "error")]),
    ("inline comment", b"NCCL_SOCKET_IFNAME==eno1 # private\n", CLUSTER, [(1, "inline-comment", "error")]),
    ("inline comment without space", b"NCCL_SOCKET_IFNAME==eno1# private\n", CLUSTER, [(1, "inline-comment", "error")]),
    ("inline comment behind a number", b"NCCL_CROSS_NIC=2 # default\n", CLUSTER, [(1, "inline-comment", "warning")]),
    ("another language's comment", b"NCCL_NET_GDR_LEVEL=PIX // near\n", CLUSTER, [(1, "inline-comment", "error")]),
    ("double quotes", b'NCCL_IB_HCA="=mlx5_1,mlx5_2"\n', CLUSTER, [(1, "quotes", "error")]),
    ("single quotes", b"NCCL_SOCKET_IFNAME='=eno1'\n", CLUSTER, [(1, "quotes", "error")]),
    ("quoted number", b'NCCL_IB_TIMEOUT="22"\n', CLUSTER, [(1, "quotes", "error")]),
    ("a word processor's quotes", "NCCL_NET=\u201cIB\u201d\n".encode(), CLUSTER, [(1, "quotes", "error")]),
    ("export", b"# copied\nexport NCCL_SOCKET_IFNAME==eno1\n", CLUSTER, [(2, "export", "error")]),
    ("export with quotes, a comment and a prefix", b'export NCCL_IB_HCA="mlx5_1" # rail\n', MANY, [
        (1, "export", "error"), (1, "inline-comment", "error"), (1, "quotes", "error"), (1, "prefix-match", "error")]),
    ("setenv", b"setenv NCCL_CROSS_NIC 0\n", CLUSTER, [(1, "export", "error")]),
    ("mpirun's option", b"-x NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "export", "error")]),
    ("a unit's line", b"Environment=NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "export", "error")]),
    ("from Windows", b"# rails\r\n\r\n" + GOOD_HCA[:-1] + b"\r\nNCCL_CROSS_NIC=2\r\n", CLUSTER, [
        (3, "carriage-return", "error"), (4, "carriage-return", "warning")]),
    ("from Windows, with an NCCL that minds no more", b"NCCL_NET=IB\r\n", NEW, [(1, "carriage-return", "warning")]),
    ("carriage returns alone", b"# rails\rNCCL_CROSS_NIC=0\r", CLUSTER, [(1, "carriage-return", "error")]),
    ("leading space", b"  NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "whitespace", "error")]),
    ("leading tab", b"\tNCCL_NET=IB\n", CLUSTER, [(1, "whitespace", "error")]),
    ("trailing space", b"NCCL_SOCKET_IFNAME==eno1 \n", CLUSTER, [(1, "whitespace", "error")]),
    ("trailing space behind a number", b"NCCL_CROSS_NIC=1 \n", CLUSTER, [(1, "whitespace", "warning")]),
    ("spaces around =", b"NCCL_NET_GDR_LEVEL = PIX\n", CLUSTER, [(1, "whitespace", "error"), (1, "whitespace", "error")]),
    ("indented comment that sets", b"  # NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "comment", "error")]),
    ("indented comment", b"NCCL_NET=IB\n  # the fabric\n", CLUSTER, [(2, "comment", "warning")]),
    ("a semicolon as comment", b";NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "comment", "error")]),
    ("too long a list", b"NCCL_SOCKET_IFNAME==eno1," + b"," * 1023 + b"enp5s0\n", CLUSTER, [(1, "line-too-long", "error")]),
    ("too long a name", b"NCCL_" + b"X" * 1100 + b"=1\n", CLUSTER, [(1, "line-too-long", "error")]),
    ("a colon for the =", b"NCCL_CROSS_NIC: 0\n", CLUSTER, [(1, "no-equals", "error")]),
    ("a name alone", b"NCCL_CROSS_NIC\n", CLUSTER, [(1, "no-equals", "error")]),
    ("prose", b"see the wiki\n", CLUSTER, [(1, "no-equals", "warning")]),
    ("nothing before =", b"=1\n", CLUSTER, [(1, "no-name", "error")]),
    ("set twice", b"NCCL_CROSS_NIC=0\nNCCL_NET=IB\nNCCL_CROSS_NIC=1\n", CLUSTER, [(3, "duplicate", "error")]),
    ("said twice", b"NCCL_NET=IB\nNCCL_NET=IB\n", CLUSTER, [(2, "duplicate", "warning")]),
    ("byte order mark", b"\xef\xbb\xbfNCCL_CROSS_NIC=0\n", CLUSTER, [(1, "byte-order-mark", "error")]),
    ("byte order mark before a comment", b"\xef\xbb\xbf# rails\nNCCL_CROSS_NIC=0\n", CLUSTER, [(1, "byte-order-mark", "error")]),
    ("UTF-16", "NCCL_CROSS_NIC=0\n".encode("utf-16"), CLUSTER, [(1, "byte-order-mark", "error")]),
    ("NUL", b"NCCL_NET=IB\0\n", CLUSTER, [(1, "nul-byte", "error")]),
    ("NUL in the name", b"NCCL_\0NET=IB\n", CLUSTER, [(1, "nul-byte", "error")]),
    ("no-break space", "NCCL_NET=IB\u00a0\n".encode(), CLUSTER, [(1, "not-ascii", "error")]),
    ("debugging left on", b"NCCL_DEBUG=INFO\nNCCL_DEBUG_SUBSYS=ALL\n", CLUSTER, [
        (1, "debug-variable", "warning"), (2, "debug-variable", "warning")]),
    ("algorithm", b"NCCL_ALGO=Ring\nNCCL_PROTO=Simple\n", CLUSTER, [(1, "debug-variable", "warning"), (2, "debug-variable", "warning")]),
    ("topology dump", b"NCCL_TOPO_DUMP_FILE=/tmp/topo.xml\n", CLUSTER, [(1, "debug-variable", "warning")]),
    ("without peers", b"NCCL_P2P_DISABLE=1\nNCCL_SHM_DISABLE=1\n", CLUSTER, [
        (1, "debug-variable", "warning"), (2, "debug-variable", "warning")]),
    ("without InfiniBand", b"NCCL_IB_DISABLE=1\n", CLUSTER, [(1, "rdma-off", "error")]),
    ("over TCP", b"NCCL_NET=Socket\n", CLUSTER, [(1, "rdma-off", "error")]),
    ("RoCE's index on InfiniBand", GOOD_HCA + b"NCCL_IB_GID_INDEX=3\nNCCL_IB_TC=106\n", CLUSTER, [
        (2, "roce-on-infiniband", "warning"), (3, "roce-on-infiniband", "warning")]),
    ("a fixed GID on RoCE", b"NCCL_IB_GID_INDEX=3\n", ROCE, [(1, "fixed-gid-index", "warning")]),
    ("slip of the pen", b"NCCL_IB_QPS_PER_CONECTION=4\n", CLUSTER, [(1, "unknown-variable", "error")]),
    ("lower case", b"nccl_ib_hca==mlx5_1\n", CLUSTER, [(1, "unknown-variable", "error")]),
    ("without NCCL_", b"IB_HCA==mlx5_1\n", CLUSTER, [(1, "unknown-variable", "error")]),
    ("unknown", b"NCCL_GO_FASTER=1\n", CLUSTER, [(1, "unknown-variable", "error")]),
    ("unknown, of a newer NCCL", b"NCCL_GO_FASTER=1\n", NEWER, [(1, "unknown-variable", "warning")]),
    ("not NCCL's", b"UCX_TLS=rc\nOMPI_MCA_btl=tcp\n", CLUSTER, [(1, "foreign-variable", "warning"), (2, "foreign-variable", "warning")]),
    ("PyTorch's", b"NCCL_ASYNC_ERROR_HANDLING=1\n", CLUSTER, [(1, "foreign-variable", "warning")]),
    ("too new", b"NCCL_IGNORE_NET_MISMATCH=0\n", CLUSTER, [(1, "newer-variable", "warning")]),
    ("too new for 2.18", b"NCCL_RAS_ENABLE=0\nNCCL_IB_FIFO_TC=1\n", OLD._replace(devices=None), [
        (1, "newer-variable", "warning"), (2, "newer-variable", "warning")]),
    ("long gone", b"NCCL_LL_THRESHOLD=0\nNCCL_IB_CUDA_SUPPORT=1\n", UNKNOWN, [
        (1, "retired-variable", "warning"), (2, "retired-variable", "warning")]),
    ("gone since 2.22", b"NCCL_WORK_FIFO_DEPTH=64\n", CLUSTER, [(1, "retired-variable", "warning")]),
    ("renamed", b"NCCL_IB_GDR_LEVEL=PIX\n", CLUSTER, [(1, "retired-variable", "warning")]),
    ("an old name", b"NCCL_MAX_NRINGS=16\n", CLUSTER, [(1, "retired-variable", "warning")]),
    ("a word for a number", b"NCCL_NVLS_ENABLE=true\n", CLUSTER, [(1, "bad-value", "error")]),
    ("a unit", b"NCCL_BUFFSIZE=4M\n", CLUSTER, [(1, "bad-value", "error")]),
    ("octal", b"NCCL_IB_TIMEOUT=022\n", CLUSTER, [(1, "bad-value", "error")]),
    ("out of range", b"NCCL_IB_TIMEOUT=32\nNCCL_IB_RETRY_CNT=8\nNCCL_CROSS_NIC=3\n", CLUSTER, [
        (1, "bad-value", "error"), (2, "bad-value", "error"), (3, "bad-value", "error")]),
    ("negative", b"NCCL_IB_QPS_PER_CONNECTION=-1\n", CLUSTER, [(1, "bad-value", "error")]),
    ("level in lower case", b"NCCL_NET_GDR_LEVEL=pix\n", CLUSTER, [(1, "bad-value", "error")]),
    ("family", b"NCCL_SOCKET_FAMILY=IPv4\n", CLUSTER, [(1, "bad-value", "error")]),
    ("no value", b"NCCL_SOCKET_IFNAME=\n", CLUSTER, [(1, "empty-value", "warning")]),
    ("no such topology", b"NCCL_TOPO_FILE=/etc/gone.xml\n", CLUSTER, [(1, "topology-file", "error")]),
    ("another machine's topology", b"NCCL_TOPO_FILE=/etc/other.xml\n", CLUSTER, [(1, "topology-address", "error")]),
    ("no topology at all", b"NCCL_TOPO_FILE=/etc/no.xml\n", CLUSTER, [(1, "topology-file", "error")]),
    ("a relative path", b"NCCL_TOPO_FILE=topo.xml\n", CLUSTER, [(1, "bad-value", "error")]),
    ("a home", b"NCCL_TOPO_FILE=~/topo.xml\n", CLUSTER, [(1, "shell-syntax", "error")]),
    ("a shell's variable", b"NCCL_IB_HCA==$RAILS\n", CLUSTER, [(1, "shell-syntax", "error")]),
    ("a command", b"NCCL_SOCKET_IFNAME==`route`\n", CLUSTER, [(1, "shell-syntax", "error")]),
    ("too long a value for every version", b"NCCL_SOCKET_IFNAME==enp5s0," + b"," * 1023 + b"eno1\n", V30, [(1, "line-too-long", "error")]),
    ("a comment that goes on as a setting", b"#" + b"x" * 4094 + b"NCCL_CROSS_NIC=1\n", V30, [(1, "line-too-long", "error")]),
    ("17 interfaces", b"NCCL_SOCKET_IFNAME==" + b",".join(b"p%d" % i for i in range(16)) + b",eno1\n", MANY_PORTS, [
        (1, "too-many-devices", "error")]),
    ("20 interfaces by a prefix", b"NCCL_SOCKET_IFNAME=pt\n", CLUSTER._replace(interfaces=[f"pt{i}" for i in range(20)]), [
        (1, "too-many-devices", "error"), (1, "prefix-match", "warning")]),
    ("one character", b"NCCL_SOCKET_IFNAME=e\n", CLUSTER, [(1, "bad-list", "error")]),
    ("a prefix that takes one more than the list names", b"NCCL_IB_HCA=mlx5_1,mlx5_10\n", MANY, [(1, "prefix-match", "error")]),
    ("two carriage returns, of which NCCL 2.30 takes one", b"NCCL_NET=IB\r\r\n", NEW, [(1, "carriage-return", "error")]),
    ("no host id", b"NCCL_HOSTID=\n", CLUSTER, [(1, "empty-value", "error")]),
    ("a host id of white space", b"NCCL_HOSTID= \n", CLUSTER, [(1, "empty-value", "error")]),
    ("no network", b"NCCL_NET=\nNCCL_COMM_ID=\nNCCL_IBVERBS_LIB=\nNCCL_GRAPH_FILE=\n", V30, [(i, "empty-value", "error") for i in range(1, 5)]),
    ("empty, with an effect", b"NCCL_TOPO_FILE=\nNCCL_NET_PLUGIN=\nNCCL_NET_MERGE_LEVEL=\n", V30, [
        (i, "empty-value", "warning") for i in range(1, 4)]),
    ("gone since 2.30", b"NCCL_GIN_NCONTEXTS=4\nNCCL_GIN_SIGNAL_POOL_SIZE=65536\nNCCL_GIN_COUNTER_POOL_SIZE=1\nNCCL_GIN_EXCLUSIVE_CONTEXTS=0\n",
     V30, [(i, "retired-variable", "warning") for i in range(1, 5)]),
    ("gone since 2.21, 2.23 and 2.32", b"NCCL_CUDA_PATH=/usr/local/cuda\nNCCL_PROXY_PROFILE=/tmp/p\nNCCL_NET_GDR_MLOPART=0\n", NEW, [
        (i, "retired-variable", "warning") for i in range(1, 4)]),
    ("a constant of the library", b"NCCL_GIN_IB_ALLGATHER_TAG=1\nNCCL_REG_BUFFER_NUM=1\n", V30, [
        (1, "unknown-variable", "error"), (2, "unknown-variable", "error")]),
    ("levels of other variables", b"NCCL_NET_MERGE_LEVEL=NVL\nNCCL_NET_GDR_LEVEL=PORT\n", V30, [
        (1, "bad-value", "error"), (2, "bad-value", "error")]),
    ("levels that came later", b"NCCL_P2P_LEVEL=C2C\nNCCL_NET_MERGE_LEVEL=P2C\n", CLUSTER._replace(version=(2, 25)), [
        (1, "bad-value", "error"), (2, "bad-value", "error")]),
    ("a level beyond the last", b"NCCL_NET_GDR_LEVEL=9\n", CLUSTER, [(1, "bad-value", "warning")]),
    ("limited by NCCL", b"NCCL_SOCKET_NTHREADS=32\nNCCL_MAX_CTAS=128\nNCCL_MAX_NCHANNELS=0\nNCCL_CGA_CLUSTER_SIZE=16\n", CLUSTER, [
        (i, "bad-value", "warning") for i in range(1, 5)]),
    ("no multiple of a warp", b"NCCL_NTHREADS=100\n", CLUSTER, [(1, "debug-variable", "warning"), (1, "bad-value", "warning")]),
    ("beyond 64 bits", b"NCCL_BUFFSIZE=99999999999999999999\n", CLUSTER, [(1, "bad-value", "error")]),
    ("a policy", b"NCCL_NET_MERGE_POLICY=RAILS\nNCCL_NETDEVS_POLICY=MAX:0\n", V30, [(1, "bad-value", "error"), (2, "bad-value", "error")]),
    ("a policy as words, of which 2.28 knows none", b"NCCL_CTA_POLICY=ZERO\n", V28, [(1, "bad-value", "error")]),
    ("true, which 2.26 reads as 0", b"NCCL_SET_THREAD_NAME=true\n", CLUSTER, [(1, "bad-value", "error")]),
    ("a space that only an older NCCL passes over", b"NCCL_SET_THREAD_NAME=1 \n", V30, [(1, "whitespace", "error")]),
    ("a space that only a newer NCCL passes over", b"NCCL_DEBUG=WARN \n", V30, [(1, "whitespace", "warning")]),
    ("a space that no version minds", b"NCCL_NET_MERGE_LEVEL=PORT \n", V30, [(1, "whitespace", "warning")]),
    ("no subsystem", b"NCCL_DEBUG_SUBSYS=INIT,NETWORK\n", V30, [(1, "debug-variable", "warning"), (1, "bad-value", "error")]),
    ("check mode in lower case", b"NCCL_CHECK_MODE=debug_local\n", V30, [(1, "debug-variable", "warning")]),
    ("the format of the manual", b"NCCL_DEBUG_TIMESTAMP_FORMAT=[%F %T] \n", V28, [(1, "debug-variable", "warning")]),
    ("a format with signs, and none", b"NCCL_DEBUG_TIMESTAMP_FORMAT=%T; # \nNCCL_DEBUG_TIMESTAMP_LEVELS=^warn\n", V28, [
        (1, "debug-variable", "warning"), (2, "debug-variable", "warning")]),
    ("a format in quotes", b'NCCL_DEBUG_TIMESTAMP_FORMAT="[%F %T] "\n', V28, [(1, "quotes", "error"), (1, "debug-variable", "warning")]),
    ("no time stamps", b"NCCL_DEBUG_TIMESTAMP_FORMAT=\n", V28, [(1, "debug-variable", "warning")]),
    ("a shell's host name", b"NCCL_HOSTID=$(hostname)\n", CLUSTER, [(1, "shell-syntax", "error")]),
    ("a plugin, for a test", b"NCCL_PROFILER_PLUGIN=inspector\nNCCL_INSPECTOR_ENABLE=1\n", V28, [(1, "debug-variable", "warning")]),
    ("goes on in the next line", b"NCCL_IB_HCA==mlx5_1,\\\nmlx5_2\n", CLUSTER, [(1, "shell-syntax", "error"), (2, "no-equals", "warning")]),
    ("two in a line", b"NCCL_NET=IB NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "several-settings", "error")]),
    ("two with a semicolon", b"NCCL_NET=IB; export NCCL_CROSS_NIC=0\n", CLUSTER, [(1, "several-settings", "error")]),
    ("the file that names itself", b"NCCL_CONF_FILE=/etc/nccl.conf\n", CLUSTER, [(1, "conf-file", "error")]),
    ("for root alone", b"NCCL_NET=IB\n", CLUSTER._replace(mode=0o600), [(0, "not-readable", "error")]),
    ("for everybody to write", b"NCCL_NET=IB\n", CLUSTER._replace(mode=0o666), [(0, "writable-by-others", "error")]),
]

GOOD: list[tuple[str, bytes, Node]] = [
    ("empty", b"", CLUSTER),
    ("comments alone", b"#NCCL_IB_HCA=mlx5_1 # off\n\n \n#\n", MANY),
    # Lambda's scripts for llm.c on a 1-Click Cluster, as a file has them; its older note; what its tutorial passes.
    ("Lambda, llm.c", GOOD_HCA + b"NCCL_P2P_LEVEL=NVL\nNCCL_NET_GDR_LEVEL=PIX\nNCCL_IB_PCI_RELAXED_ORDERING=1\nNCCL_SOCKET_IFNAME=eno1\n", CLUSTER),
    ("Lambda, tutorial", b"NCCL_IB_HCA=^mlx5_0\n", CLUSTER),
    ("Lambda, training guide", b"NCCL_CROSS_NIC=1\n", CLUSTER),
    ("NVIDIA's own example", b"NCCL_DEBUG=WARN\nNCCL_SOCKET_IFNAME==ens1f0\n", CLUSTER._replace(interfaces=["lo", "ens1f0", "ens1f0v1"])),
    ("IBM", b"NCCL_IB_PCI_RELAXED_ORDERING=2\nNCCL_IB_QPS_PER_CONNECTION=16\nNCCL_IB_ADAPTIVE_ROUTING=1\nNCCL_TOPO_FILE=/etc/topo.xml\n", CLUSTER),
    ("Meta", b"NCCL_IB_ADAPTIVE_ROUTING=1\nNCCL_IB_QPS_PER_CONNECTION=16\nNCCL_IB_SPLIT_DATA_ON_QPS=0\nNCCL_MIN_NCHANNELS=4\n"
     b"NCCL_NET_OVERHEAD=2750\n", CLUSTER),
    ("exact among twelve", b"NCCL_IB_HCA==mlx5_1,mlx5_10\nNCCL_SOCKET_IFNAME==eth0\n", MANY),
    ("a prefix that is meant", b"NCCL_IB_HCA=mlx5_\nNCCL_SOCKET_IFNAME=ib\n", MANY),
    ("a prefix that takes one", b"NCCL_IB_HCA=mlx5_1,mlx5_2:1\nNCCL_SOCKET_IFNAME=^docker,lo\n", CLUSTER),
    ("no line end", GOOD_HCA[:-1], CLUSTER),
    ("hexadecimal, a level as a number", b"NCCL_MNNVL_UUID=0x1f\nNCCL_NET_GDR_LEVEL=2\nNCCL_IB_TIMEOUT=22\nNCCL_IB_RETRY_CNT=07\n", CLUSTER),
    ("acceptance runs of 2.32", b"NCCL_IGNORE_NET_MISMATCH=0\nNCCL_IB_HCA==mlx5_1::0:0,mlx5_2::1:0\n", NEW),
    ("RoCE", b"NCCL_IB_TC=106\nNCCL_IB_HCA==mlx5_0,mlx5_1\n", ROCE),
    ("merging as the sources know it", b"NCCL_NET_MERGE_LEVEL=PORT\nNCCL_NET_MERGE_POLICY=rail\n", V30),
    ("words of any case", b"NCCL_NETDEVS_POLICY=max:2\nNCCL_CTA_POLICY=efficiency|Zero\nNCCL_SET_THREAD_NAME=TRUE\n", V30),
    ("defaults written out", b"NCCL_IB_SL=-1\nNCCL_IB_TC=-1\nNCCL_CUMEM_ENABLE=-2\nNCCL_CUMEM_HOST_ENABLE=-1\nNCCL_IB_AR_THRESHOLD=-2\n"
     b"NCCL_MAX_NCHANNELS=-2\nNCCL_IB_ADAPTIVE_ROUTING=-2\nNCCL_IB_FIFO_TC=-1\n", V30._replace(devices=ROCE.devices)),
    ("RoCE's defaults written out, on InfiniBand and on RoCE", b"NCCL_IB_GID_INDEX=-1\nNCCL_IB_TC=-1\nNCCL_IB_ROCE_VERSION_NUM=2\n", CLUSTER),
    ("the GID as NCCL finds it", b"NCCL_IB_GID_INDEX=-1\n", ROCE),
    ("debugging that is off", b"NCCL_CHECK_MODE=default\nNCCL_NTHREADS=-2\nNCCL_WARN_ENABLE_DEBUG_INFO=0\nNCCL_LAUNCH_MODE=PARALLEL\n"
     b"NCCL_PARAM_DUMP_ALL=false\nNCCL_CHECK_POINTERS=0\n", V30),
    ("prefixes that take together what they name", b"NCCL_IB_HCA=" + ",".join(f"mlx5_{i}" for i in range(12) if i != 2).encode() + b"\n", MANY),
    ("a prefix of a family beside one of its members", b"NCCL_IB_HCA=mlx5_1,mlx5_\n", MANY),
    ("16 interfaces", b"NCCL_SOCKET_IFNAME==" + b",".join(b"p%d" % i for i in range(16)) + b"\n", MANY_PORTS),
    ("a host id with a space", b"NCCL_HOSTID=rack 1\nNCCL_THREAD_THRESHOLDS=1 2 3 4 5 6\n", CLUSTER),
    ("libraries of plugins", b"OFI_NCCL_PROTOCOL=RDMA\nSHARP_COLL_ENABLE_PCI_RELAXED_ORDERING=1\n", V28),
    ("NVIDIA's own plugins and programs", b"NCCL_INSPECTOR_DUMP_DIR=/var/log/nccl\nNCCL_PROFILE_EVENT_MASK=2\nNCCL_PROFILER_CE_TIMING=1\n"
     b"NCCL_TUNER_CONFIG_FILE=/etc/t.csv\nNCCL_EP_TIMEOUT_MS=1\n", V28),
    ("a plugin's", b"NCCL_IBEXT_DISABLE=1\nNCCL_UCX_TLS=dc\nNCCL_FASTRAK_NUM_FLOWS=2\n", CLUSTER),
    ("a switch that is off", b"NCCL_P2P_DISABLE=0\nNCCL_IB_DISABLE=0\n", CLUSTER),
    ("a head node", b"NCCL_SOCKET_IFNAME==eno1\nNCCL_NET=Socket\n", HEAD._replace(mode=0o644)),
    ("1,023 bytes", b"NCCL_SOCKET_IFNAME==eno1," + b"," * 1017 + b"\n", CLUSTER),
]
