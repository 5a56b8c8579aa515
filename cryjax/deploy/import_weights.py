"""Turns a user's own copy of published weights into a checkpoint that all commands accept.

    python -m cryjax.deploy.import_weights --kind=panns_cnn14 --source=Cnn14.pth --out=runs/panns

Sources: .npz, .safetensors (pip install safetensors), .pth or .pt through torch's weights-only
loader (pip install torch). Nothing else is opened, nothing is ever unpickled another way. No
weights come with cryjax.
"""

import argparse
import dataclasses
import pathlib
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from cryjax.data.shards import load_shards
from cryjax.deploy.names import KINDS, RELEASE_FRAMES, Kind, Names
from cryjax.errors import MissingFileError, UserError
from cryjax.models import EncoderSettings, build_encoder
from cryjax.models.heads import Projector
from cryjax.models.recurrent import GRU
from cryjax.spec import preset
from cryjax.train.checkpoint import save_model
from cryjax.train.meta import CheckpointMeta

Arrays = dict[str, np.ndarray]
WRAPPERS = ("model", "state_dict", "model_state_dict")
FRAMES = 101


def load_arrays(path: pathlib.Path) -> Arrays:
    """Reads the named arrays of a weight file; its suffix decides how.

    Raises:
      UserError: The suffix is not known, the file is damaged or holds more than arrays, or the
        loader is not installed; names the remedy.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as found:
                return dict(found)
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file  # pyright: ignore[reportMissingImports]

            return load_file(path)
        if path.suffix in (".pth", ".pt"):
            return _from_torch(path)
    except ImportError as error:
        raise UserError(f"{path}: pip install {error.name} to read {path.suffix}") from None
    except UserError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except Exception as error:
        raise UserError(f"{path}: not a readable file of arrays alone ({error})") from error
    raise UserError(f"{path}: must end in .npz, .safetensors, .pth or .pt")


def _from_torch(path: pathlib.Path) -> Arrays:
    import torch  # pyright: ignore[reportMissingImports]

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile's, pickle's or torch's own, whose texts explain little
        raise UserError(
            f"{path}: not a file of PyTorch weights alone ({type(error).__name__}); download it "
            "again, or save its state_dict"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds {type(found).__name__}, not named arrays")
    for wrapper in WRAPPERS:
        found = found[wrapper] if isinstance(found.get(wrapper), dict) else found
    return {key: value.numpy() for key, value in found.items() if hasattr(value, "numpy")}


def _at(module: Any, path: str) -> Any:
    for key in path.split("."):
        module = module[int(key)] if key.isdigit() else getattr(module, key)
    return module


def _wanted(node: Any, theirs: str) -> dict[str, Any]:
    """Maps their array names of one of our layers to the variables that they fill."""
    if isinstance(node, GRU):
        ours = (node.w_in, node.w_state, node.b_in, node.b_state)
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return {theirs.replace("*", part): v for part, v in zip(parts, ours, strict=True)}
    if isinstance(node, nnx.BatchNorm):
        ours = (node.scale, node.bias, node.mean, node.var)
        parts = ("weight", "bias", "running_mean", "running_var")
        return {f"{theirs}.{part}": v for part, v in zip(parts, ours, strict=True)}
    found = {f"{theirs}.weight": node.kernel}
    return found | ({f"{theirs}.bias": node.bias} if node.bias is not None else {})


def _layout(array: np.ndarray, transposed: bool) -> np.ndarray:
    """Turns torch's OIHW and (out, in) into HWIO and (in, out), time first."""
    if array.ndim == 4:
        return array.transpose(3, 2, 1, 0) if transposed else array.transpose(2, 3, 1, 0)
    return array.T


def fill(module: Any, arrays: Arrays, names: Names, *, transposed: bool = False) -> set[str]:
    """Puts named arrays into a module.

    Args:
      module: Filled in place.
      arrays: Arrays by their names.
      names: Our paths to their prefixes.
      transposed: Whether their images have mel before time.

    Returns:
      The names that were used.

    Raises:
      UserError: Arrays are missing or have another shape; names them.
    """
    wanted: dict[str, Any] = {}
    for path, theirs in names.items():
        wanted |= _wanted(_at(module, path), theirs)
    if missing := sorted(wanted.keys() - arrays.keys()):
        raise UserError(f"{len(missing)} arrays are missing: {', '.join(missing[:8])}")
    for name, variable in wanted.items():
        value = _layout(arrays[name], transposed)
        if value.shape != variable.shape:
            raise UserError(f"{name} has shape {value.shape}, {variable.shape} expected")
        variable[...] = jnp.asarray(value, jnp.float32)
    return set(wanted)


