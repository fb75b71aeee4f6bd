// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* cause.bpf.c - notes what each CPU is doing in interrupt context, so that a waking can say why it happened: a timer, a
 * disk, the network, another CPU. No event of their own; a few stores per interrupt.
 *
 * A note lies at the level that runs: hard interrupt or softirq. x86 has tracepoints for the vectors that pass no
 * irq_handler_entry; elsewhere those wakings have no cause, which is said, not guessed. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "handoff.bpf.h"

#define NET_RX_SOFTIRQ 3
#define TIMER_SOFTIRQ 1
#define IFF_LOOPBACK 8
#define IFF_EBRIDGE 2 /* of priv_flags */

#define SLEEP_TOO KF_TIMER_CLASSES /* process_timeout */
#define QUOTA_SLACK (KF_TIMER_CLASSES + 1)

static __always_inline void note(u32 level, u32 kind, u32 detail) {
  struct cause_register *r = this_causes();
  if (!r) return;
  struct cause *c = &r->level[level & 1];
  c->words = 0;
  c->args[1] = 0;
  c->detail = detail;
  if (level == LEVEL_SOFT && config.softirqs_are_threads) c->tid = (u32)bpf_get_current_pid_tgid();
  c->kind = kind;
}

static __always_inline u32 timer_class(u64 function) {
  for (u32 i = 1; i < KF_TIMER_CLASSES; i++)
    if (config.timer_functions[i] && function == config.timer_functions[i]) return i;
  if (function && function == config.timer_functions[SLEEP_TOO]) return KF_TIMER_SLEEP;
  if (function && function == config.timer_functions[QUOTA_SLACK]) return KF_TIMER_QUOTA;
  return KF_TIMER_OTHER;
}

/* A hard interrupt within a softirq is part of that one's time. */
static __always_inline void hard_begins(void) {
  struct cause_register *r = this_causes();
  if (r && !r->level[LEVEL_SOFT].kind) r->taken.began_ns = bpf_ktime_get_boot_ns();
}

/* Softirqs run on the way back from an interrupt, or when a task enables them again, which has just raised them itself: a
 * sender's over loopback are its own work. There the kernel keeps preemption off (__local_bh_enable_ip), so that the low
 * byte of the preempt count is higher by one than on the way back. When code was interrupted that must not be preempted,
 * the idle loop for one, it is higher, too; such softirqs are left out. What a tracepoint itself adds, on some kernels, is
 * the lowest of what ticks have shown that hit a task: TICKS_SEEN of them, before which no softirq is timed, as some hit code
 * that must not be preempted. With PREEMPT_RT softirqs are threads'. */
#define TICKS_SEEN 16
static __always_inline bool read_level(u32 *level) {
  struct batch *b = this_batch();
  u32 count;
  if (!b || !read_preempt_count(b, &count)) return false;
  *level = count & 0xff;
  return true;
}
static __always_inline void learn_level(void) {
  struct cause_register *r = this_causes();
  u32 level;
  if (!r || !field(current_task(), pid) || !read_level(&level)) return;
  if (!r->taken.ticks || level < r->taken.lowest) r->taken.lowest = level;
  if (r->taken.ticks < TICKS_SEEN) r->taken.ticks++;
}
static __always_inline void soft_begins(void) {
  struct cause_register *r = this_causes();
  u32 level;
  if (!r || r->taken.ticks < TICKS_SEEN || config.softirqs_are_threads || !read_level(&level)) return;
  if (level <= r->taken.lowest) r->taken.began_ns = bpf_ktime_get_boot_ns();
}

