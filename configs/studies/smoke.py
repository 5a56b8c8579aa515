"""A study of seconds, on recordings made by code."""

from cryjax.studies.settings import StudySettings

TINY = {"steps": 4, "eval_every": 2, "batch_size": 8}
STUDY = StudySettings(
    study="smoke",
    question="Does a study run?",
    seeds=1,
    pretrain={
        "steps": 2,
        "batch_size": 8,
        "data": {"frames": 48, "hop_frames": 48},
        "encoder": {"name": "vgg", "width": 4},
        "knn": {"every": None},
    },
    encoders={"random": {}, "SimCLR": {}},
    transfer={
        "data": {"dirs": "synthetic", "embedded_dir": "prepared", "frames": 48, "hop_frames": 48},
        "encoder": {"name": "vgg", "width": 4},
        "probe": {"linear": TINY},
    },
    tasks={"triggers": {}},
    home="triggers",
    modes=("majority", "knn", "linear"),
    compare=("SimCLR/linear > random/linear",),
    ranks="linear",
)
