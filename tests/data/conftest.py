import hashlib

import numpy as np
import pytest

from cryjax.data import shards
from cryjax.data.manifest import Clip, save_csv, to_rows
from cryjax.files import save_json
from cryjax.spec import preset


@pytest.fixture
def make_corpus(tmp_path):
    """Writes a small prepared folder whose every frame says where it comes from."""

    def make(
        lengths=(300, 150, 101, 60, 220, 180),
        name="corpus",
        split=("train",),
        labels="abc",
        group="g{}",
        before=None,
    ):
        folder = tmp_path / name
        folder.mkdir()
        spec = preset("uclser")
        mels = [
            (np.arange(n)[:, None] + 1000 * i + np.zeros((1, spec.n_mels))).astype(np.float16)
            for i, n in enumerate(lengths)
        ]
        clips = [
            Clip(
                f"{i}.wav",
                label=labels[i % len(labels)],
                group=group.format(i),
                split=split[i % len(split)],
                extra={
                    "frames": str(len(m)),
                    "audio_sha256": hashlib.sha256(f"{name} {i}".encode()).hexdigest(),
                    "mel_sum": repr(float(m.astype(float).sum())),
                    "mel_square_sum": repr(float((m.astype(float) ** 2).sum())),
                }
                | ({"group_before_merge": before.format(i)} if before else {}),
            )
            for i, m in enumerate(mels)
        ]
        records = [
            shards.encode(mel, clip=i, label=0, identity=clip.identity)
            for i, (mel, clip) in enumerate(zip(mels, clips, strict=True))
        ]
        half = len(records) // 2
        infos = []
        for k, part in enumerate((records[:half], records[half:])):
            path = folder / f"shard-{k}.arrayrecord"
            digest, size = shards.write_shard(path, part)
            infos.append({"name": path.name, "sha256": digest, "bytes": size, "clips": len(part)})
        save_csv(folder / "clips.csv", to_rows(clips))
        digest = hashlib.sha256((folder / "clips.csv").read_bytes()).hexdigest()
        save_json(
            folder / "manifest.json",
            {
                "schema": shards.VERSION,
                "corpus": name,
                "split_rule": "holdout",
                "spec": spec.to_json(),
                "classes": sorted(set(labels)),
                "shards": infos,
                "clips_sha256": digest,
            },
        )
        return folder, mels

    return make
