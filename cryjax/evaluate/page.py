"""One self-contained HTML page: no script, nothing from the network, readable on a phone."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.evaluate import pictures

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
"""


def image(figure: Any, caption: str) -> str:
    """A figure as a picture within the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    pictures.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return figured(
        f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">', caption
    )


def figured(content: str, caption: str) -> str:
    """Anything with a caption below."""
    return f"<figure>{content}<figcaption>{html.escape(caption)}</figcaption></figure>"


def table(header: Sequence[Any], rows: Sequence[Sequence[Any]], note: str = "") -> str:
    """A table that scrolls by itself where it is too wide, and a note below."""
    head = "".join(f"<th>{html.escape(str(h))}</th>" for h in header)
    lines = ("".join(f"<td>{html.escape(str(c))}</td>" for c in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = f"<p class=note>{html.escape(note)}</p>" if note else ""
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>{below}"


def listed(items: Sequence[str]) -> str:
    """Sentences as a list."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def scatter(
    points: np.ndarray, kinds: np.ndarray, names: Sequence[str], tips: Sequence[str]
) -> str:
    """Points that say what they are where the pointer rests.

    Args:
      points: (n, 2).
      kinds: (n,) index in `names`, which decides the colour.
      names: For the legend.
      tips: (n,) texts.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    at = (points - low) / np.maximum(high - low, 1e-12) * np.array([640, 400]) + 20
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{440 - y:.1f}" r="5" fill="{COLOURS[k % len(COLOURS)]}" '
        f'fill-opacity=".75"><title>{html.escape(tip)}</title></circle>'
        for (x, y), k, tip in zip(at, kinds, tips, strict=True)
    )
    legend = "".join(
        f'<circle cx="700" cy="{30 + 20 * i}" r="5" fill="{COLOURS[i % len(COLOURS)]}"/>'
        f'<text x="712" y="{34 + 20 * i}" font-size="12">{html.escape(name[:24])}</text>'
        for i, name in enumerate(names)
    )
    high_px = max(440, 40 + 20 * len(names))
    return f'<svg viewBox="0 0 880 {high_px}" role="img" width="880">{dots}{legend}</svg>'


def page(title: str, top: str, sections: Sequence[tuple[str, str]]) -> str:
    """The whole page; sections without content are left out."""
    body = "".join(f"<h2>{html.escape(head)}</h2>{text}" for head, text in sections if text)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        '<link rel=icon href="data:,">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1>{top}{body}</html>"
    )
