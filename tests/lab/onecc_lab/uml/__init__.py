# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as User-Mode Linux processes: for computers whose processor cannot run virtual machines."""

MAX_DRIVES = 15
"""A kernel has sixteen ubd devices (MAX_DEV in arch/um/drivers/ubd_kern.c), and the first is the root disk."""
