#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's first process: see run.sh.
export PATH=/bin HOME=/ CK_TIMEOUT_MULTIPLIER=10 URT_FAULT_STEP=4
export CK_TAP_LOG_FILE_NAME=- # each test's result at once
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null
mkdir -p /dev/shm /dev/pts
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t tmpfs none /tmp
mount -t tracefs none /sys/kernel/tracing
mount -t cgroup2 none /sys/fs/cgroup
[ ! -e /modules ] || {
	depmod -a
	for module in $(cat /modules); do modprobe "$module"; done
}
ip link set lo up
ulimit -n 65536
echo "urt-kernel: Linux $(uname -r), $(nproc) processors, up $(
	cut -d' ' -f1 /proc/uptime) s"
cd /urt || exit
failed=0

if [ -e /command ]; then
	sh /command || failed=1
else
	for suite in $(cat /suites); do
		begin=$(cut -d. -f1 /proc/uptime)
		CK_RUN_SUITE=$suite tests/urt_test || {
			failed=1
			bad="$bad $suite"
		}
		echo "urt-kernel: $suite $(($(cut -d. -f1 /proc/uptime) - begin)) s"
	done
fi
[ -z "$bad" ] || echo "urt-kernel: failed:$bad"
echo "urt-kernel: exit $failed"
poweroff -f
