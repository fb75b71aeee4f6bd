// SPDX-License-Identifier: Apache-2.0
//
// compare.mjs - what Perfetto's trace processor makes of an exported trace, against what kflight itself says:
//
//     node compare.mjs PACKAGE_FOLDER TRACE.perfetto-trace TRACE.jsonl [...]
//
// Both files are exports of the same dump. From the JSON lines follows what the SQL tables must hold: time per thread
// and state, time per CPU, who woke whom and when, system calls, the explanation. All must be equal to the nanosecond.
// Prints what was compared, or the first differences and fails.
import fs from 'node:fs';
import readline from 'node:readline';
import { TraceProcessor } from './trace_processor.mjs';

const FIRST_UNKNOWN_TID = 0x400000;  // stands for a thread that was not recorded

class Difference extends Error {}

// ------------------------------------------------------------------ what kflight says

// JSON numbers of 2^53 and more lose digits; times since boot stay below for 104 days.
function exact(text) {
  const value = JSON.parse(text);
  if (value.end_ns > Number.MAX_SAFE_INTEGER || value.ts_ns > Number.MAX_SAFE_INTEGER)
    throw new Difference('times too large for this script');
  return value;
}

async function read_lines(path) {
  const said = { threads: [], states: [], syscalls: [], explain: [], lost: false };
  for await (const text of readline.createInterface({ input: fs.createReadStream(path) })) {
    const line = exact(text);
    if (line.kind === 'dump') said.dump = line;
    if (line.kind === 'thread') said.threads[line.thread] = line;
    if (line.kind === 'state') said.states.push(line);
    if (line.kind === 'syscall') said.syscalls.push(line);
    if (line.kind === 'explain') said.explain.push(line);
    if (line.kind === 'loss') said.lost = true;
    if (line.kind === 'end') said.end = line;
  }
  if (!said.dump || !said.end) throw new Difference(`${path} is not whole`);
  return said;
}

const BLOCKED = { S: 'S', D: 'D', DK: 'D', L: 'D', I: 'I', P: 'P', W: 'S', '?': 'S' };
const LETTER = {
  running: () => 'Running',
  runnable: (s) => (s.detail === 'preempted' ? 'R+' : 'R'),
  throttled: () => 'R+',
  blocked: (s) => BLOCKED[s.detail],
  stopped: (s) => s.detail,
  exited: () => 'X',
  unknown: () => '?',
};

// A thread's states as Perfetto is to show them: a sleep whose waking came before it began lasts 1 ns.
function expected_states(said) {
  const rows = [];
  let last = null;
  for (const state of said.states) {
    const row = { thread: state.thread, tid: state.tid, state: LETTER[state.state](state), wake: state.wake,
                  begin: state.begin_ns, end: state.end_ns, cpu: state.cpu, why: state.detail };
    const same = last && last.thread === row.thread;
    const no_sleep = same && state.wake && last.begin === row.begin && row.begin + 1 < row.end;
    if (no_sleep) last.end = ++row.begin;
    rows.push(row);
    last = row;
    // An exec that took its leader's tid: to Perfetto another thread.
    const { former_tid, renamed_ns, tid } = said.threads[state.thread];
    if (former_tid !== 0 && row.begin < renamed_ns && renamed_ns < row.end) {
      last = { ...row, tid, begin: renamed_ns, wake: undefined };
      row.end = renamed_ns;
      rows.push(last);
    }
  }
  return rows.filter((row) => row.end > row.begin || row.state !== 'Running');
}

// ------------------------------------------------------------------ comparison

const sums = (rows, key, value) => {
  const out = new Map();
  for (const row of rows) {
    const k = key(row);
    out.set(k, (out.get(k) ?? 0) + value(row));
  }
  for (const [k, v] of out) if (v === 0) out.delete(k);
  return out;
};

function same(what, ours, theirs) {
  const differences = [];
  for (const [key, value] of ours)
    if (theirs.get(key) !== value) differences.push(`${key}: kflight ${value}, Perfetto ${theirs.get(key) ?? 'nothing'}`);
  for (const [key, value] of theirs)
    if (!ours.has(key)) differences.push(`${key}: kflight nothing, Perfetto ${value}`);
  if (differences.length)
    throw new Difference(`${what}: ${differences.length} of ${ours.size} differ\n  ${differences.slice(0, 5).join('\n  ')}`);
}

function no_errors(tp) {
  const wrong = tp.query("select name, value from stats where value > 0 and severity in ('error', 'data_loss')");
  if (wrong.length) throw new Difference(`stats: ${wrong.map((row) => `${row.name} = ${row.value}`).join(', ')}`);
}

function window(tp, said) {
  const [bounds] = tp.query('select start_ts, end_ts from trace_bounds');
  same('window', new Map([['begin', said.dump.window_begin_ns], ['end', said.dump.window_end_ns]]),
       new Map([['begin', Number(bounds.start_ts)], ['end', Number(bounds.end_ts)]]));
}

const NUMBER = (row) => Number(row.ns);

function cpu_time(tp, states) {
  const slices = tp.query(`select tid, cpu, iif(dur = -1, (select end_ts from trace_bounds) - ts, dur) as ns
                           from sched join thread using (utid) where tid != 0`);
  const running = states.filter((row) => row.state === 'Running');
  const known = slices.filter((row) => row.tid < FIRST_UNKNOWN_TID);
  const place = (row) => `thread ${row.tid} on CPU ${row.cpu}`;
  same('time on CPU', sums(running, place, (row) => row.end - row.begin), sums(known, place, NUMBER));
  const count = (rows, length) => new Map([['slices', rows.filter((row) => length(row) > 0).length]]);
  same('stays on a CPU', count(running, (row) => row.end - row.begin), count(known, NUMBER));
  return running.length;
}

