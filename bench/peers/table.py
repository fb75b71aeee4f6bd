# SPDX-License-Identifier: Apache-2.0
#
# table.py - the tables of bench/peers.sh, from lines of "workload recorder metric value" (tabs between).
#   table.py text|markdown|json VALUES COMMAND LOAD_BEFORE RECORDER,...
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys

RING_MIB = 64

ABOUT = {
    'pipe': 'two processes that wake each other over pipes, on one CPU',
    'getppid': 'one process that does nothing but getppid()',
    'messaging': 'perf bench sched messaging, 8 groups: 320 processes, both CPUs busy',
    'redis': 'redis-server with 50 clients of redis-benchmark',
    'threads': 'a server with a thread per request, 2,000 requests under way',
    'idle': 'nothing but the recorder, and what the machine does by itself',
}


def read(path):
    """{workload: {recorder: {metric: [value, ...]}}}"""
    values = {}
    with open(path) as file:
        for line in file:
            workload, recorder, metric, value = line.rstrip('\n').split('\t')
            metrics = values.setdefault(workload, {}).setdefault(recorder, {})
            metrics.setdefault(metric, []).append(value if metric == 'not_run' else float(value))
    return values


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ''
    return (done.stdout or done.stderr).strip().split('\n')[0]


def machine():
    with open('/proc/cpuinfo') as file:
        model = re.search(r'^model name\s*:\s*(.*)$', file.read(), re.MULTILINE)
    with open('/proc/meminfo') as file:
        memory_gib = int(file.readline().split()[1]) / 2**20
    with open('/proc/loadavg') as file:
        load_after = ' '.join(file.read().split()[:3])
    git = first_line('git', 'describe', '--always', '--dirty', '--exclude', '*')
    return {
        'command': sys.argv[3],
        'date': datetime.date.today().isoformat(),
        'machine': f'{os.cpu_count()} CPUs ({model[1] if model else "?"}), {memory_gib:.0f} GiB, '
                   f'Linux {platform.release()}' + (', virtual' if first_line('systemd-detect-virt') != 'none' else ''),
        'load average': f'{sys.argv[4]} before, {load_after} after (1, 5, 15 minutes)',
        'versions': ', '.join(filter(None, (
            f'kflight {git}', first_line('perf', '--version'), first_line('trace-cmd', '--version'),
            first_line('bpftrace', '--version'), first_line('strace', '--version')))),
    }


# ------------------------------------------------------------------ cells

def number(value):
    """Three digits that count, with k and M."""
    for unit, factor in (('M', 1e6), ('k', 1e3)):
        if value >= factor:
            return number(value / factor) + unit
    return f'{value:.0f}' if value >= 100 or value == int(value) else f'{value:.3g}'


def median(metrics, name):
    return statistics.median(metrics[name]) if name in metrics else None


def shown(value, text='{:.3g}'):
    return '-' if value is None else text.format(value)


def slowdown(metrics):
    ratios = metrics.get('slowdown')
    if not ratios:
        return '-'
    return f'{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})'


def per_event(metrics, name):
    """A size per event kept, in bytes."""
    return statistics.median(size / events for size, events in zip(metrics[name], metrics['events']))


def window_row(name, metrics):
    """Of a ring that was not full, what it would hold is told, with a tilde."""
    def with_events(name, text='{:.1f}'):
        return text.format(per_event(metrics, name)) if name in metrics and 'events' in metrics else '-'

    events = history = '-'
    if 'fill' in metrics and 'events' in metrics:
        full = statistics.median(metrics['fill']) >= 0.95
        about = '' if full else '~'
        events = about + number(statistics.median(e / min(f, 1) for e, f in zip(metrics['events'], metrics['fill'])))
        spans = [span / min(fill, 1) for span, fill in zip(metrics['span_s'], metrics['fill'])]
        history = about + f'{statistics.median(spans):.3g}'
    lost = metrics.get('lost')
    return [
        name, events, number(max(lost)) if lost else 'not told', history,
        with_events('bytes'), with_events('zstd_bytes'),
        shown(median(metrics, 'cpu_percent')), shown(median(metrics, 'dump_s'), '{:.2f}'),
        shown(median(metrics, 'answer_s'), '{:.2f}'), shown(median(metrics, 'answer_mib'), '{:.0f}'),
    ]


# ------------------------------------------------------------------ tables

def cost_table(values, recorders, not_run):
    loads = [w for w in values if any('slowdown' in m for m in values[w].values())]
    rows = [['', *loads]]
    untraced = ['untraced, us per operation']
    for load in loads:
        times = [t for metrics in values[load].values() for t in metrics.get('untraced_ns', [])]
        untraced.append(f'{statistics.median(times) / 1e3:.3g} ({min(times) / 1e3:.3g}..{max(times) / 1e3:.3g})')
    rows.append(untraced)
    for name in recorders:
        rows.append([name, *(slowdown(values[load].get(name, {})) for load in loads)])
    rows += [[name, f'not run: {why}'] for name, why in not_run.items()]
    return 'How many times as long a program takes: median of the rounds (least..most)', rows


def window_table(load, of_load, recorders):
    head = ['', f'events in {RING_MIB} MiB', 'lost', 'history, s', 'bytes/event', 'on disk, zstd', 'recorder CPU, %',
            'dump, s', 'answer, s', 'answer, MiB']
    rows = [window_row(name, of_load[name]) for name in recorders if 'cpu_percent' in of_load.get(name, {})]
    return f'{load}: {ABOUT.get(load, "")}', [head, *rows]


def print_text(title, rows):
    columns = max(map(len, rows))
    # What is in the first columns of a short row does not count: it is a remark.
    widths = [max(len(row[c]) for row in rows if len(row) == columns) for c in range(columns)]
    print(f'\n{title}')
    for row in rows:
        print('  '.join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))]).rstrip())


def print_markdown(title, rows):
    print(f'\n{title}\n')
    for i, row in enumerate(rows):
        print(f'| {" | ".join(row + [""] * (len(rows[0]) - len(row)))} |')
        if i == 0:
            print('|---' + '|--:' * (len(row) - 1) + '|')


def main():
    style, path = sys.argv[1:3]
    values = read(path)
    not_run = {name: metrics['not_run'][-1] for name, metrics in values.pop('all', {}).items()}
    about = machine()
    if style == 'json':
        print(json.dumps({**about, 'not_run': not_run, 'values': values}, indent=1))
        return
    measured = [name for of_load in values.values() for name in of_load]
    recorders = [name for name in dict.fromkeys([*sys.argv[5].split(','), *measured]) if name in measured]
    tables = [cost_table(values, recorders, not_run)]
    tables += [window_table(load, of_load, recorders) for load, of_load in values.items()]
    for name, value in about.items():
        print(f'- {name}: {value}' if style == 'markdown' else f'{name:<14}{value}')
    for title, rows in tables:
        if len(rows) > 1:
            (print_markdown if style == 'markdown' else print_text)(title, rows)


main()
