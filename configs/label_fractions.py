"""How far few labels go: linear probes on embeddings by share of labels, with their band.

    python -m cryjax.main --config=configs/label_fractions.py --workdir=runs/curve \
        --config.data.dirs=prepared/mine --config.checkpoint=runs/simclr

Embeddings are made once (and kept beside the shards under a hash of weights and shards); then every
seed, fraction and strength of regularisation is one fit of a single program. Labels are drawn by
group, nested and stratified; of very small fractions at least one group a class is taken. The
strength is picked on validation. `folds` tests on each named split in turn; {fold} and {seed} in
`checkpoint` are filled in, such as runs/esc10/{fold}-seed{seed}/pretrain of a suite. A random
encoder stands beside the pre-trained one. Writes the usual table and curve.png.
"""

from ml_collections import ConfigDict

from configs import common, transfer


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke",))
    base = transfer.get_config(variant)
    config = ConfigDict({name: base[name] for name in ("data", "encoder", "augment", "label")})
    config.task = "label_fractions"
    config.checkpoint = ""
    config.pool = ""
    config.folds = ""
    config.seed = 0
    config.seeds = 10
    config.fractions = "0.01,0.03,0.05,0.1,0.2,0.5,1"
    config.strengths = "0.001,0.01,0.1,1"  # scikit-learn's C
    config.unit = "group"  # or recording
    config.select = "balanced_accuracy"
    config.metric = "balanced_accuracy"  # of the picture
    if variant == "smoke":
        config.seeds, config.fractions, config.strengths = 2, "0.5,1", "0.1,1"
    return config
