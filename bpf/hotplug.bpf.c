// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* hotplug.bpf.c - CPUs that go and come. The kernel calls no tracepoint on a CPU that is not online, so what one does in
 * the last steps of its way out is not seen, and its batch stays in its memory until it is back. Therefore the batch is
 * handed over while the CPU's own thread (cpuhp/N) still takes its parts down, and the recorder is told when the blind
 * time begins and ends: another CPU does these steps. */
#include "compat.bpf.h"
#include "core.bpf.h"

#define NEITHER 2

/* Both ways pass the same steps, so it takes the direction, too: `level` is below `step` on the way down. */
static __always_inline u32 way(s32 step, s32 level) {
  if (step == (s32)bpf_core_enum_value(enum cpuhp_state, CPUHP_TEARDOWN_CPU) && level < step) return KF_CPU_GOES;
  if (step == (s32)bpf_core_enum_value(enum cpuhp_state, CPUHP_BRINGUP_CPU) && level >= step) return KF_CPU_COMES;
  return NEITHER;
}

static __always_inline void tell_step(u32 cpu, u32 way, bool done, s32 error) {
  struct kf_ctl *r = control_reserve();
  if (!r) return;
  r->type = KF_CTL_CPU;
  r->nr = cpu;
  r->rules = way;
  r->exit_ns = bpf_ktime_get_boot_ns();
  r->args[0] = done;
  r->ret = error;
  bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void hand_over(void) {
  struct batch *b = this_batch();
  if (!b || b->busy) return;
  b->busy = 1;
  barrier();
  if (b->n) kf_send(b, KF_CHUNK_FLUSHED);
  barrier();
  b->busy = 0;
}

SEC("tp_btf/cpuhp_enter")
int kf_cpuhp_enter(u64 *ctx) {
  u32 way_taken = way((s32)ctx[2], (s32)ctx[1]); /* level: the state that is aimed at */
  if (way_taken != NEITHER) tell_step((u32)ctx[0], way_taken, false, 0);
  return 0;
}

SEC("tp_btf/cpuhp_exit")
int kf_cpuhp_exit(u64 *ctx) {
  u32 cpu = (u32)ctx[0];
  u32 way_taken = way((s32)ctx[2], (s32)ctx[1]); /* level: the state that it is in now */
  if (way_taken != NEITHER) tell_step(cpu, way_taken, true, (s32)ctx[3]);
  else if (cpu == bpf_get_smp_processor_id()) hand_over();
  return 0;
}
