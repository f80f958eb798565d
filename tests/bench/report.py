"""report - what the rounds come to: rows with medians and ratios, a table, two charts."""
import html
import math
import statistics

from loads import UNITS


def summarise(rows, results):
    """results: {(load, place's name): [figures of each round]}. Return one dictionary for each row that was run."""
    summary = []
    for row in rows:
        names = [name for name in (*row.places, *row.rivals) if results.get((row.load, name))]
        if not names:
            continue
        entry = {"name": row.name, "unit": UNITS[row.figure], "more_is_better": row.more_is_better, "places": {}}
        for name in names:
            rounds = results[row.load, name]
            values = [figures[row.figure] for figures in rounds]
            entry["places"][role(row, name)] = {
                "median": statistics.median(values), "rounds": [round(value, 4) for value in values],
                "cpu_share": statistics.median(figures["cpu_share"] for figures in rounds)}
        add_ratio(entry, row)
        summary.append(entry)
    return summary


def role(row, name):
    """kernel, sidestack, or the name of a rival."""
    return dict(zip(row.places, ("kernel", "sidestack"))).get(name, name)


def add_ratio(entry, row):
    """Rounds are paired: the ratio of each pair, then the median of these."""
    places = entry["places"]
    if "kernel" not in places or "sidestack" not in places:
        return
    pairs = list(zip(places["sidestack"]["rounds"], places["kernel"]["rounds"]))
    if any(theirs == 0 for _, theirs in pairs):
        if row.reach == 0:
            entry["reach"], entry["reached"] = 0, places["sidestack"]["median"] == 0
        return
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    entry["ratio"] = statistics.median(ratios)
    entry["ratio_least"], entry["ratio_most"] = ratios[0], ratios[-1]
    if row.reach is not None:
        entry["reach"] = row.reach
        entry["reached"] = entry["ratio"] >= row.reach if row.more_is_better else entry["ratio"] <= row.reach
    for name in row.rivals:
        if name in places:
            places[name]["ratio"] = places["sidestack"]["median"] / places[name]["median"]


def number(value):
    """Four figures that say something."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}" if digits > 0 else f"{round(value):,}"


def make_table(summary):
    rivals = sorted({name for entry in summary for name in entry["places"]} - {"kernel", "sidestack"})
    lines = ["| what | unit | kernel | sidestack | ratio (spread) | reach | processors: kernel | sidestack | "
             + "".join(f"{name} | " for name in rivals)]
    lines[0] = lines[0].rstrip()
    lines.append("|---" * (8 + len(rivals)) + "|")
    for entry in summary:
        places = entry["places"]
        kernel, ours = places.get("kernel"), places.get("sidestack")
        ratio = f"{entry['ratio']:.2f} ({entry['ratio_least']:.2f}-{entry['ratio_most']:.2f})" if "ratio" in entry else ""
        sign = "≥" if entry["more_is_better"] else "≤"
        reach = f"{sign} {entry['reach']} {'reached' if entry['reached'] else 'MISSED'}" if "reach" in entry else ""
        cells = [entry["name"], entry["unit"], number(kernel["median"]) if kernel else "",
                 number(ours["median"]) if ours else "", ratio, reach,
                 f"{kernel['cpu_share']:.2f}" if kernel else "", f"{ours['cpu_share']:.2f}" if ours else ""]
        cells += [number(places[name]["median"]) if name in places else "" for name in rivals]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


# Of the charts, in pixels.
LABEL_WIDTH, PLOT_WIDTH, ROW_HEIGHT, TOP = 330, 420, 22, 46
LEAST, MOST = 0.125, 8.0
COLOURS = {"sidestack": "#2a7f3f", "slirp4netns": "#b3372e", "pasta": "#c98a00", "socket_wrapper": "#4a6fb0", "bound": "#888888"}


def position(ratio):
    """Of a ratio on the logarithmic axis. Return: pixels."""
    ratio = min(max(ratio, LEAST), MOST)
    return LABEL_WIDTH + PLOT_WIDTH * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def times_as_good(entry, ratio):
    """As a multiple of the kernel, more is better."""
    return ratio if entry["more_is_better"] or ratio == 0 else 1 / ratio


def begin_chart(rows, bottom):
    """The frame of a chart: its size and the axis."""
    height = TOP + ROW_HEIGHT * rows + 16
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL_WIDTH + PLOT_WIDTH + 60}" height="{height + bottom}" '
             'font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{position(1)}" y="16" text-anchor="middle">times as good as the kernel</text>']
    for tick in (0.125, 0.25, 0.5, 1, 2, 4, 8):
        x = position(tick)
        colour = "#444" if tick == 1 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 10}" stroke="{colour}"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#666">{tick:g}</text>')
    return parts


def label(entry, y):
    return f'<text x="{LABEL_WIDTH - 8}" y="{y + 4:.1f}" text-anchor="end">{html.escape(entry["name"])}</text>'


def make_chart(summary):
    """How many times as good as the kernel, a line for each row: the median, the spread, the mark to reach."""
    entries = [entry for entry in summary if entry.get("ratio_least", 0) > 0]
    parts = begin_chart(len(entries), 24)
    for index, entry in enumerate(entries):
        y = TOP + ROW_HEIGHT * index + ROW_HEIGHT / 2
        low, middle, high = sorted(times_as_good(entry, entry[name]) for name in ("ratio_least", "ratio", "ratio_most"))
        good = entry.get("reached")
        colour = "#777" if good is None else "#2a7f3f" if good else "#b3372e"
        parts.append(label(entry, y))
        parts.append(f'<line x1="{position(low):.1f}" x2="{position(high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                     'stroke-width="3"/>')
        parts.append(f'<circle cx="{position(middle):.1f}" cy="{y}" r="5" fill="{colour}"/>')
        if "reach" in entry:
            x = position(times_as_good(entry, entry["reach"]))
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{y + 8}" stroke="black" stroke-width="2"/>')
        parts.append(f'<text x="{LABEL_WIDTH + PLOT_WIDTH + 8}" y="{y + 4:.1f}">{middle:.2f}</text>')
    y = TOP + ROW_HEIGHT * len(entries) + 24
    parts.append(f'<text x="{LABEL_WIDTH}" y="{y}" fill="#666">dot: median; bar: spread of the rounds; black mark: to be '
                 'reached (green: is)</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def make_rivals_chart(summary):
    """The same of every stack, for the rows in which there are others; medians only."""
    entries = [entry for entry in summary if "kernel" in entry["places"] and set(entry["places"]) - {"kernel", "sidestack"}]
    parts = begin_chart(len(entries), 24)
    for index, entry in enumerate(entries):
        y = TOP + ROW_HEIGHT * index + ROW_HEIGHT / 2
        parts.append(label(entry, y))
        for name, colour in COLOURS.items():
            if name in entry["places"] and entry["places"][name]["median"] > 0:
                good = times_as_good(entry, entry["places"][name]["median"] / entry["places"]["kernel"]["median"])
                parts.append(f'<circle cx="{position(good):.1f}" cy="{y}" r="5" fill="{colour}" fill-opacity="0.85"/>')
    y = TOP + ROW_HEIGHT * len(entries) + 24
    for index, (name, colour) in enumerate(COLOURS.items()):
        x = LABEL_WIDTH + index * 110
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{colour}"/><text x="{x + 9}" y="{y}">{name}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"
