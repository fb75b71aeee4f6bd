/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_format.h - the frame of a .kfr file: header, sections, trailer. docs/dump-format.md explains it with an example.
 *
 *   file    := header section* trailer
 *   section := section header, payload (padded with zeros to 8 bytes)
 *
 * Everything is little endian and 8-byte aligned. A file is complete if and only if a valid trailer ends it; without one
 * a reader walks the sections from the front and keeps all whose checksums hold. A resolution section may be appended
 * later, followed by a new index and trailer; the last trailer counts.
 */
#ifndef KFLIGHT_DUMP_FORMAT_H
#define KFLIGHT_DUMP_FORMAT_H

#include "kflight/wire.h"

#define KF_DUMP_MAGIC 0x0a31524b544c464bULL    /* "KFLTKR1\n" read as little endian */
#define KF_SECTION_MAGIC 0x5343464bU           /* "KFCS" */
#define KF_TRAILER_MAGIC 0x0a444e45544c464bULL /* "KFLTEND\n" */
#define KF_DUMP_VERSION_MAJOR 1 /* a reader refuses a larger one */
#define KF_DUMP_VERSION_MINOR 1 /* additions that an older reader may skip */

struct kf_dump_header {
  kf_u64 magic;
  kf_u16 version_major;
  kf_u16 version_minor;
  kf_u16 wire_version; /* KF_WIRE_VERSION of the chunks */
  kf_u16 header_bytes; /* offset of the first section */
  kf_u64 created_ns;   /* CLOCK_REALTIME */
  kf_u64 checksum;     /* XXH64 of the fields above */
};
KF_ASSERT_SIZE(struct kf_dump_header, 32);

/* Section kinds. Append only; a reader skips kinds it does not know. */
#define KF_SEC_SCHEMA 1      /* JSON: every event kind and field, for readers without this header */
#define KF_SEC_META 2        /* JSON: host, clocks, configuration, cause, window, losses, own cost */
#define KF_SEC_TASKS 3       /* kf_task[]: every thread at the dump */
#define KF_SEC_BASE_TASKS 4  /* kf_base_task[]: last facts of each thread before the window */
#define KF_SEC_BASE_LANES 5  /* kf_base_lane[]: where each CPU's part of the window begins */
#define KF_SEC_CHUNKS 6      /* kf_chunk + words, repeated; several sections of at most about 1 MiB, in arrival order */
#define KF_SEC_STACKS 7      /* kf_stack + words, repeated: every stack that an event of the window names */
#define KF_SEC_MAPPINGS 8    /* kf_mapping[]: where code lies in the processes of user stacks */
#define KF_SEC_INFLIGHT 9    /* kf_open_call[]: calls of the target in flight at the dump */
#define KF_SEC_RESOLUTION 10 /* kf_ctl[]: how calls that were in flight ended */
#define KF_SEC_INDEX 11      /* kf_index_entry[], the index itself left out */
#define KF_SEC_TABLE_LOSSES 12 /* kf_loss[]: losses known by other means than chunk numbers */
#define KF_SEC_FILES 13        /* kf_file + text, repeated: what is mapped */
#define KF_SEC_KERNEL_SYMBOLS 14 /* kf_symbol + text, repeated: those that kernel stacks and WORK events need */
#define KF_SEC_VDSO 15         /* the code that the kernel maps into every process, as it lies in memory: an ELF file */
#define KF_SEC_BASE_STACKS 16  /* kf_base_stack[]: of threads that blocked before the window */
#define KF_SEC_FD_LINKS 17     /* kf_fd_link + text, repeated: what descriptors of the target's blocked calls were */

/* kf_section.flags */
#define KF_SECTION_ZSTD 1u

struct kf_section {
  kf_u32 magic;
  kf_u16 kind;
  kf_u16 version;         /* of the payload's layout, 1 unless said otherwise */
  kf_u32 flags;
  kf_u32 reserved;
  kf_u64 stored_bytes;    /* payload in the file, padding not counted */
  kf_u64 raw_bytes;       /* payload after decompression */
  kf_u64 checksum;        /* XXH64 of the stored payload */
  kf_u64 header_checksum; /* XXH64 of the fields above */
};
KF_ASSERT_SIZE(struct kf_section, 48);

