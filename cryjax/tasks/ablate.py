"""A table: variants of one suite or judgement, one after another, beside the source's figures."""

import copy
import csv
import json
import pathlib
from typing import Any

import jax

from cryjax.data.shards import save_json
from cryjax.evaluate import page
from cryjax.evaluate.table import Table, cell
from cryjax.tasks import suite, transfer
from cryjax.tasks.common import Config, names

WHOLE = ("objective",)  # replaced, not merged: every method has its own settings


def merged(base: Config, changes: Config) -> Config:
    """A copy of nested settings with some of them changed."""
    out = copy.deepcopy(base)
    for key, value in changes.items():
        into = isinstance(value, dict) and isinstance(out.get(key), dict) and key not in WHOLE
        out[key] = merged(out[key], value) if into else copy.deepcopy(value)
    return out


def _figures(metrics: dict[str, Any], mode: str, metric: str) -> dict[str, Any]:
    """A metric of a mode, from the table by recording or from one of the further tables."""
    tables = [metrics["table"]["recording"], *metrics["more"].values()]
    found = [r[metric] for rows in tables for r in rows if r.get("mode") == mode and metric in r]
    if not found:
        raise ValueError(f"no {metric} of mode {mode}; config.metric must be in metrics.json")
    return found[0]


def _row(name: str, config: Config, folder: pathlib.Path | None) -> dict[str, Any]:
    """The figures of a finished run (None: there is none), and the source's in per cent."""
    row: dict[str, Any] = {"row": name}
    if folder is not None:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        for mode in names(config["modes"]):
            figures = _figures(metrics, mode, config["metric"])
            row |= {f"{mode}_mean": figures["mean"], f"{mode}_error": figures["standard_error"]}
            row |= dict(zip((f"{mode}_low", f"{mode}_high"), figures["interval"], strict=True))
    theirs = config["published"].get(name, {})
    return row | {f"{mode}_published": theirs.get(mode) for mode in _published(config)}


def _published(config: Config) -> list[str]:
    """Modes of which the source gives any figure."""
    given = {mode for row in config["published"].values() for mode in row}
    return [mode for mode in names(config["modes"]) if mode in given]


def _ours(row: dict[str, Any], mode: str) -> str:
    if f"{mode}_mean" not in row:
        return ""
    keys = ("mean", "error", "low", "high")
    mean, error, low, high = (row[f"{mode}_{key}"] for key in keys)
    return cell({"mean": mean, "standard_error": error, "interval": [low, high]})


NOTE = "Mean over seeds ± standard error over seeds [95 % interval over groups]."


def _table(rows: list[dict[str, Any]], config: Config) -> Table:
    """For people; the source's figures in columns of their own."""
    modes, theirs = names(config["modes"]), _published(config)
    head = ["row", *modes, *(f"{mode}: as published (other data)" for mode in theirs)]
    cells = []
    for row in rows:
        published = [row[f"{mode}_published"] for mode in theirs]
        ours = [row["row"], *(_ours(row, mode) for mode in modes)]
        cells.append(ours + ["" if figure is None else str(figure) for figure in published])
    return Table(f"{config['table']}, {config['metric']} in per cent", head, cells, NOTE, rows)


def save(workdir: pathlib.Path, rows: list[dict[str, Any]], config: Config) -> str:
    """Writes results.md, .csv, .json and report.html; returns the first."""
    table = _table(rows, config)
    text = table.as_markdown() + "\n"
    each = "Every row has a report of its own in the folder of its name."
    drawn = page.table(table.header, table.rows, table.note)
    html = page.page(table.title, f"<p class=note>{each}</p>", [("Table", drawn)])
    (workdir / "report.html").write_text(html, encoding="utf-8")
    (workdir / "results.md").write_text(text, encoding="utf-8")
    with (workdir / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    save_json(workdir / "results.json", {"table": config["table"], "rows": rows})
    return text


def _rows(config: Config) -> dict[str, Config]:
    """Changes of every row; with `checkpoints` each of them takes every row's place in turn."""
    chosen = {name: config["rows"][name] for name in names(config["only"])}
    if config.get("tasks"):
        folders = names(config["tasks"])
        chosen = {pathlib.Path(f).name: {"data": {"dirs": f}} for f in folders}
    if not config.get("checkpoints"):
        return chosen
    pairs = [text.partition("=") for text in names(config["checkpoints"])]
    if bad := [text for text, sign, _ in pairs if not sign]:
        raise ValueError(f"config.checkpoints must be name=workdir,..., got {bad}")
    return {
        f"{row} · {name}": merged(changes, {"checkpoint": path})
        for row, changes in chosen.items()
        for name, _, path in pairs
    }


def run(config: Config, workdir: pathlib.Path) -> None:
    """Runs as `configs/ablations.py` and `configs/protocol.py` describe."""
    if unknown := [name for name in names(config["only"]) if name not in config["rows"]]:
        raise ValueError(f"config.only names {unknown}; there are {', '.join(config['rows'])}")
    wanted = _rows(config)
    runner = {"suite": suite.run, "transfer": transfer.run}[config["base"]["task"]]
    # rows that only the source has stand below; an ablation's are the rows themselves
    only = [name for name in config["published"] if name not in config["rows"]]
    theirs, rows, text = [_row(name, config, None) for name in only], [], ""
    for place, (name, changes) in enumerate(wanted.items(), 1):
        print(f"\n== {name} ({place} of {len(wanted)})")
        folder = workdir / name.replace("/", "-").replace(" ", "_")
        runner(merged(config["base"], changes), folder)
        if jax.process_index() == 0:
            rows.append(_row(name, config, folder))
            text = save(workdir, rows + theirs, config)
    print("\n" + text)
