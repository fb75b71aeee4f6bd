#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Holds the arrows between the folders: base <- dump <- {record, model}, model <- {analyze, export}, cli sees all, the
# public headers see only each other, and each heavy library stays in the folders that need it. ctest runs it.
set -euo pipefail
cd "$(dirname "$0")/.."

python3 - <<'PYTHON'
import pathlib, re, sys

# folder -> folders of userspace/ it may include; kflight/... is open to all
MAY_INCLUDE = {
    'base': {'base'},
    'dump': {'dump', 'base'},
    'record': {'record', 'dump', 'base'},
    'model': {'model', 'dump', 'base'},
    'analyze': {'analyze', 'model', 'dump', 'base'},
    'export': {'export', 'model', 'dump', 'base'},
    'cli': {'cli', 'record', 'analyze', 'export', 'model', 'dump', 'base'},
}
# header pattern -> folders that may include it; the last word says whether headers may, or only .cpp files
LIBRARIES = [
    (r'bpf/|linux/bpf|.*\.skel\.h', {'record'}, 'headers too'),
    (r'libelf|gelf', {'record', 'model'}, 'sources only'),
    (r'elfutils/', {'model'}, 'sources only'),
    (r'CLI/', {'cli'}, 'headers too'),
    (r'nlohmann/', {'dump', 'record', 'analyze', 'export', 'cli'}, 'sources only'),
    (r'protozero/', {'export'}, 'headers too'),
    (r'seccomp\.h', {'record'}, 'sources only'),
    (r'zstd|xxhash', {'dump'}, 'sources only'),
]

problems = []


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found[1] == '"', found[2]


def blame(path, number, text):
    problems.append(f'{path}:{number}: {text}')


def check_library(path, folder, number, name):
    for pattern, folders, where in LIBRARIES:
        if not re.match(pattern, name):
            continue
        if folder not in folders:
            blame(path, number, f'<{name}> belongs to {", ".join(sorted(folders))}, not to {folder}')
        elif where == 'sources only' and path.suffix == '.hpp':
            blame(path, number, f'<{name}> stays out of headers')


for path in sorted(pathlib.Path('userspace').rglob('*.[hc]pp')):
    folder = path.parts[1]
    if folder not in MAY_INCLUDE:
        blame(path, 1, f'folder {folder} is unknown to scripts/check_includes.sh')
        continue
    for number, quoted, name in includes(path):
        check_library(path, folder, number, name)
        if not quoted or name.startswith('kflight/') or name.endswith('.skel.h'):
            continue
        target = name.split('/')[0] if '/' in name else folder
        if target not in MAY_INCLUDE[folder]:
            blame(path, number, f'{folder} may not include {name}')

for path in sorted(pathlib.Path('include').rglob('*.h*')):
    for number, quoted, name in includes(path):
        if quoted and not name.startswith('kflight/'):
            blame(path, number, f'a public header may not include {name}')
        if path.suffix == '.h' and not name.startswith('kflight/'):
            blame(path, number, f'BPF compiles this file: it may not include {name}')

print('\n'.join(problems))
sys.exit(1 if problems else 0)
PYTHON
