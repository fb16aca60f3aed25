#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the test suites on another kernel: by default that of Debian 12, Linux
# 6.1, the oldest that uring_rt is made for. In qemu, which emulates the
# processor: some ten times slower, so the tests' time limits are, too.
#
#   tests/kernel/run.sh BUILD_DIR       (`make test-kernel`)
#
# Of the environment:
#   SUITES    Check suites; default: those marked KERNEL in tests/lib/suites.def
#   COMMAND   a shell command to be run in the guest instead, in BUILD_DIR's copy
#   KERNEL    a vmlinuz; default: the newest one of the package PACKAGE
#   PACKAGE   linux-image-cloud-amd64; it is downloaded, not installed
#   ACCEL     tcg,thread=single; or tcg,thread=multi, or kvm, where that works
#   SMP       processors: 2
#   MEMORY    of the guest: 2G
#   APPEND    more words for the kernel's command line
#   TIMEOUT   s until qemu is ended: 1800
#
# Its processors take turns on one thread: qemu 7.2 with a thread for each went
# on executing a breakpoint that the kernel had replaced, when BPF's statistics
# were switched on, until the watchdog barked.
#
# The guest has no disk and no modules: an initramfs with busybox, the tests
# and the libraries that they need. Exit code: 0, or 1: a suite failed, or the
# guest did not get to its end (panic, time-out); 2: something is missing.
set -eu

build=${1:?usage: tests/kernel/run.sh BUILD_DIR}
package=${PACKAGE:-linux-image-cloud-amd64}
here=$(cd "$(dirname "$0")" && pwd)
suites=${SUITES:-$(sed -n 's/^SUITE(\([a-z_]*\),.*KERNEL.*/\1/p' \
	"$here/../lib/suites.def")}
work=$(dirname "$build")/kernel
run=$work/run.$$
root=$run/root

missing() {
	echo "test-kernel: $1" >&2
	exit 2
}

need() {
	command -v "$1" >/dev/null || missing "$1 is missing: as root, run
	apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio"
}

# The package that the name stands for, as the real one has a version in it.
fetch_kernel() {
	need apt-get
	need dpkg-deb
	name=$(apt-cache depends "$package" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
	name=${name:-$package}
	kernel=$work/$name/vmlinuz
	[ -e "$kernel" ] && return
	mkdir -p "$work/$name"
	(cd "$work/$name" && apt-get download -qq "$name" &&
		dpkg-deb -x ./*.deb . && mv boot/vmlinuz-* vmlinuz &&
		rm -rf ./*.deb boot lib usr etc) 2>"$run/download" || {
		cat "$run/download" >&2
		rm -rf "${work:?}/$name"
		missing "no package $package here (Debian 12 has it); as root, \
run apt-get update, or give KERNEL=vmlinuz, or PACKAGE=linux-image-..."
	}
}

copy_program() {
	mkdir -p "$root/urt/$(dirname "$1")"
	cp "$build/$1" "$root/urt/$1"
	ldd "$build/$1" | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' |
		while read -r library; do
			mkdir -p "$root${library%/*}"
			cp -nL "$library" "$root$library"
			# backtrace(3) loads it when it needs it.
			case $library in */libc.so.6)
				unwinder=${library%/*}/libgcc_s.so.1
				cp -nL "$unwinder" "$root$unwinder" ;;
			esac
		done
}

make_initramfs() {
	mkdir -p "$root/bin" "$root/etc" "$root/urt"
	busybox=$(command -v busybox)
	cp "$busybox" "$root/bin/busybox"
	for program in urt tests/urt_test tests/probe \
		$(cd "$build" && ls examples/* | grep -v '\.'); do
		copy_program "$program"
	done
	for f in passwd group nsswitch.conf services protocols; do
		cp "/etc/$f" "$root/etc/" 2>/dev/null || :
	done
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
	cp "$here/init.sh" "$root/init"
	chmod 755 "$root/init"
	echo "$suites" >"$root/suites"
	[ -z "${COMMAND-}" ] || echo "$COMMAND" >"$root/command"
	(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$run/initramfs"
}

# Its console on our stdout; the last line that init wrote is the result.
boot() {
	mkfifo "$run/console"
	timeout -k 5 "${TIMEOUT:-1800}" qemu-system-x86_64 \
		-accel "${ACCEL:-tcg,thread=single}" -cpu max -smp "${SMP:-2}" -m "${MEMORY:-2G}" -nodefaults \
		-no-reboot -display none -serial stdio -kernel "$kernel" \
		-initrd "$run/initramfs" \
		-append "console=ttyS0 quiet panic=-1 oops=panic \
			softlockup_panic=1 watchdog_thresh=20 ${APPEND-}" \
		</dev/null >"$run/console" &
	qemu=$!
	sed -u 's/\r$//' <"$run/console" | tee "$run/log" &
	wait $qemu && code=0 || code=$?
	wait
	qemu=
	[ $code != 124 ] || echo "test-kernel: time-out" >&2
}

need qemu-system-x86_64
need busybox
need cpio
qemu=
cleanup() {
	[ -z "$qemu" ] || { kill $qemu && wait $qemu || :; }
	rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$run"
kernel=${KERNEL-}
[ -n "$kernel" ] || fetch_kernel
make_initramfs
boot
result=$(sed -n 's/^urt-kernel: exit //p' "$run/log" | tail -1)
[ -n "$result" ] || echo "test-kernel: the guest did not get to its end" >&2
[ "$result" = 0 ] || exit 1
