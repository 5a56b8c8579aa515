"""One table of many finished runs, with the figures of a source in columns of their own."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from cryjax.data.manifest import save_csv
from cryjax.errors import UserError
from cryjax.evaluate.report import html
from cryjax.evaluate.report.cautions import cautions_in
from cryjax.evaluate.report.tables import Table, cell, for_spreadsheet, with_why_pooled
from cryjax.evaluate.statistics import POOLED
from cryjax.files import save_json

NOTE = (
    "Mean over seeds ± standard error over seeds [95 % interval over groups]; without ± there is "
    "one run. Empty cells were not evaluated."
)


@dataclasses.dataclass(frozen=True)
class Combined:
    """What the table of many runs shows.

    Attributes:
      title: Heading.
      modes: Protocols that are columns.
      metric: Metric of the cells, of the main table or of a further one.
      published: Figures of the source by row and protocol.
    """

    title: str
    modes: Sequence[str]
    metric: str
    published: Mapping[str, Mapping[str, Any]]

    def save(
        self, workdir: pathlib.Path, folders: Mapping[str, pathlib.Path], only_published: list[str]
    ) -> str:
        """Writes results.md, .csv, .json and report.html.

        Args:
          workdir: Where they are written.
          folders: Workdirs of finished runs by row.
          only_published: Rows of which there are the source's figures alone.

        Returns:
          The text of results.md.
        """
        rows = [self._row(name, folder) for name, folder in folders.items()]
        rows += [self._row(name, None) for name in only_published]
        theirs = self._published_modes
        head = ["row", *self.modes, *(f"{mode}: as published (other data)" for mode in theirs)]
        cells = []
        for row in rows:
            figures = [row[f"{mode}_published"] for mode in theirs]
            ours = [row["row"], *(_cell(row, mode) for mode in self.modes)]
            cells.append(ours + ["" if figure is None else str(figure) for figure in figures])
        title = f"{self.title}, {self.metric} in per cent"
        table = Table(title, head, cells, with_why_pooled(NOTE, rows), rows)
        each = "Every row has a report of its own in the folder of its name."
        said = [f"{row}: {text}" for row, at in folders.items() for text in cautions_in(at)]
        text = "\n\n".join([table.as_markdown(), *(f"- {line}" for line in said)]) + "\n"
        drawn = html.table(table.header, table.rows, table.note)
        page = html.page(
            table.title, f"<p class=note>{each}</p>{html.listed(said)}", [("Table", drawn)]
        )
        (workdir / "report.html").write_text(page, encoding="utf-8")
        (workdir / "results.md").write_text(text, encoding="utf-8")
        every = list(dict.fromkeys(key for row in rows for key in row))
        shown = [{key: for_spreadsheet(row.get(key)) for key in every} for row in rows]
        save_csv(workdir / "results.csv", shown)
        save_json(workdir / "results.json", {"table": self.title, "rows": rows, "cautions": said})
        return text

    def _row(self, name: str, folder: pathlib.Path | None) -> dict[str, Any]:
        """Collects the figures of a finished run, none without a folder, and the source's."""
        row: dict[str, Any] = {"row": name, "pooled": False}
        if folder is not None:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            for mode in self.modes:
                if figures := _figures(metrics, mode, self.metric):
                    low, high = figures["interval"]
                    values = (figures["mean"], figures["standard_error"], low, high)
                    keys = (f"{mode}_{key}" for key in ("mean", "error", "low", "high"))
                    row |= dict(zip(keys, values, strict=True))
                    row["pooled"] |= figures["pooled"] and self.metric in POOLED
        theirs = self.published.get(name, {})
        return row | {f"{mode}_published": theirs.get(mode) for mode in self._published_modes}

    @property
    def _published_modes(self) -> list[str]:
        """Lists the protocols of which the source gives any figure."""
        given = {mode for row in self.published.values() for mode in row}
        return [mode for mode in self.modes if mode in given]


def _figures(metrics: dict[str, Any], mode: str, metric: str) -> dict[str, Any] | None:
    """Finds a metric in the table by recording or a further one; None if the mode did not run."""
    tables = [metrics["table"]["recording"], *metrics["more"].values()]
    mine = [row for rows in tables for row in rows if row.get("mode") == mode]
    found = [row[metric] | {"pooled": row.get("pooled", False)} for row in mine if metric in row]
    every = {key for rows in tables for row in rows for key in row}
    if mine and not found and metric not in every:  # some tables leave out majority
        names = sorted({k for row in mine for k, v in row.items() if isinstance(v, dict)})
        raise UserError(f"config.metric must be one of {', '.join(names)}, got {metric!r}")
    return found[0] if found else None


def _cell(row: dict[str, Any], mode: str) -> str:
    if f"{mode}_mean" not in row:
        return ""
    mean, error, low, high = (row[f"{mode}_{key}"] for key in ("mean", "error", "low", "high"))
    return cell({"mean": mean, "standard_error": error, "interval": [low, high]})
