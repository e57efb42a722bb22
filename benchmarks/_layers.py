"""What each layer of isolation costs, and a bar chart of it as SVG text, without a plotting library."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, ROW, TOP, LEFT, RIGHT = 680, 24, 44, 220, 70


def layers(repeats: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Microseconds per program that each layer adds to the one before it; the first is the fork alone."""
    medians = {
        name: 1e6 / statistics.median(repeat["layers_per_second"][name] for repeat in repeats)
        for name in repeats[0]["layers_per_second"]
    }
    total = [0.0, *medians.values()]
    return {name: after - before for name, before, after in zip(medians, total, total[1:], strict=False)}


def bars(title: str, values: Mapping[str, float], unit: str) -> str:
    """One horizontal bar per value, from 0; a negative value (noise around 0) has no bar and keeps its number."""
    largest = max([*values.values(), 1e-12])
    rows = [_row(number, name, value, value / largest) for number, (name, value) in enumerate(values.items())]
    height = TOP + ROW * len(values) + 12
    heading = f'<text x="12" y="24" font-size="14">{escape(title)} ({escape(unit)})</text>'
    body = "\n".join([heading, *rows])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="#374151">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _row(number: int, name: str, value: float, share: float) -> str:
    y, width = TOP + ROW * number, max(0.0, share) * (WIDTH - LEFT - RIGHT)
    return (
        f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="16" fill="#2563eb"/>'
        f'<text x="{LEFT + width + 6:.1f}" y="{y + 12}">{value:.0f}</text>'
    )
