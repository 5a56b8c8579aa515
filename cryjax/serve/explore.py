"""Windows to look through, to listen to and to label, with a probe that learns along."""

import csv
import functools
import io
import os
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import soundfile

from cryjax.data.manifest import Clip, load_manifest, save_rows, to_rows
from cryjax.deploy.search import nearest
from cryjax.deploy.table import load_embeddings
from cryjax.errors import UserError
from cryjax.evaluate.logistic import fit_many
from cryjax.serve.hearing import PLAYED_HZ, Decoders, Heard
from cryjax.serve.listen import picture_of

MOST_WINDOWS = 20_000  # on a page; of more, so many are drawn by chance
COLUMNS = ("path", "start_s", "end_s", "label", "group")
KEPT_WINDOWS = 16  # sounds and pictures that are not decoded again
STRENGTH = 1.0  # inverse regularisation of the probe
LONGEST_LABEL = 60


class Explorer:
    """The windows of an embeddings file, their labels, and a logistic probe of these.

    Labels are written after each change to `<file>.labels.csv`, a manifest that
    `cryjax prepare --corpus=csv` reads: the group of a window is its recording, so that no
    recording stands on both sides of a split.

    Args:
      path: File that `cryjax embed` wrote, .parquet or .npz.
      decoders: Processes that decode what is played.
      seed: Seed of the choice of windows, where there are more than a page shows.
    """

    def __init__(self, path: pathlib.Path, decoders: Decoders, seed: int = 0):
        whole = load_embeddings(path)
        total = len(whole.h)
        if not total:
            raise UserError(f"{path} holds no window")
        rows = np.arange(total)
        if total > MOST_WINDOWS:
            rows = np.sort(np.random.default_rng(seed).choice(total, MOST_WINDOWS, replace=False))
        self._total, self._h = total, whole.h[rows].astype(np.float32)
        self._paths = [str(p) for p in whole.path[rows]]
        self._start_s, self._end_s = whole.start_s[rows], whole.end_s[rows]
        self._labels_path = path.with_name(path.name + ".labels.csv")
        self._decoders, self._lock, self._hearing = decoders, threading.Lock(), threading.Lock()
        self._heard = functools.lru_cache(KEPT_WINDOWS)(self._decode)
        self._read, self._kept = self._load_labels()
        self._labels = {row: read["label"] for row, read in self._read.items()}
        self._groups = {row["path"]: row["group"] for row in self._read.values()}
        self._version, self._fitted = 0, (0, [""], np.zeros((len(rows), 1)))
        self._changed = threading.Condition(self._lock)
        self._closed = False
        self._thread = threading.Thread(target=self._fit_along, daemon=True)
        self._thread.start()
        self._touch()

    def close(self) -> None:
        """Ends the thread that fits."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=60)

    def map(self) -> dict[str, Any]:
        """Returns every window's place on the first two principal components, file and times.

        Files are named, and numbered by the folder that they lie in.
        """
        from sklearn.decomposition import PCA

        flat = PCA(2).fit_transform(self._h) if len(self._h) > 2 else np.zeros((len(self._h), 2))
        low, high = flat.min(axis=0), flat.max(axis=0)
        flat = (flat - low) / np.maximum(high - low, 1e-12)
        files = sorted(set(self._paths))
        number = {name: i for i, name in enumerate(files)}
        parents = [str(pathlib.PurePath(name).parent) for name in files]
        folders = sorted(set(parents))
        with self._lock:
            labels = {str(row): label for row, label in self._labels.items()}
        return {
            "x": np.round(flat[:, 0], 4).tolist(),
            "y": np.round(flat[:, 1], 4).tolist(),
            "file": [number[name] for name in self._paths],
            "files": [pathlib.PurePath(name).name for name in files],
            "folder": [folders.index(name) for name in parents],
            "start_s": np.round(self._start_s, 2).tolist(),
            "end_s": np.round(self._end_s, 2).tolist(),
            "labels": labels,
            "total": self._total,
        }

    def label(self, row: int, label: str) -> dict[str, Any]:
        """Labels a window, or removes its label where it is ""; saves, and fits anew.

        Raises:
          UserError: There is no such window, or the label is no word.
        """
        self._require(row)
        label = label.strip()
        if len(label) > LONGEST_LABEL or not (label.isprintable() or not label):
            raise UserError(f"a label is a word of at most {LONGEST_LABEL} letters")
        with self._lock:
            before = self._labels.pop(row, "")
            if label:
                self._labels[row] = label
            self._save()
            count = len(self._labels)
        self._touch()
        return {"before": before, "labels": count}

    def ranking(self, target: str, by: str, count: int) -> dict[str, Any]:
        """Lists windows without a label: by the probe's score of a class, or its uncertainty.

        Before there are two classes, windows most like those of the class come first.

        Raises:
          UserError: The class has no label yet, or `by` is unknown.
        """
        if by not in ("score", "uncertainty"):
            raise UserError(f"by must be score or uncertainty, got {by!r}")
        with self._lock:
            version, classes, scores = self._fitted
            labelled = set(self._labels)
            mine = [row for row, label in self._labels.items() if label == target]
            waiting = version != self._version
        if not mine:
            raise UserError(f"no window is labelled {target!r} yet")
        if target in classes:
            p = scores[:, classes.index(target)]
            order = np.argsort(-p if by == "score" else np.abs(p - 0.5), kind="stable")
            value = p
        else:
            order, cosine = nearest(self._h[mine].mean(axis=0), self._h, len(self._h))
            value = np.zeros(len(self._h))
            value[order] = cosine
        rows = [int(row) for row in order if int(row) not in labelled][:count]
        return {
            "rows": rows,
            "values": np.round(value[rows], 4).tolist(),
            "waiting": waiting,
            "classes": sorted(set(self._labels.values())),
        }

    def like(self, row: int, count: int) -> dict[str, Any]:
        """Lists the windows of highest cosine with one."""
        self._require(row)
        rows, cosines = nearest(self._h[row], self._h, count + 1)
        kept = [
            (int(r), round(float(c), 4)) for r, c in zip(rows, cosines, strict=True) if r != row
        ]
        return {"rows": [r for r, _ in kept], "values": [c for _, c in kept]}

    def sound(self, row: int) -> bytes:
        """Returns a window as wav.

        Raises:
          UserError: The recording cannot be read.
        """
        return self._hear(row)[0]

    def picture(self, row: int) -> dict[str, Any]:
        """Returns a window's log-mel; see `picture_of`.

        Raises:
          UserError: The recording cannot be read.
        """
        return self._hear(row)[1]

    def _hear(self, row: int) -> tuple[bytes, dict[str, Any]]:
        self._require(row)
        with self._hearing:  # a window's sound and picture are asked for at the same time
            return self._heard(row)

    def _decode(self, row: int) -> tuple[bytes, dict[str, Any]]:
        start_s, end_s = float(self._start_s[row]), float(self._end_s[row])
        made = self._decoders.hear(Clip(self._paths[row], start_s, end_s))
        if not isinstance(made, Heard) or made.mel is None or made.pcm is None:
            raise UserError(f"{made.reason}; {made.remedy}")
        buffer = io.BytesIO()
        soundfile.write(buffer, made.pcm, PLAYED_HZ, format="WAV", subtype="PCM_16")
        return buffer.getvalue(), picture_of(made.mel)

    def export(self) -> str:
        """Returns the labels as they are saved, with paths that hold wherever the table lies."""
        folder = self._labels_path.parent
        out = io.StringIO()
        writer: Any = csv.DictWriter(out, self._columns())
        writer.writeheader()
        with self._lock:
            for row in self._rows():
                writer.writerow(row | {"path": os.path.abspath(folder / row["path"])})
        return out.getvalue()

    def _require(self, row: int) -> None:
        if not 0 <= row < len(self._h):
            raise UserError(f"there are windows 0 to {len(self._h) - 1}, got {row}")

    def _rows(self) -> list[dict[str, str]]:
        made = []
        for row, label in sorted(self._labels.items()):
            name = os.path.relpath(self._paths[row], self._labels_path.parent)
            times = (repr(float(self._start_s[row])), repr(float(self._end_s[row])))
            group = self._groups.get(name, Clip(name).recording)
            new = dict(zip(COLUMNS, (name, *times, label, group), strict=True))
            made.append(self._read.get(row, new) | {"label": label})
        return [*made, *self._kept]

    def _save(self) -> None:
        rows = self._rows()
        if rows:
            save_rows(self._labels_path, rows, self._columns())
        else:  # a table of nothing is no manifest
            self._labels_path.unlink(missing_ok=True)

    def _columns(self) -> list[str]:
        read = [*self._kept, *self._read.values()]
        return [*COLUMNS, *sorted({key for row in read for key in row} - set(COLUMNS))]

    def _load_labels(self) -> tuple[dict[int, dict[str, str]], list[dict[str, str]]]:
        """Reads the rows of windows that are shown, and those of others.

        What a person wrote into a row, such as who the group is, stays.
        """
        if not self._labels_path.is_file():
            return {}, []
        folder = self._labels_path.parent
        keys = {
            (os.path.abspath(p), float(s), float(e)): row
            for row, (p, s, e) in enumerate(
                zip(self._paths, self._start_s, self._end_s, strict=True)
            )
        }
        found, others = {}, []
        for clip in load_manifest(self._labels_path):
            key = (os.path.abspath(folder / clip.path), clip.start_s, float(clip.end_s or 0))
            if key in keys:
                found[keys[key]] = clip
            else:
                others.append(clip)
        if others:
            print(
                f"{len(others)} labels of {self._labels_path} are of windows that are not shown, "
                f"such as one of {others[0].path}; they are kept"
            )
        read = dict(zip(found, to_rows(found.values()), strict=True))
        return read, [{k: v for k, v in row.items() if v} for row in to_rows(others)]

    def _touch(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify()

    def _fit_along(self) -> None:
        while True:
            with self._changed:
                while not self._closed and self._fitted[0] == self._version:
                    self._changed.wait()
                if self._closed:
                    return
                version, labels = self._version, dict(self._labels)
            classes = sorted(set(labels.values()))
            fitted = (version, [""], np.zeros((len(self._h), 1)))
            if len(classes) > 1:
                known = {row: classes.index(label) for row, label in labels.items()}
                fitted = (version, classes, probe(self._h, known, len(classes)))
            with self._lock:
                self._fitted = fitted


def probe(h: np.ndarray, labels: Mapping[int, int], classes: int) -> np.ndarray:
    """Fits a logistic regression to labelled rows; returns (rows, classes) probabilities of all."""
    known = np.zeros(len(h), int)
    counted = np.zeros((1, len(h)), np.float32)
    for row, label in labels.items():
        known[row], counted[0, row] = label, 1
    fits = fit_many(h, known, counted, np.array([STRENGTH]), classes=classes, tolerance=1e-5)
    return fits.probabilities(h)[0]
