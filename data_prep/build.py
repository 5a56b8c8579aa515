"""Clips to shards: decode, log-mel, write; resumable by shard, the same bytes every time."""

import dataclasses
import hashlib
import json
import multiprocessing
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from cryjax.audio import AudioError, make_logmel, read
from cryjax.audio.decode import resample
from cryjax.data import shards
from cryjax.data.manifest import KNOWN, Clip, save_csv, to_rows
from cryjax.spec import FeatureSpec

CLIPS_A_SHARD = 1024
CLIPPED_SHARE, SILENT_PEAK, SHORT_S = 0.001, 1e-3, 0.25
QUARANTINE = ("path", "start_s", "reason", "remedy")


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides the bytes of a prepared folder.

    Attributes:
      source: Folder that the clips' paths are relative to.
      out: Folder of the shards.
      spec: What a mel is.
      clips: With splits.
      classes: Class names, sorted.
      about: What else goes into manifest.json: corpus, licence, split rule, seed, kind of group.
    """

    source: pathlib.Path
    out: pathlib.Path
    spec: FeatureSpec
    clips: list[Clip]
    classes: list[str]
    about: dict

    @property
    def n_shards(self) -> int:
        """Number of shards, at least one."""
        return -(-len(self.clips) // CLIPS_A_SHARD)

    def name(self, shard: int) -> str:
        """File name of a shard."""
        return f"shard-{shard:05d}-of-{self.n_shards:05d}.arrayrecord"

    def fingerprint(self) -> str:
        """Of clips, spec and the rest: parts of different plans never mix."""
        rows = json.dumps([to_rows(self.clips), self.spec.to_json(), self.about], sort_keys=True)
        return hashlib.sha256(rows.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One clip's mel and what was seen on the way, or why there is none."""

    mel: np.ndarray | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    remedy: str = ""


def _flags(wave: np.ndarray, rate_hz: int) -> str:
    """What a listener should know: clipped, silent, short."""
    peak = np.abs(wave).max()
    seen = {
        "clipped": peak >= 0.999 and (np.abs(wave) >= 0.999 * peak).mean() > CLIPPED_SHARE,
        "silent": peak < SILENT_PEAK,
        "short": len(wave) < SHORT_S * rate_hz,
    }
    return " ".join(name for name, yes in seen.items() if yes)


class _Worker:
    """Prepares clips one at a time; made once in every process."""

    def __init__(self, source: pathlib.Path, spec: FeatureSpec):
        self.source, self.spec, self.logmel = source, spec, make_logmel(spec)

    def __call__(self, clip: Clip) -> Prepared:
        try:
            found = read(self.source / clip.path, start_s=clip.start_s, end_s=clip.end_s)
        except AudioError as error:
            return Prepared(reason=error.reason, remedy=error.remedy)
        wave = resample(found.wave, found.rate_hz, self.spec.sample_rate_hz)
        mel = self.logmel(wave).astype(np.float16)
        if not np.isfinite(mel).all():
            return Prepared(reason="its mel overflows float16", remedy="choose a spec with a log")
        values = mel.astype(np.float64)
        computed = (
            len(mel), float(values.sum()), float((values**2).sum()), found.rate_hz,
            hashlib.sha256(found.wave.tobytes()).hexdigest(), _flags(found.wave, found.rate_hz),
        )  # fmt: skip
        columns = {
            name: value if isinstance(value, str) else repr(value)
            for name, value in zip(shards.COMPUTED, computed, strict=True)
        }
        return Prepared(mel, columns, len(found.wave) / found.rate_hz)


_worker: list[_Worker] = []


def _start_worker(source: pathlib.Path, spec: FeatureSpec) -> None:
    _worker[:] = [_Worker(source, spec)]


def _prepare(clip: Clip) -> Prepared:
    return _worker[0](clip)


def _prepared(plan: Plan, clips: Sequence[Clip], pool) -> Iterator[Prepared]:
    if pool is None:
        _start_worker(plan.source, plan.spec)
        return map(_prepare, clips)
    return pool.imap(_prepare, clips, chunksize=4)


