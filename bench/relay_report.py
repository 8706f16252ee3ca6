"""What bench/relay has measured: tables of text, and a section and a plot under docs/."""
import pathlib

import plot
import rig

TITLES = {
    'source-10': 'smtp-source, 10 messages on a connection',
    'load-10': 'postern load, 10 messages on a connection',
    'source-1': 'smtp-source, 1 message on a connection',
    'load-1': 'postern load, 1 message on a connection',
    'tls-1': 'postern load, 1 message on a connection, STARTTLS (TLS 1.3, ECDSA P-256)'}

# What was set out to be reached: how many times less CPU than Postfix, and than the best other
# server that syncs, and how many times Postfix's messages a second. None: nothing was.
GOALS = {'source-10': (40, 10, 10), 'load-10': (40, 10, 10), 'source-1': (25, None, None),
         'load-1': (25, None, None), 'tls-1': (None, None, None)}

HEAD = ['server', 'syncs before 250', 'messages', 'sessions', 'accepted/s', 'relayed/s',
        'CPU s per 1,000', 'spread', 'peak MiB', '250 p50 ms', 'p99 ms']
MIB = 1 << 20


class Figures:
    """Medians of the rounds of one server and case in which it took messages."""

    def __init__(self, found):
        for name in ('messages', 'sessions', 'accepted_per_s', 'relayed_per_s', 'cpu_s_per_1000',
                     'peak_bytes'):
            setattr(self, name, rig.median([one[name] for one in found]))
        cpu = [one['cpu_s_per_1000'] for one in found]
        self.spread = f'{min(cpu):.3f} to {max(cpu):.3f}'
        self.p50_ms = self.p99_ms = None
        if 'p50_ms' in found[0]:
            self.p50_ms = rig.median([one['p50_ms'] for one in found])
            self.p99_ms = rig.median([one['p99_ms'] for one in found])
        self.failed = sum(one.get('failed', 0) for one in found)
        self.tls = found[0].get('tls', '')


def cases_of(data):
    return list(next(iter(data['rounds'].values()))[0])


def figures_of(data, case):
    """{server: Figures}, without those that took no message."""
    found = {name: [one[case] for one in rounds if one[case]]
             for name, rounds in data['rounds'].items()}
    return {name: Figures(rounds) for name, rounds in found.items() if rounds}


def syncs_text(found):
    if found['before_250'] is None:
        return 'not seen'
    return f'yes ({found["before_250"]:g})' if found['before_250'] else 'NO'


def syncs(data, name):
    return bool(data['syncs'][name]['before_250'])


def milliseconds(value):
    return '-' if value is None else f'{value:.1f}' if value < 100 else f'{value:,.0f}'


def rows_of(data, case):
    figures = figures_of(data, case)
    rows = [[name, syncs_text(data['syncs'][name]), f'{one.messages:.0f}', f'{one.sessions:.0f}',
             f'{one.accepted_per_s:,.0f}', f'{one.relayed_per_s:,.0f}',
             f'{one.cpu_s_per_1000:.3f}', one.spread, f'{one.peak_bytes / MIB:,.0f}',
             milliseconds(one.p50_ms), milliseconds(one.p99_ms)]
            for name, one in figures.items()]
    return rows + [[name, syncs_text(data['syncs'][name]), '0', *['-'] * (len(HEAD) - 3)]
                   for name in data['rounds'] if name not in figures]


def ratio(value, goal):
    if value is None:
        return '-'
    if goal is None:
        return f'{value:.1f}'
    return f'{value:.1f} ({"reached" if value >= goal else "not reached"}: {goal})'


def ratios_of(data):
    """A row for each case: Postern against the others. Empty where it or all others are missing."""
    rows = []
    for case in cases_of(data):
        figures = figures_of(data, case)
        ours = figures.pop('postern', None)
        if not ours or not figures:
            return []
        postfix = figures.pop('postfix', None)
        synced = {name: one.cpu_s_per_1000 for name, one in figures.items() if syncs(data, name)}
        best = min(synced, key=synced.get, default=None)
        goals = GOALS[case]
        rows.append([
            case, ratio(postfix and postfix.cpu_s_per_1000 / ours.cpu_s_per_1000, goals[0]),
            ratio(best and synced[best] / ours.cpu_s_per_1000, goals[1])
            + (f' {best}' if best else ''),
            ratio(postfix and ours.relayed_per_s / postfix.relayed_per_s, goals[2])])
    return rows


RATIO_HEAD = ['Postern', "Postfix's CPU / ours (goal)", 'best other that syncs / ours (goal)',
              "our relayed/s / Postfix's (goal)"]


