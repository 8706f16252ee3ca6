"""Plants each violation in a small tree and sees tools/check refuse it, and nothing else."""
import pathlib
import shutil
import subprocess

import pytest

CHECK = pathlib.Path(__file__).resolve().parents[2] / 'tools' / 'check'

GOOD_HEADER = '''/* smtp/line.h - cuts lines. */
#pragma once
#include "base/slice.h"

int line_cut(struct slice s);
'''
GOOD_SOURCE = '''#include "smtp/line.h"

int line_cut(struct slice s)
{
    return s.len > 0 ? 1 : 0;
}
'''
GOOD_TREE = {
    'base/slice.h': '/* base/slice.h - bytes. */\n#pragma once\n',
    'policy/verdict.h': '/* policy/verdict.h - an answer. */\n#pragma once\n',
    'smtp/line.h': GOOD_HEADER,
    'smtp/line.c': GOOD_SOURCE,
}


def function(body, name='line_more'):
    return f'{GOOD_SOURCE}\nint {name}(int a)\n{{\n{body}    return a;\n}}\n'


def lines(count):
    return '    a++;\n' * count


def branches(count):
    return '    if (a > 1)\n        a++;\n' * count


def run(tree, files):
    for name, text in {**GOOD_TREE, **files}.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    result = subprocess.run([CHECK, '--root', tree], stdout=subprocess.PIPE, text=True, check=False)
    found = [line for line in result.stdout.splitlines() if not line.startswith('check: ')]
    assert result.returncode == (1 if found else 0)
    return found


def test_a_good_tree_passes(tmp_path):
    assert run(tmp_path, {}) == []


REFUSED = [
    ('an include against the arrows', 'smtp/line.c',
     GOOD_SOURCE.replace('line.h"\n', 'line.h"\n#include "policy/verdict.h"\n', 1), 'the arrows'),
    ('a unit test that looks into a sibling', 'tests/smtp/line_test.c',
     '#include "policy/verdict.h"\n', 'a test of smtp/'),
    ('an include that is not there', 'smtp/other.c', '#include "smtp/none.h"\n', 'no such file'),
    ('an include without its folder', 'smtp/other.c', '#include "line.h"\n', 'no such file'),
    ('an own header that comes second', 'smtp/line.c',
     '#include <stdio.h>\n' + GOOD_SOURCE, 'own header'),
    ('a file outside the map', 'helpers/x.c', 'int x;\n', 'not on the map'),
    ('a stray file in the root', 'notes.md', 'x\n', 'not on the map'),
    ('a long file', 'smtp/other.c', 'int x;\n' * 601, 'lines in a file: 601'),
    ('a long function', 'smtp/line.c', function(lines(67)), 'lines in line_more(): 71'),
    ('a function with many branches', 'smtp/line.c', function(branches(20)),
     'branches in line_more(): 21'),
    ('a branch hidden in an operator', 'smtp/line.c',
     function(branches(19) + '    a += a && 1;\n'), 'branches in line_more(): 21'),
    ('a long line', 'smtp/other.c', 'int x' + 'x' * 95 + ';\n', '101 columns'),
    ('a banned call', 'smtp/line.c', function('    strcpy(a, a);\n'), 'buffer_append'),
    ('a banned call spread over lines', 'smtp/line.c', function('    sprintf\n        (a);\n'),
     'snprintf'),
    ('a library that logs', 'smtp/line.c', function('    printf("x");\n'), 'never logs'),
    ('a library that exits', 'base/other.c', 'void x(void)\n{\n    exit(1);\n}\n', 'never logs'),
    ('a pure folder that reads the clock', 'policy/x.c', 'int x(void)\n{\n    time(0);\n}\n',
     'reads no clock'),
    ('a context of no type', 'smtp/line.c', function('    void *ctx = 0;\n'), 'CONTAINER_OF'),
    ('a condition of the preprocessor in a function', 'smtp/line.c',
     function('#ifdef X\n    a++;\n#endif\n'), 'conditional compilation'),
    ('a header without its comment', 'smtp/other.h', '#pragma once\n', 'a header opens with'),
    ('a header with another name in it', 'smtp/other.h', '/* smtp/line.h - x */\n#pragma once\n',
     'a header opens with'),
    ('a header that may be read twice', 'smtp/other.h', '/* smtp/other.h - x */\n', '#pragma once'),
    ('a mark of unfinished work', 'smtp/line.c', function('    /* TODO */\n'), '"TODO"'),
    ('a mark in a document', 'docs/X.md', 'FIXME\n', '"FIXME"'),
    ('white space at the end', 'docs/X.md', 'x \n', 'white space'),
    ('a file without its last newline', 'docs/X.md', 'x', 'no newline'),
    ('a tab', 'smtp/line.c', function('\ta++;\n'), 'a tab'),
    ('a comment to the end of the line', 'smtp/line.c', function('    a++; // x\n'), '// comment'),
]


