#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the test suites on other kernels, in qemu, and prints a table. The default
# kernel is that of Debian 12, Linux 6.1, the oldest that uring_rt supports.
# Without KVM, qemu emulates the processor, which is some ten times slower, so the
# tests' time limits are ten times longer.
#
#   tests/kernel/run.sh BUILD_DIR       (`make test-kernel`)
#
# Environment:
#   SUITES    Check suites; default: those marked KERNEL in tests/lib/suites.def
#   COMMAND   a shell command to run in the guest instead, in BUILD_DIR's copy
#   ARCH      x86_64 or aarch64; BUILD_DIR must be built for it
#   SYSROOT   a further directory with libraries for ARCH, next to /lib and /usr/lib
#   KERNELS   packages, [DISTRIBUTION/]NAME, or files; default: the cloud kernel of
#             bookworm; packages are downloaded, not installed
#   MODULES   modules of those packages to load; default: tls
#   PROGRAMS  programs that tests need; default: openssl
#   ACCEL     tcg,thread=single, or kvm
#   ICOUNT    qemu's -icount, or no; default: shift=2,sleep=off, an instruction each
#             4 ns, so that it does not matter how busy the host is; for x86-64 no,
#             because Linux 6.1 does not start its second processor with it
#   CPU       qemu's model of the processor; default: max
#   SMP       processors; default: 2
#   MEMORY    memory of the guest; default: 2G
#   APPEND    more words for the kernel's command line
#   TIMEOUT   seconds until qemu is killed; default: 1800
#
# The processors take turns on one thread. With a thread for each, qemu 7.2 kept
# executing a breakpoint that the kernel had replaced, when BPF's statistics were
# switched on, until the watchdog reported a lockup; and on aarch64, pages of 4 GiB
# that were given back were seen by the other processor.
#
# The guest has no disk, only an initramfs with busybox, the tests, the libraries
# that they need, and modules. Exit code: 0; 1: a suite failed, or a guest did not
# get to its end (panic, time-out); 2: something is missing.
set -eu

build=${1:?usage: tests/kernel/run.sh BUILD_DIR}
arch=${ARCH:-$(uname -m)}
here=$(cd "$(dirname "$0")" && pwd)
suites=${SUITES:-$(sed -n 's/^SUITE(\([a-z_]*\),.*KERNEL.*/\1/p' \
	"$here/../lib/suites.def")}
work=$(dirname "$build")/kernel
run=$work/run.$$
root=$run/root
case $arch in
x86_64)
	deb=amd64 console=ttyS0 system=qemu-system-x86 icount=no
	machine="-cpu ${CPU:-max}"
	# A busy host once delayed the timer that Linux 6.12 checks, and the kernel gave up.
	APPEND="no_timer_check ${APPEND-}"
	;;
aarch64)
	deb=arm64 console=ttyAMA0 system=qemu-system-arm icount=shift=2,sleep=off
	machine="-machine virt,gic-version=3 -cpu ${CPU:-max,pauth-impdef=on}"
	;;
*)
	echo "test-kernel: ARCH: expected x86_64 or aarch64, not \"$arch\"" >&2
	exit 2
	;;
esac

accel=${ACCEL:-tcg,thread=single}
[ "${ICOUNT:-$icount}" = no ] || machine="$machine -icount ${ICOUNT:-$icount}"

missing() {
	echo "test-kernel: $1" >&2
	exit 2
}

need() {
	command -v "$1" >/dev/null || missing "$1 is missing: as root, run
	apt-get install --no-install-recommends $system busybox-static cpio"
}

# ---- packages ----

# DISTRIBUTION COMMAND ...: apt with its own lists, of any distribution and processor.
apt() {
	state=$work/apt/$1-$deb command=$2
	shift 2
	"$command" -qq -o Dir::Etc::SourceList="$state/sources" \
		-o Dir::Etc::SourceParts=- -o Dir::State::Lists="$state/lists" \
		-o Dir::State::Status=/dev/null -o Dir::Cache="$state/cache" \
		-o APT::Architecture="$deb" -o APT::Architectures="$deb" \
		-o APT::Sandbox::User=root "$@"
}

