#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The lab's stand-in for ofed_uninstall.sh: as the real one it removes all that OFED brought, the libraries too.
set -eu
[ "${1:-}" = --force ] || {
    printf 'This program will uninstall all {{ says }} packages on your machine.\n\nDo you want to continue?[y/N]:'
    read -r answer
    [ "$answer" = y ] || exit 1
}
dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' |
    sed -nE 's/^installed (\S+) (\S*mlnx\S*|\S*\.OFED\.\S*|\S*\.2[0-9]{6}|\S*-1\.2[0-9]{6})$/\1/p; s/^installed (doca-ofed\S*|mlnx-ofed-all\S*|mft) .*/\1/p' |
    xargs apt-get remove --yes
