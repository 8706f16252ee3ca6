"""What bench/scaling has measured, predicted and derived: tables of text, a section and a plot."""
import itertools
import pathlib

import plot
import rig
import scaling_model as model
from relay_report import aligned, markdown_table

WORK = ('4 KiB', '4 KiB, TLS', '10 MiB', '10 MiB, TLS')
COLUMNS = ('worker us', 'log us', 'rest us', 'segments us', 'ring enters', 'receives', 'sends',
           'commits', 'wire bytes', 'disk bytes')
INLINE = '4 KiB'
PLOTTED = tuple(itertools.starmap(model.Machine, (
    (16, 10e9, model.DISKS[0]), (16, 25e9, model.DISKS[1]), (16, 25e9, model.DISKS[2]),
    (64, 100e9, model.DISKS[2]))))
DISTRIBUTION_HEAD = ['cores, network', *(disk.name for disk in model.DISKS)]


def plain(value):
    return f'{value:.2f}' if value < 10 else f'{value:,.0f}'


def gbits(bits):
    return f'{bits / 1e9:.0f} Gbit/s'


class Report:
    def __init__(self, data):
        self.machine, self.rounds = data['machine'], data['rounds']
        # Of times the least, because other work on the machine only adds to them.
        self.cost = {name: {column: (min if column.endswith(' us') else rig.median)(
            [one[name][column] for one in self.rounds])
                            for column in self.rounds[0][name]} for name in self.rounds[0]}
        taken = self.cost['taken in']
        for one in self.cost.values():  # the body is in memory unless it has a file
            one['memory bytes'] = (taken['memory bytes'] - taken['size']
                                   + (0 if one['body files'] else one['size']))
        one, two = self.cost[INLINE], self.cost['two workers']
        self.enter_us = model.enter_us(one, self.cost['few sessions'])
        # Mail that waits takes new memory, so each of the two is more than its part of the whole.
        self.receive_share = taken['worker us'] / (taken['worker us'] + taken['deliver us'])
        # Fewer than none is noise.
        self.spread = max((two['worker us'] / self.for_enters(two) - 1) / model.elsewhere(2), 0)

    def for_enters(self, run):
        """Of one worker, if it needed as many ring enters a message as this run did. With fewer it
        saves less than the price of one, most of which is being woken up."""
        one = self.cost[INLINE]
        more = max(run['ring enters'] - one['ring enters'], 0)
        return one['worker us'] + self.enter_us * more

    def spread_of(self, name):
        """As microseconds it is the same for each message: what changes worker is no body."""
        return self.spread * self.cost[INLINE]['worker us'] / self.cost[name]['worker us']

    def checks(self):
        """(what, predicted, measured): from one worker's figures alone."""
        one, two, owned = (self.cost[name] for name in (INLINE, 'two workers', 'one destination'))
        middle, between = self.cost['64 KiB'], model.between(one, self.cost['512 KiB'], 64 << 10)
        rows = [('two workers, many domains: worker us', self.for_enters(two), two['worker us'])]
        rows += [(f'two workers, many domains: {column}', one[column], two[column])
                 for column in ('wire bytes', 'disk bytes')]
        rows.append(('two workers, one destination: worker us', self.for_enters(owned),
                     owned['worker us']))
        rows.append(("two workers, one destination: the owner's share of it",
                     model.owner_share(self.receive_share, 2), owned['owner share']))
        return rows + [(f'64 KiB, from 4 and 512 KiB: {column}', between[column], middle[column])
                       for column in ('worker us', 'wire bytes', 'disk bytes')]

    def limits(self, name, machine):
        return model.limits(machine, self.cost[name], self.spread_of(name))

    def owner(self, name, cores):
        return model.owner_allows(self.cost[name], self.receive_share, cores)

    # --- rows of cells ----------------------------------------------------------------------------

    def cost_rows(self):
        return [[name, *(plain(one[column]) for column in COLUMNS)]
                for name, one in self.cost.items()]

    def spread_rows(self):
        return [[name, *(f'{plain(min(seen))} to {plain(max(seen))}' for seen in (
            [one[name][column] for one in self.rounds] for column in COLUMNS[:3]))]
            for name in self.cost]

    def check_rows(self):
        return [[what, plain(predicted), plain(measured), f'{predicted / measured - 1:+.0%}']
                for what, predicted, measured in self.checks()]

    def limit_rows(self, name):
        """What each part allows: by cores, by network, by disk."""
        rows = []
        for cores in model.CORES:
            allowed = self.limits(name, model.Machine(cores, 10e9, model.DISKS[0]))
            rows += [[f'{cores} cores', plain(allowed['cores'])],
                     [f'{cores} cores: one destination, its owner', plain(self.owner(name, cores))],
                     [f'{cores} cores: memory, {model.MEMORY_PER_CORE >> 30} GiB each',
                      plain(allowed['memory'])]]
        for bits in model.NETWORKS:
            allowed = self.limits(name, model.Machine(16, bits, model.DISKS[0]))
            rows.append([gbits(bits), plain(allowed['network'])])
        for disk in model.DISKS:
            both = [self.limits(name, model.Machine(cores, 10e9, disk)) for cores in model.CORES]
            rows.append([f'{disk.name}: bytes', plain(both[0]['disk, bytes'])])
            rows += [[f'{disk.name}: commits of {cores} logs', plain(one['disk, commits'])]
                     for cores, one in zip(model.CORES, both)]
        rows.append(['log writer, one thread', plain(allowed['log writer'])])
        return rows

    def first_rows(self, name):
        rows = []
        for cores, bits in itertools.product(model.CORES, model.NETWORKS):
            cells = [f'{cores} cores, {gbits(bits)}']
            for disk in model.DISKS:
                allowed = self.limits(name, model.Machine(cores, bits, disk))
                first = model.first_of(allowed)
                cells.append(f'{plain(allowed[first])}: {first}')
            rows.append(cells)
        return rows

    def limits_table(self):
        """One column for each kind of mail."""
        columns = [self.limit_rows(name) for name in WORK]
        return [[rows[0][0], *(row[1] for row in rows)] for rows in zip(*columns)]

    # --- forms ------------------------------------------------------------------------------------

    def parts(self):
        """(title, head, rows) of every table."""
        yield ('What a message costs (CPU time: least of the rounds; counts: medians)',
               ['run', *COLUMNS], self.cost_rows())
        yield (f'Least and greatest of {len(self.rounds)} rounds',
               ['run', *COLUMNS[:3]], self.spread_rows())
        yield ("Predicted from one worker's figures",
               ['', 'predicted', 'measured', 'error'], self.check_rows())
        yield ('Messages a second that each part allows', ['', *WORK], self.limits_table())
        for name in WORK:
            yield f'What saturates first, {name}', DISTRIBUTION_HEAD, self.first_rows(name)

    def facts(self):
        return [f'a ring enter, with what goes with it, costs {self.enter_us:.0f} us',
                f'taking a message in is {self.receive_share:.0%} of what a worker does with it',
                f'{self.spread:.0%} more CPU of workers for a message that changes worker: what '
                'two workers took beside what was predicted',
                f'{self.cost[INLINE]["memory bytes"]:,.0f} bytes of memory for a message of 4 KiB '
                'under way']

    def text(self):
        lines = [*self.machine, '']
        for title, head, rows in self.parts():
            lines += [title, *aligned(head, rows), '']
        return '\n'.join(lines + self.facts())

    def markdown(self):
        lines = ['![messages a second that each part of a machine allows](scaling.svg)', '', '```',
                 *self.machine, '```', '']
        for title, head, rows in self.parts():
            lines += [f'**{title}**', '', *markdown_table(head, rows), '']
        return '\n'.join(lines + [f'* {fact}' for fact in self.facts()])

    def as_json(self):
        return {'costs': self.cost, 'receive_share': self.receive_share, 'spread': self.spread,
                'checks': [dict(zip(('what', 'predicted', 'measured'), one))
                           for one in self.checks()],
                'limits': {name: {f'{machine.cores} cores, {gbits(machine.network_bits)}, '
                                  f'{machine.disk.name}': self.limits(name, machine)
                                  for machine in PLOTTED} for name in WORK}}

    def svg(self):
        def bars(name, machine):
            allowed = {**self.limits(name, machine), model.OWNER: self.owner(name, machine.cores)}
            first = model.first_of({part: allowed[part] for part in model.LIMITS})
            return [plot.Bar(part, value, plain(value), None, part == first, part == model.OWNER)
                    for part, value in allowed.items()]

        rows = [plot.Row(f'{machine.cores} cores, {gbits(machine.network_bits)}, '
                         f'{machine.disk.name}', [bars(name, machine) for name in WORK])
                for machine in PLOTTED]
        return plot.svg(
            'What saturates first: messages a second that each part of a machine allows',
            ['A model, from what one worker was measured to cost. '
             + ' · '.join(line.split(None, 1)[1] for line in self.machine[:4]),
             'Orange: the least, which is what the machine would do. Pale: when all mail is for '
             'one destination. Logarithmic scales.'],
            [plot.Column(name, 'relayed, durable; more is better') for name in WORK], rows)

    def save(self, folder):
        """folder/scaling.svg, and the section of folder/SCALING.md."""
        (folder / 'scaling.svg').write_text(self.svg())
        rig.save_section(pathlib.Path(folder) / 'SCALING.md', 'scaling', self.markdown())
