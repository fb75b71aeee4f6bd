#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the kernels of scripts/vmtest.sh said, as a table, and the verifier's counts against those on record.

Usage: report.py RESULTS FOLDER COUNTS [--record]
RESULTS has a line per kernel: name, version, attempts, seconds, why it failed before its tests (tab-separated). Exit
status 1 when a kernel failed.
"""
import json
import sys

MAY_GROW = 1.10  # of the count on record: another patch release of a kernel counts a little differently
FEW = 500        # instructions more are nothing


def load(path):
    with open(path) as file:
        return json.load(file)


def tests_of(folder):
    """(name, what became of it) of each test that ran or was skipped."""
    for suite in load(f"{folder}/tests.json")["testsuites"]:
        for test in suite["testsuite"]:
            name = f"{suite['name']}.{test['name']}"
            if test.get("failures"):
                yield name, "FAILED"
            else:
                yield name, "skipped" if test["result"] == "SKIPPED" else "passed"


def grown(counts, recorded):
    for program, count in sorted(counts.items()):
        before = recorded.get(program)
        if before is None:
            yield f"{program} is not on record ({count:,})"
        elif count > before * MAY_GROW and count > before + FEW:
            yield f"{program} grew from {before:,} to {count:,} instructions"


def look_at(folder):
    """(doctor, tests, counts, complaints) of one kernel that came to its end."""
    complaints = []
    doctor = load(f"{folder}/doctor.json")
    for finding in doctor["findings"]:
        if finding["health"] == "FAILED":
            complaints.append(f"doctor: {finding['name']}: {finding['found']}: {finding['advice']}")
    missing = sum(finding["found"] == "missing" for finding in doctor["findings"])
    outcomes = list(tests_of(folder))
    complaints += [f"{name} {outcome} (tests.log)" for name, outcome in outcomes if outcome == "FAILED"]
    passed = sum(outcome == "passed" for _, outcome in outcomes)
    skipped = sum(outcome == "skipped" for _, outcome in outcomes)
    if passed == 0:
        complaints.append("no test passed")
    counts = {program["name"]: program["verified_instructions"] for program in doctor["programs"]}
    said = "can record" if doctor["can_record"] else "CANNOT RECORD"
    return (f"{said}, lacks {missing}", f"{passed} of {len(outcomes) - skipped} passed, {skipped} skipped", counts, complaints)


def main(results, out, counts_path, *options):
    try:
        recorded = load(counts_path)
    except FileNotFoundError:
        recorded = {}
    rows, failures = [], []
    for line in open(results):
        kernel, version, attempts, seconds, verdict = line.rstrip("\n").split("\t")
        doctor, tests, hardest = "-", "-", "-"
        absent = verdict.startswith("absent")
        complaints = [verdict] if verdict and not absent else []
        if not verdict:
            try:
                doctor, tests, counts, complaints = look_at(f"{out}/{kernel}")
                if "--record" in options:
                    recorded[kernel] = dict(sorted(counts.items()))
                else:
                    complaints += grown(counts, recorded.get(kernel, {}))
                if counts:
                    program = max(counts, key=counts.get)
                    hardest = f"{sum(counts.values()):,} in all, {counts[program]:,} {program}"
            except (OSError, ValueError, KeyError) as error:
                complaints = [f"what it left cannot be read: {error!r}"]
        failures += [f"{kernel}: {complaint}" for complaint in complaints]
        boot = "ok" if attempts == "1" else "ok at the second try"
        rows.append((kernel, version, "-" if verdict else boot, doctor, tests, hardest, f"{seconds} s", "FAILED" if complaints else "absent" if absent else "ok"))
    head = ("kernel", "version", "boot", "doctor", "tests", "verifier: instructions", "took", "verdict")
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    for failure in failures:
        print(f"FAILED {failure}")
    if "--record" in options:
        with open(counts_path, "w") as file:
            json.dump(dict(sorted(recorded.items())), file, indent=1)
            file.write("\n")
        print(f"wrote {counts_path}")
    sys.exit(1 if failures else 0)


main(*sys.argv[1:])