static __noinline int tell_taken(struct taken *t) {
  struct slot s;
  if (config.scope_target && !is_target(field(current_task(), tgid))) return 0;
  if (!kf_begin(&s, t->tid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_INTERRUPTS, KF_INTERRUPTS_WORDS, s.dt, t->longest);
  s.out[1] = s.now > t->first_ns ? s.now - t->first_ns : 0;
  s.out[2] = (t->spent_ns & ((1ULL << KF_INTERRUPTS_SPENT_BITS) - 1)) | (u64)t->count << KF_INTERRUPTS_SPENT_BITS;
  kf_end(&s, KF_INTERRUPTS_WORDS);
  return 0;
}

/* Short ones are added up as long as they hit the same turn of the same task, and then told of as one. */
static __noinline int taken_ends(u32 what) {
  struct cause_register *r = this_causes();
  if (!r || !r->taken.began_ns || r->level[LEVEL_SOFT].kind) return 0;
  struct taken *t = &r->taken;
  struct task_struct *task = current_task();
  u32 tid = field(task, pid), turn = (u32)(field(task, nvcsw) + field(task, nivcsw));
  u64 spent_ns = bpf_ktime_get_boot_ns() - t->began_ns;
  if (!t->count || t->tid != tid || t->turn != turn) {
    t->tid = tid;
    t->turn = turn;
    t->first_ns = t->began_ns;
    t->spent_ns = t->longest_ns = t->count = 0;
  }
  t->began_ns = 0;
  t->spent_ns += spent_ns;
  t->count++;
  if (spent_ns >= t->longest_ns) {
    t->longest_ns = spent_ns;
    t->longest = what;
  }
  if (t->spent_ns < KF_INTERRUPTS_TOLD_NS) return 0;
  tell_taken(t);
  t->count = 0;
  return 0;
}

static __always_inline u32 what_took(u32 kind, u32 detail) { return kind | (detail & 0xffff) << 4; }

SEC("tp_btf/irq_handler_entry")
int kf_irq_entry(u64 *ctx) {
  hard_begins();
  note(LEVEL_HARD, KF_CAUSE_IRQ, (u32)ctx[0]);
  return 0;
}
SEC("tp_btf/irq_handler_exit")
int kf_irq_exit(u64 *ctx) {
  note(LEVEL_HARD, KF_CAUSE_NONE, 0);
  return taken_ends(what_took(KF_CAUSE_IRQ, (u32)ctx[0]));
}

SEC("tp_btf/softirq_entry")
int kf_softirq_entry(u64 *ctx) {
  u32 vector = (u32)ctx[0];
  soft_begins();
  if (vector == NET_RX_SOFTIRQ) note(LEVEL_SOFT, KF_CAUSE_NET_RX, KF_NET_UNKNOWN);
  else note(LEVEL_SOFT, KF_CAUSE_SOFTIRQ, vector);
  return 0;
}
SEC("tp_btf/softirq_exit")
int kf_softirq_exit(u64 *ctx) {
  note(LEVEL_SOFT, KF_CAUSE_NONE, 0);
  return taken_ends(what_took(KF_CAUSE_SOFTIRQ, (u32)ctx[0]));
}

SEC("tp_btf/hrtimer_expire_entry")
int kf_hrtimer_entry(u64 *ctx) {
  struct hrtimer *timer = (struct hrtimer *)ctx[0];
  struct cause_register *r = this_causes();
  if (!r) return 0;
  struct cause *c = running(r);
  bool alone = !c; /* a vector without a tracepoint of its own */
  if (!c) c = &r->level[LEVEL_HARD];
  c->args[0] = timer->_softexpires;
  c->args[1] = alone; /* not told */
  c->words = 1;
  c->detail = timer_class((u64)timer->function) | ((u32)timer->base->clockid & 15) << 4;
  c->kind = KF_CAUSE_HRTIMER;
  return 0;
}
/* The timer of a group's CPU quota has run: whoever was throttled may be runnable again, and no other tracepoint says so. */
static __noinline int put_refill(struct hrtimer *timer) {
  u64 of_timer = bpf_core_field_offset(((struct cfs_bandwidth *)NULL)->period_timer);
  if ((u64)timer->function == config.timer_functions[QUOTA_SLACK])
    of_timer = bpf_core_field_offset(((struct cfs_bandwidth *)NULL)->slack_timer);
  u64 bandwidth = (u64)timer - of_timer;
  u64 waiting = bandwidth + bpf_core_field_offset(((struct cfs_bandwidth *)NULL)->throttled_cfs_rq), first = 0;
  bpf_probe_read_kernel(&first, sizeof(first), (void *)waiting); /* list_head.next: back to itself when it is empty */
  struct slot s;
  if (!kf_begin(&s, field(current_task(), pid))) return 0;
  s.out[0] = kf_word_generic(KF_GEN_REFILL, KF_REFILL_WORDS, s.dt, first != waiting);
  s.out[1] = bandwidth - bpf_core_field_offset(((struct task_group *)NULL)->cfs_bandwidth);
  kf_end(&s, KF_REFILL_WORDS);
  return 0;
}

SEC("tp_btf/hrtimer_expire_exit")
int kf_hrtimer_exit(u64 *ctx) {
  struct cause_register *r = this_causes();
  if (!r) return 0;
  struct cause *c = running(r);
  if (!c || c->kind != KF_CAUSE_HRTIMER) return 0;
  if ((c->detail & 15) == KF_TIMER_QUOTA && bpf_core_field_exists(((struct task_group *)NULL)->cfs_bandwidth))
    put_refill((struct hrtimer *)ctx[0]);
  u32 before = c == &r->level[LEVEL_HARD] ? KF_CAUSE_IPI : KF_CAUSE_SOFTIRQ;
  c->words = 0;
  c->detail = KF_IPI_LOCAL_TIMER;
  c->kind = c->args[1] ? KF_CAUSE_NONE : before;
  return 0;
}

SEC("tp_btf/timer_expire_entry")
int kf_timer_entry(u64 *ctx) {
  struct timer_list *timer = (struct timer_list *)ctx[0];
  note(LEVEL_SOFT, KF_CAUSE_TIMER, timer_class((u64)timer->function));
  return 0;
}
SEC("tp_btf/timer_expire_exit")
int kf_timer_exit(u64 *ctx) {
  note(LEVEL_SOFT, KF_CAUSE_SOFTIRQ, TIMER_SOFTIRQ);
  return 0;
}

/* Who sent the packets that this machine is about to receive from itself, over loopback or a pair of veth devices; by the
 * packet's address, which is the same on both ends. Of two packets with one place the older one's sender is not known. */
#define SENT_PACKETS 1024
struct sent_packet {
  u64 packet; /* 0: nothing here */
  u64 device; /* that receives it: a network card's packet may have the address of one that was thrown away */
  u32 sender;
  u32 reserved;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SENT_PACKETS);
  __type(key, u32);
  __type(value, struct sent_packet);
} sent_packets SEC(".maps");

