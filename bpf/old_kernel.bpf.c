// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* old_kernel.bpf.c - the same programs for kernels before 5.12 (KF_OLD_KERNEL in compat.bpf.h), as one source. */
#define KF_OLD_KERNEL
#include "core.bpf.c"
#include "stack.bpf.c"
#include "lock.bpf.c"
#include "sched.bpf.c"
#include "lives.bpf.c"
#include "hotplug.bpf.c"
#include "syscall.bpf.c"
#include "cause.bpf.c"
#include "handoff.bpf.c"
#include "sample.bpf.c"
#include "task_iter.bpf.c"
