"""Charts as SVG: bars, and lines on logarithmic axes. They carry their own background, so they are legible anywhere."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH = 760
_STYLE = """
<style>
 .paper { fill: #ffffff } .ink { fill: #1f2328 } .dim { fill: #59636e } .grid { stroke: #d1d9e0 }
 text { font: 13px system-ui, sans-serif } .title { font-weight: 600; font-size: 15px } .own { font-weight: 600 }
 .c0 { fill: #0b5fd0; stroke: #0b5fd0 } .c1 { fill: #8b949e; stroke: #8b949e } .c2 { fill: #bc4c00; stroke: #bc4c00 }
 .c3 { fill: #1a7f37; stroke: #1a7f37 } .c4 { fill: #8250df; stroke: #8250df } .c5 { fill: #bf3989; stroke: #bf3989 }
.c6 { fill: #0e7c86; stroke: #0e7c86 }
 .line { fill: none; stroke-width: 2 } .label { stroke: none }
 @media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117 } .ink { fill: #e6edf3 } .dim { fill: #9198a1 } .grid { stroke: #3d444d }
  .c0 { fill: #58a6ff; stroke: #58a6ff } .c2 { fill: #f0883e; stroke: #f0883e } .c3 { fill: #3fb950; stroke: #3fb950 }
  .c4 { fill: #ab7df8; stroke: #ab7df8 } .c5 { fill: #f778ba; stroke: #f778ba } .c6 { fill: #39c5cf; stroke: #39c5cf }
 }
</style>
"""


def _svg(height: float, title: str, body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
    )
    paper = f'<rect class="paper" width="{WIDTH}" height="{height:.0f}" rx="6"/>'
    return "\n".join([head + _STYLE + paper, _text(16, 26, title, "ink title"), *body, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, css: str = "ink", anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def bars(title: str, values: Mapping[str, float], shown: Callable[[float], str], *, own: str = "rmetrics") -> str:
    """Horizontal bars, the shortest first; those whose name begins with ``own`` stand out.

    Args:
        title: above the chart.
        values: lengths by label.
        shown: a value in words.
        own: the beginning of the labels to make bold.
    """
    left, right, step = 240, 110, 26
    longest = max(values.values(), default=0) or 1
    body = []
    for i, (label, value) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        y = 44 + i * step
        mine = label.startswith(own)
        length = (WIDTH - left - right) * value / longest
        body += [
            _text(left - 10, y + 15, label, "ink own" if mine else "ink", "end"),
            f'<rect class="{"c0" if mine else "c1"}" x="{left}" y="{y + 3}" width="{max(length, 1):.1f}" height="16"/>',
            _text(left + length + 8, y + 15, shown(value), "ink own" if mine else "ink"),
        ]
    return _svg(44 + len(values) * step + 12, title, body)


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_shown: Callable[[float], str],
    y_shown: Callable[[float], str],
) -> str:
    """Lines on two logarithmic axes, each named at its end.

    Args:
        title: above the chart.
        series: points (x, y), all above 0, by name; the first one stands out.
        x_shown: a tick of the x axis in words.
        y_shown: a tick of the y axis in words.
    """
    points = [p for line in series.values() for p in line]
    if not points:
        return _svg(60, title, [])
    left, right, top, bottom, height = 80, 200, 46, 36, 380
    xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
    x_low, x_high = math.log10(xs[0]), math.log10(xs[-1])
    y_low, y_high = (
        math.floor(math.log10(min(ys))),
        max(math.ceil(math.log10(max(ys))), math.floor(math.log10(min(ys))) + 1),
    )

    def at_x(x: float) -> float:
        return left + (WIDTH - left - right) * ((math.log10(x) - x_low) / (x_high - x_low) if x_high > x_low else 0.5)

    def at_y(y: float) -> float:
        return height - bottom - (height - top - bottom) * (math.log10(y) - y_low) / (y_high - y_low)

    body = []
    for power in range(y_low, y_high + 1):
        y = at_y(10.0**power)
        body.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(_text(left - 8, y + 4, y_shown(10.0**power), "dim", "end"))
    for x in xs:
        body.append(f'<line class="grid" x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{top}" y2="{height - bottom}"/>')
        body.append(_text(at_x(x), height - bottom + 18, x_shown(x), "dim", "middle"))
    ends = []
    for i, (name, line) in enumerate(series.items()):
        colour = f"c{i % 7}"
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line)
        body.append(f'<polyline class="{colour} line" points="{path}"/>')
        body += [f'<circle class="{colour}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3"/>' for x, y in line]
        ends.append((at_y(line[-1][1]), name, colour, at_x(line[-1][0])))
    taken = -math.inf
    for y, name, colour, x in sorted(ends):
        taken = max(y, taken + 17)  # names do not cover each other
        body.append(_text(x + 9, taken + 4, name, f"{colour} label"))
    return _svg(height, title, body)