function thread_states(tp, states, has_unknown) {
  // This version leaves the length of a wait open when the thread was woken but has not run again.
  const rows = tp.query(`select tid, state, iif(dur = -1, coalesce(next_ts, (select end_ts from trace_bounds)) - ts, dur) as ns
                         from (select *, lead(ts) over (partition by utid order by ts) as next_ts from thread_state)
                         join thread using (utid)`);
  const doubtful = has_unknown ? new Set(states.filter((row) => row.state === '?').map((row) => row.tid)) : new Set();
  const folded = (state) => (state === 'R+' ? 'R' : state);  // this version does not tell them apart
  const place = (row) => `thread ${row.tid} in ${folded(row.state)}`;
  const wanted = (row) => !doubtful.has(Number(row.tid)) && row.tid < FIRST_UNKNOWN_TID && row.tid != 0;
  // How long a thread has been dead is of no interest, and in this version it is born when it first runs.
  const ended = (row) => row.state === 'X' || row.why === 'new';
  same('time per state', sums(states.filter((row) => wanted(row) && !ended(row)), place, (row) => row.end - row.begin),
       sums(rows.filter((row) => wanted(row) && !ended(row)), place, NUMBER));
  return rows.length;
}

function wakers(tp, said, states) {
  const rows = tp.query(`select raw.ts, waker.tid as waker, args.int_value as wakee
                         from raw join thread as waker using (utid) join args using (arg_set_id)
                         where raw.name = 'sched_waking' and args.key = 'pid'`);
  const wakes = states.filter((row) => row.wake && row.why !== 'new' && row.begin > said.dump.window_begin_ns);
  const ours = sums(wakes.filter((row) => row.wake.context === 'task' && row.wake.waker_tid !== null),
                    (row) => `${row.begin}: ${row.wake.waker_tid} wakes ${row.tid}`, () => 1);
  const theirs = sums(rows, (row) => `${row.ts}: ${row.waker} wakes ${row.wakee}`, () => 1);
  for (const [key] of theirs) if (!ours.has(key)) theirs.delete(key);
  same('wakers', ours, theirs);  // of task context; an interrupt's is whoever it interrupted
  const at = (ts, tid) => `${ts}: ${tid} woken`;
  same('wakings', sums(wakes, (row) => at(row.begin, row.tid), () => 1), sums(rows, (row) => at(row.ts, row.wakee), () => 1));
  return wakes.length;
}

function calls(tp, said) {
  const from = said.dump.window_begin_ns, to = said.dump.window_end_ns;
  // This version hides write(2), which Android's tracing uses.
  const ours = said.syscalls.filter(
      (row) => row.abi === 0 && row.nr_name !== 'write' && row.enter_ns > from && row.ts_ns <= to);
  const rows = tp.query(`select tid, ts, dur, slice.name from slice join thread_track on track_id = thread_track.id
                         join thread using (utid)`);
  const key = (tid, ts, end) => `thread ${tid}, ${ts} to ${end}`;
  const theirs = new Set(rows.map((row) => key(row.tid, row.ts, row.ts + row.dur)));
  const missing = ours.map((row) => key(row.tid, row.enter_ns, row.ts_ns)).filter((k) => !theirs.has(k));
  if (missing.length) throw new Difference(`system calls: ${missing.length} of ${ours.length} are missing: ${missing[0]}`);
  return ours.length;
}

function explanation(tp, said) {
  const from = said.dump.window_begin_ns, to = said.dump.window_end_ns;
  const cut = (ns) => Math.min(Math.max(ns, from), to);
  const ours = sums(said.explain, (row) => `${row.what} from ${cut(row.begin_ns)}`,
                    (row) => cut(row.end_ns) - cut(row.begin_ns));
  const rows = tp.query(`select ts, dur as ns, slice.name, args.string_value as category
                         from slice join args using (arg_set_id) where args.key = 'debug.category'`);
  same('explanation', ours, sums(rows, (row) => `${row.name} from ${row.ts}`, NUMBER));
  return said.explain.length;
}

async function compare(folder, trace, lines) {
  const tp = await TraceProcessor.load(folder);
  tp.parse(fs.readFileSync(trace));
  const said = await read_lines(lines);
  const states = expected_states(said);
  no_errors(tp);
  window(tp, said);
  const has_unknown = states.some((row) => row.state === '?');
  const compared = [
    `${cpu_time(tp, states)} stays on a CPU`, `${thread_states(tp, states, has_unknown)} states`,
    `${wakers(tp, said, states)} wakings`, `${calls(tp, said)} calls`, `${explanation(tp, said)} explained spans`,
  ];
  return compared.join(', ');
}

const [folder, ...files] = process.argv.slice(2);
let failed = files.length === 0;
for (let i = 0; i < files.length; i += 2) {
  try {
    console.log(`${files[i]}: ${await compare(folder, files[i], files[i + 1])} agree`);
  } catch (error) {
    failed = true;
    console.log(`${files[i]}: ${error instanceof Difference ? error.message : error.stack}`);
  }
}
process.exit(failed ? 1 : 0);