def _build_shard(plan: Plan, shard: int, pool, bar: tqdm.tqdm) -> None:
    """One shard and its side file; the side file last, so that it vouches for the shard."""
    clips = plan.clips[shard * CLIPS_A_SHARD : (shard + 1) * CLIPS_A_SHARD]
    index = {name: i for i, name in enumerate(plan.classes)}
    records, rows, bad = [], [], []
    for clip, done in zip(clips, _prepared(plan, clips, pool), strict=True):
        bar.update()
        if done.mel is None:
            values = (clip.path, repr(clip.start_s), done.reason, done.remedy)
            bad.append(dict(zip(QUARANTINE, values, strict=True)))
            continue
        label = index.get(clip.label, -1)
        records.append(shards.encode(done.mel, clip=len(records), label=label))
        extra = {key: value for key, value in clip.extra.items() if key not in shards.COMPUTED}
        row = to_rows([dataclasses.replace(clip, extra=extra | done.columns)])[0]
        rows.append(row | {"seconds": repr(done.seconds)})
    path = plan.out / plan.name(shard)
    info = {"name": path.name, "clips": len(records)}
    if records:
        info |= {"sha256": shards.write_shard(path, records), "bytes": path.stat().st_size}
    side = {"plan": plan.fingerprint(), "shard": info, "rows": rows, "quarantine": bad}
    shards.save_json(path.with_suffix(".json"), side)


def _side(plan: Plan, shard: int) -> dict | None:
    """A finished shard's side file, if it belongs to this plan and its shard is whole."""
    path = plan.out / plan.name(shard)
    try:
        side = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    if side.get("plan") != plan.fingerprint():
        return None
    if side["shard"]["clips"] and not (
        path.exists() and shards.sha256(path) == side["shard"]["sha256"]
    ):
        return None
    return side


def progress(total: int) -> tqdm.tqdm:
    """A bar with ETA; a line every ten seconds where nobody watches it move."""
    seconds = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm.tqdm(
        total=total, unit="clip", desc="log-mel", disable=not total, mininterval=seconds
    )


def build(plan: Plan, *, workers: int, part: tuple[int, int] = (0, 1)) -> bool:
    """Builds the shards of this part that are not there yet.

    Args:
      plan: What to build.
      workers: Processes; 0 works in this one.
      part: (index, count): shard s belongs to part s mod count.

    Returns:
      Whether every shard of every part is now there, so that `finish` can be called.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    mine = [s for s in range(plan.n_shards) if s % part[1] == part[0]]
    todo = [s for s in mine if _side(plan, s) is None]
    n = sum(len(plan.clips[s * CLIPS_A_SHARD : (s + 1) * CLIPS_A_SHARD]) for s in todo)
    if len(todo) < len(mine):
        print(f"{len(mine) - len(todo)} of {len(mine)} shards are there already")
    with progress(n) as bar:
        if workers and n:
            context = multiprocessing.get_context("spawn")
            with context.Pool(workers, _start_worker, (plan.source, plan.spec)) as pool:
                for shard in todo:
                    _build_shard(plan, shard, pool, bar)
        else:
            for shard in todo:
                _build_shard(plan, shard, None, bar)
    return all(_side(plan, s) is not None for s in range(plan.n_shards))


def ordered(row: dict, first: Sequence[str]) -> dict:
    """A row with these columns first and the others behind them by name."""
    return {key: row[key] for key in (*first, *sorted(row.keys() - set(first)))}


def finish(plan: Plan, *, max_bad_share: float) -> dict:
    """Writes clips.csv, quarantine.csv and, last, manifest.json from the finished shards.

    Raises:
      ValueError: More than `max_bad_share` of the clips are bad; quarantine.csv is written.
    """
    sides = [side for s in range(plan.n_shards) if (side := _side(plan, s)) is not None]
    rows = [ordered(row, KNOWN) for side in sides for row in side["rows"]]
    bad = [ordered(row, QUARANTINE) for side in sides for row in side["quarantine"]]
    save_csv(plan.out / "quarantine.csv", bad, QUARANTINE)
    if len(bad) > max_bad_share * len(plan.clips):
        raise ValueError(
            f"{len(bad)} of {len(plan.clips)} clips are bad, more than --max_bad_share="
            f"{max_bad_share}; {plan.out / 'quarantine.csv'} names each with reason and remedy"
        )
    save_csv(plan.out / "clips.csv", rows)
    manifest = {
        "schema": shards.VERSION,
        "spec": plan.spec.to_json(),
        "classes": plan.classes,
        "shards": [side["shard"] for side in sides if side["shard"]["clips"]],
        "clips_sha256": shards.sha256(plan.out / "clips.csv"),
        "quarantined": len(bad),
        **plan.about,
    }
    clips = shards.load_manifest(plan.out / "clips.csv")
    frames = np.array([int(clip.extra["frames"]) for clip in clips])
    whole = shards.ShardSet(plan.out, plan.spec, clips, frames, manifest, "")
    manifest["statistics"] = {}
    for split in sorted({clip.split for clip in clips}):
        mine = whole.rows([split])
        mean, std = whole.statistics(mine)
        manifest["statistics"][split] = {"clips": len(mine), "mean": mean, "std": std}
    shards.save_json(plan.out / "manifest.json", manifest)
    return manifest
