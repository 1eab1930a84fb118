# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""The kinds of resources, a module each, and their order."""

from __future__ import annotations

# In which a role's resources are changed, so that each finds what it rests on: packages may come from a source that is a file, kernel
# modules with packages, kernel parameters with modules, a mount rests on an array, a unit on all of them. Those at the end are only compared.
ORDER = (
    "packages", "directories", "files", "blocks", "ofed_providers", "debconf_answers", "locked_packages", "kernel_modules", "sysctls", "limits",
    "swaps", "arrays", "mounts", "users", "nccl_configs", "units", "smoke_tests", "gpudirect", "rdma_names", "rails",
)
