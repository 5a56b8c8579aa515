"""An artefact: a folder that computes representations and scores without cryjax.

It holds plain arrays, compiled functions, JSON and text. Nothing in it is unpickled or executed as
Python. Sums find accidents, not forgery: who wants that signs SHA256SUMS.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from flax import nnx

from cryjax.encoder import Encoder, normaliser_of
from cryjax.errors import UserError
from cryjax.files import load_arrays, load_json, sha256
from cryjax.models import build_encoder
from cryjax.train import sums as checksums
from cryjax.train.meta import CheckpointMeta
from cryjax.train.variables import name_of, shapes_of

FORMAT, VERSION = "cryjax artefact", 1
CONFIG, WEIGHTS, SUMS = "config.json", "weights.safetensors", "SHA256SUMS"
COMPILED, ONNX, GOLDEN, CARD = "model.jaxexp", "model.onnx", "golden.npz", "MODEL_CARD.md"
TOLERANCE = 1e-3  # of an output's largest value, between processors and platforms
REMEDY = "export it again"

Weights = dict[str, Any]


def is_artefact(folder: pathlib.Path) -> bool:
    """Tells whether a folder is meant to be an artefact."""
    return (folder / SUMS).exists() or (folder / WEIGHTS).exists()


def is_nothing_else(folder: pathlib.Path) -> bool:
    """Tells whether a folder may be replaced: it holds an artefact's files and no others."""
    names = {CONFIG, WEIGHTS, SUMS, COMPILED, ONNX, GOLDEN, CARD}
    return all(p.is_file() and p.name in names for p in folder.iterdir())


def write_sums(folder: pathlib.Path) -> None:
    """Writes SHA256SUMS, which `sha256sum --check` reads, over all other files."""
    files = sorted(p for p in folder.iterdir() if p.name != SUMS)
    lines = "".join(f"{sha256(p)}  {p.name}\n" for p in files)
    (folder / SUMS).write_text(lines, encoding="utf-8")


def check_sums(folder: pathlib.Path) -> list[str]:
    """Verifies every file.

    Returns:
      Names of the files.

    Raises:
      UserError: A file is missing, is not named, or is not what was written.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / SUMS} is not readable ({error}); {REMEDY}") from None
    there = {p.name for p in folder.iterdir()} - {SUMS}
    for name in sorted(there | sums.keys()):
        if wrong := checksums.wrong(folder, name, sums, SUMS):
            raise UserError(f"{folder / name} {wrong}; {REMEDY}")
    return sorted(sums)


def load_config(folder: pathlib.Path) -> dict[str, Any]:
    """Reads config.json.

    Raises:
      UserError: It is damaged, or of a newer format.
    """
    config = load_json(folder / CONFIG, REMEDY)
    if config.get("format") != FORMAT:
        raise UserError(f"{folder / CONFIG} is not that of an artefact; {REMEDY}")
    if config.get("version") != VERSION:
        raise UserError(
            f"{folder}: artefact of version {config.get('version')}, this cryjax reads version "
            f"{VERSION}; use the version of cryjax that wrote it, or {REMEDY}"
        )
    return config


def load_weights(folder: pathlib.Path) -> Weights:
    """Reads the arrays by name.

    Raises:
      UserError: The file is damaged.
    """
    try:
        return safetensors.numpy.load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors' own
        raise UserError(f"{folder / WEIGHTS} is damaged ({error}); {REMEDY}") from None


def load_compiled(folder: pathlib.Path) -> Callable[[Weights, np.ndarray], dict[str, Any]]:
    """Reads the compiled function of weights and waveforms.

    Raises:
      UserError: The file is damaged, or this jax cannot read it.
    """
    try:
        compiled: Any = jax.export.deserialize(bytearray((folder / COMPILED).read_bytes()))
    except Exception as error:  # flatbuffers', MLIR's and the system's own
        raise UserError(f"{folder / COMPILED} is not readable ({error}); {REMEDY}") from None
    return compiled.call


def load_onnx(path: pathlib.Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Reads an ONNX model as a function from (recordings, samples) to its outputs by name."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda wave: dict(zip(names, session.run(names, {"wave": wave}), strict=True))


def load_golden(folder: pathlib.Path) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Reads waveforms and what they gave when the artefact was written.

    Raises:
      UserError: The file is missing or damaged.
    """
    kept = load_arrays(folder / GOLDEN) or {}
    waves = sorted(name for name in kept if name.startswith("wave"))
    if not waves:
        raise UserError(f"{folder / GOLDEN} holds no waveform; {REMEDY}")
    outputs = [
        {k.rpartition("/")[2]: v for k, v in kept.items() if k.startswith(f"{name}/")}
        for name in (wave.replace("wave", "output") for wave in waves)
    ]
    return list(zip((kept[name] for name in waves), outputs, strict=True))


def largest_difference(made: dict[str, Any], golden: dict[str, np.ndarray]) -> float:
    """Compares outputs: the largest difference as a share of each output's largest value."""
    worst = 0.0
    for name, expected in golden.items():
        found = np.asarray(made[name])
        if found.shape != expected.shape or not np.isfinite(found).all():
            return float("inf")
        worst = max(worst, float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1)))
    return worst


def load_encoder(folder: pathlib.Path) -> tuple[Encoder, dict[str, np.ndarray], dict[str, Any]]:
    """Builds the encoder of an artefact from its plain arrays.

    Returns:
      The encoder, arrays of the classifier's head (none without one) and its description.

    Raises:
      UserError: A file is damaged, missing or of a newer format.
    """
    check_sums(folder)
    config, weights = load_config(folder), load_weights(folder)
    meta = CheckpointMeta.from_json(config.get("encoder", {}), str(folder / CONFIG))
    module = nnx.eval_shape(lambda: build_encoder(meta.encoder, meta.spec.n_mels, rngs=nnx.Rngs(0)))
    shapes = nnx.to_pure_dict(nnx.state(module))
    ours = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
    if shapes_of(shapes) != {k: v.shape for k, v in ours.items()}:
        raise UserError(f"{folder}: {WEIGHTS} and {CONFIG} do not belong together; {REMEDY}")
    arrays = jax.tree_util.tree_map_with_path(lambda path, _: ours[name_of(path)], shapes)
    nnx.update(module, arrays)
    head = {k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")}
    meta = dataclasses.replace(meta, projector=None)
    return Encoder(module, normaliser_of(meta), meta), head, config.get("classifier") or {}
