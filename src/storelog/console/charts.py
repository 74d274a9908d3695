"""Charts as SVG that need no script, with the same numbers for uPlot where scripts run.

Bars and steps are placed by attributes: the content security policy does not allow styles.
Next: console/templates/macros.html
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

WIDTH, HEIGHT = 720, 160
MAX_BARS = 400
# With few days, a bar must not fill the whole width.
WIDEST = 40.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its place, size and label."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its shapes, its highest value, and its series as JSON (times, then values)."""

    bars: Sequence[Bar]
    line: str
    highest: str
    first: str
    last: str
    series: str
    names: str
    width: int = WIDTH
    height: int = HEIGHT


def day_chart(days: Sequence[dict[str, Any]], count: int, until: date) -> Chart:
    """Return bars of the sales of `count` days, the last one being `until`."""
    sold = {day["day"]: day for day in days}
    first = until - timedelta(days=count - 1)
    rows = [(first + timedelta(days=n)) for n in range(count)]
    found = [sold.get(day.isoformat()) for day in rows]
    return bar_chart(rows, [Decimal(day["totalSales"]) if day else Decimal(0) for day in found])


def bar_chart(days: Sequence[date], amounts: Sequence[Decimal]) -> Chart:
    """Return a bar for each day, at most for the last MAX_BARS."""
    days, amounts = days[-MAX_BARS:], amounts[-MAX_BARS:]
    highest = max(amounts, default=Decimal(0))
    step = WIDTH / max(len(days), 1)
    bars = []
    for index, (day, amount) in enumerate(zip(days, amounts, strict=True)):
        height = float(amount / highest) * HEIGHT if highest else 0.0
        label = f"{day.isoformat()}: {amount:,f}"
        width = min(max(step * 0.72, 1.0), WIDEST)
        bars.append(
            Bar(
                round(index * step, 2),
                round(HEIGHT - height, 2),
                round(width, 2),
                round(height, 2),
                label,
            )
        )
    ends = (days[0].isoformat(), days[-1].isoformat()) if days else ("", "")
    times = [int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) for d in days]
    return Chart(bars, "", f"{highest:,f}", *ends, *_series(times, [amounts], ["Sales"]))


def step_chart(points: Sequence[tuple[str, Decimal]], name: str) -> Chart:
    """Return steps through points, each an RFC 3339 time and a value, oldest first."""
    times = [datetime.fromisoformat(at).timestamp() for at, _ in points]
    values = [value for _, value in points]
    highest = max(values, default=Decimal(0))
    begin, end = (times[0], times[-1]) if times else (0.0, 0.0)
    span = (end - begin) or 1.0
    path: list[str] = []
    for at, value in zip(times, values, strict=True):
        x = round((at - begin) / span * WIDTH, 1)
        y = round(HEIGHT - (float(value / highest) * (HEIGHT - 4) if highest else 0.0) - 2, 1)
        path.append(f"H{x}V{y}" if path else f"M{x} {y}")
    # The last value lasts until now, so its step reaches the right edge.
    if path:
        path.append(f"H{WIDTH}")
    ends = (points[0][0], points[-1][0]) if points else ("", "")
    whole = [int(at) for at in times]
    return Chart((), "".join(path), f"{highest:,f}", *ends, *_series(whole, [values], [name]))


def _series(
    times: Sequence[int], series: Sequence[Sequence[Decimal]], names: Sequence[str]
) -> tuple[str, str]:
    return json.dumps([times, *([float(v) for v in each] for each in series)]), json.dumps(names)