def _undo_scale(norm: nnx.BatchNorm, values: float) -> None:
    """Undoes a scale: uclser divided by sigma / sqrt(N), so its inputs were sqrt(N) too large."""
    norm.mean[...], norm.var[...] = norm.mean[...] / np.sqrt(values), norm.var[...] / values


def import_arrays(kind: Kind, arrays: Arrays, *, values: float) -> tuple[Any, Any, EncoderSettings]:
    """Fills an encoder, and a projector where there is one, with published arrays.

    Args:
      kind: Which published encoder.
      arrays: Arrays of the file; counters of batches are ignored.
      values: Number of log-mel values of uclser's training set, by whose root its inputs were too
        large.

    Returns:
      Encoder, projector or None, and the encoder's settings.

    Raises:
      UserError: Arrays are missing, unexpected or of another shape.
    """
    arrays = {k: v for k, v in arrays.items() if not k.endswith("num_batches_tracked")}
    settings, spec = kind.encoder, preset(kind.spec)
    if settings.name == "audio_ntt" and "fc.3.weight" in arrays:
        settings = dataclasses.replace(settings, width=len(arrays["fc.3.weight"]))
    encoder = build_encoder(settings, spec.n_mels, rngs=nnx.Rngs(0))
    used = fill(encoder, arrays, kind.names(), transposed=kind.transposed)
    projector = None
    if kind.head and any(name.startswith("head.") for name in arrays):
        projector = Projector(encoder.features, rngs=nnx.Rngs(0))
        used |= fill(projector, arrays, kind.head)
    left = [k for k in arrays if k not in used and not k.startswith(kind.ignored or ("\0",))]
    if left:
        raise UserError(f"{len(left)} arrays are unexpected: {', '.join(sorted(left)[:8])}")
    if kind.first_norm:
        _undo_scale(_at(encoder, kind.first_norm), values)
    return encoder, projector, settings


def statistics_of(args: argparse.Namespace, kind: Kind) -> tuple[float, float]:
    """Finds the mean and standard deviation that log-mels are standardised by."""
    if not kind.scaled:
        return 0.0, 1.0
    if args.data:
        shards = load_shards(args.data)
        if shards.spec != preset(kind.spec):
            raise UserError(f"{args.data} must be prepared with --spec={kind.spec}")
        mean, std = shards.statistics(shards.rows(["train"]))
    else:
        mean, std = args.mean, args.std
    if mean is None or std is None:
        raise UserError(
            f"{args.kind} expects standardised mels and its training set's statistics were never "
            "published: give --data=PREPARED (its training split's), or --mean and --std"
        )
    return mean, std


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kind", required=True, choices=sorted(KINDS))
    parser.add_argument("--source", required=True, type=pathlib.Path, help="the weight file")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="a new workdir")
    parser.add_argument("--data", default="", help="prepared folder whose statistics to use")
    parser.add_argument("--mean", type=float, help="of the log-mels that the encoder sees")
    parser.add_argument("--std", type=float, help="of the log-mels that the encoder sees")
    parser.add_argument(
        "--train-frames",
        type=float,
        default=RELEASE_FRAMES,
        help="frames of uclser's training set, which its release scaled by",
    )
    args = parser.parse_args(argv)
    try:
        run(args)
    except UserError as error:
        sys.exit(f"import_weights: {error}")


def run(args: argparse.Namespace) -> None:
    """Imports as the command line says."""
    kind, spec = KINDS[args.kind], preset(KINDS[args.kind].spec)
    statistics = statistics_of(args, kind)
    if (args.out / "checkpoints").exists():
        raise UserError(f"{args.out} holds a checkpoint already; give a new --out")
    values = args.train_frames * spec.n_mels
    encoder, projector, settings = import_arrays(kind, load_arrays(args.source), values=values)
    parts = {"encoder": encoder} | ({"projector": projector} if projector is not None else {})
    meta = CheckpointMeta(
        encoder=settings,
        spec=spec,
        normalise="dataset",
        statistics=statistics,
        frames=FRAMES,
        hop_frames=FRAMES // 2,
        trained_by=args.kind,
        projector=projector.settings if projector is not None else None,
        config={"imported_from": str(args.source.name)},
        data=[{"corpus": args.kind, "licence": kind.licence, "folder": "", "fingerprint": ""}],
    )
    args.out.mkdir(parents=True, exist_ok=True)
    save_model(args.out, parts, meta)
    print(
        f"{args.kind}: encoder{' and projector' if projector else ''} in {args.out} "
        f"(weights: {kind.licence})"
    )


if __name__ == "__main__":
    main()
