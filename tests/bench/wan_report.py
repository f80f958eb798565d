"""wan_report - what tests/bench/wan measured: tables, and a heat map."""
import math
import os
import statistics

from publish import DOCS, replace_part

COLUMNS = [("upload", 1), ("upload", 8), ("download", 1), ("download", 8)]
TITLES = ["sending, 1 stream", "8 streams", "receiving, 1 stream", "8 streams"]


def ratio(row):
    return row["sidestack"]["mbit_s"] / row["kernel"]["mbit_s"] if row["kernel"]["mbit_s"] > 0 else 0


def lines_of(report):
    """Return: [(round trip, loss, reorder), [row or None for each of COLUMNS]]."""
    rows = {tuple(row["point"]): row for row in report["rows"]}
    paths = sorted({point[:3] for point in rows})
    return [(path, [rows.get((*path, kind, streams)) for kind, streams in COLUMNS]) for path in paths]


def resent_ratio(rows):
    """All that was sent again, point by point of the same weight, by ours to the kernel's."""
    ours, theirs = (sum(row[name]["resent"] for row in rows) for name in ("sidestack", "kernel"))
    return ours / theirs if theirs > 0 else float("inf")


def rounds_text(report):
    counts = sorted({len(row["rounds"]["sidestack"]) for row in report["rows"]})
    return f"{counts[0]} rounds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} rounds"


def summary(report):
    ratios = [ratio(row) for row in report["rows"]]
    ways = {kind: [row for row in report["rows"] if row["point"][3] == kind] for kind in ("upload", "download")}
    again = ", ".join(f"{word} {resent_ratio(ways[kind]):.2f} times the kernel's" for kind, word in
                      (("upload", "sending"), ("download", "receiving")) if ways[kind])
    return (f"{len(ratios)} points: median {statistics.median(ratios):.2f}, {sum(value >= 0.8 for value in ratios)} of them at "
            f"least 0.8, lowest {min(ratios):.2f}. Bytes sent again: {again}.")


def cell(row):
    if row is None:
        return ""
    text = f"{ratio(row):.2f}"
    return (f"**{text}**" if ratio(row) < 0.8 else text) + \
        f" ({row['sidestack']['mbit_s']:.1f}; {row['sidestack']['resent'] * 100:.1f} %, {row['kernel']['resent'] * 100:.1f} %)"


def grid_table(report):
    lines = ["| round trip, loss, out of order | " + " | ".join(TITLES) + " |", "|---" * 5 + "|"]
    for (delay, loss, reorder), rows in lines_of(report):
        lines.append(f"| {delay:g} ms, {loss:g} %, {reorder:g} % | " + " | ".join(cell(row) for row in rows) + " |")
    return "\n".join(lines) + "\n\n" + summary(report) + "\n"


def share(ours, others):
    return ours / (ours + others)


def shares_text(shares):
    return f"{', '.join(f'{value * 100:.0f}' for value in shares)} %; median {statistics.median(shares) * 100:.0f} %"


def fairness_text(rounds):
    ours = [share(flows["together"]["sidestack"], flows["together"]["kernel"]) for flows in rounds]
    kernels = [share(*flows["kernels"]) for flows in rounds]
    alone = {stack: [flows["alone"][stack] for flows in rounds if stack in flows["alone"]] for stack in ("kernel", "sidestack")}
    lines = [f"Two flows share 100 Mbit/s, 20 ms and a queue of 170 frames for 25 s, {len(rounds)} rounds. Sidestack's share beside "
             f"a kernel's: {shares_text(ours)}. The first of two kernels': {shares_text(kernels)}.\n",
             "| alone on that link, medians; the least and the most | kernel | sidestack |", "|---|---|---|"]
    for title, figure, unit, scale in (("throughput", "mbit_s", "Mbit/s", 1), ("mean wait in the queue", "queue_ms", "ms", 1),
                                       ("p99 of a kernel's ping-pong beside it", "p99_ms", "ms", 1),
                                       ("sent again", "resent", "KB", 1000)):
        values = [[measured[figure] / scale for measured in alone[stack]] for stack in ("kernel", "sidestack")]
        lines.append(f"| {title} | " + " | ".join(f"{statistics.median(some):.1f} {unit} ({min(some):.1f} to {max(some):.1f})" for some in values) + " |")
    return "\n".join(lines) + "\n"


