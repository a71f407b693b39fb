"""Pictures of the page that are more than a bar: small SVG, and strips; text stays text, colours are the page's."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 260, 40, 60


def sweep(points: Any) -> Any:
    """Bytes and false positives per non-zero weight against slot bits: bars from zero, and a line over them."""
    top = HEIGHT - BOTTOM
    most_bytes = max(point["report"]["bytes"] for point in points)
    most_errors = max(point["report"]["false_positives_per_nonzero"] for point in points) or 1
    step = (WIDTH - 2 * LEFT) / len(points)
    bars, dots, texts = [], [], []
    for k, point in enumerate(points):
        report, x = point["report"], LEFT + (k + 0.5) * step
        height = 0.9 * (top - 20) * report["bytes"] / most_bytes
        y = top - 0.9 * (top - 20) * report["false_positives_per_nonzero"] / most_errors
        title = (
            f"t = {point['slot_bits']}: {report['bytes']:,} bytes, {report['n_false_positives']:,} false positives, "
            f"{report['false_positives_per_nonzero']:.3f} a non-zero weight"
        )
        bars.append(
            f'<rect class="bytes" x="{x - step * 0.3:.1f}" y="{top - height:.1f}" width="{step * 0.6:.1f}" '
            f'height="{height:.1f}"><title>{title}</title></rect>'
        )
        dots.append((x, y, title))
        texts.append(f'<text x="{x:.1f}" y="{top + 16}" text-anchor="middle">{point["slot_bits"]}</text>')
        texts.append(
            f'<text class="value" x="{x:.1f}" y="{top + 32}" text-anchor="middle">{report["bytes"]:,} B</text>'
        )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
    marks = "".join(
        f'<circle class="errors" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{title}</title></circle>'
        for x, y, title in dots
    )
    first = points[0]["report"]["false_positives_per_nonzero"]
    return Markup(  # of numbers alone
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="slot bits against bytes and false positives">'
        f'{"".join(bars)}<polyline class="errors" points="{line}"/>{marks}{"".join(texts)}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">slot bits t (bars: bytes; line: false positives '
        f"a non-zero weight, {first:.2f} at the first)</text></svg>"
    )


def strip(winners: Any) -> list[dict[str, Any]]:
    """Who takes the least from which density on, as widths in per cent of all densities."""
    ends = [density for density, _ in winners[1:]] + [1.0]
    return [
        {"name": name, "from": density, "width": 100 * (end - density)}
        for (density, name), end in zip(winners, ends, strict=True)
    ]


class Dot(NamedTuple):
    """A point of a scatter."""

    x: float
    y: float
    text: str
    group: int  # which colour
    is_on: bool  # it is on the front, and large


def scatter(dots: Sequence[Dot], x_title: str, y_title: str) -> Markup:
    """From zero on."""
    left, right, top, bottom = 8, WIDTH - 16, 24, HEIGHT - 40
    most_x = max((dot.x for dot in dots), default=0) or 1
    most_y = max((dot.y for dot in dots), default=0) or 1
    marks = [
        f'<circle class="group-{dot.group}{" on" if dot.is_on else ""}" r="{5 if dot.is_on else 3}" '
        f'cx="{left + (right - left) * dot.x / most_x:.1f}" cy="{bottom - (bottom - top) * dot.y / most_y:.1f}">'
        f"<title>{escape(dot.text)}: {dot.x:,.6g} {x_title}, {dot.y:,.4g} {y_title}</title></circle>"
        for dot in sorted(dots, key=lambda dot: dot.is_on)
    ]
    axes = f'<path class="axis" d="M {left} {top - 8} V {bottom} H {right + 8}"/>'
    words = (
        f'<text x="{left}" y="12">{most_y:,.3g} {y_title}</text><text x="{left}" y="{bottom + 16}">0</text>'
        f'<text x="{right + 8}" y="{bottom + 16}" text-anchor="end">{most_x:,.0f} {x_title}</text>'
    )
    label = f"{x_title} against {y_title}"
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT - 16}" role="img" aria-label="{label}">{axes}{"".join(marks)}{words}</svg>'
    )
