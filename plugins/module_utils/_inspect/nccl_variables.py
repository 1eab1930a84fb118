# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""NCCL's variables: since and until which version there is each, and what it takes.

`tests/tools/nccl-variables` compares the table with NCCL's sources (the last tag of each version from 2.16 to 2.30) and with its
libraries (2.22.3 to 2.32.3, by their strings; those of 2.30 and later also list the words that they take). `make nccl` asks the libraries.
"""

from __future__ import annotations

from collections import namedtuple

# Name without NCCL_, first version, first version without it, and what it takes:
#   number [DEFAULT...] [LOW:HIGH]   as strtoll(…, 0) reads it. Each default of any version is allowed, whatever the range. Behind a ~ is a
#                                    range that NCCL itself keeps to, in ways that changed with its versions. /N: a multiple of N
#   bool                             a number, and from 2.30 on a strict word (src/include/param/parser_default.h)
#   words WORD...                    compared letter by letter; # is a number as well
#   WORDS WORD...                    compared without regard to case; MAX:* is MAX: and a number
#   SET, WORD... (or SET| WORD...)   several of them, without regard to case
#   devices, interfaces, names       the lists of nccl_devices.py; names of network devices
#   file                             the path of a file
#   begins WORD...                   by what the value begins with, so that white space behind it does no harm
#   spaced                           any text, in which white space is meant
#   format                           any text at all
#   text                             any text without white space at its ends
#   ?                                not known: NCCL's sources of that version are not public
# WORD@2.26 came with 2.26. A number without a range is one that was not looked up.
_TABLE = """
AGG_CHANNEL_SIZE 2.16 2.20 number -2
ALGO 2.16 - text
ALLGATHERV_ENABLE 2.29 - number 1
ALLOC_P2P_NET_LL_BUFFERS 2.16 - number 0 ~0:1
BUFFSIZE 2.16 - number -2 1:
CE_CHUNK_SIZE 2.32 - ?
CE_COLL_AG_MULTICAST_THRESHOLD 2.31 - ?
CE_INTRA_GPU_MEMCPY_ENABLE 2.32 - ?
CFT_ENABLE 2.31 - ?
CGA_CLUSTER_SIZE 2.16 - number -2 -2147483648 ~0:8
CHECK_MODE 2.29 - WORDS DEFAULT DEBUG_LOCAL DEBUG_GLOBAL
CHECK_POINTERS 2.16 - number 0 ~0:1
CHUNK_SIZE 2.16 - number 0
COLLNET_ENABLE 2.16 - number 0 -2147483648 ~0:1
COLLNET_NODE_THRESHOLD 2.16 - number 2 0:
COMM_BLOCKING 2.16 - number 0 -2147483648 ~0:1
COMM_ID 2.16 - text
COMM_SHRINK_SHARE_RESOURCES 2.27 - number -2147483648
COMM_SPLIT_SHARE_RESOURCES 2.18 - number -2147483648
CONF_FILE 2.23 - text
CONNECT_ROUND_MAX_PEERS 2.19 - number 128
CREATE_THREAD_CONTEXT 2.16 2.30 number 0
CROSS_NIC 2.16 - number 2 0:2
CTA_POLICY 2.27 - SET| 0 1 2 DEFAULT@2.29 EFFICIENCY@2.29 ZERO@2.29
CUDA_PATH 2.16 2.21 text
CUMEM_ENABLE 2.18 - number 0 -2 ~0:1
CUMEM_HOST_ENABLE 2.23 - number 0 -1 ~0:1
DEBUG 2.16 - WORDS VERSION WARN INFO ABORT TRACE ATTN@2.32
DEBUG_FILE 2.16 - file
DEBUG_LEVELS 2.32 - SET, VERSION WARN ATTN INFO ABORT TRACE ALL
DEBUG_SUBSYS 2.16 - SET, INIT COLL P2P SHM NET GRAPH TUNING ENV ALLOC CALL PROXY NVLS BOOTSTRAP REG PROFILE RAS@2.24 DESTROY@2.30 ALLOC_HOST@2.30 ALL
DEBUG_TIMESTAMP_FORMAT 2.26 - format
DEBUG_TIMESTAMP_LEVELS 2.26 - SET, VERSION WARN INFO ABORT TRACE ATTN@2.32 ALL
DEV_API_JIT 2.30 - number 0
DIAGNOSTICS_ECC_THRESHOLD 2.31 - ?
DIAGNOSTICS_IB_BW_TIMEOUT 2.32 - ?
DISABLE_MEM_MANAGER 2.29 - number 0
DMABUF_ENABLE 2.16 - number 1 ~0:1
ELASTIC_BUFFER_REGISTER 2.30 - number 1
ENABLE_VERSION_CHECK 2.29 - number 1
ENQUEUE_REARCH_ENABLE 2.31 - ?
ENV_PLUGIN 2.28 - text
GDAKI_FORCE_MCST 2.32 - ?
GDAKI_USE_RELIABLE_DB 2.29 - number 0
GDRCOPY_ENABLE 2.16 - number 0 ~0:1
GDRCOPY_FIFO_ENABLE 2.16 - number 1 ~0:1
GDRCOPY_FLUSH_ENABLE 2.16 - number 0 ~0:1
GDRCOPY_SYNC_ENABLE 2.16 - number 1 ~0:1
GDRCOPY_USE_INTERNAL_DMABUF 2.31 - ?
GDR_FLUSH_DISABLE 2.16 - number 0
GIN_COUNTER_POOL_SIZE 2.28 2.30 number 65536 524288
GIN_ENABLE 2.28 - number 1
GIN_ERROR_QUERY_SEC 2.28 - number 10
GIN_EXCLUSIVE_CONTEXTS 2.29 2.30 number -1
GIN_GDAKI_LAG_AWARE_DISABLE 2.32 - ?
GIN_GDAKI_MAX_DEST_RD_ATOMIC 2.30 - number -2
GIN_GDAKI_MAX_QP_RD_ATOMIC 2.30 - number -2
GIN_GDAKI_NIC_HANDLER 2.28 - number 0
GIN_GDAKI_QP_DEPTH 2.28 - number 128
GIN_IB_OOO_OPT 2.31 - ?
GIN_IB_TC 2.30 - number -1 0:255
GIN_NCONNECTIONS 2.29 - number -2
GIN_NCONTEXTS 2.28 2.30 number 4 -1
GIN_PLUGIN 2.29 - text
GIN_PLUGIN_REF_COUNT 2.29 - number 0
GIN_PROXY_NTHREADS 2.31 - ?
GIN_PROXY_POLL_BATCH 2.31 - ?
GIN_PROXY_QUEUE_SIZE 2.28 - number -1
GIN_SIGNAL_POOL_SIZE 2.28 2.30 number 65536 524288
GIN_TYPE 2.28 - number -1
GRAPH_DUMP_FILE 2.16 - file
GRAPH_DUMP_FILE_RANK 2.16 - number 0
GRAPH_FILE 2.16 - file
GRAPH_HELPER_DISABLE 2.16 - number 0
GRAPH_MIXING_SUPPORT 2.16 - number 1 -2147483648 ~0:1
GRAPH_REGISTER 2.16 - number 0 1 ~0:1
GRAPH_STREAM_ORDERING 2.30 - number -2147483648 ~0:1
GROUP_CUDA_STREAM 2.16 - number
HIER_CE_COLL_AG_RAIL_RING_ENABLE 2.32 - ?
HIER_CE_COLL_NUM_CTX 2.31 - ?
HOSTID 2.16 - spaced
IBVERBS_LIB 2.30 - text
IB_ADAPTIVE_ROUTING 2.16 - number -2 ~0:1
IB_ADDR_FAMILY 2.21 - words AF_INET AF_INET6
IB_ADDR_RANGE 2.21 - text
IB_AR_THRESHOLD 2.16 - number 8192 -2 0:
IB_DATA_DIRECT 2.27 - number 1
IB_DEVICE_PCI_ORDER 2.29 - number 1
IB_DISABLE 2.16 - number 0 ~0:1
IB_ECE_ENABLE 2.23 - number 1 ~0:1
IB_EVENT_BASED_LB 2.31 - number ~0:1
IB_EVENT_BASED_LB_REMOTE 2.31 - ?
IB_FIFO_TC 2.22 - number 0 -1 0:255
IB_GID_INDEX 2.16 - number 0 -1 -1:255
IB_HCA 2.16 - devices
IB_MERGE_NICS 2.20 - number 1 ~0:1
IB_MERGE_VFS 2.18 - number 1 ~0:1
IB_MLX_VENDOR_ID 2.32 - ?
IB_MQP_RETRY_ALL 2.24 - number 0
IB_MQP_RETRY_CNT 2.24 - number 34
IB_MQP_RETRY_SLEEP_MSEC 2.24 - number 100
IB_OOO_RQ 2.30 - number 0 ~0:1
IB_PCI_RELAXED_ORDERING 2.16 - number 2 0:2
IB_PKEY 2.16 - number 0 0:65535
IB_PKEY_VALUE 2.31 - number -1:65535
IB_PREPOST_RECEIVE_WORK_REQUESTS 2.29 - number 0 -2
IB_QPS_PER_CONNECTION 2.16 - number 1 1:128
IB_QUERY_PORT_SPEED 2.30 - number 1
IB_RAIL_POLICY 2.32 - ?
IB_RECEIVER_SIDE_MATCHING_SCHEME 2.29 - number 0 -2
IB_RESILIENCY_PORT_FAILOVER 2.29 - number 0
IB_RESILIENCY_PORT_FAILOVER_MAX_ATTEMPTS 2.29 - number 1
IB_RESILIENCY_PORT_FAILOVER_PROBE_DELAY 2.29 - number 10
IB_RESILIENCY_PORT_RECOVERY 2.30 - number 0
IB_RESILIENCY_PORT_RECOVERY_ACK_TIMEOUT 2.30 - number 5000
IB_RESILIENCY_PORT_RECOVERY_ALIVE_MSG_BATCH_INTERVAL 2.30 - number 500
IB_RESILIENCY_PORT_RECOVERY_ALIVE_MSG_BATCH_SIZE 2.30 - number 5
IB_RESILIENCY_PORT_RECOVERY_ALIVE_MSG_SEQUENCE_SIZE 2.30 - number 5
IB_RESILIENCY_PORT_RECOVERY_ALIVE_MSG_TIMEOUT 2.30 - number 4000
IB_RESILIENCY_PORT_RECOVERY_ATTEMPTS_MAX 2.30 - number 5
IB_RESILIENCY_PORT_RECOVERY_START_DELAY 2.30 - number 200
IB_RETRY_CNT 2.16 - number 7 0:7
IB_RETURN_ASYNC_EVENTS 2.23 - number 1 ~0:1
IB_ROCE_VERSION_NUM 2.21 - number 2 1:2
IB_ROUTABLE_FLID_GID_INDEX 2.22 - number 1
IB_SL 2.16 - number 0 -1 0:15
IB_SORT_MERGE_NICS 2.32 - ?
IB_SPLIT_DATA_ON_QPS 2.18 - number 1 0 ~0:1
IB_SUBNET_AWARE_ROUTING 2.30 - number 0
IB_SUBNET_PREFIX_LEN 2.30 - number 24
IB_TC 2.16 - number 0 -1 0:255
IB_TIMEOUT 2.16 - number 18 20 0:31
IB_USE_INLINE 2.16 - number 0
IB_VR_RAILS_PER_SOCKET 2.32 - ?
IB_VR_SOCKET_COUNT 2.32 - ?
IB_WARN_RAIL_LOCAL 2.24 - number 0
IB_WQE_LATENCY_REPORT 2.31 - ?
IB_WQE_LATENCY_THRESHOLD_NS 2.31 - ?
IGNORE_COLLNET_MISMATCH 2.30 - number 0 ~0:1
IGNORE_CPU_AFFINITY 2.16 - number 0 ~0:1
IGNORE_DISABLED_P2P 2.16 - number 0
IGNORE_NET_MISMATCH 2.30 - number 1 ~0:1
IPC_USE_ABSTRACT_SOCKET 2.29 - number 1 ~0:1
L1_SHARED_MEMORY_CARVEOUT 2.16 - number 0
LAUNCH_MODE 2.16 - WORDS PARALLEL GROUP
LAUNCH_ORDER_IMPLICIT 2.26 - number 0 ~0:1
LAUNCH_RACE_FATAL 2.26 - number 1 ~0:1
LEGACY_CUDA_REGISTER 2.24 - number 0 ~0:1
LL128_BUFFSIZE 2.16 - number -2
LL128_C2C 2.27 - number 1
LL128_NTHREADS 2.16 - number -2 ~64:640/32
LL_BUFFSIZE 2.16 - number -2
LOCAL_REGISTER 2.19 - number 1 ~0:1
LSA_TEAM_SIZE 2.29 - number 0
MAX_CTAS 2.17 - number -2147483648 ~1:64
MAX_NCHANNELS 2.16 - number -2 ~1:64
MAX_NRINGS 2.16 - number -2 ~1:64
MAX_P2P_NCHANNELS 2.16 - number 64
MEM_SYNC_DOMAIN 2.16 - number 1 ~0:1
MIN_CTAS 2.17 - number -2147483648 ~1:64
MIN_NCHANNELS 2.16 - number -2 ~1:64
MIN_NRINGS 2.16 - number -2 ~1:64
MIN_P2P_NCHANNELS 2.16 - number 1
MLOPART_RDMA_ENABLE 2.30 2.32 number 0
MNNVL 2.20 2.21 number -2
MNNVL_CLIQUE_ID 2.23 - number -1
MNNVL_CROSS_CLIQUE 2.30 - number 0
MNNVL_ENABLE 2.21 - number 2 ~0:2
MNNVL_RAIL_PER_HOST 2.28 - number 0
MNNVL_SCATTER_NETS_ENABLE 2.27 - number 1
MNNVL_UUID 2.25 - number -1
MULTI_RANK_GPU_ENABLE 2.30 - number 0 ~0:1
MULTI_SEGMENT_REGISTER 2.29 - number 1
NCHANNELS_PER_NET_PEER 2.16 - number 2 -1 -2147483648
NET 2.16 - text
NETDEVS_POLICY 2.28 - WORDS AUTO ALL MAX:*
NET_DISABLE_INTRA 2.16 - number 0
NET_FORCE_FLUSH 2.16 - number 1 0
NET_FORCE_MERGE 2.24 - text
NET_GDR_C2C 2.26 - number 0 1 ~0:1
NET_GDR_LEVEL 2.16 - words LOC NVL NVB C2C@2.26 PIX PXB P2C@2.27 PXN PHB SYS #
NET_GDR_MLOPART 2.30 2.32 number 0
NET_GDR_READ 2.16 - number -2 ~0:1
NET_MERGE_LEVEL 2.24 - begins LOC PORT PIX PXB P2C@2.27 PXN PHB SYS
NET_MERGE_POLICY 2.30 - WORDS ALL RAIL
NET_OPTIONAL_RECV_COMPLETION 2.24 - number 1
NET_OVERHEAD 2.18 - number -2
NET_PLUGIN 2.16 - text
NET_PLUGIN_REF_COUNT 2.26 - number 1 0
NET_SHARED_BUFFERS 2.16 - number -2 ~0:1
NET_SHARED_COMMS 2.16 - number 1 ~0:1
NO_CACHE 2.29 - text
NSOCKS_PERTHREAD 2.16 - number -2 ~0:64
NTHREADS 2.16 - number -2 ~64:640/32
NUM_RMA_CTX 2.29 - number -2147483648
NUM_RMA_INT_CTX 2.31 - ?
NVB_DISABLE 2.16 - number 0 ~0:1
NVB_PRECONNECT 2.16 - number 1
NVLINK_UTIL_CENTRIC_SCHED_ENABLE 2.27 - number 0 -2147483648
NVLSTREE_MAX_CHUNKSIZE 2.20 - number -2
NVLS_CHUNKSIZE 2.21 - number 131072
NVLS_ENABLE 2.17 - number 1 2 ~0:2
NVLS_NCHANNELS 2.17 - number 16 -2 -2147483648
NVLS_UB_SIZE 2.32 - ?
NVTX_DISABLE 2.28 - number 0
OOB_NET_ENABLE 2.23 - number 0 ~0:1
OOB_NET_IFNAME 2.23 - names
P2P_DIRECT_DISABLE 2.16 - number 0 ~0:1
P2P_DISABLE 2.16 - number 0 0:1
P2P_EPOCH_ENABLE 2.29 - number 1
P2P_LEVEL 2.16 - words LOC NVL NVB C2C@2.26 PIX PXB P2C@2.27 PXN PHB SYS #
P2P_LL_THRESHOLD 2.16 - number 16384 0:
P2P_MAX_PEERS 2.30 - number -2147483648
P2P_NET_CHUNKSIZE 2.16 - number 131072 1:
P2P_NVL_CHUNKSIZE 2.16 - number 524288
P2P_PCI_CHUNKSIZE 2.16 - number 131072
P2P_PER_CHANNEL_NET_BW 2.29 - number 14
P2P_PER_CHANNEL_REG_NET_BW 2.31 - ?
P2P_PXN_LEVEL 2.16 - number 2 ~0:2
P2P_READ_ENABLE 2.16 - number -2
P2P_SCHEDULE_GROUP_SIZE 2.28 - number
P2P_USE_CUDA_MEMCPY 2.16 - number 0
PARAM_DUMP_ALL 2.30 - bool
PAT_ENABLE 2.23 - number 2
PAT_NDIMS 2.31 - ?
PROFILER_PLUGIN 2.23 - text
PROGRESS_APPENDOP_FREQ 2.16 - number 8
PROGRESS_COUNTERS 2.32 - ?
PROGRESS_COUNTER_MONITOR_POLL_MS 2.32 - ?
PROGRESS_COUNTER_MONITOR_STALE_MS 2.32 - ?
PROGRESS_COUNTER_MONITOR_STALE_WARN_SEC 2.32 - ?
PROTO 2.16 - text
PROXY_APPEND_BATCH_SIZE 2.16 - number 16
PROXY_CPUSET 2.28 - text
PROXY_DUMP_SIGNAL 2.16 - number -1
PROXY_PROFILE 2.16 2.23 text
PXN_C2C 2.27 - number 0 1 ~0:1
PXN_DISABLE 2.16 - number 0 ~0:1
RAS_ADDR 2.24 - text
RAS_ENABLE 2.24 - number 1 ~0:1
RAS_TIMEOUT_FACTOR 2.24 - number 1
REPORT_CONNECT_PROGRESS 2.19 - number 0
RMA_DISABLE 2.30 - number 0
RMA_EAGER_INIT 2.31 - number ~0:1
RMA_IB_WR_BATCHSIZE 2.32 - ?
RMA_MULTI_CTX_THRESHOLD 2.31 - ?
RMA_PLUGIN 2.30 - text
RMA_PLUGIN_REF_COUNT 2.30 - number 0
RMA_PROXY_DUMP_SIGNAL 2.29 - number -1
RMA_PROXY_QUEUE_SIZE 2.29 - number -1
RUNTIME_CONNECT 2.22 - number 1 ~0:1
RUN_DIAGNOSTICS 2.31 - ?
RUN_RAS_DIAGNOSTICS 2.31 - ?
SET_CPU_STACK_SIZE 2.28 - number 1
SET_STACK_SIZE 2.16 - number 0 ~0:1
SET_THREAD_NAME 2.16 - bool
SHADOW_MEMPOOL_MAX_SIZE 2.30 - number 1073741824
SHM_DISABLE 2.16 - number 0 ~0:1
SHM_LOCALITY 2.16 - number 2
SHM_MEMCPY_MODE 2.16 2.30 number 1
SHM_USE_CUDA_MEMCPY 2.16 2.30 number 0
SINGLE_PROC_MEM_REG_ENABLE 2.28 - number 0
SOCKET_FAMILY 2.16 - words AF_INET AF_INET6
SOCKET_IFNAME 2.16 - interfaces
SOCKET_INLINE 2.27 - number 128
SOCKET_MAGIC 2.30 - text
SOCKET_MIN_TASKSIZE 2.27 - number 65536
SOCKET_NTHREADS 2.16 - number -2 ~0:16
SOCKET_POLL_TIMEOUT_MSEC 2.29 - number 0 0:
SOCKET_RCVBUF 2.27 - number -1
SOCKET_RETRY_CNT 2.24 - number 34 1:
SOCKET_RETRY_SLEEP_MSEC 2.24 - number 100 1:
SOCKET_SNDBUF 2.27 - number -1
SYM_CE_THRESHOLD 2.29 - number 8388608
SYM_CTAS 2.27 - number 0
SYM_GIN_KERNELS_ENABLE 2.29 - number 1 ~0:1
SYM_KERNEL 2.27 - text
SYM_NOWIN_ENABLE 2.29 - number 0
SYM_REUSE_SYSMEM_HANDLES 2.30 - number 0
SYM_RS_GIN_CHUNK_SIZE 2.30 - number -1
SYM_TMA_ENABLE 2.30 - number 0
THREAD_THRESHOLDS 2.16 - spaced
TOPO_DUMP_FILE 2.16 - file
TOPO_DUMP_FILE_RANK 2.16 - number 0
TOPO_FILE 2.16 - file
TOPO_SCATTER_START_NET 2.31 2.32 ?
TOPO_SPLIT_MLOPART 2.30 - number 1
TUNER_PLUGIN 2.19 - text
UID_STAGGER_RATE 2.23 - number 7000 1:
UID_STAGGER_THRESHOLD 2.23 - number 256 1:
UNPACK_DOUBLE_NCHANNELS 2.22 - number 1
WARN_ENABLE_DEBUG_INFO 2.19 - bool
WIN_ENABLE 2.27 - number 1 ~0:1
WIN_STRIDE 2.27 - number -1
WORK_ARGS_BYTES 2.22 - number 9223372036854775807
WORK_FIFO_BYTES 2.22 - number -1
WORK_FIFO_DEPTH 2.16 2.22 number 65536
"""
Variable = namedtuple("Variable", "since gone kind arguments")


def version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _row(line: str) -> tuple[str, Variable]:
    name, since, gone, kind, *arguments = line.split()
    return name, Variable(version(since), None if gone == "-" else version(gone), kind, tuple(arguments))


VARIABLES = dict(_row(line) for line in _TABLE.strip().splitlines())
OLDEST, NEWEST = (2, 16), (2, 32)

# From this version on NCCL takes a carriage return at a line's end away, and what stands around the words of the debugging variables.
TRIMS = (2, 30)

# What is gone for longer than the table goes back (the environment page), and what took the place of what is gone.
GONE = {
    "SINGLE_RING_THRESHOLD": (2, 3), "CHECKS_DISABLE": (2, 3), "IB_CUDA_SUPPORT": (2, 4), "IB_GDR_LEVEL": (2, 4), "LL_THRESHOLD": (2, 5),
    "TREE_THRESHOLD": (2, 5), "RINGS": (2, 5), **{name: item.gone for name, item in VARIABLES.items() if item.gone},
}
SUCCESSORS = {
    "CHECKS_DISABLE": "CHECK_POINTERS", "IB_CUDA_SUPPORT": "NET_GDR_LEVEL", "IB_GDR_LEVEL": "NET_GDR_LEVEL", "RINGS": "GRAPH_FILE",
    "MNNVL": "MNNVL_ENABLE", "WORK_FIFO_DEPTH": "WORK_FIFO_BYTES", "PROXY_PROFILE": "PROFILER_PLUGIN",
}

# Old names that still work, and the new ones.
RENAMED = {"MAX_NRINGS": "MAX_NCHANNELS", "MIN_NRINGS": "MIN_NCHANNELS"}

# What an empty value does where it is not the default. None: it is meant.
EMPTY: dict[str, tuple[str, str] | None] = {
    "HOSTID": ("error", "it takes the place of the host's name, so all nodes are one host"),  # src/misc/utils.cc
    "NET": ("error", "no network has an empty name, so no job starts"),  # src/plugin/net.cc
    "COMM_ID": ("error", "that is no address, so no job starts"),  # src/bootstrap.cc
    "IBVERBS_LIB": ("error", "dlopen(3) takes it for the program itself, so there is no RDMA device"),  # src/misc/ibvsymbols.cc
    "GRAPH_FILE": ("error", "NCCL opens a file without a name, and stops"),  # src/graph/search.cc
    "TOPO_FILE": ("warning", "NCCL then looks for no /var/run/nvidia-topologyd/virtualTopology.xml"),  # src/graph/topo.cc
    "NET_MERGE_LEVEL": ("warning", "NCCL takes it for LOC, and the default is PORT"),  # kvConvertToInt() in src/graph/xml.h
    "NET_PLUGIN": ("warning", "NCCL then loads no network plugin"),  # src/plugin/net.cc
    "DEBUG_SUBSYS": ("warning", "from NCCL 2.30 on it turns off all messages"),  # bitsetResolve() in src/include/param/parser_bitset.h
    "SYM_KERNEL": ("warning", "no symmetric kernel has an empty name, so none is used"),  # src/sym_kernels.cc
    "DEBUG_TIMESTAMP_FORMAT": None,  # no time stamp: src/debug.cc
}

# Who else reads variables with NCCL_ in front: plugins, which NCCL loads after it read its file, and programs that NCCL brings along.
# NCCL-RDMA-SHARP and its UCX transport (NVIDIA HPC-X manual); GPUDirect-TCPX, FasTrak and gIB (Google's plugins); NCCL's plugins/
# (inspector, profilers, tuner) and contrib/.
PLUGINS = (
    "IBEXT_", "PLUGIN_P2P", "SHARP_", "UCX_", "FASTRAK_", "GPUDIRECTTCPX_", "SHIMNET_", "TUNER_CONFIG_",
    "INSPECTOR_", "PROFILE_", "PROFILER_CE_", "EP_", "CHECKPOINT_",
)
# Variables of the libraries of plugins alone, which read them when NCCL has read its file: aws-ofi-nccl, SHARP.
PLUGIN_LIBRARIES = ("OFI_NCCL_", "SHARP_COLL_")
# Those of libraries that other parts of a job load as well, and often before NCCL: UCX, libfabric, rdma-core.
SHARED_LIBRARIES = ("UCX_", "FI_", "MLX5_", "IBV_", "RDMAV_")
# PyTorch reads them before it calls NCCL, by now with TORCH_ before the name ("ProcessGroupNCCL Environment Variables").
PYTORCH = ("ASYNC_ERROR_HANDLING", "BLOCKING_WAIT", "DESYNC_DEBUG", "ENABLE_TIMING", "HIGH_PRIORITY")

# For a test or a search, not for a file that all jobs read: of the page's section "Debugging" what no platform tunes.
DEBUGGING = (
    "DEBUG", "DEBUG_FILE", "DEBUG_LEVELS", "DEBUG_SUBSYS", "DEBUG_TIMESTAMP_FORMAT", "DEBUG_TIMESTAMP_LEVELS",
    "WARN_ENABLE_DEBUG_INFO",
    "ALGO", "PROTO", "NTHREADS", "LAUNCH_MODE", "TOPO_DUMP_FILE", "GRAPH_DUMP_FILE", "CHECK_MODE", "CHECK_POINTERS",
    "P2P_DISABLE", "P2P_DIRECT_DISABLE", "SHM_DISABLE", "NVB_DISABLE", "PXN_DISABLE", "NO_CACHE", "PARAM_DUMP_ALL",
    "PROXY_DUMP_SIGNAL", "RUN_DIAGNOSTICS", "RUN_RAS_DIAGNOSTICS", "PROFILER_PLUGIN",
)
# Words that change nothing in a job without errors. The page's own example of a file has NCCL_DEBUG=WARN.
QUIET = {"DEBUG": ("VERSION", "WARN"), "CHECK_MODE": ("DEFAULT",), "LAUNCH_MODE": ("PARALLEL",)}

# What RoCE needs and InfiniBand does not.
ROCE = ("IB_GID_INDEX", "IB_ROCE_VERSION_NUM", "IB_ADDR_FAMILY", "IB_ADDR_RANGE", "IB_TC", "IB_FIFO_TC")
