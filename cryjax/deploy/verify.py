"""Is an artefact whole, and does it compute here what it computed where it was written?

    cryjax verify artefact

Recomputes the sums of SHA256SUMS and runs model.jaxexp (and model.onnx, where it is there and
onnxruntime is installed) on the waveforms of golden.npz. Status 1 where something is wrong.
"""

import argparse
import importlib.util
import pathlib
import sys

import numpy as np

from cryjax.deploy import artefact
from cryjax.deploy.command import answer
from cryjax.errors import UserError


def verify(folder: pathlib.Path) -> list[str]:
    """Verifies an artefact; returns a line for each part.

    Raises:
      UserError: A part is damaged, missing, of a newer format or computes something else.
    """
    if not artefact.is_artefact(folder):
        raise UserError(f"{folder} is no artefact; make one with cryjax export")
    about = artefact.load_config(folder)
    said = [f"{len(artefact.check_sums(folder))} files are what {artefact.SUMS} says"]
    call, weights = artefact.load_compiled(folder), artefact.load_weights(folder)
    golden = artefact.load_golden(folder)
    found = max(artefact.largest_difference(call(weights, wave), out) for wave, out in golden)
    said.append(_judged(artefact.COMPILED, found))
    if not (folder / artefact.ONNX).exists():
        return said
    if importlib.util.find_spec("onnxruntime") is None:
        return [*said, f"{artefact.ONNX}: not run, onnxruntime is not installed"]
    wave = golden[-1][0][:, -about["onnx_samples"] :]
    made = artefact.load_onnx(folder / artefact.ONNX)(wave)
    expected = {k: np.asarray(v) for k, v in call(weights, wave).items() if k in made}
    # its log-mels are not rounded to 16 bits as those of the compiled function are
    return [*said, _judged(artefact.ONNX, artefact.largest_difference(made, expected), 20)]


def _judged(name: str, found: float, times: float = 1) -> str:
    limit = times * artefact.TOLERANCE
    if not found <= limit:
        raise UserError(
            f"{name} differs from its golden outputs by {found:.1e} ({limit:g} allowed)"
        )
    return f"{name}: largest difference from golden outputs {found:.1e}, {limit:g} allowed"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artefact", metavar="ARTEFACT", help="folder that cryjax export wrote")
    asked = parser.parse_args(arguments)
    return answer(lambda: print("\n".join(verify(pathlib.Path(asked.artefact)))))


if __name__ == "__main__":
    sys.exit(main())