@pytest.mark.parametrize('name,text,says', [row[1:] for row in REFUSED],
                         ids=[row[0] for row in REFUSED])
def test_refuses(tmp_path, name, text, says):
    found = run(tmp_path, {name: text})
    assert found and all(says in line and line.startswith(name) for line in found), found


ACCEPTED = [
    ('a function of 70 lines', 'smtp/line.c', function(lines(66))),
    ('a function of 20 branches', 'smtp/line.c', function(branches(19))),
    ('a file of 600 lines', 'smtp/other.c', 'int x;\n' * 600),
    ('a banned word in a comment or a text', 'smtp/line.c',
     function('    /* strcpy(a) */\n    a += sizeof("system(x) // y");\n')),
    ('a member or a longer name', 'smtp/line.c', function('    x->open(a);\n    my_system(a);\n')),
    ('a header of tests', 'tests/smtp/line_test.c', '#include "smtp/line.h"\n'),
    ('a table between functions', 'smtp/other.c',
     'static const int x[] = { 1, 2 };\n#ifdef X\nint y;\n#endif\n'),
]


@pytest.mark.parametrize('name,text', [row[1:] for row in ACCEPTED],
                         ids=[row[0] for row in ACCEPTED])
def test_accepts(tmp_path, name, text):
    assert run(tmp_path, {name: text}) == []


LONG = {'smtp/line.c': function(lines(67))}
LIMITS = [
    ('an exception covers what it names', 'function smtp/line.c:line_more 71 x y', LONG, ''),
    ('an exception that is too small does not help', 'function smtp/line.c:line_more 70 x', LONG,
     'the most is 70'),
    ('an exception that is too wide must be lowered', 'function smtp/line.c:line_more 99 x', LONG,
     'now needs only 71'),
    ('an exception that nothing needs must go', 'function smtp/line.c:line_more 71 x', {},
     'delete the line'),
    ('an exception needs a reason', 'function smtp/line.c:line_more 71', {}, 'not of the form'),
    ('a call can be excepted', 'call smtp/line.c:exit - x',
     {'smtp/line.c': function('    exit(1);\n')}, ''),
]


@pytest.mark.parametrize('limit,files,says', [row[1:] for row in LIMITS],
                         ids=[row[0] for row in LIMITS])
def test_limits(tmp_path, limit, files, says):
    found = run(tmp_path, {**files, 'tools/limits.txt': limit + '\n'})
    assert bool(found) == bool(says) and all(says in line for line in found), found


@pytest.mark.skipif(not shutil.which('clang-format-14'), reason='clang-format 14 is not installed')
def test_refuses_what_clang_format_would_change(tmp_path):
    shutil.copy(CHECK.parents[1] / '.clang-format', tmp_path)
    assert run(tmp_path, {}) == []
    found = run(tmp_path, {'smtp/line.c': function('  a++;\n')})
    assert found and all('not formatted' in line for line in found), found
