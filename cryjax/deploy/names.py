"""Tables from our modules to the array names of published encoders."""

import dataclasses
from collections.abc import Callable
from typing import Any

from cryjax.models import EncoderSettings

Names = dict[str, str]  # our path -> their prefix

UCLSER_HEAD = {"hidden.0": "head.net1.0", "norms.0": "head.net1.1", "out": "head.net1.3"}
RELEASE_FRAMES = 1.34e9 / 96  # of FSDnoisy18k's noisy training set: 38.6 h (uclser card, 1.4)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A published encoder.

    Attributes:
      encoder: Settings of our encoder.
      spec: Name of the preset of its features.
      names: Makes the table from our paths to their prefixes.
      ignored: Prefixes of arrays that are not used.
      head: The projector's names, used where the file has them all.
      first_norm: Path of the norm that absorbed uclser's wrong scale; "" where none did.
      transposed: Whether its images have mel before time.
      scaled: Whether it expects log-mels standardised by its training set's statistics.
      licence: Licence of the published weights.
    """

    encoder: EncoderSettings
    spec: str
    names: Callable[[], Names]
    ignored: tuple[str, ...] = ()
    head: Names = dataclasses.field(default_factory=dict)
    first_norm: str = ""
    transposed: bool = False
    scaled: bool = False
    licence: str = ""


def _vgg() -> Names:
    names = {"dense": "dense1"}
    for i in range(6):
        names |= {f"convs.{i}.conv": f"conv{i}.conv", f"convs.{i}.norm": f"conv{i}.bn"}
    return names


def _crnn() -> Names:
    names = {"forward": "rnn1.*_l0", "backward": "rnn1.*_l0_reverse"}
    for i in range(3):
        names |= {f"convs.{i}.conv": f"conv{i + 1}.conv", f"convs.{i}.norm": f"conv{i + 1}.bn"}
    return names


def _resnet18() -> Names:
    names = {"stem.conv": "conv1", "stem.norm": "bn1"}
    for stage in range(4):
        for block in range(2):
            ours, theirs = f"blocks.{2 * stage + block}", f"layer{stage + 1}.{block}"
            for i in (1, 2):
                names[f"{ours}.conv{i}.conv"] = f"{theirs}.conv{i}"
                names[f"{ours}.conv{i}.norm"] = f"{theirs}.bn{i}"
            if stage and not block:
                names[f"{ours}.shortcut.conv"] = f"{theirs}.downsample.0"
                names[f"{ours}.shortcut.norm"] = f"{theirs}.downsample.1"
    return names


def _cnn14(first: str, norm: str) -> Names:
    names = {"norm": first}
    for i in range(12):
        block = f"conv_block{i // 2 + 1}"
        names[f"convs.{i}.conv"] = f"{block}.conv{i % 2 + 1}"
        names[f"convs.{i}.norm"] = f"{block}.{norm}{i % 2 + 1}"
    return names


def _panns() -> Names:
    return _cnn14("bn0", "bn") | {"tail": "fc1"}


def _speechbrain() -> Names:
    return _cnn14("norm0", "norm")


def _byola() -> Names:
    names = {"hidden": "fc.0", "out": "fc.3"}
    for i in range(3):
        names |= {f"blocks.{i}.conv": f"features.{4 * i}"}
        names |= {f"blocks.{i}.norm": f"features.{4 * i + 1}"}
    return names


UCLSER: dict[str, Any] = {
    "spec": "uclser",
    "head": UCLSER_HEAD,
    "scaled": True,
    "licence": "MIT, (c) 2020 Eduardo Fonseca",
}
KINDS = {
    "uclser_vgg": Kind(
        EncoderSettings("vgg"),
        names=_vgg,
        ignored=("dense_out", "head."),
        first_norm="convs.0.norm",
        **UCLSER,
    ),
    "uclser_crnn": Kind(
        EncoderSettings("crnn"),
        names=_crnn,
        ignored=("dense.", "head."),
        first_norm="convs.0.norm",
        **UCLSER,
    ),
    "uclser_resnet18": Kind(
        EncoderSettings("resnet18"),
        names=_resnet18,
        ignored=("fc.", "head."),
        first_norm="stem.norm",
        **UCLSER,
    ),
    "panns_cnn14": Kind(
        EncoderSettings("cnn14", tail=True),
        "panns",
        _panns,
        ("fc_audioset", "spectrogram_extractor", "logmel_extractor"),
        licence="CC BY 4.0",
    ),
    "speechbrain_cnn14": Kind(
        EncoderSettings("cnn14"),
        "ubenwa",
        _speechbrain,
        ("fc1", "fc_audioset"),
        licence="Apache-2.0",
    ),
    "byola": Kind(
        EncoderSettings("audio_ntt"),
        "slicer",
        _byola,
        transposed=True,
        scaled=True,
        licence="NTT evaluation licence: no redistribution, modification or translation",
    ),
}
