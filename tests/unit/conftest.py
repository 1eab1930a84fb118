# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as ansible_collections.onecc.cluster, wherever it lies.

Under ansible-test the collection is importable already, and this changes nothing.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def _link_checkout() -> Path:
    """A tree of collections that holds this one, as a link."""
    tree = Path(tempfile.mkdtemp(prefix="onecc-collections-"))
    atexit.register(shutil.rmtree, tree, ignore_errors=True)
    link = tree / "ansible_collections" / "onecc" / "cluster"
    link.parent.mkdir(parents=True)
    link.symlink_to(CHECKOUT)
    return tree


def _make_importable() -> None:
    try:
        from ansible.plugins.loader import init_plugin_loader
        from ansible.utils.collection_loader import AnsibleCollectionConfig
    except ImportError:
        return  # the tests of module_utils under ansible-test: it brings its own loader, and nothing of the controller
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader([str(_link_checkout())])


def _never_time_out() -> None:
    """A test on a busy machine is slow, not wrong."""
    from hypothesis import settings

    settings.register_profile("onecc", deadline=None)
    settings.load_profile("onecc")


_make_importable()
_never_time_out()
