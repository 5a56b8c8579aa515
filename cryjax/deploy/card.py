"""The model card of an artefact: what it is, what it heard, how well it does, how to read it."""

import json
import pathlib
from typing import Any

from cryjax.deploy.artefact import COMPILED, ONNX, WEIGHTS
from cryjax.deploy.classifier import Classifier
from cryjax.encoder import Encoder
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.report import checklist
from cryjax.evaluate.report.tables import cell, in_words, restrictions

NO_DEVICE = "Not a medical device."
INTENDED = (
    "For research on recordings like those it was trained and evaluated on; on others, measure it "
    "first."
)
ABOVE = 4  # folders above a kept classifier in which its evaluation's metrics.json is looked for
READER = """```python
import json
import jax
import numpy as np

about, raw = json.load(open("config.json")), open("weights.safetensors", "rb").read()
size = int.from_bytes(raw[:8], "little")  # the format: length of a header, header, arrays
header, arrays = json.loads(raw[8 : 8 + size]), raw[8 + size :]
header.pop("__metadata__", None)
dtypes = {"F32": np.float32, "U32": np.uint32, "I32": np.int32}
weights = {
    name: np.frombuffer(arrays[slice(*a["data_offsets"])], dtypes[a["dtype"]]).reshape(a["shape"])
    for name, a in header.items()
}
call = jax.jit(jax.export.deserialize(bytearray(open("model.jaxexp", "rb").read())).call)
wave = np.load("golden.npz")["wave0"][0]  # yours: float32 mono at about["sample_rate_hz"]
if len(wave) < about["shortest_samples"]:
    wave = np.resize(wave, about["shortest_samples"])  # repeats it
for name, value in call(weights, wave[None]).items():
    print(name, value.shape, about["outputs"][name])
```"""
ONNX_READER = """```python
import json
import numpy as np
import onnxruntime

about = json.load(open("config.json"))
session = onnxruntime.InferenceSession("model.onnx")
wave = np.load("golden.npz")["wave1"]  # yours: (recordings, samples) float32
outputs = session.run(None, {"wave": wave[:, : about["onnx_samples"]]})
for output, value in zip(session.get_outputs(), outputs):
    print(output.name, value.shape)
```"""


def write(encoder: Encoder, source: pathlib.Path, *, onnx: bool) -> str:
    """Writes the card as Markdown, with the front matter that model hubs read.

    Args:
      encoder: What is described.
      source: Folder that it was loaded from; results are looked for above it.
      onnx: Whether there is an ONNX model.
    """
    meta = encoder.meta
    licences = sorted({str(d.get("licence")) for d in meta.data if d.get("licence")})
    sets = sorted({str(d.get("corpus")) for d in meta.data if d.get("corpus")})
    scores = isinstance(encoder, Classifier)
    kind = "audio-classification" if scores else "feature-extraction"
    flags = restrictions("; ".join(licences))
    sections = [
        f"---\nlibrary_name: cryjax\npipeline_tag: {kind}\nlicense: other\n"
        f"datasets: {json.dumps(sets)}\n---",
        f"# {meta.encoder.name}, trained by {meta.trained_by}",
        f"**{NO_DEVICE}** {INTENDED} Below is all that is known of it.",
        "\n".join(f"- {name}: {text}" for name, text in _facts(encoder)),
        "## Licence\n\nThat of the recordings may bind the weights: "
        + ("; ".join(licences) or "unknown")
        + (f". **It has {' and '.join(flags)}.**" if flags else "."),
        f"## Results\n\n{_results(source, meta.trained_by)}",
    ]
    if scores:
        sections.append(f"## Operating points\n\n{_thresholds(encoder)}")
    sections.append(f"## Without cryjax\n\n{COMPILED} with jax and flatbuffers:\n\n{READER}")
    if onnx:
        sections.append(
            f"{ONNX} with numpy and onnxruntime, recordings of one window each:\n\n{ONNX_READER}"
        )
    sections.append(
        f"Arrays alone are in {WEIGHTS}. `sha256sum --check SHA256SUMS` finds accidents, not "
        "forgery; `cryjax verify .` also runs the models on golden.npz."
    )
    return "\n\n".join(sections) + "\n"


def _facts(encoder: Encoder) -> list[tuple[str, str]]:
    classes = encoder.classes if isinstance(encoder, Classifier) else ()
    scores = [("output", f"probabilities of {', '.join(classes)}")] if classes else []
    return checklist.about_encoder(encoder) + scores


def _results(source: pathlib.Path, mode: str) -> str:
    """Finds the row of the evaluation that kept this classifier."""
    for folder in list(source.absolute().parents)[:ABOVE]:
        path = folder / "metrics.json"
        if not path.is_file():
            continue
        metrics = json.loads(path.read_text(encoding="utf-8"))
        rows = [r for r in metrics.get("table", {}).get("recording", ()) if r["mode"] == mode]
        if rows:
            return _row(metrics["about"], rows[0])
    return (
        "Not evaluated here: it holds an encoder without a classifier, or its evaluation's "
        "metrics.json was not beside it."
    )


def _row(facts: dict[str, Any], row: dict[str, Any]) -> str:
    head, line = " | ".join(NAMES), " | ".join(cell(row[name]) for name in NAMES)
    keys = ("split rule", "groups", "audit", "selection", "labels")
    notes = "\n".join(f"- {key}: {in_words(facts[key])}" for key in keys if key in facts)
    return (
        f"{facts['title']}, {row['groups']} test groups, {row['seeds']} seeds: mean ± standard "
        f"error over seeds [95 % interval over groups], in per cent.\n\n"
        f"| {head} |\n|{'---|' * len(NAMES)}\n| {line} |\n\n{notes}"
    )


def _thresholds(model: Classifier) -> str:
    found = [
        f"| {name} | {specificity} | {value:.4g} |"
        for name, cuts in model.about["thresholds"].items()
        for specificity, value in cuts.items()
    ]
    about = model.about["validation"]
    return (
        f"Chosen on validation ({about['recordings']} recordings of {about['groups']} groups) on a "
        "recording's recalibrated probability.\n\n| class | specificity | threshold |\n"
        "|---|---|---|\n" + "\n".join(found)
    )
