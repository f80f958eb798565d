"""scale_report - the table and the charts of tests/bench/scale.

What a machine's report has is in measure(); the figures of a number of connections are in compare() and measure_idle() there.
"""
import math
import os
import statistics

from publish import DOCS, replace_part

FIGURES = (  # name, title, unit, divisor, digits
    ("p50_us", "round trip, p50", "µs", 1, 0),
    ("p99_us", "round trip, p99", "µs", 1, 0),
    ("trip_cpu_us", "the service's processor time for a round trip", "µs", 1, 1),
    ("requests_s", "requests over 100 connections", "1000/s", 1000, 1),
    ("request_cpu_us", "the service's processor time for a request", "µs", 1, 1),
    ("connects_s", "connections one after another", "1000/s", 1000, 2),
    ("connect_cpu_us", "the service's processor time for a connection", "µs", 1, 0),
    ("resident_each", "the service's memory for each", "KiB", 1024, 2),
    ("slab_each", "the kernel's slab for each, both ends", "KiB", 1024, 2),
    ("idle_percent", "processor when all are idle", "%", 1, 2),
)
COLOURS = {"kernel": "#888888", "sidestack": "#0b6fb8"}
REACH = 1.25
COLUMNS, WIDTH, HEIGHT, HEAD = 2, 480, 200, 46
LEFT, TOP, RIGHT, BOTTOM = 55, 34, 20, 28
MARK = 28  # from one to the next, at least
MOST = 2  # times: of the axis

median = statistics.median


def quartiles(values):
    """Return: the lower and the upper one."""
    cuts = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return cuts[0], cuts[2]


def title_of(report):
    return f"{report['processors']} processors, Linux {report['kernel']}" + (", emulated" if report["emulated"] else "")


def stacks_of(report):
    return list(next(iter(report["counts"].values())))


def cell(figure, divisor, digits):
    if figure is None:
        return "-"
    text = f"{figure['many'] / divisor:.{digits}f}"
    if "ratio" not in figure:
        return text
    ratio = f"{figure['ratio']:.2f}"
    if not 1 / REACH <= figure["ratio"] <= REACH:
        ratio = f"**{ratio}**"
    return f"{text} ({ratio}; {figure['low']:.2f}-{figure['high']:.2f})"


def make_table(report):
    """One line for each figure and stack, one column for each number of connections."""
    counts = list(report["counts"])
    lines = ["| figure | stack | " + " | ".join(str(count) for count in counts) + " |", "|---|---|" + "---:|" * len(counts)]
    for name, title, unit, divisor, digits in FIGURES:
        for stack in stacks_of(report):
            figures = [by_stack[stack].get(name) for by_stack in report["counts"].values()]
            if any(figure is not None for figure in figures):
                lines.append(f"| {title}, {unit} | {stack} | " + " | ".join(cell(figure, divisor, digits) for figure in figures) + " |")
    return "\n".join(lines) + "\n"


def describe(report):
    """The paragraph before the table."""
    first = next(iter(report["counts"]))
    return (f"{title_of(report)}, {report['time']}" + ("; of times and rates only the growth says something" if report["emulated"] else "") +
            f". {report['turns']} turns of {report['turn_ms'] / 1000:g} s; in brackets how many times the figure of a second stack with {first}, which took turns with it: "
            "the median of the turns, and their quartiles.\n\n")


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def series_of(report, name, divisor):
    """Return: {stack: [(number of connections, value, the least, the most)]}; where few and many were compared, how many times that with few."""
    series = {stack: [] for stack in stacks_of(report)}
    for count, by_stack in report["counts"].items():
        for stack, figures in by_stack.items():
            if "ratio" in figures.get(name, {}):
                series[stack].append((int(count), figures[name]["ratio"], figures[name]["low"], figures[name]["high"]))
            elif name in figures:
                series[stack].append((int(count), *[figures[name]["many"] / divisor] * 3))
    return series


def make_panel(report, x, y, figure):
    name, title, unit, divisor, _ = figure
    series = series_of(report, name, divisor)
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    counts = [int(count) for count in report["counts"]]
    is_compared = any("ratio" in by_stack[stack].get(name, {}) for by_stack in report["counts"].values() for stack in by_stack)
    unit = f"times that beside {counts[0]}" if is_compared else unit
    low, high = math.log10(min(counts)), math.log10(max(counts))
    top = MOST if is_compared else max(value for _, value, _, _ in points) * 1.15 or 1
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(count, value):
        return (x + LEFT + (math.log10(count) - low) / (high - low or 1) * (right - LEFT), y + bottom - min(value / top, 1) * (bottom - TOP))

    def level(value, style):
        _, line_y = place(counts[0], value)
        return [f'<line x1="{x + LEFT}" y1="{line_y:.1f}" x2="{x + right}" y2="{line_y:.1f}" {style}/>',
                f'<text x="{x + LEFT - 5}" y="{line_y + 4:.1f}" text-anchor="end">{number(value)}</text>']

    out = [f'<text x="{x + LEFT}" y="{y + 18}" font-weight="bold">{title}, {unit}</text>']
    for value in (0, 1) if is_compared else (0, top / 2, top):
        out += level(value, 'stroke="#dddddd"')
    if is_compared:
        out += level(1 / REACH if name.endswith("_s") else REACH, 'stroke="#b3372e" stroke-dasharray="4 3"')
    last_x = x + 2 * WIDTH
    for count in sorted(set(counts), reverse=True):
        mark_x, _ = place(count, 0)
        if last_x - mark_x < MARK:
            continue
        last_x = mark_x
        label = f"{count // 1000}k" if count >= 1000 else str(count)
        out.append(f'<text x="{mark_x:.1f}" y="{y + bottom + 16}" text-anchor="middle">{label}</text>')
    for i, (stack, line) in enumerate(series.items()):
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(count, value) for count, value, _, _ in line))
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[stack]}" stroke-width="2"/>')
        for count, value, least, most in line:
            px, py = place(count, value)
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{COLOURS[stack]}"/>')
            bar_x = px + 3 * i - 1.5  # beside each other
            out.append(f'<line x1="{bar_x:.1f}" x2="{bar_x:.1f}" y1="{place(count, least)[1]:.1f}" y2="{place(count, most)[1]:.1f}" '
                       f'stroke="{COLOURS[stack]}"/>')
    return "\n".join(out)


def make_chart(report):
    rows = (len(FIGURES) + COLUMNS - 1) // COLUMNS
    width, height = COLUMNS * WIDTH, HEAD + rows * HEIGHT
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="11">', f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{LEFT}" y="20" font-size="13">{title_of(report)}</text>']
    for i, (stack, colour) in enumerate(COLOURS.items()):
        out.append(f'<rect x="{LEFT + 90 * i}" y="30" width="12" height="12" fill="{colour}"/>')
        out.append(f'<text x="{LEFT + 18 + 90 * i}" y="40">{stack}</text>')
    out.append(f'<text x="{LEFT + 200}" y="40" fill="#666">bars: quartiles of the turns; red: what is to be kept</text>')
    for i, figure in enumerate(FIGURES):
        out.append(make_panel(report, i % COLUMNS * WIDTH, HEAD + i // COLUMNS * HEIGHT, figure))
    return "\n".join(out) + "\n</svg>\n"


def publish(report, name):
    """The table goes between its marks in docs/performance.md, the chart beside it; name: of both."""
    replace_part(name, f"{describe(report)}{make_table(report)}\n![the same as charts]({name}.svg)\n")
    with open(os.path.join(DOCS, name + ".svg"), "w") as file:
        file.write(make_chart(report))
