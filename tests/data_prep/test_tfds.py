"""A builder of TensorFlow Datasets without Audio features becomes shards without TensorFlow."""

import sys

import numpy as np
import pytest

from cryjax.data.shards import load_shards
from data_prep.main import prepare

BUILDER = '''
import numpy as np
import tensorflow_datasets as tfds

class Builder(tfds.core.GeneratorBasedBuilder):
    """Tones of two pitches."""
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({
                "audio": tfds.features.Tensor(shape=(None,), dtype=np.float32),
                "sample_rate": tfds.features.Scalar(np.int32),
                "label": tfds.features.ClassLabel(names=["low", "high"]),
                "speaker_id": tfds.features.Text(),
            }), homepage="https://example.org", license="CC BY 4.0")

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0), "test": self._generate_examples(4)}

    def _generate_examples(self, first):
        for i in range(first, first + 4):
            t = np.arange(24000) / 16000
            wave = 0.5 * np.sin(2 * np.pi * ((300, 900)[i % 2] + i) * t)
            yield i, {"audio": wave.astype(np.float32), "sample_rate": 16000, "label": i % 2,
                      "speaker_id": f"s{i}"}
        if first:  # bad ones: not finite, no rate, nothing
            bad = [(wave * np.nan, 16000), (wave, 0), (wave[:0], 16000)]
            for i, (wave, rate) in enumerate(bad):
                yield 8 + i, {"audio": wave.astype(np.float32), "sample_rate": rate, "label": 0,
                              "speaker_id": "bad"}
'''


@pytest.mark.filterwarnings("ignore")
def test_a_prepared_builder_becomes_shards(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets", reason="the extra tfds is not installed")
    package = tmp_path / "tones_of_two"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tones_of_two_dataset_builder.py").write_text(BUILDER)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("tones_of_two.tones_of_two_dataset_builder", fromlist=["Builder"])
    builder = module.Builder(data_dir=str(tmp_path / "tfds"), file_format="array_record")
    builder.download_and_prepare()
    assert "tensorflow" not in sys.modules
    out = tmp_path / "out"
    prepare("tfds:tones_of_two", str(tmp_path / "tfds"), str(out), workers=0, max_bad_share=0.5)
    shards = load_shards(out)
    assert shards.info["quarantined"] == 3
    assert shards.info["licence"] == "CC BY 4.0"
    found = sorted((c.label, c.group, c.split) for c in shards.clips)
    assert found == sorted(
        (("low", "high")[i % 2], f"s{i}", "train" if i < 4 else "test") for i in range(8)
    )
    assert all(np.isclose(float(c.extra["seconds"]), 1.5) for c in shards.clips)
    with pytest.raises(ValueError, match="no builder 'nothing_here' prepared in --source="):
        prepare("tfds:nothing_here", str(tmp_path / "tfds"), str(tmp_path / "x"), workers=0)
