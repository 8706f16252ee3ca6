"""Bars on a logarithmic scale, as an SVG file: a row of panels for a case, a column for a figure.

    columns = [Column('CPU seconds for 1,000 messages', 'less is better')]
    rows = [Row('a case', [[Bar('postern', 0.07, '0.070', None, strong=True, pale=False)]])]
    path.write_text(svg('Title', ['under it'], columns, rows))

Written by hand and not with a library: the file is small, the same figures give the same bytes, and
a change of them can be read in a diff.
"""
import collections
import math
import xml.sax.saxutils

Column = collections.namedtuple('Column', 'title hint')
Row = collections.namedtuple('Row', 'title panels')  # panels: a list of bars for each column
# mark: a second value of the same thing (a thin line), or None; pale: drawn without a fill
Bar = collections.namedtuple('Bar', 'name value label mark strong pale')

NAME_WIDTH, PANEL_WIDTH, GAP, LABEL_WIDTH = 96, 236, 22, 62
BAR_HEIGHT, BAR_STEP = 15, 20
TOP, ROW_HEAD, AXIS_HEIGHT, BOTTOM = 112, 30, 20, 34
COLORS = {'strong': '#c2410c', 'other': '#64748b', 'pale': '#cbd5e1', 'text': '#1e293b',
          'quiet': '#64748b', 'grid': '#e2e8f0', 'mark': '#0f172a'}


def text(x, y, words, size=12, anchor='start', color='text', weight='normal'):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{COLORS[color]}" font-weight="{weight}">'
            f'{xml.sax.saxutils.escape(words)}</text>')


class Scale:
    """Of one column, over all of its panels: whole decades around what is there. What is not above
    zero has no place on it (a difference of noisy figures may be so) and is drawn at its foot."""

    def __init__(self, values):
        values = [value for value in values if value is not None and value > 0] or [1]
        self.low = math.floor(math.log10(min(values)) - 0.15)
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def x(self, value):
        place = (math.log10(max(value, 10 ** self.low)) - self.low) / (self.high - self.low)
        return place * (PANEL_WIDTH - LABEL_WIDTH)

    def decades(self):
        return [10 ** exponent for exponent in range(self.low, self.high + 1)]


def number(value):
    return f'{value:,.0f}' if value >= 1 else f'{value:g}'


def panel(left, top, bars, scale):
    """The bars of one case and one figure, with the grid behind them."""
    height = len(bars) * BAR_STEP
    parts = []
    for value in scale.decades():
        x = left + scale.x(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}" '
                     f'stroke="{COLORS["grid"]}"/>')
        parts.append(text(x, top + height + 13, number(value), 10, 'middle', 'quiet'))
    for place, bar in enumerate(bars):
        y = top + place * BAR_STEP + (BAR_STEP - BAR_HEIGHT) / 2
        if bar.value is None:
            parts.append(text(left + 4, y + 12, bar.label, 11, color='quiet'))
            continue
        color = COLORS['strong' if bar.strong else 'pale' if bar.pale else 'other']
        width = max(scale.x(bar.value), 2)
        parts.append(f'<rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" '
                     f'height="{BAR_HEIGHT}" rx="2" fill="{color}"/>')
        end = width
        if bar.mark:
            end = max(scale.x(bar.mark), width)
            parts.append(f'<line x1="{left + width:.1f}" x2="{left + end:.1f}" '
                         f'y1="{y + BAR_HEIGHT / 2}" y2="{y + BAR_HEIGHT / 2}" stroke="{color}"/>'
                         f'<line x1="{left + end:.1f}" x2="{left + end:.1f}" y1="{y + 2}" '
                         f'y2="{y + BAR_HEIGHT - 2}" stroke="{COLORS["mark"]}" stroke-width="2"/>')
        parts.append(text(left + end + 5, y + 12, bar.label, 11,
                          weight='bold' if bar.strong else 'normal'))
    return parts


def svg(title, lines, columns, rows):
    """lines: what stands under the title."""
    width = NAME_WIDTH + len(columns) * (PANEL_WIDTH + GAP) + 16
    heights = [ROW_HEAD + len(row.panels[0]) * BAR_STEP + AXIS_HEIGHT for row in rows]
    height = TOP + sum(heights) + BOTTOM
    scales = [Scale([value for row in rows for bar in row.panels[index]
                     for value in (bar.value, bar.mark)]) for index in range(len(columns))]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">',
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             text(16, 28, title, 18, weight='bold')]
    parts += [text(16, 47 + 15 * place, line, 11.5, color='quiet')
              for place, line in enumerate(lines)]
    lefts = [NAME_WIDTH + index * (PANEL_WIDTH + GAP) for index in range(len(columns))]
    for left, column in zip(lefts, columns):
        parts.append(text(left, TOP - 18, column.title, 12.5, weight='bold'))
        parts.append(text(left, TOP - 4, column.hint, 11, color='quiet'))
    top = TOP
    for row, row_height in zip(rows, heights):
        parts.append(text(16, top + 20, row.title, 12.5, weight='bold'))
        for place, bar in enumerate(row.panels[0]):
            parts.append(text(NAME_WIDTH - 8, top + ROW_HEAD + place * BAR_STEP + 14, bar.name, 12,
                              'end', weight='bold' if bar.strong else 'normal'))
        for left, bars, scale in zip(lefts, row.panels, scales):
            parts += panel(left, top + ROW_HEAD, bars, scale)
        top += row_height
    parts.append('</svg>')
    return '\n'.join(parts) + '\n'
