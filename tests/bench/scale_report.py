"""scale_report - the tables and the charts of tests/bench/scale.

A machine's figures are in one table and one column of charts: this one's, and those of the virtual machine that allows more
connections, if there is one. What a machine's report has is in measure_places().
"""
import math
import os
import re

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")

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
WIDTH, HEIGHT, HEAD = 360, 200, 46
LEFT, TOP, RIGHT, BOTTOM = 55, 34, 20, 28
MARK = 28  # from one to the next, at least


def value_of(figures, name, divisor):
    return figures[name] / divisor if name in figures else None


def machines_of(report):
    """Return: the reports of the machines that measured."""
    return [machine for machine in (report["here"], report.get("vm")) if machine is not None]


def title_of(machine):
    return f"{machine['processors']} processors, Linux {machine['kernel']}" + (", emulated" if machine["emulated"] else "")


def make_table(stacks):
    """One line for each figure and stack, one column for each number of connections; in brackets how many times the figure with the
    fewest."""
    counts = list(next(iter(stacks.values())))
    lines = ["| figure | stack | " + " | ".join(str(count) for count in counts) + " |", "|---|---|" + "---:|" * len(counts)]
    for name, title, unit, divisor, digits in FIGURES:
        for stack, by_count in stacks.items():
            values = [value_of(figures, name, divisor) for figures in by_count.values()]
            if not any(value is not None for value in values):
                continue
            first = values[0]
            cells = ["-" if value is None else f"{value:.{digits}f}" +
                     (f" ({value / first:.2f})" if first and name.endswith(("_us", "_s")) and value is not first else "")
                     for value in values]
            lines.append(f"| {title}, {unit} | {stack} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def make_tables(report):
    emulated = " (of the times only the growth says something)"
    return "\n".join(f"{title_of(machine)}{emulated if machine['emulated'] else ''}:\n\n{make_table(machine['stacks'])}" for machine in machines_of(report))


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def make_panel(stacks, x, y, figure):
    name, title, unit, divisor, _ = figure
    series = {stack: [(int(count), value_of(figures, name, divisor)) for count, figures in by_count.items()
                      if name in figures] for stack, by_count in stacks.items()}
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    counts = [count for by_count in stacks.values() for count in map(int, by_count)]
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
        out.append(f'<text x="{x + LEFT - 5}" y="{line_y + 4:.1f}" text-anchor="end">{number(top * part)}</text>')
    last_x = x + 2 * WIDTH
    for count in sorted(set(counts), reverse=True):
        mark_x, _ = place(count, 0)
        if last_x - mark_x < MARK:
            continue
        last_x = mark_x
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
    machines = machines_of(report)
    width, height = len(machines) * WIDTH, HEAD + len(FIGURES) * HEIGHT
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="11">', f'<rect width="{width}" height="{height}" fill="white"/>']
    for column, machine in enumerate(machines):
        x = column * WIDTH
        out.append(f'<text x="{x + LEFT}" y="20" font-size="13">{title_of(machine)}</text>')
        for i, (stack, colour) in enumerate(COLOURS.items()):
            out.append(f'<rect x="{x + LEFT + 90 * i}" y="30" width="12" height="12" fill="{colour}"/>')
            out.append(f'<text x="{x + LEFT + 18 + 90 * i}" y="40">{stack}</text>')
        for row, figure in enumerate(FIGURES):
            out.append(make_panel(machine["stacks"], x, HEAD + row * HEIGHT, figure))
    return "\n".join(out) + "\n</svg>\n"


def publish(report):
    """The tables go between the marks in docs/performance.md, the chart beside it."""
    path = os.path.join(DOCS, "performance.md")
    with open(path) as file:
        text = file.read()
    body = f"Measured on {report['time']}; in brackets how many times the figure with the fewest connections.\n\n" + make_tables(report)
    begin, end = "<!-- bench-scale: begin -->\n", "<!-- bench-scale: end -->"
    text = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + body + end, text, flags=re.S)
    with open(path, "w") as file:
        file.write(text)
    with open(os.path.join(DOCS, "bench-scale.svg"), "w") as file:
        file.write(make_chart(report))
