#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_set
short_description: Brings a set of packages to its declared versions in one transaction of apt
version_added: 0.1.0
description:
  - Installs, upgrades or downgrades the packages of a set all at once, or none of them, and holds them, so that neither
    C(unattended-upgrade) nor an C(apt full-upgrade) changes them.
  - The transaction is simulated first. It is refused where it would remove or downgrade a package that the set does not name, or change one
    that is held. Not among these are packages of a declared family (see O(packages[].family)) that get another version, and those that
    another branch replaces, as C(nvidia-utils-580-server) does C(nvidia-utils-570-server).
  - Packages that belong together, such as the driver, its libraries and the fabric manager, have to be of one version; otherwise nothing is
    changed.
  - Waits for another apt or dpkg, repairs a dpkg that was interrupted, fetches newer lists of packages only where the set cannot be installed from
    those that the node has, and looks that there is enough space.
  - Where apt fails, the message names the cause in a line.
  - Never upgrades anything that the set does not need, installs no recommended packages, keeps changed configuration files, restarts no
    services through needrestart, and never reboots.
options:
  packages:
    description:
      - The set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the package; C(name:architecture) for one of a foreign architecture.
        type: str
        required: true
      version:
        description:
          - Its exact version. V(newest), of locked packages only, is the newest one in the lists of packages. Without it, any installed version
            will do, and where none is installed the newest one is.
        type: str
      hold:
        description: Whether it is held.
        type: bool
        default: true
      family:
        description:
          - All packages of one family have to be of the same upstream version. Without it, a package of NVIDIA's driver, its container toolkit or
            NCCL is recognised by its name. V(none) takes it out of its family.
        type: str
      running:
        description:
          - Says that this package is what has to run. V(driver) compares with C(/proc/driver/nvidia/version), V(kernel) with the running kernel.
            Where it is not, a reboot is needed.
        type: str
        choices: [none, driver, kernel]
        default: none
  debconf:
    description:
      - Answers to questions that packages ask when they are installed, such as the one whether a licence is accepted.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the question.
        type: str
        required: true
      owner:
        description: Package that asks it.
        type: str
        required: true
      type:
        description: Type of the question.
        type: str
        choices: [boolean, select, multiselect, string, note, text]
        default: select
      value:
        description: The answer.
        type: str
        required: true
  remove:
    description:
      - Packages that the same transaction removes. Their changed configuration files stay.
    type: list
    elements: str
    default: []
  locked:
    description:
      - Whether the packages are locked to one another and to their versions. V(false) only installs them, with all the rest that is said
        above. Their holds stay as they are, no families are looked at, and nothing has to run.
    type: bool
    default: true
  wait:
    description:
      - How many seconds to wait for another apt or dpkg.
    type: int
    default: 300
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Simulates the transaction with the lists of packages that the node has, and fetches none.
    support: full
  diff_mode:
    description: Shows each package with its old and new version.
    support: full
"""

EXAMPLES = r"""
- name: Keep the driver and what has to match it
  onecc.cluster.package_set:
    packages:
      - name: nvidia-driver-580-server-open
        version: 580.105.08-0lambda0.22.04.1
      - name: nvidia-fabricmanager-580
        version: 580.105.08-1

- name: Install packages and hold none
  onecc.cluster.package_set:
    packages:
      - name: mdadm
      - name: xfsprogs
    locked: false

- name: Install the newest Lambda Stack, having accepted the licence of cuDNN
  onecc.cluster.package_set:
    packages:
      - name: lambda-stack-cuda
        version: newest
    debconf:
      - name: cudnn/license_preseed
        owner: cudnn
        value: ACCEPT
"""

RETURN = r"""
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
changes:
  description: What the transaction did, or would do, a line for each package, also those that others need.
  returned: always
  type: list
  elements: str
  sample: ["libnccl2: 2.26.2-1+cuda12.8 -> 2.27.7-1+cuda12.9"]
reboot_reasons:
  description: Why the node needs a reboot; empty where what is installed runs.
  returned: always
  type: list
  elements: str
  sample: ["reboot needed: driver 570.148.08 runs, 580.105.08 is installed (nvidia-driver-580-server-open)"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change import package_set
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, package_sets


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "dict", "required": True, "options": package_sets.LOCKED_PACKAGE},
            "debconf": {"type": "list", "elements": "dict", "default": [], "options": package_sets.ANSWER},
            "remove": {"type": "list", "elements": "str", "default": []},
            "locked": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    package_set.complete(module.params)
    if wrong := package_set.invalid(module.params):
        module.fail_json(msg=f"package set: {wrong}. Nothing was changed")
    with durable.turn(module, "package_set"):
        module.exit_json(**package_set.converge(module))


if __name__ == "__main__":
    main()
