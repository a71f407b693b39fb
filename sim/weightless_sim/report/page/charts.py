"""Pictures of the page that are more than a bar: small SVG, and strips; text stays text, colours are the page's."""

from collections.abc import Sequence
from typing import Any

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


def scatter(points: Sequence[tuple[float, float, str, bool]], x_title: str, y_title: str) -> Any:
    """Points (x, y, what it is, whether it is on the front) from zero on; those on the front are large."""
    right, top = WIDTH - LEFT - 20, HEIGHT - BOTTOM
    most_x = max((x for x, *_ in points), default=0) or 1
    most_y = max((y for _, y, *_ in points), default=0) or 1
    marks = [
        f'<circle class="{"errors" if is_on else "other"}" cx="{LEFT + 20 + right * x / most_x:.1f}" '
        f'cy="{top - 0.94 * top * y / most_y:.1f}" r="{5 if is_on else 3}">'
        f"<title>{escape(text)}: {x_title} {x:,.6g}, {y_title} {y:,.4g}</title></circle>"
        for x, y, text, is_on in sorted(points, key=lambda point: point[3])
    ]
    axes = f'<path class="axis" d="M {LEFT + 20} 8 V {top} H {WIDTH - 4}"/>'
    words = (
        f'<text x="{LEFT + 20}" y="{top + 16}">0</text><text x="{WIDTH - 4}" y="{top + 16}" text-anchor="end">'
        f'{most_x:,.4g} {x_title}</text><text x="{LEFT + 26}" y="16">{most_y:,.3g} {y_title}</text>'
    )
    label = f"{x_title} against {y_title}"
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT - 30}" role="img" aria-label="{label}">{axes}{"".join(marks)}{words}</svg>'
    )
