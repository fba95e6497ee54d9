#!/bin/sh
# Tries the Debian packages out: a fresh Debian in a directory, in which they are installed, looked at
# by lintian, upgraded, removed and purged; xdevd and xdevd-full take each other's place while a daemon
# serves; the hooks of both makers of an initramfs are tried as well.
#
#   sh compile/check/package_in_chroot.sh DIRECTORY dist/*_amd64.deb dist/*_all.deb
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

small=$(ls ./xdevd_*.deb) full=$(ls ./xdevd-full_*.deb) tools=$(ls ./xdevd-xenstore-tools_*.deb)
runtime() { xdevd --version --json | grep -q "\"name\": \"$1\"" || fail "it does not run on $1"; }

# What an earlier try has left.
dpkg -P xdevd-xenstore-tools xdevd xdevd-full >/dev/null 2>&1 || true
rm -rf /etc/xdevd /etc/xen /run/xdevd /tmp/newer /tmp/scripts-ran
lintian --allow-root --fail-on error,warning ./*.deb
files >/tmp/before
dpkg -i "$small" "$tools"
runtime quickjs
grep -qx MemoryDenyWriteExecute=yes /usr/lib/systemd/system/xdevd.service ||
	fail "the small one's unit lets it compile"
for tool in read write list ls rm exists chmod watch; do
	[ "$(readlink -f /usr/bin/xenstore-$tool)" = /usr/sbin/xdevd ] || fail "xenstore-$tool"
done
/etc/init.d/xdevd start
/etc/init.d/xdevd status && fail "it was started"

# Each takes the other's place: as dpkg does it, and as apt does. Meanwhile a daemon serves a disk; nothing starts or
# stops it in here (policy-rc.d), so that is done by hand. The one that comes goes by the journal of the one before.
echo "# mine" >>"$conf"
echo "# mine" >>/etc/xdevd/config.toml
mkdir -p /etc/xen/scripts /run/xdevd /tmp/store
chmod 700 /run/xdevd
# The disk is one that is there, and is not touched.
IFS=: read -r major minor <<END
$(ls /sys/dev/block | head -n 1)
END
cat >/etc/xen/scripts/block-try <<END
#!/bin/sh
echo "\$1" >>/tmp/scripts-ran
XENSTORED_PATH=/tmp/store/domain-1.sock xenstore-write \\
	"\$XENBUS_PATH/physical-device" $(printf %x:%x "$major" "$minor") \\
	"\$XENBUS_PATH/hotplug-status" connected
END
chmod 755 /etc/xen/scripts/block-try
xdevd xenstored --dir /tmp/store --domain 1 --domain 7 >/tmp/store.log 2>&1 &
store=$! daemon=
trap 'kill $store $daemon 2>/dev/null' EXIT
at() { XENSTORED_PATH=/tmp/store/socket "$@"; }
back=/local/domain/1/backend/vbd/7/51712 front=/local/domain/7/device/vbd/51712
is_now() { [ "$(at xenstore-read "$back/$1" 2>/dev/null)" = "$2" ]; }
await() {
	left=300
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || { cat /tmp/daemon.log; fail "in vain: $*"; }
		sleep 0.1
	done
}
serve() {
	rm -f /tmp/daemon.log
	/usr/sbin/xdevd devd -F --store /tmp/store/domain-1.sock 2>/tmp/daemon.log &
	daemon=$!
	await grep -q "serving domain 1" /tmp/daemon.log
}
# other_serves RUNTIME: the old daemon still runs, and one of this runtime takes over from it.
other_serves() {
	runtime "$1"
	kill -0 "$daemon" || fail "the daemon was ended"
	[ -e /run/xdevd/journal ] || ls /run/xdevd/* >/dev/null || fail "the journal is gone"
	grep -qx "# mine" "$conf" || fail "$conf is not as it was"
	grep -qx "# mine" /etc/xdevd/config.toml || fail "config.toml is not as it was"
	[ -e /etc/init.d/xdevd ] || fail "the init script is gone"
	ls /etc/rc2.d/S??xdevd >/dev/null || fail "the service is not enabled any more"
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with $?"
	serve
	is_now hotplug-status connected && is_now state 4 ||
		fail "the disk is not connected: $(at xenstore-ls "$back" 2>&1)"
}
await at xenstore-exists /local/domain/7
serve
at xenstore-write "$front" "" "$back" ""
at xenstore-chmod "$front" n7 r1
at xenstore-chmod "$back" n1 r7
at xenstore-write "$front/state" 1 "$front/backend" "$back" "$front/backend-id" 1 \
	"$back/frontend" "$front" "$back/frontend-id" 7 "$back/online" 1 "$back/state" 1 \
	"$back/params" /tmp/disk "$back/script" /etc/xen/scripts/block-try "$back/mode" w "$back/type" phy
at xenstore-write "$back/state" 2
await is_now hotplug-status connected
at xenstore-write "$front/state" 4 "$back/state" 4
dpkg -i "$full"
other_serves bun
grep -q MemoryDenyWriteExecute=yes /usr/lib/systemd/system/xdevd.service &&
	fail "the full one's unit does not let it compile"
dpkg -P xdevd
other_serves bun
apt-get install -qq --yes "$small"
other_serves quickjs
dpkg -P xdevd-full
apt-get install -qq --yes "$full"
other_serves bun
dpkg -i "$small"
other_serves quickjs
[ "$(cat /tmp/scripts-ran)" = add ] || fail "scripts ran: $(cat /tmp/scripts-ran)"
at xenstore-write "$back/online" 0 "$front/state" 6 "$back/state" 6
await is_now state ""
[ "$(tail -n 1 /tmp/scripts-ran)" = remove ] || fail "it was not undone"
kill "$daemon" "$store"
wait "$daemon" || fail "the daemon ended with $?"
trap - EXIT
dpkg -P xdevd-full
rm -r /etc/xen /tmp/scripts-ran
sed -i '/^# mine/d' "$conf" /etc/xdevd/config.toml

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
dpkg-deb -R "$small" /tmp/newer
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
echo "package: installed, upgraded, replaced, removed and purged; nothing is left"
EOF
# shellcheck disable=SC2016 # $0 is for the inner shell
exec unshare -m sh -c 'mount -t proc proc "$0/proc"; mount -t sysfs sys "$0/sys"; mount --rbind /dev "$0/dev"
	exec chroot "$0" sh /tmp/inside' "$root"