def notes(data):
    lines = []
    for name, found in data['syncs'].items():
        if found['before_250'] is not None:
            lines.append(f'{name}: {found["before_250"]:g} syncs between final dot and 250, '
                         f'{found["in_all"]:.1f} for a message in all, alone ({found["how"]})')
        else:
            lines.append(f'{name}: whether it syncs was not looked at: {found["how"]}')
    for case in cases_of(data):
        figures = figures_of(data, case)
        without = [name for name in data['rounds'] if name not in figures]
        if without:
            lines.append(f'{case}: no message was taken by {", ".join(without)}')
        lines += [f'{case}: {name}: {one.failed} messages failed in all rounds'
                  for name, one in figures.items() if one.failed]
        lines += [f'{case}: {name} uses {one.tls}' for name, one in figures.items() if one.tls]
    if data['skipped']:
        lines.append(f'{len(data["skipped"])} skipped, not to be had: {", ".join(data["skipped"])}')
    lines.append(f'measured in {data["minutes"]:.0f} minutes')
    return lines


def aligned(head, rows):
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ['  '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))) for row in cells]


def text(data):
    lines = [*data['machine'], f'load     {data["load"]}', '']
    for case in cases_of(data):
        lines += [f'{case}: {TITLES[case]}', *aligned(HEAD, rows_of(data, case)), '']
    if ratios_of(data):
        lines += [*aligned(RATIO_HEAD, ratios_of(data)), '']
    return '\n'.join(lines + notes(data))


def markdown_table(head, rows):
    return ['| ' + ' | '.join(cells) + ' |' for cells in
            (head, ['---'] + ['---:'] * (len(head) - 1), *rows)]


def markdown(data):
    lines = ['![CPU time, messages a second, memory and latency of the servers](relay.svg)', '',
             '```', *data['machine'], f'load     {data["load"]}', '```', '']
    if ratios_of(data):
        lines += [*markdown_table(RATIO_HEAD, ratios_of(data)), '']
    for case in cases_of(data):
        lines += [f'**{case}**: {TITLES[case]}', '', *markdown_table(HEAD, rows_of(data, case)), '']
    return '\n'.join(lines + [f'* {line}' for line in notes(data)])


def bars(data, figures, value_of, label_of, mark_of=lambda one: None):
    """A bar for each server; one without figures has words in its place."""
    return [plot.Bar(name, one and value_of(one), label_of(one) if one else 'took no message',
                     one and mark_of(one), name == 'postern', not syncs(data, name))
            for name, one in ((name, figures.get(name)) for name in data['rounds'])]


def latency_label(one):
    if one.p50_ms is None:
        return 'not told by smtp-source'
    return f'{milliseconds(one.p50_ms)} | {milliseconds(one.p99_ms)}'


def panels(data, case):
    figures = figures_of(data, case)
    return [bars(data, figures, lambda one: one.cpu_s_per_1000,
                 lambda one: f'{one.cpu_s_per_1000:.3g}'),
            bars(data, figures, lambda one: one.relayed_per_s,
                 lambda one: f'{one.relayed_per_s:,.0f}'),
            bars(data, figures, lambda one: one.peak_bytes / MIB,
                 lambda one: f'{one.peak_bytes / MIB:,.0f}'),
            bars(data, figures, lambda one: one.p50_ms, latency_label, lambda one: one.p99_ms)]


COLUMNS = [plot.Column('CPU seconds for 1,000 messages', 'the whole server; less is better'),
           plot.Column('messages a second', 'until all were relayed; more is better'),
           plot.Column('peak memory, MiB', 'PSS over its processes; less is better'),
           plot.Column('time of the 250, ms', 'p50 | p99 behind the final dot; less is better')]


def svg(data):
    pale = [name for name in data['rounds'] if not syncs(data, name)]
    lines = [f'{data["load"]}, medians; logarithmic scales. '
             + ' · '.join(line.split(None, 1)[1] for line in data['machine'][:3]),
             'Orange and grey: the message is synced to disk before the 250.'
             + (f' Pale: it is not ({", ".join(pale)}).' if pale else '')]
    return plot.svg('Durable relay: the cost of a message', lines, COLUMNS,
                    [plot.Row(f'{case}: {TITLES[case]}', panels(data, case))
                     for case in cases_of(data)])


def save(data, folder):
    """folder/relay.svg, and the section of folder/BENCHMARKS.md."""
    (folder / 'relay.svg').write_text(svg(data))
    rig.save_section(pathlib.Path(folder) / 'BENCHMARKS.md', 'relay', markdown(data))
