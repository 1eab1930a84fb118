# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""Every use of what ansible-core does not promise. Where one is gone it is an error that says so, and never an empty answer."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError


@contextlib.contextmanager
def _soft(what: str) -> Iterator[None]:
    """Names what cannot be done where a part of ansible-core is not as it was."""
    try:
        yield
    except (ImportError, KeyError, AttributeError, TypeError) as error:
        raise AnsibleError(
            f"{what} with this version of ansible-core ({type(error).__name__}: {error}), so nothing is said about them. Use a version that "
            "the collection is tested with, and report this one."
        ) from None


def own_variables(variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """What the inventory says of hosts, by name, out of a host's variables.

    Not their whole variables: those cost a millisecond a host to gather, where every node asks for those of every other,
    and hold what a node says of itself.
    """
    with _soft("The hosts of the inventory cannot be read"):
        inventory = variables["hostvars"]._inventory
        return {name: inventory.get_host(name).vars for name in names}


def collection_role(name: str) -> pathlib.Path | None:
    """The folder of a role of a collection, by its full name; None where there is none."""
    with _soft("Roles of collections cannot be found"):
        from ansible.utils.collection_loader._collection_finder import _get_collection_role_path

        found = _get_collection_role_path(name)
        return pathlib.Path(found[1]) if found else None


def playbook_path(playbook: Any) -> pathlib.Path:
    """The file of a playbook that a callback is told of."""
    with _soft("The path of a playbook cannot be read"):
        return pathlib.Path(playbook._file_name).resolve()
