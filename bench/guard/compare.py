#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what bench/guard.sh counted against bench/guard/baseline.json.

usage: compare.py [--update] FOLDER GROUP=TOOLS...

FOLDER has what the counting left. GROUP is userspace or bpf, TOOLS what counted it: a group that other tools counted
is shown and not held against the baseline, and a line says so."""
import json
import pathlib
import re
import sys

BASELINE = pathlib.Path(__file__).with_name("baseline.json")
MOST_GROWTH = 1.10
FEW = 5  # instructions that a short program may grow by


def hot_paths(folder):
    """Instructions per unit, by path."""
    counts = {}
    for number, line in enumerate((folder / "paths").read_text().splitlines(), 1):
        name, units, unit = line.split()
        part = (folder / f"counts.{number}").read_text()
        total = int(re.search(r"^totals: (\d+)", part, re.M).group(1))
        counts[name] = {f"per {unit}": round(total / int(units), 1)}
    return counts


def compare(group, before, now):
    """Prints a table; returns what has grown too much or is gone."""
    grown = []
    columns = list(dict.fromkeys(column for row in now.values() for column in row))
    width = max(map(len, now))
    print(f"\n{group:<{width}}" + "".join(f"{column:>24}" for column in columns))
    for name, row in sorted(now.items()):
        cells = []
        for column in columns:
            if column not in row:
                cells.append("")
                continue
            value, old = row[column], before.get(name, {}).get(column)
            change = "new" if old is None else "" if old == value else f"{(value / old - 1) * 100:+.1f} %" if old else "grown"
            cells.append(f"{value:,} {change:>8}")
            if old is not None and value > max(old * MOST_GROWTH, old + (FEW if group == "bpf" else 0)):
                grown.append(f"{group}: {name}, {column}: {old:,} -> {value:,}")
        print(f"{name:<{width}}" + "".join(f"{cell:>24}" for cell in cells))
    gone = sorted(set(before) - set(now))
    return grown + [f"{group}: {name} is in the baseline but was not counted" for name in gone]


def main(arguments):
    update = "--update" in arguments
    folder, *tools = [argument for argument in arguments if argument != "--update"]
    tools = dict(text.split("=", 1) for text in tools)
    folder = pathlib.Path(folder)
    now = {"userspace": hot_paths(folder)}
    programs = folder / "programs.json"
    if programs.exists():
        now["bpf"] = json.loads(programs.read_text())
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}

    wrong = []
    for group, counts in now.items():
        before = baseline.get(group, {"tools": None, "counts": {}})
        grown = compare(group, before["counts"], counts)
        if before["tools"] == tools[group]:
            wrong += grown
            continue
        note = f"{group}: counted by {tools[group]}; the baseline by {before['tools']}: not held against it"
        print(f"guard.sh: {note}", file=sys.stderr)
    if update:
        for group, counts in now.items():
            baseline[group] = {"tools": tools[group], "counts": counts}
        BASELINE.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n")
        print(f"\nguard.sh: {BASELINE} has these numbers now", file=sys.stderr)
        return 0
    if not wrong:
        return 0
    print("\nguard.sh: more than 10 % above the baseline, or not comparable with it; if that is what the change is worth, "
          "say why in its message and run bench/guard.sh --update:", file=sys.stderr)
    for line in wrong:
        print(f"  {line}", file=sys.stderr)
    return 1


sys.exit(main(sys.argv[1:]))
