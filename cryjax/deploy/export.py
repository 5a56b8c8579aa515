"""An encoder, or a classifier, as a folder that works without cryjax.

    cryjax export runs/judged/best/linear-seed0 --out=artefact
    cryjax export runs/mine --out=artefact --onnx

Writes model.jaxexp (waveform to representations and scores, for cpu, cuda, tpu and rocm; needs jax
and flatbuffers), with --onnx model.onnx (a waveform of one window; needs onnxruntime),
weights.safetensors, config.json, golden.npz, MODEL_CARD.md with a reader for each, and SHA256SUMS.
The folder is a MODEL of every other command.
"""

import argparse
import dataclasses
import importlib.util
import pathlib
import shutil
import sys
import uuid
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from cryjax.audio.logmel import shortest_samples
from cryjax.deploy import artefact, card
from cryjax.deploy.artefact import Weights
from cryjax.deploy.classifier import Classifier, load
from cryjax.deploy.command import answer
from cryjax.deploy.device_logmel import dft
from cryjax.deploy.function import (
    example_waves,
    make_recording_function,
    outputs_of,
    weights_of,
)
from cryjax.encoder import Encoder
from cryjax.errors import UserError
from cryjax.files import save_json
from cryjax.train.meta import CheckpointMeta

PLATFORMS = ("cpu", "cuda", "tpu", "rocm")


def compile_function(encoder: Encoder, weights: Weights) -> bytes:
    """Compiles the function of weights and waveforms for every platform, any batch and length."""
    shape = jax.export.symbolic_shape(
        "recordings, samples", constraints=[f"samples >= {shortest_samples(encoder.spec)}"]
    )
    arrays = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in weights.items()}
    function = jax.jit(make_recording_function(encoder))
    exported = jax.export.export(function, platforms=PLATFORMS)(
        arrays, jax.ShapeDtypeStruct(shape, jnp.float32)
    )
    return bytes(exported.serialize())


def window_samples(encoder: Encoder) -> int:
    """Returns the number of samples of one window, which an ONNX model takes."""
    frames = (encoder.meta.frames - 1) * encoder.spec.hop_samples
    return max(frames if encoder.spec.frames_per_s else 0, shortest_samples(encoder.spec))


def has_onnx() -> bool:
    """Tells whether jax2onnx is installed."""
    return importlib.util.find_spec("jax2onnx") is not None


def save_onnx(encoder: Encoder, weights: Weights, path: pathlib.Path) -> None:
    """Converts the function of a waveform of one window and compares it with JAX's.

    Raises:
      UserError: jax2onnx is missing, cannot convert this encoder, or converts it wrongly.
    """
    if not has_onnx():
        raise UserError("--onnx needs jax2onnx and onnxruntime; see docs/deploy.md for how")
    import onnx  # pyright: ignore[reportMissingImports]
    from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]

    function = make_recording_function(encoder, dft, as_stored=False)
    names = [name for name in outputs_of(encoder) if name != "start_s"]
    arrays = {k: jnp.asarray(v) for k, v in weights.items()}

    def outputs(wave: jax.Array) -> tuple[jax.Array, ...]:
        made = function(arrays, wave)
        return tuple(made[name] for name in names)

    samples, name = window_samples(encoder), encoder.meta.encoder.name
    shape: Any = ("recordings", samples)
    wave = example_waves(encoder)[1][:, -samples:]
    expected = {k: np.asarray(v) for k, v in zip(names, jax.jit(outputs)(wave), strict=True)}
    try:
        with jax.numpy_rank_promotion("allow"):
            model = to_onnx(
                outputs,
                inputs=[jax.ShapeDtypeStruct(shape, jnp.float32)],
                model_name=f"cryjax {name}",
                input_names=["wave"],
                output_names=names,
            )
        onnx.save(model, path)
        made = artefact.load_onnx(path)(wave)
    except Exception as error:  # jax2onnx's and onnxruntime's own
        raise UserError(f"jax2onnx does not convert {name} ({error}); leave --onnx away") from error
    if (found := artefact.largest_difference(made, expected)) > artefact.TOLERANCE:
        raise UserError(f"the ONNX model of {name} is wrong by {found:.1e}; leave --onnx away")


def save_artefact(
    encoder: Encoder, folder: pathlib.Path, source: pathlib.Path, *, onnx: bool = False
) -> None:
    """Writes an artefact under another name, and renames it when it is whole.

    Args:
      encoder: What is exported.
      folder: Where; an artefact that is there is replaced.
      source: Folder that the encoder was loaded from, where the card looks for results.
      onnx: Whether model.onnx is written too.

    Raises:
      UserError: `folder` holds something else, or ONNX was asked for and cannot be had.
    """
    if folder.exists() and not artefact.is_nothing_else(folder):
        raise UserError(f"{folder} holds more than an artefact's files; give another --out")
    made = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp")
    made.mkdir(parents=True)
    try:
        _fill(made, encoder, source, onnx=onnx)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def to_hand_on(meta: CheckpointMeta) -> CheckpointMeta:
    """Leaves out who was heard, patients perhaps, and all of a path but its last part."""
    return dataclasses.replace(
        meta,
        train_groups=(),
        selection_groups=(),
        data=[about | {"folder": _last_parts(about.get("folder"))} for about in meta.data],
        config=_last_parts(meta.config),
    )


def _last_parts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _last_parts(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_last_parts(one) for one in value]
    return pathlib.PurePath(value.replace("\\", "/")).name if isinstance(value, str) else value


def _fill(folder: pathlib.Path, encoder: Encoder, source: pathlib.Path, *, onnx: bool) -> None:
    weights = weights_of(encoder)
    safetensors.numpy.save_file(weights, folder / artefact.WEIGHTS)
    (folder / artefact.COMPILED).write_bytes(compile_function(encoder, weights))
    if onnx:
        save_onnx(encoder, weights, folder / artefact.ONNX)
    call, golden = artefact.load_compiled(folder), {}
    for number, wave in enumerate(example_waves(encoder)):
        golden[f"wave{number}"] = wave
        for name, value in call(weights, wave).items():
            golden[f"output{number}/{name}"] = np.asarray(value)
    np.savez_compressed(folder / artefact.GOLDEN, allow_pickle=False, **golden)
    config = {
        "format": artefact.FORMAT,
        "version": artefact.VERSION,
        "encoder": to_hand_on(encoder.meta).to_json(),
        "fingerprint": encoder.fingerprint,
        "classifier": encoder.about if isinstance(encoder, Classifier) else None,
        "sample_rate_hz": encoder.spec.sample_rate_hz,
        "shortest_samples": shortest_samples(encoder.spec),
        "onnx_samples": window_samples(encoder),
        "outputs": outputs_of(encoder),
    }
    save_json(folder / artefact.CONFIG, config)
    text = card.write(encoder, source, onnx=onnx)
    (folder / artefact.CARD).write_text(text, encoding="utf-8")
    artefact.write_sums(folder)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="folder of an encoder or classifier")
    parser.add_argument("--out", required=True, help="folder that is written")
    parser.add_argument("--onnx", action="store_true", help="write model.onnx too")
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    out = pathlib.Path(asked.out)
    save_artefact(load(asked.model), out, pathlib.Path(asked.model), onnx=asked.onnx)
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")
    print(f"next: cryjax verify {out}")


if __name__ == "__main__":
    sys.exit(main())
