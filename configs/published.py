"""Figures of the sources, to stand beside ours: per cent, measured on their data."""

# Gorin et al. 2023, AUC, mean ± standard error of 10 runs: linear, linear+BN, end-to-end
UBENWA = {
    "injury: supervised": ("75.5 ± 0.6", "75.9 ± 0.7", "80.0 ± 0.7"),
    "injury: SimCLR": ("71.3 ± 0.9", "78.5 ± 1.2", "83.9 ± 0.6"),
    "injury: 10 h of cries": ("78.8 ± 0.5", "78.0 ± 0.7", "80.8 ± 0.8"),
    "injury: 21 h": ("79.8 ± 0.4", "81.3 ± 0.5", "81.3 ± 0.7"),
    "injury: 21 h + replay": ("80.8 ± 0.5", "83.3 ± 0.6", "85.0 ± 0.9"),
    "injury: from scratch": (None, None, None, "74.6 ± 1.7"),
    "triggers: SimCLR": ("65.9 ± 0.8", "69.5 ± 0.7", "69.0 ± 0.9"),
    "triggers: 10 h of cries": ("71.7 ± 0.5", "75.4 ± 0.8", "72.4 ± 1.4"),
    "triggers: 21 h": ("74.5 ± 0.4", "74.7 ± 0.4", "72.0 ± 1.8"),
    "triggers: 21 h + replay": ("74.2 ± 0.4", "75.6 ± 0.6", "74.4 ± 0.7"),
}
# the same, by arm of adaptation, neurological injury
ADAPTATION = {
    "none": UBENWA["injury: SimCLR"],
    "cry": UBENWA["injury: 10 h of cries"],
    "cry_extra": UBENWA["injury: 21 h"],
    "cry_extra_replay": UBENWA["injury: 21 h + replay"],
}
# Fonseca et al. 2021: kNN, linear, fine-tuned, from scratch
UCLSER = {
    "clean_set_knn: ResNet-18": (70.1,),
    "larger_noisy: ResNet-18": (None, 74.3, 78.2, 65.4),
    "larger_noisy: VGG-like": (None, 70.0, 72.8, 70.6),
    "larger_noisy: CRNN": (None, 64.4, 74.2, 72.0),
    "small_clean: ResNet-18": (None, None, 77.9, 56.5),
    "small_clean: VGG-like": (None, None, 72.3, 61.1),
    "small_clean: CRNN": (None, None, 69.1, 58.7),
}
LAPE_TASKS = (
    "sc_v1",
    "sc_v2_12",
    "sc_v2_35",
    "lbs",
    "vc",
    "ic",
    "vf",
    "ns",
    "bsd",
    "tut",
    "us8k",
)
# Seth et al. 2023, linear accuracy
LAPE = {
    "COLA": (77.3, 77.2, 66.0, 89.0, 28.9, 59.8, 69.2, 61.3, 85.2, 52.4, 69.1),
    "BYOL": (87.7, 87.2, 84.5, 90.0, 31.0, 60.0, 83.1, 71.2, 87.8, 58.4, 77.0),
    "DeLoRes-S": (86.1, 85.4, 80.0, 90.0, 31.2, 60.7, 76.5, 66.3, 86.7, 58.6, 71.2),
    "DeLoRes-M": (94.0, 93.3, 89.7, 95.7, 45.3, 65.2, 88.0, 75.0, 89.6, 65.7, 82.7),
    "SLICER": (94.8, 94.2, 90.4, 95.7, 49.4, 66.4, 89.9, 76.3, 90.0, 66.8, 83.2),
}
# 4 classes, official split: CNN6 (Moummad & Farrugia 2023) and AST with Patch-Mix (Bae et al. 2023)
ICBHI = {"official_split: CNN6": {"scratch": 53.9}, "official_split: AST": {"finetune": 62.4}}


def by_mode(figures: dict[str, tuple], modes: tuple[str, ...]) -> dict[str, dict[str, float | str]]:
    """Names the figures of every row by the protocols they are of; those not given are left out."""
    return {
        row: {m: f for m, f in zip(modes, values, strict=False) if f is not None}
        for row, values in figures.items()
    }


def lape() -> dict[str, dict[str, float]]:
    """Lists LAPE's figures as rows "task: method"."""
    return {
        f"{task}: {method}": {"linear": figure}
        for method, figures in LAPE.items()
        for task, figure in zip(LAPE_TASKS, figures, strict=True)
    }
