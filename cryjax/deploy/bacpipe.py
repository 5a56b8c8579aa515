"""An artefact as a model of bacpipe (https://github.com/bioacoustic-ai/bacpipe).

bacpipe 1.3 holds jax below 0.5, so that it and cryjax do not live in one environment. This file
needs bacpipe, numpy and onnxruntime alone: copy it there, beside an artefact made with --onnx.

    from bacpipe.model_pipelines.runner import Embedder
    embedder = Embedder("mine", CustomModel=model_of("artefact"), audio_dir="recordings")
    embedder.get_embeddings_from_model("recordings/1.wav")
"""

import json
import pathlib
from typing import Any

import numpy as np


def model_of(folder: str | pathlib.Path) -> type:
    """Makes the class that bacpipe's `Embedder` takes as `CustomModel`.

    Its segments are the windows of the encoder. Where the artefact holds a classifier,
    `classifier_predictions` gives its probabilities, which bacpipe thresholds and annotates.

    Args:
      folder: An artefact with model.onnx.

    Raises:
      FileNotFoundError: It holds no ONNX model.
    """
    import onnxruntime  # pyright: ignore[reportMissingImports]
    from bacpipe.model_pipelines.model_utils import (  # pyright: ignore[reportMissingImports]
        ModelBaseClass,
    )

    folder = pathlib.Path(folder)
    if not (folder / "model.onnx").is_file():
        raise FileNotFoundError(
            f"{folder} holds no model.onnx: cryjax export MODEL --out={folder} --onnx"
        )
    about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    names = [output.name for output in session.get_outputs()]

    class Model(ModelBaseClass):
        """The artefact's model, on bacpipe's contract."""

        def __init__(self, **settings: Any):
            rate, length = about["sample_rate_hz"], about["onnx_samples"]
            super().__init__(sr=rate, segment_length=length, **settings)

        def prepare_inference(self) -> None:
            """Does nothing: the session is ready."""

        def preprocess(self, audio: Any) -> Any:
            """Returns (segments, samples) as they are: log-mels are made within the model."""
            return audio

        def __call__(self, batch: Any) -> Any:
            """Computes (segments, features) of (segments, samples) tensors."""
            wave = np.asarray(batch.cpu().numpy(), np.float32)
            self._said = dict(zip(names, session.run(None, {"wave": wave}), strict=True))
            return batch.new_tensor(self._said["h"][:, 0])

    if about["classifier"]:

        def classifier_predictions(self: Any, embeddings: Any) -> Any:
            """Returns (segments, classes) probabilities of the last call."""
            return embeddings.new_tensor(self._said["windows"][:, 0])

        Model.classes = about["classifier"]["classes"]
        Model.classifier_predictions = classifier_predictions
    return Model
