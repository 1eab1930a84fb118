# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """PRIVATE to the collection. The options by which a task names a declared state."""

    DOCUMENTATION = r"""
options:
  roles:
    description:
      - Roles of this or another collection, or of your own, whose declarations (C(state.yml)) are meant.
      - Without it and without O(state), those that the variable C(onecc_roles) names, or those of the collection
        that are kept in state unasked, which C(ofed) and C(login_message) are not.
      - The roles' own variables apply, with their defaults, and are checked before anything is sent.
    type: list
    elements: str
  state:
    description:
      - A declared state, given inline. Excludes O(roles).
      - A mapping of kinds to lists of resources. A resource may say no more than is listed here.
      - C(packages) have C(name), C(version), and C(replaces), a list of packages that the installation may remove.
      - C(kernel_modules) have C(name), and C(unit), the unit that loads it at boot where order matters.
      - C(sysctls) have C(name) and C(value).
      - C(limits) have C(name) (C(memlock), C(nofile) and the like) and C(value), a number or C(unlimited).
      - C(directories) have C(path), C(owner), C(group) and C(mode).
      - C(files) have C(path), C(content), C(owner), C(group), C(mode) and C(unit), the unit that reads the file.
      - C(blocks) have C(path) and C(content), the lines between two marks in a file that otherwise belongs to somebody else.
      - C(ofed_providers) have C(name) and C(replace), the options O(onecc.cluster.ofed_info#module:provider) and
        O(onecc.cluster.ofed_info#module:replace). A node has one RDMA stack, so declare one.
      - C(debconf_answers) and C(locked_packages) have the options of M(onecc.cluster.package_set), whose packages they are. The set is
        applied whole.
      - C(smoke_tests) have C(name), C(component), which M(onecc.cluster.stack_check) loads, and C(packages), of which a change asks for a new
        test; by default those that are locked.
      - C(swaps) have C(name), which is V(none). The node swaps to nothing, now and after a boot.
      - C(arrays) have the options of M(onecc.cluster.nvme_raid).
      - C(mounts) have C(path), C(array) (the name of an array of this state) or C(source), C(fstype), C(options), C(owner),
        C(group) and C(mode).
      - C(users) have the options of M(onecc.cluster.user_access). Where the list is there, also an empty one, nobody else has an
        access that this collection gave.
      - C(units) have C(name), C(enabled) and C(active).
      - C(nccl_configs) have the options of M(onecc.cluster.nccl_config) that say what to write; their C(rails) is the name of
        C(rails) of this state.
      - C(rails) have C(name), what the option C(rails) of M(onecc.cluster.node_facts) has, and C(rate) in Gb/s and C(width) in
        PCIe lanes, which each should have. Without these, the node's other rails and the capability of the link say what should be.
        They are only compared.
      - C(gpudirect) have C(name), V(auto), V(dmabuf) or V(peermem), and C(rdma_names) have C(name), the option
        O(onecc.cluster.ofed_info#module:persistent_names). Both are only compared.
      - C(packages), C(kernel_modules), C(directories), C(files), C(units) and C(gpudirect) have C(where), what a node must have for the resource
        to be declared there.
        V(mlx5) is an adapter that C(mlx5_core) drives, V(rdma) any RDMA device, V(infiniband) an InfiniBand port, V(openibd) that script,
        V(gpus) an RDMA device and the NVIDIA driver, V(peermem) the same where GPUDirect RDMA takes C(nvidia_peermem), V(chrony) that
        program, V(timesyncd) no other one that keeps the clock, V(all) nothing.
      - A resource may also say C(when); it is declared only if that is true.
    type: dict
"""
