"""What every task does first: open the data, and make the workdir its own."""

import json
import pathlib
from typing import Any

import numpy as np

from cryjax.data.pipeline import Corpus, open_corpus
from cryjax.data.shards import save_json
from cryjax.data.splits import assign_groups
from cryjax.train.mesh import main_first, processes, require_same_everywhere

Config = dict[str, Any]
EMBEDDED = "synthetic"
VAL_SHARE = 0.15
FREE = (
    "log",
    "modes",
    "seeds",
    "clinical",
    "profile",
)  # settings that may change when a run is resumed


def split_off_val(
    corpus: Corpus, rows: np.ndarray, share: float = VAL_SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """Rows without, and with, the groups that validate where no split is named for it."""
    groups, labels = corpus.groups[rows], corpus.labels[rows].astype(str)
    shares = [1 - share, share]
    part = assign_groups(labels.tolist(), groups.tolist(), shares, seed=0)
    return rows[part == 0], rows[part == 1]


def names(text: str) -> list[str]:
    """A comma-separated setting as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def folds_of(config: Config, there: list[str]) -> list[dict[str, str]]:
    """Data settings of each fold: test on it, train (and pre-train) on all the others."""
    if config["folds"] == "":
        return [{}]
    wanted = names(config["folds"])
    if unknown := [name for name in wanted if name not in there]:
        raise ValueError(f"no split {unknown}; there are {', '.join(there)}")
    return [
        {"test": fold, "val": "", "train": ",".join(f for f in there if f != fold)}
        for fold in wanted
    ]


def numbers(text: str) -> list[float]:
    """A comma-separated setting as numbers."""
    try:
        return [float(name) for name in names(text)]
    except ValueError:
        raise ValueError(f"expected numbers with commas between them, got {text!r}") from None


def open_data(data: Config) -> Corpus:
    """Opens `data.dirs` and behind them, where a task has such, `extra_dirs` and `replay_dirs`.

    `synthetic` and `synthetic_sounds` stand for the corpora made by code; they are prepared in
    `data.embedded_dir` on first use.
    """
    folders = []
    for name in [n for k in ("dirs", "extra_dirs", "replay_dirs") for n in names(data.get(k, ""))]:
        if name.split(":")[0].startswith(EMBEDDED) and not pathlib.Path(name).exists():
            with main_first():
                name = _make_embedded(name, data["embedded_dir"])  # noqa: PLW2901
        folders.append(name)
    if not folders:
        raise ValueError("config.data.dirs names no prepared folder; see python -m data_prep.main")
    reading = {name: data[name] for name in ("source", "cache_dir", "max_damaged_share")}
    with main_first():
        return open_corpus(folders, **reading)


def _make_embedded(corpus: str, root: str) -> str:
    folder = pathlib.Path(root) / corpus
    if not (folder / "manifest.json").exists():
        from data_prep.main import prepare

        prepare(corpus, None, str(folder), workers=0)
    return str(folder)


def describe(corpus: Corpus) -> list[dict[str, Any]]:
    """What checkpoints and reports say about each folder."""
    keys = ("corpus", "licence", "split_rule", "group", "label")
    sizes = np.cumsum([0] + [len(s.clips) for s in corpus.sets])
    damaged = np.asarray(corpus.damaged, int)
    return [
        {"folder": str(s.folder), "fingerprint": s.fingerprint, "spec": s.spec.to_json()}
        | {"damaged": (damaged[(damaged >= a) & (damaged < a + len(s.clips))] - a).tolist()}
        | {k: s.info.get(k) for k in keys}
        for s, a in zip(corpus.sets, sizes[:-1].tolist(), strict=True)
    ]


def differences(old: Any, new: Any, path: str = "config") -> list[str]:
    """Where two nested settings differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for k in keys for d in differences(old.get(k), new.get(k), f"{path}.{k}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) > 0:
        pairs = enumerate(zip(old, new, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{path}[{i}]")]
    return [] if old == new else [f"{path}: {old!r} there, {new!r} here"]


def claim(workdir: pathlib.Path, config: Config, data: list[dict[str, Any]]) -> None:
    """Writes config.json, or refuses a workdir that belongs to another run.

    A run is resumed by its workdir alone; config and data must be those it started with. Only the
    first process of a run writes.
    """
    kept = ("fingerprint", "corpus", "spec", "damaged")
    record = {
        "config": {k: v for k, v in config.items() if k not in FREE},
        "data": [{name: d[name] for name in kept} for d in data],
    }
    record = json.loads(json.dumps(record))  # as it will be read back
    require_same_everywhere(record)
    path = workdir / "config.json"
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        if found := differences(old["config"], record["config"]) + differences(
            old["data"], record["data"], "data"
        ):
            raise ValueError(
                f"{workdir} holds another run ({'; '.join(found[:5])}); "
                "give a new --workdir, or the config it was started with"
            )
    if processes()[0] == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        save_json(path, record)
