#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_check
short_description: Loads what a 1-Click Cluster promises its jobs
version_added: 0.1.0
description:
  - Loads NCCL, Open MPI, PyTorch with its distributed packages, TensorFlow and the tools for RDMA as a job would, each in a process of its own,
    and fails where one is missing or cannot be loaded. That a package is installed at its declared version does not say that it can.
  - Takes seconds to a minute, so it is for after a change and for on demand, and no part of M(onecc.cluster.drift). It needs no GPU, and
    changes nothing.
options:
  components:
    description:
      - What is loaded.
    type: list
    elements: str
    choices: [nccl, open_mpi, pytorch, tensorflow, rdma]
    default: [nccl, open_mpi, pytorch, tensorflow, rdma]
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._read_only
"""

EXAMPLES = r"""
- name: See that jobs find what they are promised
  onecc.cluster.stack_check:

- name: The same on nodes without TensorFlow
  onecc.cluster.stack_check:
    components: [nccl, open_mpi, pytorch, rdma]
"""

RETURN = r"""
versions:
  description: Versions of what could be loaded, by component.
  returned: always
  type: dict
  sample: {nccl: 2.26.2, open_mpi: 4.1.7, pytorch: 2.7.0}
"""

import re

from ansible.module_utils.basic import AnsibleModule

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


def load(module: AnsibleModule, component: str) -> tuple[bool, str]:
    """Whether a component can be loaded; and its version, or why not, in a line."""
    rc, stdout, stderr = module.run_command(
        ["timeout", str(SECONDS), *COMMANDS[component]], environ_update={"LC_ALL": "C", "TF_CPP_MIN_LOG_LEVEL": "3"}, cwd="/"
    )
    if rc == 124:
        return False, f"it is not loaded after {SECONDS} s"
    said = (stderr if rc else stdout).strip().splitlines() or [f"exit status {rc}"]
    if rc:
        return False, said[-1].strip()
    version = re.search(r"\d+(\.\w+)+\S*", said[0 if component == "open_mpi" else -1])
    return True, version[0] if version else said[-1].strip()


def main() -> None:
    module = AnsibleModule(
        argument_spec={"components": {"type": "list", "elements": "str", "choices": list(COMMANDS), "default": list(COMMANDS)}},
        supports_check_mode=True,
    )
    loaded = {component: load(module, component) for component in dict.fromkeys(module.params["components"])}
    versions = {component: said for component, (well, said) in loaded.items() if well}
    if failed := [f"{component}: {said}" for component, (well, said) in loaded.items() if not well]:
        module.fail_json(msg=f"This node does not offer jobs what it should: {'; '.join(failed)}", versions=versions)
    module.exit_json(changed=False, versions=versions)


if __name__ == "__main__":
    main()
