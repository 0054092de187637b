# SPDX-License-Identifier: MIT
"""Charts of a run as SVG, one file for each network: a panel for each workload, a bar for each way, its median and its spread."""
import os
from xml.sax.saxutils import escape

import report

WIDTH, NAMES, VALUES = 760, 210, 120
BAR, GAP, HEAD, MARGIN = 16, 7, 34, 16
INK, PAPER, GREY = "#222222", "#ffffff", "#b5b5b5"
COLOURS = {"ftxfs": "#1b6ca8", "peer": "#d98e32", "floor": GREY}
TIMED = "wall"


def text(x, y, words, anchor="start", weight="normal", size=12):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="{INK}">'
            f"{escape(words)}</text>")


def rectangle(x, y, width, height, colour):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" fill="{colour}"/>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}" stroke-width="1"/>'


def kind(result):
    if result["peer"].startswith("ftxfs"):
        return "ftxfs"
    return "floor" if result["floor"] else "peer"


def panel(results, top):
    """One workload: (elements, height)."""
    base = next((report.middle(result, TIMED) for result in results if result["peer"] == "ftxfs"), None)
    longest = max(max(report.values(result, TIMED), default=0) for result in results)
    scale = (WIDTH - NAMES - VALUES - 2 * MARGIN) / longest
    first = results[0]
    parts = [text(MARGIN, top + 18, first["title"] + report.size_text(first["size"]), weight="bold", size=13)]
    y = top + HEAD
    for result in results:
        middle = y + BAR / 2
        parts.append(text(MARGIN + NAMES - 8, middle + 4, result["name"], anchor="end"))
        walls = report.values(result, TIMED)
        if result["problem"] or not walls:
            parts.append(text(MARGIN + NAMES + 4, middle + 4, result["problem"] or "no figure"))
        else:
            wall, x = report.middle(result, TIMED), MARGIN + NAMES
            parts.append(rectangle(x, y, wall * scale, BAR, COLOURS[kind(result)]))
            if max(walls) > min(walls):
                parts.append(line(x + min(walls) * scale, middle, x + max(walls) * scale, middle))
                parts += [line(x + wall * scale, middle - 4, x + wall * scale, middle + 4) for wall in (min(walls), max(walls))]
            ratio = f" ({wall / base:.2f}x)" if base and kind(result) != "ftxfs" else ""
            parts.append(text(x + max(walls) * scale + 6, middle + 4, f"{report.seconds(wall)} s{ratio}"))
        y += BAR + GAP
    return parts, y - top + GAP


def chart(results):
    """One network; None if nothing of it was timed."""
    parts, top = [], MARGIN + 24
    for group in report.groups(results).values():
        timed = [result for result in group if result["workload"] != "idle"]
        if any(report.values(result, TIMED) for result in timed):
            more, height = panel(timed, top)
            parts += more
            top += height
    if not parts:
        return None
    title = text(MARGIN, MARGIN + 8, f"Seconds until complete: {results[0]['network_title']}", weight="bold", size=15)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + MARGIN}" viewBox="0 0 {WIDTH} {top + MARGIN}"'
            f' font-family="sans-serif">\n{rectangle(0, 0, WIDTH, top + MARGIN, PAPER)}\n{title}\n' + "\n".join(parts) + "\n</svg>\n")


def write(folder, results):
    """The files that were written."""
    os.makedirs(folder, exist_ok=True)
    written = []
    for network in dict.fromkeys(result["network"] for result in results):
        drawing = chart([result for result in results if result["network"] == network])
        if drawing:
            written.append(os.path.join(folder, network + ".svg"))
            with open(written[-1], "w", encoding="utf-8") as file:
                file.write(drawing)
    return written