struct kf_index_entry {
  kf_u64 offset; /* of the section header, from the start of the file */
  kf_u64 stored_bytes;
  kf_u16 kind;
  kf_u16 reserved[3];
};
KF_ASSERT_SIZE(struct kf_index_entry, 24);

struct kf_trailer {
  kf_u64 magic;
  kf_u64 index_offset; /* of the INDEX section's header */
  kf_u64 file_bytes;   /* size of the file up to and including this trailer */
  kf_u64 checksum;     /* XXH64 of the fields above */
};
KF_ASSERT_SIZE(struct kf_trailer, 32);

/* ------------------------------------------------------------------ base state
 * When chunks leave the window, only the last facts about each thread are kept: its last switch-in, its last
 * switch-out, the last waking by somebody else, the last placement. Replayed in time order with the window's events
 * through the ordinary state machine they give the thread's state at the window's first instant, so there is one state
 * machine, not two. (The last waking suffices: a thread is woken a second time only after it has run, so of two wakings
 * the earlier one no longer matters.) A time of 0 means: no such fact. */

/* kf_base_task.known */
#define KF_BASE_SNAPSHOT 1u  /* task holds a snapshot (at start, or of a thread first seen at the dump) */
#define KF_BASE_IDENTITY 2u  /* tgid, start_ns, comm are known */
#define KF_BASE_EXITED 4u    /* it switched out dead */
#define KF_BASE_GROUP_DEAD 8u

struct kf_base_task {
  kf_u32 tid;
  kf_u32 tgid;
  kf_u32 parent_tid;         /* forking thread, 0 when not seen */
  kf_u32 known;              /* KF_BASE_* */
  kf_u64 start_ns;           /* start_boottime */
  kf_u64 cgroup_id;
  kf_u64 fork_ns;            /* time of its fork event */
  kf_u64 in_ns;              /* last switch-in */
  kf_u64 out_ns;             /* last switch-out */
  kf_u64 waking_ns;          /* last waking, see above */
  kf_u64 wakeup_ns;          /* last enqueue or migration */
  kf_u64 call_enter_ns;      /* sys_enter of the call in flight, 0 when unknown */
  kf_u64 last_event_ns;      /* any event of this thread */
  kf_u64 snapshot_ns;        /* when the fields of a snapshot were read */
  kf_u16 in_cpu;
  kf_u16 out_cpu;
  kf_u16 waking_cpu;         /* CPU of the waker; waking_ns 0: of who forked it at fork_ns */
  kf_u16 wakeup_cpu;         /* queue it was put on */
  kf_u32 waker_tid;
  kf_u8 waking_ctx;          /* KF_CTX_* */
  kf_u8 waking_cause;        /* KF_CAUSE_* */
  kf_u16 waker_nr;           /* waker's syscall, KF_WAKER_NO_SYS */
  kf_u32 cause_detail;
  kf_u8 out_state;           /* KF_ST_*; of a snapshot too */
  kf_u8 out_flags;           /* 1 preempt, 2 iowait, 4 throttled, 8 sys holds the call it is in, 16 on cpu (snapshot) */
  kf_u8 out_nsw;             /* sequence at the last switch-out */
  kf_u8 prio;
  kf_u64 cause_args[2];
  struct kf_sys sys;
  kf_u64 switch_outs;        /* switch-outs folded so far */
  char comm[KF_COMM_BYTES];
};
KF_ASSERT_SIZE(struct kf_base_task, 200);

struct kf_base_lane {
  kf_u16 lane;
  kf_u16 known;           /* 1: at least one chunk of this lane was evicted */
  kf_u32 cur_tid;         /* task on the CPU at through_ns */
  kf_u64 through_ns;      /* last event evicted; the window has this lane from here on */
  kf_u32 next_seq;        /* number of the next chunk */
  kf_u32 reserved;
  kf_u64 events_through;  /* events_before of the next chunk when nothing is lost */
  kf_u64 nested_through;
};
KF_ASSERT_SIZE(struct kf_base_lane, 40);

struct kf_open_call {
  kf_u32 tid;
  kf_u32 tgid;
  kf_u32 nr;
  kf_u32 abi;
  kf_u64 enter_ns; /* 0 when only a lower bound is known */
  kf_u64 since_ns; /* it was in the call at this time at the latest */
  kf_u64 args[6];
  char comm[KF_COMM_BYTES];
};
KF_ASSERT_SIZE(struct kf_open_call, 96);

