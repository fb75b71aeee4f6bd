// SPDX-License-Identifier: Apache-2.0
//
// perfetto.mjs - reads a trace with Perfetto's trace processor, for bench/peers.sh:
//
//     node perfetto.mjs PACKAGE_FOLDER TRACE facts     events, events lost, seconds that all CPUs' events reach back
//     node perfetto.mjs PACKAGE_FOLDER TRACE answer    the ten longest waits, a question one would begin with
import fs from 'node:fs';
import { TraceProcessor } from '../../tests/perfetto/trace_processor.mjs';

const [package_folder, path, wanted] = process.argv.slice(2);
const processor = await TraceProcessor.load(package_folder);
processor.parse(fs.readFileSync(path));

function facts() {
  const [all] = processor.query(`
    select sum(n) as events, max(last) - max(first) as span_ns
    from (select count(*) as n, min(ts) as first, max(ts) as last from raw group by cpu)`);
  // What the kernel's rings overwrote before it was read, and what got lost on the way into the buffer.
  const [lost] = processor.query(`
    select ifnull(sum(iif(name like '%_begin', -value, value)), 0) as n from stats
    where name glob 'ftrace_cpu_overrun_*' or name glob 'ftrace_cpu_commit_overrun_*'
      or name glob 'ftrace_cpu_dropped_events_*' or name = 'traced_buf_trace_writer_packet_loss'`);
  return `${all.events} ${lost.n} ${Number(all.span_ns) / 1e9}`;
}

function answer() {
  const waits = processor.query(`
    select thread.name, tid, state, dur from thread_state join thread using (utid)
    where state in ('S', 'D') order by dur desc limit 10`);
  return waits.map((w) => `${w.name} ${w.tid} ${w.state} ${Number(w.dur) / 1e6} ms`).join('\n');
}

console.log(wanted === 'facts' ? facts() : answer());
