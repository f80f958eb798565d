"""scale_report - the table and the charts of tests/bench/scale."""
import math

FIGURES = (  # name, title, unit, divisor, digits
    ("p50_us", "round trip, p50", "µs", 1, 0),
    ("p99_us", "round trip, p99", "µs", 1, 0),
    ("requests_s", "requests over 100 connections", "1000/s", 1000, 1),
    ("connects_s", "connections one after another", "1000/s", 1000, 2),
    ("resident_each", "the service's memory for each", "KiB", 1024, 2),
    ("slab_each", "the kernel's slab for each, both ends", "KiB", 1024, 2),
    ("idle_percent", "processor when all are idle", "%", 1, 2),
)
COLOURS = {"kernel": "#888888", "sidestack": "#0b6fb8"}
WIDTH, HEIGHT, COLUMNS = 330, 200, 2
LEFT, TOP, RIGHT, BOTTOM = 55, 34, 12, 28


def value_of(figures, name, divisor):
    return figures[name] / divisor if name in figures else None


def make_table(report):
    """One line for each number of connections and figure; in brackets how many times the figure with the fewest."""
    lines = ["| figure | stack | " + " | ".join(str(count) for count in report["kernel"]) + " |",
             "|---|---|" + "---:|" * len(report["kernel"])]
    for name, title, unit, divisor, digits in FIGURES:
        for stack, by_count in report.items():
            values = [value_of(figures, name, divisor) for figures in by_count.values()]
            if not any(value is not None for value in values):
                continue
            first = values[0]
            cells = ["-" if value is None else f"{value:.{digits}f}" +
                     (f" ({value / first:.2f})" if first and name.endswith(("_us", "_s")) and value is not first else "")
                     for value in values]
            lines.append(f"| {title}, {unit} | {stack} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def make_panel(report, x, y, figure):
    name, title, unit, divisor, _ = figure
    series = {stack: [(int(count), value_of(figures, name, divisor)) for count, figures in by_count.items()
                      if name in figures] for stack, by_count in report.items()}
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    counts = [count for by_count in report.values() for count in map(int, by_count)]
    low, high = math.log10(min(counts)), math.log10(max(counts)) or 1
    top = max(value for _, value in points) * 1.15 or 1
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(count, value):
        span = high - low or 1
        return (x + LEFT + (math.log10(count) - low) / span * (right - LEFT), y + bottom - value / top * (bottom - TOP))

    out = [f'<text x="{x + LEFT}" y="{y + 18}" font-weight="bold">{title}, {unit}</text>']
    for part in (0, 0.5, 1):
        _, line_y = place(min(counts), top * part)
        out.append(f'<line x1="{x + LEFT}" y1="{line_y:.1f}" x2="{x + right}" y2="{line_y:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{x + LEFT - 5}" y="{line_y + 4:.1f}" text-anchor="end">{top * part:.3g}</text>')
    for count in sorted(set(counts)):
        mark_x, _ = place(count, 0)
        label = f"{count // 1000}k" if count >= 1000 else str(count)
        out.append(f'<text x="{mark_x:.1f}" y="{y + bottom + 16}" text-anchor="middle">{label}</text>')
    for stack, line in series.items():
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(*point) for point in line))
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[stack]}" stroke-width="2"/>')
        for point in line:
            px, py = place(*point)
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{COLOURS[stack]}"/>')
    return "\n".join(out)


def make_chart(report):
    rows = (len(FIGURES) + COLUMNS) // COLUMNS
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="11">', f'<rect width="{width}" height="{height}" fill="white"/>']
    for i, figure in enumerate(FIGURES):
        out.append(make_panel(report, i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT, figure))
    x, y = len(FIGURES) % COLUMNS * WIDTH + LEFT, len(FIGURES) // COLUMNS * HEIGHT + 40
    for i, (stack, colour) in enumerate(COLOURS.items()):
        out.append(f'<rect x="{x}" y="{y + 24 * i}" width="14" height="14" fill="{colour}"/>')
        out.append(f'<text x="{x + 22}" y="{y + 24 * i + 12}">{stack}</text>')
    out.append(f'<text x="{x}" y="{y + 80}">against the number of established connections</text>')
    return "\n".join(out) + "\n</svg>\n"