static __always_inline struct sent_packet *sent_packet_of(u64 packet) {
  u64 number = as_number(packet);
  u32 index = (number >> 8 ^ number >> 18) & (SENT_PACKETS - 1);
  return bpf_map_lookup_elem(&sent_packets, &index);
}

/* The sender's own call; or the softirq in which a bridge passes the packet on that it has just received. */
static __always_inline u32 sender_of(struct batch *b, struct sk_buff *packet) {
  u32 context = waker_context(b);
  if (context == KF_CTX_TASK) return field(this_task(&b->run_queue), pid);
  struct cause_register *r = this_causes();
  if (context != KF_CTX_SOFTIRQ || !r) return 0;
  struct cause *c = &r->level[LEVEL_SOFT];
  return c->kind == KF_CAUSE_NET_RX && c->args[1] == (u64)packet ? (u32)c->args[0] : 0;
}

SEC("tp_btf/netif_rx")
int kf_send_local(u64 *ctx) {
  struct sk_buff *packet = (struct sk_buff *)ctx[0];
  struct sent_packet *sent = sent_packet_of((u64)packet);
  struct batch *b = this_batch();
  if (!sent || !b) return 0;
  sent->packet = 0; /* whoever reads meanwhile finds nothing, not halves */
  u32 sender = sender_of(b, packet);
  if (!sender) return 0;
  barrier();
  sent->device = (u64)packet->dev;
  sent->sender = sender;
  barrier();
  sent->packet = (u64)packet;
  return 0;
}

/* A device without a parent is none of wires: whatever comes from it may have been sent here, and was not seen. */
static __always_inline u32 unseen_sender(struct net_device *device) {
  if (device->flags & IFF_LOOPBACK) return KF_NET_LOOPBACK;
  return device->dev.parent ? KF_NET_REMOTE : KF_NET_UNKNOWN;
}

/* Whoever is woken next is woken by this packet. A bridge that keeps one for this machine receives it once more, at once, as
 * its own device. sk_data_ready would name the socket, but comes with every message between local sockets, too, and not
 * before 6.3. */
SEC("tp_btf/netif_receive_skb")
int kf_receive(u64 *ctx) {
  struct sk_buff *packet = (struct sk_buff *)ctx[0];
  struct net_device *device = packet->dev;
  struct cause_register *r = this_causes();
  struct batch *b = this_batch();
  struct cause *c = r ? running(r) : NULL;
  if (!c || !b || c->kind != KF_CAUSE_NET_RX) return 0;
  if (c->args[1] == (u64)packet && BPF_CORE_READ_BITFIELD(device, priv_flags) & IFF_EBRIDGE) return 0;
  u32 detail = unseen_sender(device), sender = 0;
  struct sent_packet *sent = sent_packet_of((u64)packet);
  if (sent && sent->packet == (u64)packet && sent->device == (u64)device) {
    sender = sent->sender;
    sent->packet = 0;
    detail = sender == (u32)field(this_task(&b->run_queue), pid) ? KF_NET_OWN : KF_NET_SENDER;
  }
  c->args[0] = sender;
  /* For sender_of(), not told. Any other packet that this softirq sends may have the address of one that is gone. */
  c->args[1] = device->rx_handler ? (u64)packet : 0;
  c->words = detail == KF_NET_SENDER;
  c->detail = detail;
  return 0;
}

/* The local timer and interrupts between CPUs: x86 only. The latter are short and as frequent as wakings of threads on other
 * CPUs, so their time is not taken. */
SEC("tp_btf/local_timer_entry")
int kf_local_timer_entry(u64 *ctx) {
  learn_level();
  hard_begins();
  note(LEVEL_HARD, KF_CAUSE_IPI, KF_IPI_LOCAL_TIMER);
  return 0;
}
SEC("tp_btf/local_timer_exit")
int kf_local_timer_exit(u64 *ctx) {
  note(LEVEL_HARD, KF_CAUSE_NONE, 0);
  return taken_ends(what_took(KF_CAUSE_IPI, KF_IPI_LOCAL_TIMER));
}
#define VECTOR(name, detail)                     \
  SEC("tp_btf/" #name "_entry")                  \
  int kf_##name##_entry(u64 *ctx) {              \
    note(LEVEL_HARD, KF_CAUSE_IPI, detail);      \
    return 0;                                    \
  }                                              \
  SEC("tp_btf/" #name "_exit")                   \
  int kf_##name##_exit(u64 *ctx) {               \
    note(LEVEL_HARD, KF_CAUSE_NONE, 0);          \
    return 0;                                    \
  }
VECTOR(reschedule, KF_IPI_RESCHEDULE)
VECTOR(call_function, KF_IPI_CALL)
VECTOR(call_function_single, KF_IPI_CALL)
VECTOR(irq_work, KF_IPI_IRQ_WORK)
