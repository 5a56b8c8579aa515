"""Three encoders on noisy labels (Fonseca et al. 2021, table 3), simulated on ESC-50.

A tenth of the training sources is clean; of the others 40 % have another class's label. Encoders
are pre-trained on the noisy part without labels, fine-tuned on it (larger, noisy) or on the clean
part (small, clean), and tested on fold 1.
"""

from typing import Any

from configs import laptop
from configs.studies import shared
from cryjax.settings import merged
from cryjax.studies.settings import StudySettings

ENCODERS: dict[str, dict[str, Any]] = {
    "vgg": laptop.PRETRAIN["encoder"],
    "resnet18": {"name": "resnet18", "width": 32},
    "crnn": {"name": "crnn"},
}
TASKS: dict[str, Any] = {
    "larger_noisy": {"train": "noisy", "val": "clean", "test": "test"},
    "small_clean": {"train": "clean", "val": "", "test": "test"},
}


def _noisy(name: str) -> StudySettings:
    return StudySettings(
        study=f"noisy_{name}",
        question=f"Does pre-training protect {name} from wrong labels?",
        corpora=shared.corpora("esc50_noisy"),
        seeds=2,
        pretrain=merged(laptop.PRETRAIN, {"encoder": ENCODERS[name]}),
        encoders={"random": {}, "SimCLR": {}},
        transfer=merged(shared.TRANSFER, {"encoder": ENCODERS[name]}),
        tasks={task: {"data": {"dirs": "esc50_noisy"} | parts} for task, parts in TASKS.items()},
        home="larger_noisy",
        modes=("majority", "linear", "finetune"),
        # wrong labels are learnt by heart; validation, which is clean, chooses the step
        tuned={"finetune": (shared.whole_network(steps=1200),)},
        compare=("SimCLR/linear > random/linear", "SimCLR/finetune > random/finetune"),
    )


STUDIES = {f"noisy_{name}": _noisy(name) for name in ENCODERS}
