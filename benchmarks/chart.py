"""Draws the figures as one SVG: a bar for each, as a share of its goal or of its ceiling."""

from html import escape

from benchmarks.figures import Figure, Report, row

ROW, LEFT, WIDTH, FULL = 22, 420, 960, 300
GOOD, BAD, PLAIN = "#2e7d32", "#c62828", "#1565c0"


def draw(report: Report) -> str:
    """Return the SVG's text. A full bar is the goal reached, or the ceiling."""
    shown = [figure for figure in report.figures if _share(figure) is not None]
    height = ROW * (len(shown) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<line x1="{LEFT + FULL}" y1="4" x2="{LEFT + FULL}" y2="{height - ROW}"'
        ' stroke="#888" stroke-dasharray="4 3"/>',
    ]
    for number, figure in enumerate(shown):
        parts += _bar(figure, 4 + ROW * number)
    text = "dashed: the goal where there is one (green: met, red: not), else the ceiling (blue)"
    parts.append(f'<text x="{LEFT}" y="{height - 8}" fill="#555">{text}</text></svg>')
    return "\n".join(parts) + "\n"


def _share(figure: Figure) -> float | None:
    """Return how much of its goal a figure reaches (1 and more: met), else of its ceiling."""
    if figure.goal:
        ratio = figure.value / figure.goal
        return 1 / ratio if figure.is_less_better and ratio else ratio
    return figure.ratio


def _bar(figure: Figure, top: int) -> list[str]:
    share = min(_share(figure) or 0.0, 1.25)
    colour = {None: PLAIN, True: GOOD, False: BAD}[figure.is_met]
    # A worst page, in brackets, is longer than the margin; the table has it.
    label, value = row(figure)[0].split(" (")[0], row(figure)[1]
    middle = top + 14
    return [
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>',
        f'<rect x="{LEFT}" y="{top + 2}" width="{share * FULL:.0f}" height="{ROW - 6}"'
        f' fill="{colour}" opacity="0.8"/>',
        f'<text x="{LEFT + 1.25 * FULL + 8}" y="{middle}">{escape(value)}</text>',
    ]
