#!/bin/sh
# Tries the Debian packages out: a fresh Debian in a directory, in which they are installed, looked at
# by lintian, upgraded, removed and purged; the hooks of both makers of an initramfs are tried as well.
#
#   sh compile/check/package_in_chroot.sh DIRECTORY dist/xdevd_*_amd64.deb dist/xdevd-xenstore-tools_*.deb
#
# As root, with debootstrap. DIRECTORY is made, and stays, to be looked at or used again.
set -eu

root=$1
shift
if [ ! -e "$root/etc/debian_version" ]; then
	debootstrap --variant=minbase bookworm "$root"
	for file in /etc/resolv.conf /etc/hosts; do
		cp "$file" "$root/etc/"
	done
	# Nothing is started in there.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -qq --no-install-recommends \
		lintian initramfs-tools linux-image-amd64 systemd sysv-rc dracut-core >/dev/null
fi
mkdir -p "$root/tmp/debs"
rm -f "$root/tmp/debs/"*
cp "$@" "$root/tmp/debs/"

cat >"$root/tmp/inside" <<'EOF'
set -eu
cd /tmp/debs
fail() { echo "package: $*" >&2; exit 1; }
files() {
	find / -xdev \( -path /tmp -o -path /proc -o -path /dev -o -path /boot -o -path /var \) \
		-prune -o -print | sort
}
says() { lsinitramfs "$1" 2>/dev/null || lsinitrd "$1"; }
kernel=$(ls /lib/modules)
conf=/etc/xdevd/initramfs.conf

# What an earlier try has left.
dpkg -P xdevd-xenstore-tools xdevd >/dev/null 2>&1 || true
rm -rf /etc/xdevd /tmp/newer
lintian --allow-root --fail-on error,warning ./*.deb
files >/tmp/before
dpkg -i ./*.deb
xdevd --version
for tool in read write list ls rm exists chmod watch; do
	[ "$(readlink -f /usr/bin/xenstore-$tool)" = /usr/sbin/xdevd ] || fail "xenstore-$tool"
done
/etc/init.d/xdevd start
/etc/init.d/xdevd status && fail "it was started"

mkinitramfs -o /tmp/none.img "$kernel"
says /tmp/none.img | grep -q usr/sbin/xdevd && fail "it is in an initramfs that has no use for it"
echo "7 vdev=xvda,target=/dev/nvme0n1p3" >>"$conf"
mkinitramfs -o /tmp/with.img "$kernel"
dracut --quiet --no-hostonly --force /tmp/dracut.img "$kernel" 2>/dev/null
for image in /tmp/with.img /tmp/dracut.img; do
	for part in usr/sbin/xdevd etc/xdevd/initramfs.conf xen-blkback.ko; do
		says "$image" >/tmp/list
		grep -q "$part" /tmp/list || fail "$part is not in $image"
	done
done

# The same package once more, as a newer one.
mkdir /tmp/newer
dpkg-deb -R ./xdevd_*.deb /tmp/newer
sed -i 's/^Version: .*/&+newer/' /tmp/newer/DEBIAN/control
dpkg-deb -Znone --root-owner-group -b /tmp/newer /tmp/newer.deb >/dev/null
dpkg -i /tmp/newer.deb
tail -n 1 "$conf" | grep -q nvme0n1p3 || fail "the upgrade lost a change of $conf"
dpkg -r xdevd-xenstore-tools xdevd
[ -e "$conf" ] || fail "removing took configuration away"
dpkg -P xdevd xdevd-xenstore-tools
files >/tmp/after
rm -rf /tmp/newer /tmp/newer.deb
diff /tmp/before /tmp/after || fail "something is left, see above"
echo "package: installed, upgraded, removed and purged; nothing is left"
EOF
# shellcheck disable=SC2016 # $0 is for the inner shell
exec unshare -m sh -c 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"
	exec chroot "$0" sh /tmp/inside' "$root"
