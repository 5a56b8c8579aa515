"""Self-contained HTML pages: no script, nothing from the network, readable on a phone."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from cryjax.evaluate.report import plots

COLOURS = (
    "#1f77b4",
    "#d62728",
    "#2ca02c",
    "#9467bd",
    "#ff7f0e",
    "#17becf",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
       color: #1c2733; overflow-wrap: break-word }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #d5dde5 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
td, th { padding: .3em .7em; border-bottom: 1px solid #e3e9ef; text-align: left }
th { background: #f3f6f9 } img, svg { max-width: 100%; height: auto } figure { margin: 1em 0 }
figcaption, .note { color: #5a6b7b; font-size: 13px }
.headline { font-size: 1.25em; background: #eef5fb; padding: .8em 1em; border-radius: 6px }
.warn { background: #fff3cd; border-left: 4px solid #d39e00; padding: .6em 1em }
pre { background: #f3f6f9; padding: 1em; overflow-x: auto; font-size: 12px }
@page { size: A4; margin: 15mm }
@media print {
  body { font-size: 10px; max-width: none; margin: 0; padding: 0 }
  .wide, pre { overflow: visible; white-space: pre-wrap } td, th { padding: .2em .4em }
  table { font-size: 8px; width: 100% } tr, figure, .headline, .warn { break-inside: avoid }
  h2 { break-after: avoid } img, svg { max-height: 230mm }
}
"""


def image(figure: Any, caption: str) -> str:
    """Embeds a figure as a picture with a caption."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plots.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return figured(f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">', caption)


def figured(content: str, caption: str) -> str:
    """Puts a caption below any content."""
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def table(header: Sequence[Any], rows: Sequence[Sequence[Any]], note: str = "") -> str:
    """Writes a table that scrolls by itself where it is too wide, and a note below.

    A header of empty cells is left out.
    """
    head = "".join(f"<th>{escape(str(h))}</th>" for h in header) if any(header) else ""
    head = head and f"<tr>{head}</tr>"
    lines = ("".join(f"<td>{escape(str(c))}</td>" for c in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = f"<p class=note>{escape(note)}</p>" if note else ""
    return f"<div class=wide><table>{head}{body}</table></div>{below}"


def listed(items: Sequence[str]) -> str:
    """Writes sentences as a list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def scatter(
    points: np.ndarray, kinds: np.ndarray, names: Sequence[str], tips: Sequence[str]
) -> str:
    """Draws points that say what they are where the pointer rests.

    Args:
      points: (n, 2) positions.
      kinds: (n,) index in `names`, which decides the colour.
      names: Names of the colours, for the legend.
      tips: (n,) texts of the points.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    at = (points - low) / np.maximum(high - low, 1e-12) * np.array([640, 400]) + 20
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{440 - y:.1f}" r="5" fill="{COLOURS[k % len(COLOURS)]}" '
        f'fill-opacity=".75"><title>{escape(tip)}</title></circle>'
        for (x, y), k, tip in zip(at, kinds, tips, strict=True)
    )
    legend = "".join(
        f'<circle cx="700" cy="{30 + 20 * i}" r="5" fill="{COLOURS[i % len(COLOURS)]}"/>'
        f'<text x="712" y="{34 + 20 * i}" font-size="12">{escape(name[:24])}</text>'
        for i, name in enumerate(names)
    )
    about = f"{len(points)} points of {len(names)} classes; each says what it is"
    high_px = max(440, 40 + 20 * len(names))
    head = f'<svg viewBox="0 0 880 {high_px}" role="img" aria-label="{about}" width="880">'
    return f"{head}{dots}{legend}</svg>"


def page(title: str, top: str, sections: Sequence[tuple[str, str]]) -> str:
    """Writes the whole page; sections without content are left out."""
    body = "".join(f"<h2>{escape(head)}</h2>{text}" for head, text in sections if text)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<link rel=icon href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1>{top}{body}</html>"
    )
