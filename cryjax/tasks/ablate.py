"""An ablation: variants of one suite, one after another, and one table of them all."""

import copy
import csv
import json
import math
import pathlib
from typing import Any

import jax

from cryjax.data.shards import save_json
from cryjax.evaluate.table import cell
from cryjax.tasks import suite
from cryjax.tasks.common import Config, names

WHOLE = ("objective",)  # replaced, not merged: every method has its own settings


def merged(base: Config, changes: Config) -> Config:
    """A copy of nested settings with some of them changed."""
    out = copy.deepcopy(base)
    for key, value in changes.items():
        into = isinstance(value, dict) and isinstance(out.get(key), dict) and key not in WHOLE
        out[key] = merged(out[key], value) if into else copy.deepcopy(value)
    return out


def _row(name: str, config: Config, folder: pathlib.Path) -> dict[str, Any]:
    """The figures of a finished suite, and the source's in per cent where it gives one."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = {row["mode"]: row for row in metrics["table"]["recording"]}
    row: dict[str, Any] = {"row": name}
    for mode in names(config["modes"]):
        figures = found[mode][config["metric"]]
        row |= {f"{mode}_mean": figures["mean"], f"{mode}_error": figures["standard_error"]}
        row |= dict(zip((f"{mode}_low", f"{mode}_high"), figures["interval"], strict=True))
    published = config["published"].get(name, math.nan)
    return row | {"published": None if math.isnan(published) else published}


def _markdown(rows: list[dict[str, Any]], config: Config) -> str:
    modes = names(config["modes"])
    published = any(row["published"] is not None for row in rows)
    head = ["row", *modes, *(["as published (other data)"] if published else [])]
    lines = [f"**{config['table']}**, {config['metric']} in per cent", "",
             "Mean over seeds ± standard error over seeds [95 % interval over groups].", "",
             "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]  # fmt: skip
    for row in rows:
        cells = [row["row"]] + [
            cell(
                {
                    "mean": row[f"{m}_mean"],
                    "standard_error": row[f"{m}_error"],
                    "interval": [row[f"{m}_low"], row[f"{m}_high"]],
                }
            )
            for m in modes
        ]
        figure = row["published"]
        cells += [] if not published else ["" if figure is None else f"{figure:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def save(workdir: pathlib.Path, rows: list[dict[str, Any]], config: Config) -> str:
    """Writes results.md, .csv and .json; returns the first."""
    text = _markdown(rows, config)
    (workdir / "results.md").write_text(text, encoding="utf-8")
    with (workdir / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    save_json(workdir / "results.json", {"table": config["table"], "rows": rows})
    return text


def run(config: Config, workdir: pathlib.Path) -> None:
    """Runs as `configs/ablations.py` describes."""
    wanted = names(config["only"])
    if unknown := [name for name in wanted if name not in config["rows"]]:
        raise ValueError(f"config.only names {unknown}; there are {', '.join(config['rows'])}")
    rows, text = [], ""
    for place, name in enumerate(wanted, 1):
        print(f"\n== {name} ({place} of {len(wanted)})")
        suite.run(merged(config["base"], config["rows"][name]), workdir / name)
        if jax.process_index() == 0:
            rows.append(_row(name, config, workdir / name))
            text = save(workdir, rows, config)
    print("\n" + text)
