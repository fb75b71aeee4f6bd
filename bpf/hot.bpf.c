// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hot.bpf.c - the programs that run with every switch, waking, system call and interrupt, as one object: they read kernel
 * memory without helper calls, and only one object can (see KF_FAST_READS). */
#define KF_FAST_READS
#include "lock.bpf.c"
#include "sched.bpf.c"
#include "lives.bpf.c"
#include "syscall.bpf.c"
#include "cause.bpf.c"
#include "handoff.bpf.c"
