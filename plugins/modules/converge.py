#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: converge
short_description: Changes a node to its declared state, in one session
version_added: 0.1.0
description:
  - Renders the declared state of roles of this collection, or a state given inline, with the host's variables, and sends it to the node with
    the code that compares and changes (about 140 KB), over the play's own connection.
  - There it compares, and changes what differs, role after role in the given order and in each kind after kind, so that each finds what it
    rests on. The packages of a kind are one transaction of apt. Then it compares again, in a second session.
  - Files that cannot be written, and a change of the RDMA stack that is not allowed, are said before anything of a role is changed.
  - The first failure ends the change of that node, and the message says what failed and why, what was done before, and what still differs. The
    next run takes it up.
  - A difference that only a reboot or a person takes away is left as it is, and named.
  - One run at a time changes a node. Another one waits 300 seconds, and then says which process it waited for.
  - The node needs Python 3.9 and no package. Run it with C(become).
options:
  fail_on_drift:
    description:
      - Fail where something still differs, also where only a reboot or a person takes it away.
    type: bool
    default: true
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._state
attributes:
  check_mode:
    description: Compares, and says what it would do. Writes nothing and waits for nobody.
    support: full
  diff_mode:
    description: Shows each file before and after, but for those that not everybody on the node may read, and each package with its versions.
    support: full
"""

EXAMPLES = r"""
- name: Converge the scratch volume
  onecc.cluster.converge:
    roles: [onecc.cluster.nvme_raid]
  become: true

- name: Converge a state of one's own
  onecc.cluster.converge:
    state:
      packages:
        - name: chrony
      units:
        - name: chrony.service
          enabled: true
          active: true
  become: true
"""

RETURN = r"""
before:
  description: What differed when the change began, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
done:
  description: Those of them that were changed; in check mode, that would be.
  returned: always
  type: list
  elements: dict
drift:
  description: What still differs; empty in check mode.
  returned: always
  type: list
  elements: dict
error:
  description: Why the change ended before its end; empty where it did not.
  returned: always
  type: str
compared:
  description: The roles that were compared afterwards; empty in check mode.
  returned: always
  type: list
  elements: str
schema:
  description: Number of this result's form. It grows when a program that reads it must change.
  returned: always
  type: int
"""
