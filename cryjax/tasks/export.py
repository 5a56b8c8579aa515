"""Export: the encoder alone, with config and FeatureSpec, that every other task accepts."""

import pathlib

from cryjax.tasks.common import Config
from cryjax.train.checkpoint import load_model, save_model


def run(config: Config, workdir: pathlib.Path) -> None:
    """Copies the encoder of `config.checkpoint` to `workdir`."""
    encoder, _, meta = load_model(config["checkpoint"], config["step"] or None)
    save_model(workdir, {"encoder": encoder}, meta | {"exported_from": config["checkpoint"]})
    print(f"encoder of step {meta['step']} exported to {workdir}")
