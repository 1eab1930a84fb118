#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs inside the new root file system, once, after its packages are installed.
set -eu

useradd --create-home --shell /bin/bash --uid 1000 --groups adm,sudo ubuntu
install -d -m 700 -o ubuntu -g ubuntu /home/ubuntu/.ssh
# Each node gets its own at first boot.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
echo 'nameserver 10.0.2.3' > /etc/resolv.conf
echo '127.0.0.1 localhost' > /etc/hosts
echo '/dev/vda / ext4 noatime,noinit_itable 0 0' > /etc/fstab
: > /etc/cloud/cloud-init.disabled

systemctl --quiet enable systemd-networkd.service ssh.service onecc-lab-ready.service onecc-lab-rails.service
systemctl --quiet set-default multi-user.target
# A mount of NFS starts what it needs.
systemctl --quiet disable nfs-client.target rpcbind.service cloud-init-hotplugd.socket
# Nobody sits at a console; nothing else may take CPU or the package lock at a time of its own choosing; and each of
# the others costs an emulated CPU a second or more at every boot.
systemctl --quiet mask \
    getty@tty1.service serial-getty@ttyS0.service getty-static.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-pstore.service systemd-binfmt.service systemd-random-seed.service systemd-update-utmp.service \
    modprobe@drm.service modprobe@loop.service modprobe@efi_pstore.service modprobe@configfs.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount run-rpc_pipefs.mount \
    iwpmd.service ibacm.socket ibacm.service \
    nvmefc-boot-connections.service nvmf-autoconnect.service nfs-blkmap.service
# Generators run at every boot and at every daemon-reload, which a role does often.
mkdir -p /etc/systemd/system-generators
for generator in debug getty gpt-auto hibernate-resume integritysetup rc-local run system-update veritysetup; do
    ln -s /dev/null "/etc/systemd/system-generators/systemd-$generator-generator"
done
ln -s /dev/null /etc/systemd/system-generators/rpc-pipefs-generator
# Storage protocols over RDMA, of which the nodes have none.
sed -i -E 's/^(ib_iser|ib_isert|ib_srpt|xprtrdma|svcrdma|ib_ipoib|opa_vnic|iw_cm)$/# \1/' /etc/rdma/modules/*.conf
# update-initramfs is real, but what it makes is never booted: with empty hooks in place of those that fork a thousand
# times it takes a fraction of the time. The hooks of mdadm and xfsprogs do run.
mkdir -p /usr/local/lib/onecc-lab/hooks
for hook in dmsetup fsck keymap lvm2 resume thermal udev; do
    path=/usr/share/initramfs-tools/hooks/$hook
    dpkg-divert --quiet --local --rename --divert "/usr/local/lib/onecc-lab/hooks/$hook" --add "$path"
    printf '#!/bin/sh\nexit 0\n' > "$path"
    chmod 755 "$path"
done

# What the lab's boot loader (QEMU) and initrd take from this image.
version=$(basename /lib/modules/*)
mkdir -p /onecc-lab-boot/modules
cp "/boot/vmlinuz-$version" /onecc-lab-boot/vmlinuz
echo "$version" > /onecc-lab-boot/version
for module in virtio_pci virtio_blk crc32c_generic ext4; do
    modprobe --set-version "$version" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r path; do
    cp "$path" /onecc-lab-boot/modules/
    basename "$path"
done > /onecc-lab-boot/modules.list

# mmdebstrap's own settings go: this script runs before it clears up. Its package lists stay, with apt's cache of them,
# so that a node installs without an update.
rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap /var/cache/apt/archives/*.deb
rm -f /usr/sbin/policy-rc.d
if [ -e /usr/sbin/start-stop-daemon.REAL ]; then
    mv /usr/sbin/start-stop-daemon.REAL /usr/sbin/start-stop-daemon
fi
apt-cache gencaches
# Else the first boot rebuilds the linker cache and the hardware database.
touch /etc/.updated /var/.updated
