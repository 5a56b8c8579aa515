"""What the studies share: corpora, the laptop's recipe, evaluations."""

from typing import Any

from configs import laptop
from cryjax.settings import merged

# name -> how it is prepared from the recordings; `source` lies below config.recordings
CORPORA: dict[str, dict[str, str]] = {
    "esc50": {"corpus": "esc", "source": "esc50"},
    "esc50_generic": {"corpus": "esc", "source": "esc50", "classes": "-crying_baby"},
    "esc50_noisy": {"corpus": "esc_noisy", "source": "esc50"},
    "breathing": {
        "corpus": "esc",
        "source": "esc50",
        "classes": "breathing,coughing,snoring,sneezing,laughing",
    },
    "commands": {"corpus": "csv", "source": "commands/clips.csv"},
    "commands_speaker": {
        "corpus": "csv",
        "source": "commands/clips.csv",
        "label": "group",
        "split": "holdout",
    },
    "cry_or_other": {"corpus": "cry_or_other", "source": ""},
    "donateacry": {"corpus": "donateacry", "source": "donateacry"},
    "donateacry_age": {"corpus": "donateacry", "source": "donateacry", "label": "age"},
    "donateacry_raw": {"corpus": "donateacry", "source": "donateacry_raw"},
    "injury": {"corpus": "semi_synthetic_injury", "source": "donateacry"},
    "fsdd": {"corpus": "fsdd", "source": "fsdd"},
}
# of side tables: a sixth of the updates, four minutes of two cores
SHORT: dict[str, Any] = merged(laptop.PRETRAIN, {"steps": 400})
# phone recordings hold nothing above 4 kHz: beside others, bandwidth would tell them apart
NARROW = f"{laptop.SPEC},f_max_hz=3800"
FRACTIONS = (0.05, 0.1, 0.2, 0.5, 1.0)
# recordings as they are, but where a whole network is trained
TRANSFER: dict[str, Any] = {
    "data": {"frames": laptop.FRAMES, "hop_frames": laptop.FRAMES // 2},
    "encoder": laptop.PRETRAIN["encoder"],
    "probe": {
        "linear": {"steps": 1000, "batch_size": 128},
        "linear_bn": {"steps": 1000, "batch_size": 64},
    },
}
CROPS = {"order": "random_resized_crop,normalise"}


def whole_network(steps: int, batch_size: int = 128) -> dict[str, Any]:
    """Sets how a whole network is trained on labels, from whichever weights it starts.

    Fine-tuning and training from scratch have the budget, crops and optimiser, all of the preset;
    nothing is chosen.

    Args:
      steps: Number of updates.
      batch_size: Recordings of an update.
    """
    optim = laptop.PRETRAIN["optim"] | {"encoder_rate": 1.0}
    training = {"steps": steps, "batch_size": batch_size, "optim": optim}
    return {"augment": CROPS, "probe": {"finetune": training, "scratch": training}}


def corpora(*names: str, spec: str = laptop.SPEC) -> dict[str, dict[str, str]]:
    """Selects corpora, all prepared with one feature specification.

    Those of the narrow band are prepared under the name `narrow_<corpus>`.
    """
    prefix = "narrow_" if spec == NARROW else ""
    return {prefix + name: CORPORA[name] | {"spec": spec} for name in names}
