"""Explanations as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from anybyte.explain.hexdump import describe, pale, printed, shown_lines
from anybyte.explain.overlay import overlay, strengths
from anybyte.explain.result import Explanation

_LINE = 16
_LINES = 256
"""Lines of bytes that are shown of a file."""
_LEVELS = 8
"""Shades of each colour."""


def write_page(explanations: Sequence[Explanation]) -> str:
    """The page, a section a file: the answer, the scores over what the file shows, the strongest stretches, and the
    bytes, of a long file its strongest lines.
    """
    sections = "\n".join(_section(one, number) for number, one in enumerate(explanations, start=1))
    title = "Which bytes decided"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{_style()}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>Red (marked +) speaks for the label, blue (marked &minus;) against it; the deeper the colour, the more.</p>
{sections}
</main>
</body>
</html>
"""


def _style() -> str:
    """Colours by class: p1 to p8 for, n1 to n8 against."""
    rules = [
        "body { font: 1rem/1.5 system-ui, sans-serif; color: #111; background: #fff; margin: 2rem auto; "
        "max-width: 62rem; padding: 0 1rem; }",
        "img { max-width: 100%; image-rendering: pixelated; border: 1px solid #999; }",
        "table { border-collapse: collapse; } th, td { padding: .2rem .8rem; border-bottom: 1px solid #ccc; "
        "text-align: right; } caption, figcaption { text-align: left; padding: .3rem 0; }",
        "td.text, pre { font-family: ui-monospace, monospace; text-align: left; }",
        "pre { overflow-x: auto; line-height: 1.35; } pre i { color: #555; font-style: normal; }",
    ]
    for sign, word in ((1, "p"), (-1, "n")):
        for level in range(1, _LEVELS + 1):
            colour = ",".join(str(round(channel)) for channel in pale(sign * level / _LEVELS))
            rules.append(f".{word}{level} {{ background: rgb({colour}); }}")
    return "\n".join(rules)


def _section(one: Explanation, number: int) -> str:
    drawing = overlay(one.data, one.scores)
    picture = base64.b64encode(drawing.png).decode()
    alt = f"{drawing.about} The strongest bytes are in the table below."
    return f"""<section aria-labelledby="file{number}">
<h2 id="file{number}">{escape(one.name)}: {escape(one.label)}</h2>
<p>{escape(describe(one))}</p>
<figure>
<img src="data:image/png;base64,{picture}" width="{drawing.width}" height="{drawing.height}" alt="{escape(alt)}">
<figcaption>{escape(drawing.about)}</figcaption>
</figure>
{_strongest(one)}
{_hexdump(one)}
</section>"""


def _strongest(one: Explanation) -> str:
    rows = "\n".join(
        f"<tr><td>{stretch.start:,}</td><td>{stretch.end - 1:,}</td><td>{_signed(stretch.score)}</td>"
        f'<td class="text">{escape(printed(one.data[stretch.start : stretch.end]))}</td></tr>'
        for stretch in one.top_stretches(10)
    )
    return f"""<table>
<caption>The strongest stretches</caption>
<thead><tr><th scope="col">from byte</th><th scope="col">to byte</th><th scope="col">sum of scores</th>\
<th scope="col">as text</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>"""


def _hexdump(one: Explanation) -> str:
    lines, sums = shown_lines(one, _LINE, _LINES)
    levels = np.round(strengths(one.scores.astype(np.float64)) * _LEVELS).astype(int)
    parts, before = [], -1
    for line in lines:
        if line > before + 1:
            parts.append(f"<i>  ... {(line - before - 1) * _LINE:,} bytes</i>")
        parts.append(_line(one.data, levels, line * _LINE, float(sums[line])))
        before = line
    left_out = len(sums) - len(lines)
    note = (
        f"The strongest {len(lines):,} of {len(sums):,} lines; {left_out:,} are left out." if left_out else "All bytes."
    )
    dump = "\n".join(parts)
    return f"""<h3>Bytes</h3>
<p>{note} Each line ends in its sum.</p>
<pre tabindex="0">
{dump}
</pre>"""


def _line(data: bytes, levels: Float[np.ndarray, "bytes"], start: int, total: float) -> str:
    """Offset, bytes, text, sum; neighbours of one shade share a mark."""
    part, own = data[start : start + _LINE], levels[start : start + _LINE].tolist()
    hexes = [f"{byte:02x}" for byte in part]
    filling = " " * (3 * (_LINE - len(part)))
    text = _marked(list(printed(part)), own, "") + " " * (_LINE - len(part))
    return f"<i>{start:08x}</i>  {_marked(hexes, own, ' ')}{filling}  {text}  <i>{_signed(total)}</i>"


def _marked(texts: list[str], levels: list[int], between: str) -> str:
    runs = []
    for level, group in itertools.groupby(zip(levels, texts, strict=True), key=lambda pair: pair[0]):
        inside = escape(between.join(text for _, text in group))
        name = f"{'p' if level > 0 else 'n'}{abs(level)}"
        runs.append(f'<span class="{name}">{inside}</span>' if level else inside)
    return between.join(runs)


def _signed(score: float) -> str:
    return f"{score:+.3g}".replace("-", "&minus;")