/* ------------------------------------------------------------------ stacks: what their addresses mean
 * Records with text: a fixed part, then the text's bytes, padded with zeros to 8 bytes. */

/* Executable memory of a process, as /proc/PID/maps had it. */
struct kf_mapping {
  kf_u32 tgid;
  kf_u32 file;      /* kf_file.number */
  kf_u64 begin;     /* addresses [begin, end) ... */
  kf_u64 end;
  kf_u64 offset;    /* ... are the file's bytes from here on */
  kf_u64 from_ns;   /* first seen; it may have been there before */
  kf_u64 until_ns;  /* first seen to be gone; 0: it was there the last time somebody looked */
};
KF_ASSERT_SIZE(struct kf_mapping, 48);

#define KF_BUILD_ID_BYTES 32
/* Text: the path, as the process saw it; "[vdso]" for the code the kernel maps. */
struct kf_file {
  kf_u32 number;
  kf_u16 path_bytes;
  kf_u16 build_id_bytes;  /* 0: the file has none, or it could not be read */
  kf_u8 build_id[KF_BUILD_ID_BYTES];
};
KF_ASSERT_SIZE(struct kf_file, 40);

/* Text: the name, then the module's name (empty: the kernel itself). */
struct kf_symbol {
  kf_u64 begin;  /* [begin, end) is this function */
  kf_u64 end;
  kf_u16 name_bytes;
  kf_u16 module_bytes;
  kf_u32 reserved;
};
KF_ASSERT_SIZE(struct kf_symbol, 24);

/* The stacks of a thread's last switch-out before the window. */
struct kf_base_stack {
  kf_u32 tid;
  kf_u32 reserved;
  kf_u64 out_ns;  /* the time of that switch-out */
  kf_u64 kernel;  /* kf_stack.id; 0: none */
  kf_u64 user;
};
KF_ASSERT_SIZE(struct kf_base_stack, 32);

/* What a file descriptor of a process was when the recorder looked. Text: as /proc/PID/fd has it, "pipe:[4711]",
 * "anon_inode:[eventfd]", "/var/log/x". */
struct kf_fd_link {
  kf_u32 tgid;
  kf_u32 fd;
  kf_u64 seen_ns;
  kf_u32 text_bytes;
  kf_u32 reserved;
};
KF_ASSERT_SIZE(struct kf_fd_link, 24);

/* kf_loss.kind. Append only. */
#define KF_LOSS_RECURSION 1 /* the kernel skipped a program because it was already running on that CPU */
#define KF_LOSS_WINDOW 2    /* the recorder had no room: a dump held the whole arena */
#define KF_LOSS_CONTROL 3   /* control records */
#define KF_LOSS_INFLIGHT 4  /* no room for the start of a call: its duration is unknown */
#define KF_LOSS_ITER 5      /* a thread was missed by a snapshot */
#define KF_LOSS_STACK 6     /* no room for a stack: events name it, or say that they lost it; with a lane: samples */
#define KF_LOSS_CAPPED 7    /* block and signal events beyond what a CPU may write; no others are missing */
#define KF_LOSS_UNFLUSHED 8 /* what a CPU had not handed over (the recorder died, or it did not answer); count 0 */
#define KF_LOSS_EVICTED 9 /* the recorder died: left the window after the facts about threads had been saved last */
#define KF_LOSS_OFFLINE 10 /* the last a CPU did before it was offline, and what it had not handed over; count 0 */
#define KF_LOSS_ONLINE 11  /* the first it did on its way back; count 0 */

struct kf_loss {
  kf_u32 kind;
  kf_u32 lane;    /* 0xffffffff: not known */
  kf_u64 from_ns; /* between these two times */
  kf_u64 to_ns;
  kf_u64 count;   /* 0: not known */
};
KF_INLINE int kf_hides_events(const struct kf_loss *loss) { /* scheduling events and calls, of its lane */
  switch (loss->kind) {
    case KF_LOSS_RECURSION:
    case KF_LOSS_WINDOW:
    case KF_LOSS_UNFLUSHED:
    case KF_LOSS_EVICTED:
    case KF_LOSS_OFFLINE:
    case KF_LOSS_ONLINE:
      return 1;
    default:
      return 0;
  }
}
KF_ASSERT_SIZE(struct kf_loss, 32);

#endif
