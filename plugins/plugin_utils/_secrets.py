# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""Contents of files that not everybody on a node may read: on their way from a comparison to what writes them nobody reads them.

The result of a task is printed, logged and kept by whoever embeds Ansible. In it such a content is locked, by a key that each run
of Ansible has of its own.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret

# Ansible imports this in its main process, before it forks a worker a task: all have the same key, and nobody else has it.
_VAULT = VaultLib([("onecc.cluster", VaultSecret(os.urandom(32).hex().encode()))])


def is_secret(file: dict[str, Any]) -> bool:
    """Whether a declared file is one that others than its owner and group may not read."""
    return not int(file["mode"], 8) & 0o004


def locked(file: dict[str, Any]) -> dict[str, Any]:
    """The file with its content locked where it is secret."""
    return {**file, "content": _VAULT.encrypt(file["content"]).decode()} if is_secret(file) else file


def content(file: dict[str, Any]) -> str:
    """A file's content, whether it is locked or not."""
    text = f"{file['content']}"
    if not _VAULT.is_encrypted(text):
        return text
    try:
        return _VAULT.decrypt(text).decode()
    except AnsibleVaultError:
        raise AnsibleError(
            f"files, {file['path']}: its content is locked by another run of Ansible, or by a vault. Compare the node again in this run"
        ) from None