read_lists() { # DISTRIBUTION
	state=$work/apt/$1-$deb
	[ ! -e "$state/done" ] || return 0
	need apt-get
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		'Origin: Debian' | grep -v security | head -1)
	[ -n "$uri" ] || missing "apt has no source of Debian here: give KERNELS=FILE"
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$uri $1 main" >"$state/sources"
	apt "$1" apt-get update >&2 || missing "cannot read the lists of $1"
	touch "$state/done"
}

# DISTRIBUTION NAME: unpacks a package and sets $files to its directory. A name that
# stands for packages of several versions means the newest. Since Debian 14, a kernel's
# package is empty and needs two others.
unpack() {
	read_lists "$1"
	name=$(apt "$1" apt-cache depends "$2" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
	name=${name:-$2}
	files=$work/packages/$1-$deb-$name
	[ ! -e "$files/whole" ] || return 0
	rm -rf "$files"
	mkdir -p "$files"
	parts=$(apt "$1" apt-cache depends "$name" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-\(binary\|modules\)-[0-9].*\)/\1/p')
	# shellcheck disable=SC2086
	(cd "$files" && apt "$1" apt-get download "$name" $parts >&2 &&
		for deb_file in ./*.deb; do dpkg-deb -x "$deb_file" .; done &&
		rm -f ./*.deb) ||
		missing "no package $2 for $deb in $1"
	touch "$files/whole"
}

# ---- the guest's files ----

# Copies a library, and those that it needs, to the same directories of the guest.
copy_library() {
	for dir in ${SYSROOT:+"$SYSROOT/lib/$arch-linux-gnu" "$SYSROOT/usr/lib/$arch-linux-gnu"} \
		"/lib/$arch-linux-gnu" "/usr/lib/$arch-linux-gnu" /lib64 /usr/lib64 /usr/local/lib; do
		[ -e "$dir/$1" ] || continue
		[ ! -e "$root/lib/$arch-linux-gnu/$1" ] || return 0
		mkdir -p "$root/lib/$arch-linux-gnu"
		cp -L "$dir/$1" "$root/lib/$arch-linux-gnu/$1"
		copy_needed "$dir/$1"
		return 0
	done
	missing "no library $1 for $arch: SYSROOT=DIRECTORY may have it"
}

copy_needed() {
	for library in $(readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
		copy_library "$library"
	done
}

copy_program() { # FROM TO
	mkdir -p "$root/$(dirname "$2")"
	cp "$1" "$root/$2"
	copy_needed "$1"
	loader=$(readelf -lW "$1" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
	mkdir -p "$root${loader%/*}"
	[ -e "$root$loader" ] || cp -L "${SYSROOT-}$loader" "$root$loader"
}

make_initramfs() {
	mkdir -p "$root/bin" "$root/etc" "$root/urt"
	if [ "$arch" = "$(uname -m)" ]; then
		need busybox
		busybox=$(command -v busybox)
	else
		unpack bookworm busybox-static
		busybox=$files/bin/busybox
	fi
	cp "$busybox" "$root/bin/busybox"
	for program in urt tests/urt_test tests/probe tests/rings tests/leaker tests/leaker_asan \
		tests/goroutines tests/goliar \
		$(cd "$build" && ls examples/* | grep -v '\.'); do
		[ ! -e "$build/$program" ] || copy_program "$build/$program" "urt/$program"
	done
	for program in ${PROGRAMS-openssl}; do
		if [ "$arch" = "$(uname -m)" ]; then
			path=$(command -v "$program") || missing "no program $program"
		else
			unpack bookworm "$program"
			path=$files/usr/bin/$program
		fi
		copy_program "$path" "bin/$program"
	done
	mkdir -p "$root/usr/lib/ssl" # openssl looks there
	cp -L /usr/lib/ssl/openssl.cnf "$root/usr/lib/ssl" 2>/dev/null || :
	copy_library libgcc_s.so.1 # for backtrace(3)
	for f in passwd group nsswitch.conf services protocols; do
		cp "/etc/$f" "$root/etc/" 2>/dev/null || :
	done
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
	cp "$here/init.sh" "$root/init"
	chmod 755 "$root/init"
	echo "$suites" >"$root/suites"
	[ -z "${COMMAND-}" ] || echo "$COMMAND" >"$root/command"
	pack "$root" >"$run/initramfs"
}

pack() {
	(cd "$1" && find . | cpio -o -H newc --quiet) | gzip -1
}

# Packs the modules of a kernel's package, which are unpacked after the rest. The
# modules may load others by name, such as ciphers, so these are included.
pack_modules() { # vmlinuz
	more=$run/modules
	rm -rf "$more"
	mkdir -p "$more/sbin"
	top=${1%/boot/*}
	top=${top%/usr/lib/modules/*}
	for tree in "$top"/lib/modules/* "$top"/usr/lib/modules/*; do
		[ -d "$tree" ] || continue
		mkdir -p "$more/lib/modules/${tree##*/}"
		(cd "$tree" && find kernel/crypto kernel/arch kernel/lib kernel/net \
			-name '*.ko*' 2>/dev/null |
			cpio -pdm --quiet "$more/lib/modules/${tree##*/}")
		ln -sf /bin/busybox "$more/sbin/modprobe"
		echo "${MODULES-tls}" >"$more/modules"
	done
	pack "$more"
}

# ---- running ----

# Boots the kernel, with its console on our stdout and in the log.
boot() { # kernel
	rm -f "$run/console"
	pack_modules "$1" | cat "$run/initramfs" - >"$run/initrd"
	mkfifo "$run/console"
	# shellcheck disable=SC2086
	timeout -k 5 "${TIMEOUT:-1800}" "qemu-system-$arch" $machine \
		-accel "$accel" -smp "${SMP:-2}" -m "${MEMORY:-2G}" -nodefaults \
		-no-reboot -display none -serial stdio -kernel "$1" \
		-initrd "$run/initrd" \
		-append "console=$console quiet panic=-1 oops=panic \
			softlockup_panic=1 watchdog_thresh=20 ${APPEND-}" \
		</dev/null >"$run/console" &
	qemu=$!
	sed -u 's/\r$//' <"$run/console" | tee "$run/log" &
	wait $qemu && code=0 || code=$?
	wait
	qemu=
	[ $code != 124 ] || echo "test-kernel: time-out" >&2
}

# Prints the table's rows, one for each suite that got to its end.
rows() {
	awk '
	/^urt-kernel: Linux / { kernel = $3; sub(",", "", kernel) }
	/^Running suite/ { skipped = 0; failed = "" }
	/^SKIP / { skipped++ }
	/^not ok / { split($0, part, ":"); failed = failed " `" part[3] "`" }
	/^[0-9]+%: Checks: / { tests = $3 + 0 }
	/^urt-kernel: [a-z_]+ [0-9]+ s$/ {
		printf "| %s | %s | %d | %s | %d | %d |\n", kernel, $2, tests,
			substr(failed, 2), skipped, $3
	}' "$run/log"
}

need "qemu-system-$arch"
need cpio
need readelf
qemu=
cleanup() {
	[ -z "$qemu" ] || { kill $qemu && wait $qemu || :; }
	rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$run"
run=$(cd "$run" && pwd) work=$(cd "$work" && pwd) root=$run/root
make_initramfs
code_of_all=0
for kernel in ${KERNELS:-bookworm/linux-image-cloud-$deb}; do
	if [ ! -f "$kernel" ]; then
		case $kernel in */*) ;; *) kernel=bookworm/$kernel ;; esac
		unpack "${kernel%%/*}" "${kernel#*/}"
		kernel=$(find "$files/boot" "$files/usr/lib/modules" \
			-name 'vmlinuz*' 2>/dev/null | head -1)
	fi
	boot "$kernel"
	rows >>"$run/rows"
	result=$(sed -n 's/^urt-kernel: exit //p' "$run/log" | tail -1)
	[ -n "$result" ] || echo "test-kernel: the guest did not get to its end" >&2
	[ "$result" = 0 ] || code_of_all=1
done
[ -n "${COMMAND-}" ] || {
	printf '\n| kernel | suite | tests | failed | skipped | s |\n|---|---|--:|---|--:|--:|\n'
	cat "$run/rows"
}
exit $code_of_all
