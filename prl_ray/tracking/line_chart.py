"""A small line chart as SVG text, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Series = Sequence[tuple[float, float]]
"""Points ``(x, y)`` in any order; points that are not finite are left out."""
Band = Sequence[tuple[float, float, float]]
"""``(x, low, high)``, ascending in ``x``."""

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 34, 44
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4b5563")


def line_chart(
    title: str,
    series: Mapping[str, Series],
    x_label: str = "step",
    y_label: str = "",
    bands: Mapping[str, Band] | None = None,
) -> str:
    """An SVG document with one line per series, axes with round ticks and a legend; a single point is a dot.

    ``bands`` shades a range around the series of the same name.

    Example: ``line_chart("reward", {"mean": [(1, 0.1), (2, 0.3)]})``.
    """
    clean = {name: sorted(p for p in points if all(map(math.isfinite, p))) for name, points in series.items()}
    clean = {name: points for name, points in clean.items() if points}
    xs = [x for points in clean.values() for x, _ in points] or [0.0, 1.0]
    shaded = {name: band for name, band in (bands or {}).items() if name in clean}
    ys = [y for points in clean.values() for _, y in points] or [0.0, 1.0]
    ys += [y for band in shaded.values() for _, *edges in band for y in edges]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x_low, x_high = min(xs[0], *xs, x_ticks[0]), max(*xs, x_ticks[-1])
    y_low, y_high = min(*ys, y_ticks[0]), max(*ys, y_ticks[-1])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low or 1.0)
        up = (y - y_low) / (y_high - y_low or 1.0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [_text(WIDTH / 2, 20, title, "middle", 14)]
    for y in y_ticks:
        _, down = at(x_low, y)
        parts.append(f'<line x1="{LEFT}" y1="{down:.1f}" x2="{WIDTH - RIGHT}" y2="{down:.1f}" stroke="#e5e7eb"/>')
        parts.append(_text(LEFT - 6, down + 4, f"{y:g}", "end"))
    for x in x_ticks:
        across, _ = at(x, y_low)
        parts.append(_text(across, HEIGHT - BOTTOM + 16, f"{x:g}", "middle"))
    parts.append(_text(WIDTH / 2, HEIGHT - 8, x_label, "middle"))
    if y_label:
        parts.append(f'<g transform="rotate(-90 14 {HEIGHT / 2})">{_text(14, HEIGHT / 2, y_label, "middle")}</g>')
    for index, (name, points) in enumerate(clean.items()):
        if band := shaded.get(name):
            edge = [at(x, high) for x, _, high in band] + [at(x, low) for x, low, _ in reversed(band)]
            parts.append(_area(edge, COLOURS[index % len(COLOURS)]))
        parts.append(_line(name, [at(*point) for point in points], COLOURS[index % len(COLOURS)]))
    if len(clean) > 1:
        parts += _legend(list(clean))
    return _document("\n".join(parts))


def _document(body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within ``[low, high]``; at least one, outside if necessary.

    Example: ``ticks(0.02, 0.47)`` is ``[0.1, 0.2, 0.3, 0.4]``.
    """
    if high - low <= 1e-12 * max(abs(low), abs(high)) + 1e-300:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, last + 1)] or [low]


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Values as a row of block characters, at most ``width`` of them; values that are not finite are blanks."""
    if len(values) > width:
        values = [values[i * len(values) // width] for i in range(width)]
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    blocks = "▁▂▃▄▅▆▇█"
    return "".join(blocks[round((v - low) / span * 7)] if math.isfinite(v) else " " for v in values)


def _line(name: str, points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = ""
    if len(points) <= 30:
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points)
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    return f"<g><title>{escape(name)}</title>{line}{dots}</g>"


def _area(edge: Sequence[tuple[float, float]], colour: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge)
    return f'<polygon points="{points}" fill="{colour}" fill-opacity="0.12"/>'


def _legend(names: Sequence[str]) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        y = TOP + 12 + 16 * index
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<rect x="{LEFT + 8}" y="{y - 8}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(LEFT + 24, y + 1, name, "start"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#374151">{escape(text)}</text>'
    )
