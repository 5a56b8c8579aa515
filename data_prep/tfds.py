"""TensorFlow Datasets: any builder that was prepared, --corpus=tfds:NAME --source=<data_dir>.

Sets with an Audio feature need TensorFlow to be read (pip install tensorflow-cpu); sets that hold
waveforms as plain tensors, prepared as array_record or parquet, do not. Recordings are written as
FLAC beside the shards once. Group is the first of speaker_id, speaker, group and id that is there.
"""

import functools
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from cryjax.data.manifest import Clip, load_manifest, save_csv
from cryjax.errors import UserError
from data_prep.corpus import CorpusRecipe

WAVES = ("audio", "waveform", "speech")
GROUPS = ("speaker_id", "speaker", "group", "id")
SPLITS = {"train": "train", "validation": "val", "valid": "val", "dev": "val", "test": "test"}
_NEEDS = "tfds:NAME with an Audio feature needs TensorFlow: pip install tensorflow-cpu"


def _builder(name: str, source: str | None) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise UserError("--corpus=tfds:NAME needs: pip install 'cryjax[tfds]'") from None
    try:
        return tfds.builder(name, data_dir=source)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{_NEEDS} ({error})") from error
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"no builder {name!r} prepared in --source={source}") from None


def _samples(wave: np.ndarray) -> np.ndarray:
    """Floats within [-1, 1]; integers are 16-bit samples, as TFDS stores audio."""
    if np.issubdtype(wave.dtype, np.integer):
        return wave.astype(np.float32) / 32768
    return wave.astype(np.float32)


def _rows(builder: Any, folder: pathlib.Path) -> Iterator[dict[str, Any]]:
    features = builder.info.features
    wave = next((name for name in WAVES if name in features), None)
    if wave is None:
        raise UserError(f"{builder.name} has none of {', '.join(WAVES)} among {list(features)}")
    rate = getattr(features[wave], "sample_rate", None)
    label = dict(features).get("label")
    group = next((name for name in GROUPS if name in features), None)
    for split in builder.info.splits:
        for number, example in enumerate(builder.as_data_source(split)):
            path = f"{split}-{number:06d}.flac"
            here = rate or int(example["sample_rate"])
            _write(folder / path, _samples(np.asarray(example[wave])), here)
            named = label.int2str(int(example["label"])) if label else ""
            who = _text(example[group]) if group else pathlib.Path(path).stem
            yield {"path": path, "label": named, "group": who, "split": SPLITS.get(split, split)}


def _write(path: pathlib.Path, wave: np.ndarray, rate_hz: int) -> None:
    """Writes a recording; one that FLAC cannot hold becomes an empty file, to be quarantined."""
    try:
        if not np.isfinite(wave).all():
            raise ValueError("samples that are not finite")
        soundfile.write(path, wave, rate_hz)
    except (ValueError, TypeError, soundfile.LibsndfileError) as error:
        print(f"{path.name}: not written ({error}); it will be in quarantine.csv")
        path.write_bytes(b"")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _export(name: str, folder: pathlib.Path, seed: int, source: str | None) -> None:
    """Writes every recording as a file, the manifest last."""
    del seed
    builder = _builder(name, source)
    folder.mkdir(parents=True, exist_ok=True)
    save_csv(folder / "clips.csv", list(_rows(builder, folder)))


def _find(source: pathlib.Path, seed: int) -> list[Clip]:
    del seed
    return load_manifest(source / "clips.csv")


def recipe(name: str, source: str | None) -> CorpusRecipe:
    """Makes the recipe of a builder; its licence is what the builder says of itself."""
    about = _builder(name, source).info
    return CorpusRecipe(
        f"tfds:{name}",
        _find,
        group="speaker or recording of the builder",
        split="official",
        licence=about.redistribution_info.license or "see the builder's homepage",
        make=functools.partial(_export, name),
        made_by_code=True,
    )
