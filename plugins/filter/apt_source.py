# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: apt_source
short_description: The files that make a source of packages, with its key and its priority
version_added: 0.1.0
author:
  - The onecc.cluster developers (@onecc)
description:
  - Makes files, as a declaration has them, of a source of packages; C(/etc/apt/keyrings/NAME.asc), C(/etc/apt/sources.list.d/NAME.list)
    and C(/etc/apt/preferences.d/NAME).
  - The key is good for this source alone (C(signed-by)). It is compared with the declared fingerprint here, on the controller, so that no
    other key gets onto a node.
positional: _input, name
options:
  _input:
    description:
      - The source, a dictionary of C(url), C(suite), C(component), C(key) (an ASCII-armoured text), C(fingerprint), C(origin) (as the
        source's Release file has it) and C(priority).
    type: dict
    required: true
  name:
    description: Name of the files.
    type: str
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ lambda_stack_source | onecc.cluster.apt_source('lambda-repository') }}"
"""

RETURN = r"""
_value:
  description: Files, dictionaries of C(path) and C(content).
  type: list
  elements: dict
"""

import re
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.onecc.cluster.plugins.plugin_utils import _openpgp

# Each is a word of sources.list(5) or apt_preferences(5).
PATTERNS = {
    "url": (r"(https?|file):/[^\s\[\]#\"']+", "an address that begins with http://, https:// or file:/"),
    "suite": (r"[A-Za-z0-9][A-Za-z0-9._/+~-]*|\./", "a suite such as jammy"),
    "component": (r"[A-Za-z0-9][A-Za-z0-9._/+~-]*", "a component such as main"),
    "origin": (r"[A-Za-z0-9][A-Za-z0-9 ._/+~-]*", "the Origin of the source's Release file, such as lambdalabs.com"),
    "fingerprint": (r"([0-9A-Fa-f] ?){40}", "40 hexadecimal digits"),
}


def apt_source(source: dict[str, Any], name: str) -> list[dict[str, str]]:
    """The three files of a source."""
    for field, (pattern, allowed) in PATTERNS.items():
        if not re.fullmatch(pattern, source[field]):
            raise AnsibleFilterError(f"source {name}: {field} is {source[field]!r}; allowed is {allowed}.")
    wanted = source["fingerprint"].replace(" ", "").upper()
    try:
        found = _openpgp.fingerprints(source["key"])
    except _openpgp.NotTheKey as error:
        raise AnsibleFilterError(f"source {name}: key: {error}.") from error
    if others := [fingerprint for fingerprint in found if fingerprint != wanted]:
        raise AnsibleFilterError(
            f"source {name}: key has the fingerprint {', '.join(others)}; declared is {wanted}. Nothing was changed. Get the key from its "
            "owner again, or declare its fingerprint if you have that from the owner by another way."
        )
    keyring = f"/etc/apt/keyrings/{name}.asc"
    where = " ".join([source["url"], source["suite"], *([] if source["suite"].endswith("/") else [source["component"]])])
    head = "Managed by onecc.cluster: the next site.yml undoes what is changed here.\n"
    pin = f"Explanation: {head}Package: *\nPin: release o={source['origin']}\nPin-Priority: {source['priority']}\n"
    return [
        {"path": keyring, "content": source["key"].strip() + "\n"},
        {"path": f"/etc/apt/sources.list.d/{name}.list", "content": f"# {head}deb [signed-by={keyring}] {where}\n"},
        {"path": f"/etc/apt/preferences.d/{name}", "content": pin},
    ]


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Any]:
        return {"apt_source": apt_source}
