import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict

from data_prep.main import prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A small prepared corpus: tones and noises of twelve groups."""
    root = tmp_path_factory.mktemp("corpus")
    rng, rows = np.random.default_rng(0), ["path,label,group"]
    for i in range(36):
        label, group = ("tone", "noise")[i % 2], f"g{i // 3}"
        t = np.arange(20_000) / 16_000
        wave = (
            np.sin(2 * np.pi * rng.uniform(300, 900) * t)
            if label == "tone"
            else rng.normal(size=len(t))
        )
        soundfile.write(root / f"{i}.wav", 0.3 * wave / np.abs(wave).max(), 16_000)
        rows.append(f"{i}.wav,{label},{group}")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    out = root / "prepared"
    prepare("csv", str(root / "clips.csv"), str(out), split="holdout", workers=0)
    return out


@pytest.fixture(scope="session")
def smoke(prepared):
    """A config's smoke variant on the small corpus, with a tiny encoder, as a plain dict."""

    def make(module, **changes):
        config = module.get_config("smoke")
        for part in (config, config.get("pretrain", {}), config.get("transfer", {})):
            if "data" in part:
                part.data.dirs = str(prepared)
            if "encoder" in part:
                part.encoder = ConfigDict({"name": "vgg", "width": 4})
        with config.unlocked():
            config.update_from_flattened_dict(changes)
        return config.to_dict()

    return make
