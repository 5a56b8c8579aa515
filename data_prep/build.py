"""From clips to shards: decode, log-mel, write; resumable by shard, the same bytes every time."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tqdm

from cryjax.audio.logmel import make_analysis
from cryjax.data import shards
from cryjax.data.duplicates import handle_copies
from cryjax.data.manifest import KNOWN, LEFT_OUT, Clip, clip_of, save_csv, to_rows
from cryjax.data.preparation import Prepared, Worker
from cryjax.data.splits import Splits, make_splits
from cryjax.data.workers import Workers
from cryjax.errors import UserError
from cryjax.files import has_sha256, load_json, save_json, sha256
from cryjax.spec import FeatureSpec

CLIPS_A_SHARD, BYTES_A_SHARD = 1024, 1 << 30  # at most, the bytes being those of recordings
BYTES_A_SECOND = 88_200  # of 16 bits at 44.1 kHz, for stretches of long recordings
QUARANTINE = ("path", "start_s", "reason", "remedy")


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides the bytes of a prepared folder.

    Attributes:
      source: Folder that the clips' paths are relative to.
      out: Folder of the shards.
      spec: Feature specification.
      clips: Clips as they were found, with splits where the corpus has its own.
      classes: Class names, sorted.
      about: What else goes into manifest.json: corpus, licence, seed, kind of group.
      split: Rule of the split, which is drawn when all recordings are decoded; see `make_splits`.
      duplicates: What happens to exact copies before that; see `handle_copies`.
      seed: Seed of the split.
      notes: What a reader should know about the clips, for summary and reports.
    """

    source: pathlib.Path
    out: pathlib.Path
    spec: FeatureSpec
    clips: list[Clip]
    classes: list[str]
    about: dict
    split: str = "holdout"
    duplicates: str = "group"
    seed: int = 0
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def bounds(self) -> list[int]:
        """Number of the first clip of every shard, and of all clips.

        A shard ends before it would hold too many clips or recordings of too many bytes.
        """
        bounds, held = [0] if self.clips else [], 0
        for i, clip in enumerate(self.clips):
            size = self._file_sizes[i]
            if clip.end_s is not None:
                size = int((clip.end_s - clip.start_s) * BYTES_A_SECOND)
            if i > bounds[-1] and (i - bounds[-1] == CLIPS_A_SHARD or held + size > BYTES_A_SHARD):
                bounds.append(i)
                held = 0
            held += size
        return [*bounds, len(self.clips)]

    @functools.cached_property
    def _file_sizes(self) -> list[int]:
        """Bytes of every clip's file; 0 of one that is not there."""
        found: dict[str, int] = {}
        for path in {clip.path for clip in self.clips}:
            try:
                found[path] = (self.source / path).stat().st_size
            except (OSError, ValueError):
                found[path] = 0
        return [found[clip.path] for clip in self.clips]

    def inputs(self, shard: int) -> dict[str, Any]:
        """Says by what a shard is out of date: the files' sizes, and whether ffmpeg is there."""
        sizes = self._file_sizes[self.bounds[shard] : self.bounds[shard + 1]]
        return {"sizes": sizes, "ffmpeg": shutil.which("ffmpeg") is not None}

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return len(self.bounds) - 1

    def clips_of(self, shard: int) -> list[Clip]:
        """Selects the clips of one shard."""
        return self.clips[self.bounds[shard] : self.bounds[shard + 1]]

    def name(self, shard: int) -> str:
        """Names the file of a shard."""
        return f"shard-{shard:05d}-of-{self.n_shards:05d}.arrayrecord"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of clips, specification and the rest, so that parts of different plans never mix.

        Split and duplicates are no part of it: they change no shard.
        """
        decisive = [to_rows(self.clips), self.bounds, self.spec.to_json(), self.about]
        rows = json.dumps(decisive, sort_keys=True)
        return hashlib.sha256(rows.encode()).hexdigest()


def write_shard(plan: Plan, shard: int, prepared: Iterable[Prepared]) -> None:
    """Writes one shard and then its side file, which vouches for the shard.

    Args:
      plan: Plan of all shards.
      shard: Number of the shard.
      prepared: What became of its clips, in their order.
    """
    index = {name: i for i, name in enumerate(plan.classes)}
    rows, bad = [], []

    def records() -> Iterator[bytes]:
        for clip, done in zip(plan.clips_of(shard), prepared, strict=True):
            if done.mel is None:
                values = (clip.path, repr(clip.start_s), done.reason, done.remedy)
                bad.append(dict(zip(QUARANTINE, values, strict=True)))
                continue
            extra = {key: value for key, value in clip.extra.items() if key not in shards.COMPUTED}
            known = dataclasses.replace(clip, extra=extra | done.columns)
            label, at = index.get(clip.label, -1), len(rows)
            rows.append(to_rows([known])[0] | {"seconds": repr(done.seconds)})
            yield shards.encode(done.mel, clip=at, label=label, identity=known.identity)

    path = plan.out / plan.name(shard)
    digest, size = shards.write_shard(path, records())
    info = {"name": path.name, "clips": len(rows)}
    if rows:
        info |= {"sha256": digest, "bytes": size}
    else:
        path.unlink()
    side = {"plan": plan.fingerprint, "shard": info, "rows": rows, "quarantine": bad}
    save_json(path.with_suffix(".json"), side | {"inputs": plan.inputs(shard)})


def _counted(prepared: Iterable[Prepared], bar: tqdm.tqdm) -> Iterator[Prepared]:
    for one in prepared:
        bar.update()
        yield one


def _side(plan: Plan, shard: int) -> dict | None:
    """Reads a finished shard's side file, if it belongs to this plan and the shard is whole."""
    path = plan.out / plan.name(shard)
    try:
        side = load_json(path.with_suffix(".json"), "it is made again")
    except UserError:
        return None
    if side.get("plan") != plan.fingerprint:
        return None
    now = plan.inputs(shard)
    known = side.get("inputs", now)  # older versions did not write it
    if known["sizes"] != now["sizes"] or (side["quarantine"] and known["ffmpeg"] != now["ffmpeg"]):
        return None  # a file was replaced, or can be decoded now
    if side["shard"]["clips"] and not has_sha256(path, side["shard"]["sha256"]):
        return None
    return side