def mean_wait(tries, longest):
    """Who tries at these times goes on with the next one when an outage ends. Return: after how long on average, if any length below longest is
    as likely as another: the last try that was seen bounds it."""
    times = [0.0] + tries
    return sum((later - earlier) ** 2 / 2 for earlier, later in zip(times, times[1:]) if later <= longest) / min(times[-1], longest)


def outage_text(outages):
    lines = ["| nothing passes for | the kernel goes on after | a megabyte more after | sidestack goes on after | a megabyte more after |",
             "|---" * 5 + "|"]
    for seconds, after in sorted(outages.items(), key=lambda item: float(item[0])):
        lines.append(f"| {seconds} s | " + " | ".join(f"{place[stack]:.1f} s" if stack in place else "-" for stack in ("kernel", "sidestack")
                                                      for place in (after, after.get("megabyte", {}))) + " |")
    text = "\n".join(lines) + "\n"
    longest = max(outages.values(), key=lambda after: max(after.get("tries", {}).get("kernel") or [0]))
    if "tries" in longest:
        for stack, name in (("kernel", "The kernel"), ("sidestack", "Sidestack")):
            tries = longest["tries"][stack]
            text += (f"\n{name} tries in the longest of them after {', '.join(f'{value:.2f}' for value in tries)} s; over outages of all lengths up "
                     f"to the last of these that makes it go on {mean_wait(tries, tries[-1]):.2f} s after their end on average.\n")
    return text


def print_grid(report):
    print(grid_table(report), end="")


def print_rest(report):
    if "fairness" in report:
        print("\n" + fairness_text(report["fairness"]), end="")
    if "outages" in report:
        print("\n" + outage_text(report["outages"]), end="")


# Of the heat map, in pixels.
LABEL_WIDTH, CELL_WIDTH, CELL_HEIGHT, TOP = 230, 120, 20, 46


def colour(value):
    """Red for half the kernel's throughput, white for the same, green for twice."""
    strength = max(-1.0, min(1.0, math.log2(value))) if value > 0 else -1.0
    fade = round(255 - 130 * abs(strength))
    return f"rgb({fade},255,{fade})" if strength > 0 else f"rgb(255,{fade},{fade})"


def heat_map(report):
    lines = lines_of(report)
    width, height = LABEL_WIDTH + CELL_WIDTH * len(COLUMNS) + 10, TOP + CELL_HEIGHT * len(lines) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LABEL_WIDTH}" y="16">throughput, times the kernel\'s</text>']
    for number, title in enumerate(TITLES):
        parts.append(f'<text x="{LABEL_WIDTH + CELL_WIDTH * (number + 0.5)}" y="38" text-anchor="middle">{title}</text>')
    for line, ((delay, loss, reorder), rows) in enumerate(lines):
        y = TOP + CELL_HEIGHT * line
        parts.append(f'<text x="{LABEL_WIDTH - 8}" y="{y + 14}" text-anchor="end">{delay:g} ms, {loss:g} % lost, '
                     f'{reorder:g} % out of order</text>')
        for number, row in enumerate(rows):
            if row is None:
                continue
            x = LABEL_WIDTH + CELL_WIDTH * number
            parts.append(f'<rect x="{x}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" fill="{colour(ratio(row))}" '
                         'stroke="white"/>')
            parts.append(f'<text x="{x + CELL_WIDTH / 2}" y="{y + 14}" text-anchor="middle">{ratio(row):.2f}</text>')
    return "\n".join(parts) + "\n</svg>\n"


def publish(report):
    """The tables go between the marks in docs/performance.md, the heat map beside it."""
    body = (f"{report['processors']} processors, Linux {report['kernel']}, {report['time'][:10]}; a link of {report['rate']} with a "
            f"queue of 500 frames, {rounds_text(report)}.\n\n![the same as a picture](bench-wan.svg)\n\n" + grid_table(report))
    if "fairness" in report:
        body += "\n### Fairness\n\n" + fairness_text(report["fairness"])
    if "outages" in report:
        body += "\n### Outages\n\n" + outage_text(report["outages"])
    replace_part("bench-wan", body)
    with open(os.path.join(DOCS, "bench-wan.svg"), "w") as file:
        file.write(heat_map(report))
