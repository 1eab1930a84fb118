# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether NCCL's real libraries answer as they did, and have the variables that the linter's table says."""

from __future__ import annotations

from pathlib import Path

import nccl_library
import nccl_questions
import pytest
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_variables

# Strings of the libraries that are no variables: names of constants, in log lines and in the descriptions of parameters.
CONSTANTS = (
    "ALL", "ALLOC", "ALLOC_HOST", "BOOTSTRAP", "CALL", "COLL", "DESTROY", "ENV", "GRAPH", "INIT", "NVLS", "P2P", "PROFILE", "PROXY", "RAS", "REG",
    "SHM", "SIGNAL", "SIGNAL_NONE", "TUNING", "REGULAR_BUFFER", "COLLNET_REG_BUFFER", "IPC_REG_BUFFER", "NVLS_REG_BUFFER", "IPC_COLLECTIVE",
    "IPC_SENDRECV", "IB_SL_DEFAULT", "IB_TC_DEFAULT", "GIN_IB_ALLGATHER_TAG", "GIN_IB_ALLTOALL_TAG",
    "CFT", "CFT_NONE", "CFT_MULTIMEM", "GIN_MAX_TYPES", "NUM_RMA_INT_CTX_DEFAULT",
)
GROUPS = (
    "CFT_TEAM_", "CRYPT_HELLO_", "DEV_WORK_", "ENCRYPTION_MODE_", "IB_RAIL_POLICY_", "SYMK_",
    "GIN_GDAKI_GPU_CONTEXT_", "GIN_PROXY_GPU_CONTEXT_", "PROFILER_THREAD_", "LOG_", "NET_DEVICE_", "GIN_CONNECTION_", "GIN_TYPE_", "NET_MERGE_POLICY_",
    "PARAM_FLAG_", "PARAM_TYPE_",
)


@pytest.fixture(params=nccl_library.VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def library(version):
    try:
        return nccl_library.library(version)
    except OSError as error:
        pytest.skip(f"NCCL {version} cannot be had: {error}")


def test_the_table_has_the_variables_of_the_library(version, library):
    (whole, ends), number = nccl_library.names(library), nccl_variables.version(version)
    present = {name for name, item in nccl_variables.VARIABLES.items() if item.since <= number and not (item.gone and item.gone <= number)}
    assert present - ends <= {"PROXY_PROFILE"}  # the sources have it, but the compiler took the string apart
    assert {name for name in whole - present - {*CONSTANTS} if not name.startswith(GROUPS)} == set()


def test_it_answers_as_it_did(version, library):
    if version not in nccl_library.READERS:
        pytest.skip(f"NCCL {version} knows no NCCL_CONF_FILE")
    if Path("/etc/nccl.conf").exists():
        pytest.skip("this machine has an /etc/nccl.conf, which NCCL reads as well")
    assert nccl_library.answers(version) == nccl_questions.answers()[version]
