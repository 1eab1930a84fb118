# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Smoke tests: loads what jobs load, as they would."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import smoke_tests
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# Lambda's PyTorch and TensorFlow are packages of the system's Python. -I: nothing of whoever runs this.
PYTHON = ("/usr/bin/python3", "-I", "-c")
# From a cold file system PyTorch and TensorFlow take half a minute each.
SECONDS = 300

NCCL = """
import ctypes
version = ctypes.c_int()
error = ctypes.CDLL("libnccl.so.2").ncclGetVersion(ctypes.byref(version))
if error:
    raise SystemExit("ncclGetVersion fails with %d" % error)
print("%d.%d.%d" % (version.value // 10000, version.value // 100 % 100, version.value % 100))
"""
PYTORCH = """
import torch
import torch.distributed
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.parallel import DistributedDataParallel
if not torch.distributed.is_available() or not torch.distributed.is_nccl_available():
    raise SystemExit("it is built without torch.distributed or without NCCL")
print(torch.__version__)
"""
TENSORFLOW = "import tensorflow; print(tensorflow.__version__)"
RDMA = """
import ctypes, shutil
ctypes.CDLL("libibverbs.so.1")
ctypes.CDLL("librdmacm.so.1")
if missing := [tool for tool in ("ibstat", "ibv_devinfo", "ib_write_bw") if not shutil.which(tool)]:
    raise SystemExit("there is no " + ", ".join(missing))
print("loaded")
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "nccl": (*PYTHON, NCCL),
    "open_mpi": ("mpirun", "--version"),
    "pytorch": (*PYTHON, PYTORCH),
    "tensorflow": (*PYTHON, TENSORFLOW),
    "rdma": (*PYTHON, RDMA),
}


def load(hand: Hand, component: str) -> tuple[bool, str]:
    """Whether a component can be loaded; and its version, or why not, in a line."""
    rc, stdout, stderr = hand.run_command(
        ["timeout", str(SECONDS), *COMMANDS[component]], environ_update={"LC_ALL": "C", "TF_CPP_MIN_LOG_LEVEL": "3"}, cwd="/"
    )
    if rc == 124:
        return False, f"it is not loaded after {SECONDS} s"
    said = (stderr if rc else stdout).strip().splitlines() or [f"exit status {rc}"]
    if rc:
        return False, said[-1].strip()
    version = re.search(r"\d+(\.\w+)+\S*", said[0 if component == "open_mpi" else -1])
    return True, version[0] if version else said[-1].strip()


def apply(hand: Hand, tests: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Runs the tests, and notes of which versions each passed. Fails with all that cannot be loaded."""
    if hand.check_mode:
        return []
    failed = []
    for test in tests:
        passed, said = load(hand, test["component"])
        if passed:
            durable.write(f"{smoke_tests.STAMPS}/{test['name']}", smoke_tests.stamp(Machine(), test), 0o644)
        else:
            failed.append(f"{test['name']}: {said}")
    if failed:
        hand.fail_json(msg=f"This node does not offer jobs what it should: {'; '.join(failed)}")
    return []
