#!/usr/bin/python3
"""headers_test.py --root DIR -- COMPILER... - compiles each header alone, reports TAP."""
import argparse
import pathlib
import subprocess
import sys

FOLDERS = ['base', 'engine', 'smtp', 'tls', 'policy', 'spool', 'dns', 'delivery', 'config',
           'observe', 'gateway', 'cli', 'bench', 'tests']
FLAGS = ['-std=gnu17', '-D_GNU_SOURCE', '-DPOSTERN_VERSION="0"', '-Wall', '-Wextra', '-Wshadow',
         '-Wstrict-prototypes', '-Werror', '-fsyntax-only', '-x', 'c']


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--root', type=pathlib.Path, required=True)
    parser.add_argument('compiler', nargs='+')
    options = parser.parse_args()
    headers = sorted(header.relative_to(options.root) for folder in FOLDERS
                     for header in (options.root / folder).rglob('*.h'))
    print(f'1..{len(headers)}')
    failed = 0
    for number, header in enumerate(headers, 1):
        result = subprocess.run([*options.compiler, *FLAGS, '-I', options.root, '-include', header,
                                 '/dev/null'], cwd=options.root, stderr=subprocess.PIPE, text=True,
                                check=False)
        failed += result.returncode != 0
        print(f'{"not ok" if result.returncode else "ok"} {number} - {header}')
        for line in result.stderr.splitlines():
            print('#', line)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
