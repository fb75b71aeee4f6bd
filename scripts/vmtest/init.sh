#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
#
# The first and only process of the virtual machine: mounts what a recorder looks at, runs the doctor and the tests that
# /vm/filter names, and sends what they left in /out as a tar over the second serial line, with `zz-done` as its last
# file: a machine that hangs or panics does not send that. scripts/vmtest.sh puts the build folder for KF_BUILD.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/scratch TMPDIR=/scratch CI=true # what is tested may lie in /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /dev/shm
for directory in /scratch /run /out /dev/shm; do mount -t tmpfs tmpfs $directory; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo '+cpu +memory' >/sys/fs/cgroup/cgroup.subtree_control
ip link set lo up

uname -r >/out/release
KF_BUILD/kflight doctor --json >/out/doctor.json 2>/out/doctor.err
mkdir /out/dumps
KFLIGHT_TEST_KEEP=/out/dumps KFLIGHT_TEST_EMULATED=1 KF_BUILD/tests/integration/integration --gtest_color=no \
  --gtest_filter="$(cat /vm/filter)" --gtest_output=json:/out/tests.json >/out/tests.log 2>&1
dmesg >/out/dmesg
touch /out/zz-done

stty -F /dev/ttyS1 raw -echo
cd /out && tar -c -- * >/dev/ttyS1
poweroff -f