def begin(plan: Plan, part: tuple[int, int] = (0, 1)) -> list[int]:
    """Makes the folder and lists the shards that are not there yet.

    An old manifest is removed before anything is written that it does not describe.

    Args:
      plan: What to build.
      part: (index, count): every count-th shard from the index on.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    mine = [s for s in range(plan.n_shards) if s % part[1] == part[0]]
    todo = [s for s in mine if _side(plan, s) is None]
    if len(todo) < len(mine):
        print(f"{len(mine) - len(todo)} of {len(mine)} shards are there already")
    if todo:
        (plan.out / "manifest.json").unlink(missing_ok=True)
    return todo


def progress(total: int) -> tqdm.tqdm:
    """Makes a bar with ETA; a line every ten seconds where it is not on a terminal."""
    seconds = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm.tqdm(
        total=total, unit="clip", desc="log-mel", disable=not total, mininterval=seconds
    )


def build(plan: Plan, *, workers: int, part: tuple[int, int] = (0, 1)) -> bool:
    """Builds the shards of this part that are not there yet.

    Args:
      plan: What to build.
      workers: Number of processes; 0 works in this one, where a decoder's crash ends everything.
      part: See `begin`.

    Returns:
      Whether every shard of every part is now there, so that `finish` can be called.
    """
    todo = begin(plan, part)
    if not todo:
        return complete(plan)
    make = functools.partial(Worker, plan.source, plan.spec, make_analysis(plan.spec))
    with contextlib.ExitStack() as stack:
        if workers:
            prepare = stack.enter_context(Workers(make, workers))
        else:
            prepare = functools.partial(map, make())
        bar = stack.enter_context(progress(sum(len(plan.clips_of(shard)) for shard in todo)))
        for shard in todo:
            write_shard(plan, shard, _counted(prepare(plan.clips_of(shard)), bar))
    return complete(plan)


def complete(plan: Plan) -> bool:
    """Tells whether every shard of every part is there."""
    return all(_side(plan, s) is not None for s in range(plan.n_shards))


def ordered(row: dict, first: Sequence[str]) -> dict:
    """Puts these columns of a row first and the others behind them by name."""
    return {key: row[key] for key in (*first, *sorted(row.keys() - set(first)))}


def _split(plan: Plan, rows: list[dict]) -> tuple[list[dict], Splits]:
    """Gives every prepared row its split, after copies were dealt with."""
    if not rows:
        return [], Splits([], plan.split, [])
    clips, notes = handle_copies([clip_of(row) for row in rows], plan.duplicates)
    try:
        splits = make_splits(clips, plan.split, plan.seed)
    except UserError as error:  # without the merged groups it may have been another split
        raise UserError("; ".join([str(error), *notes])) from error
    done = [ordered(row, KNOWN) for row in to_rows(splits.clips)]
    return done, splits._replace(notes=[*plan.notes, *notes, *splits.notes])


def finish(plan: Plan, *, max_bad_share: float) -> dict:
    """Draws the split and writes clips.csv, quarantine.csv and, last, manifest.json.

    The split is drawn here and not before, because only decoded recordings can be compared.

    Raises:
      UserError: More than `max_bad_share` of the clips are bad (quarantine.csv is written), or the
        split is refused; the shards stay, so that another --split takes seconds.
    """
    sides = [side for s in range(plan.n_shards) if (side := _side(plan, s)) is not None]
    bad = [ordered(row, QUARANTINE) for side in sides for row in side["quarantine"]]
    save_csv(plan.out / "quarantine.csv", bad, QUARANTINE)
    if len(bad) > max_bad_share * len(plan.clips):
        raise UserError(
            f"{len(bad)} of {len(plan.clips)} clips are bad, more than --max_bad_share="
            f"{max_bad_share}; {plan.out / 'quarantine.csv'} names each with reason and remedy"
        )
    rows, splits = _split(plan, [row for side in sides for row in side["rows"]])
    save_csv(plan.out / "clips.csv", rows)
    for path in plan.out.glob("shard-*-of-*.*"):  # of another plan with the same --out
        if path.stem not in {pathlib.PurePath(plan.name(n)).stem for n in range(plan.n_shards)}:
            path.unlink()
    manifest = {
        **plan.about,
        "schema": shards.VERSION,
        "plan": plan.fingerprint,
        "spec": plan.spec.to_json(),
        "classes": plan.classes,
        "shards": [side["shard"] for side in sides if side["shard"]["clips"]],
        "clips_sha256": sha256(plan.out / "clips.csv"),
        "quarantined": len(bad),
        "split_rule": splits.rule,
        "notes": splits.notes,
    }
    clips = shards.load_manifest(plan.out / "clips.csv")
    frames = np.array([int(clip.extra["frames"]) for clip in clips])
    whole = shards.ShardSet(plan.out, plan.spec, clips, frames, manifest, "")
    manifest["statistics"] = {}
    for split in sorted({clip.split for clip in clips} - {LEFT_OUT}):
        mine = whole.rows([split])
        mean, std = whole.statistics(mine)
        manifest["statistics"][split] = {"clips": len(mine), "mean": mean, "std": std}
    save_json(plan.out / "manifest.json", manifest)
    return manifest
