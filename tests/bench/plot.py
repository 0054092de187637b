# SPDX-License-Identifier: MIT
"""Charts of a run as SVG, on light and on dark pages: one for each network, a panel for each workload, a bar for each way, its median and
its spread; and one of the goals. The same figures give the same bytes."""
import os
from xml.sax.saxutils import escape

import goals
import report

WIDTH, NAMES, VALUES = 760, 210, 130
BAR, GAP, HEAD, MARGIN = 16, 7, 34, 16
GOAL_NAMES, GOAL_SCALE, GOAL_MOST = 385, 110, 1.5  # a bar as long as GOAL_SCALE is just what is asked for
TIMED = "wall"

# Both kinds of pages: what shows a picture says which one it has.
STYLE = """<style>
text { fill: #1f2328; font: 12px sans-serif } .title { font-size: 15px } .title, .head { font-weight: bold }
.paper { fill: #ffffff } .line { stroke: #1f2328 } .ftxfs, .met { fill: #2f81c7 } .peer { fill: #d98e32 } .floor { fill: #a8b0b8 } .missed { fill: #cf4a3c }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .paper { fill: #0d1117 } .line { stroke: #e6edf3 } .floor { fill: #6e7781 } }
</style>"""


def text(x, y, words, anchor="start", kind=None):
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def rectangle(x, y, width, height, kind):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" class="{kind}"/>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="line"/>'


def drawing(height, title, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">\n{STYLE}\n'
            f'{rectangle(0, 0, WIDTH, height, "paper")}\n{text(MARGIN, MARGIN + 8, title, kind="title")}\n' + "\n".join(parts) + "\n</svg>\n")


# -- seconds ---------------------------------------------------------------------------------------


def kind_of(result):
    if result["peer"].startswith("ftxfs"):
        return "ftxfs"
    return "floor" if result["floor"] else "peer"


def bar(result, y, scale, base):
    middle, x, walls = y + BAR / 2, MARGIN + NAMES, report.values(result, TIMED)
    parts = [text(x - 8, middle + 4, result["name"], anchor="end")]
    if result["problem"] or not walls:
        return [*parts, text(x + 4, middle + 4, result["problem"] or "no figure")]
    wall = report.middle(result, TIMED)
    parts.append(rectangle(x, y, wall * scale, BAR, kind_of(result)))
    if max(walls) > min(walls):
        parts.append(line(x + min(walls) * scale, middle, x + max(walls) * scale, middle))
        parts += [line(x + end * scale, middle - 4, x + end * scale, middle + 4) for end in (min(walls), max(walls))]
    ratio = f" ({wall / base:.2f}x)" if base and result["peer"] != "ftxfs" else ""
    return [*parts, text(x + max(walls) * scale + 6, middle + 4, f"{report.seconds(wall)} s{ratio}")]


def panel(results, top):
    """One workload: (elements, height)."""
    base = next((report.middle(result, TIMED) for result in results if result["peer"] == "ftxfs"), None)
    scale = (WIDTH - NAMES - VALUES - 2 * MARGIN) / max(max(report.values(result, TIMED), default=0) for result in results)
    parts, y = [text(MARGIN, top + 18, results[0]["title"] + report.size_text(results[0]["size"]), kind="head")], top + HEAD
    for result in results:
        parts += bar(result, y, scale, base)
        y += BAR + GAP
    return parts, y - top + GAP


def chart(results):
    """One network; None if nothing of it was timed."""
    parts, top = [], MARGIN + 24
    for group in report.groups(results).values():
        if group[0]["workload"] not in ("idle", "large") and any(report.values(result, TIMED) for result in group):
            more, height = panel(group, top)
            parts += more
            top += height
    return drawing(top + MARGIN, f"Seconds until complete: {results[0]['network_title']}", parts) if parts else None


# -- goals -----------------------------------------------------------------------------------------


def goals_chart(results):
    """What was measured as a part of what is allowed; None if nothing was."""
    parts, y, x = [], MARGIN + 32, MARGIN + GOAL_NAMES
    judged = goals.judge(results)
    for goal, title, network, value in judged:
        part, middle = min(goal.part(value), GOAL_MOST), y + BAR / 2
        parts.append(text(x - 8, middle - 3, f"{title}; {network}", anchor="end", kind="head"))
        parts.append(text(x - 8, middle + 12, goal.what, anchor="end"))
        parts.append(rectangle(x, y, part * GOAL_SCALE, BAR, "met" if goal.is_met(value) else "missed"))
        parts.append(text(x + max(part, 1) * GOAL_SCALE + 6, middle + 4, f"{goal.show.format(value)} ({goal.bound_text()})"))
        y += 2 * BAR + GAP
    parts.append(line(x + GOAL_SCALE, MARGIN + 24, x + GOAL_SCALE, y - GAP))
    n_met = sum(goal.is_met(value) for goal, _, _, value in judged)
    return drawing(y + MARGIN, f"Goals: {n_met} of {len(judged)} met; the line is the goal, shorter is better", parts) if judged else None


def write(folder, results):
    """The files that were written."""
    os.makedirs(folder, exist_ok=True)
    charts = {network: chart([result for result in results if result["network"] == network])
              for network in dict.fromkeys(result["network"] for result in results)}
    written = []
    for name, content in {"goals": goals_chart(results), **charts}.items():
        if content:
            written.append(os.path.join(folder, name + ".svg"))
            with open(written[-1], "w", encoding="utf-8") as file:
                file.write(content)
    return written
