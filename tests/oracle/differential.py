#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares kflight's explanations with those of an independent reference model, leaf by leaf.

    KFLIGHT_ORACLE=.../explain_ref.py differential.py EXPORT_PROGRAM [simulated FIRST_SEED TRACES INTERVALS_PER_THREAD]
    KFLIGHT_ORACLE=.../explain_ref.py differential.py EXPORT_PROGRAM dump FILE SEED INTERVALS

EXPORT_PROGRAM (tests/oracle/export.cpp) prints traces with kflight's answers. Of simulated ones the model always sees
the whole; kflight sees every second one through a window that begins late, with base facts for what came before.
Without the model there is nothing to compare with: says so and succeeds.
"""
import importlib.util
import json
import os
import subprocess
import sys


def load_model(path):
    spec = importlib.util.spec_from_file_location("explain_ref", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def merged(leaves):
    """Neighbouring leaves of the same who and what as one: where they are cut is of no meaning."""
    out = []
    for begin, end, who, what in leaves:
        if out and out[-1][1] == begin and out[-1][2:] == [who, what]:
            out[-1][1] = end
        else:
            out.append([begin, end, who, what])
    return out


def in_our_words(leaf):
    begin, end, who, what, path = leaf
    if what == "irq:lost waking":  # some systems hide a thread, and with it the wakings by what interrupts it
        who, what = path[-1][0], "unknown"
    if what.startswith("blocked:") and what.endswith("not woken in window"):
        what = "still blocked"
    return [begin, end, str(who), what]


def compare(ref, trace):
    for event in trace["events"]:
        if event.get("src"):
            event["src"] = tuple(event["src"])
    running = {tid: (ref.RUN, {"cpu": cpu}) for tid, cpu in trace.get("running", [])}
    model = ref.Model(trace["events"], trace["model_begin"], trace["end"], running)
    for query in trace["queries"]:
        theirs = merged(in_our_words(leaf) for leaf in sorted(ref.explain(model, query["tid"], query["a"], query["b"])))
        ours = merged(query["leaves"])
        if ours != theirs:
            return query, ours, theirs
    return None


def main():
    path = os.environ.get("KFLIGHT_ORACLE", "")
    if not os.path.isfile(path):
        print(f"not run: there is no reference model (KFLIGHT_ORACLE is {path!r})")
        return 0
    if len(sys.argv) not in (2, 6):
        print(__doc__, file=sys.stderr)
        return 2
    ref = load_model(path)
    arguments = sys.argv[2:] or ["simulated", "0", "60", "3"]
    traces = intervals = leaves = 0
    with subprocess.Popen([sys.argv[1], *arguments], stdout=subprocess.PIPE, text=True) as export:
        for line in export.stdout:
            trace = json.loads(line)
            difference = compare(ref, trace)
            if difference:
                query, ours, theirs = difference
                print(f"{trace['name']}: thread {query['tid']}, [{query['a']}, {query['b']}):"
                      " kflight and the model differ")
                for mine, other in zip(ours, theirs):
                    if mine != other:
                        print(f"  kflight {mine}\n  model   {other}")
                        break
                export.kill()
                return 1
            traces += 1
            intervals += len(trace["queries"])
            leaves += sum(len(query["leaves"]) for query in trace["queries"])
    if export.returncode != 0:
        print(f"{sys.argv[1]} failed with status {export.returncode}")
        return 1
    print(f"{intervals} intervals of {traces} traces agree, {leaves} leaves")
    return 0 if intervals else 1


if __name__ == "__main__":
    sys.exit(main())
