"""Windows as a database of perch-hoplite, for its search by example and its labelling."""

import pathlib

import numpy as np

from cryjax.deploy.recordings import Embedded
from cryjax.encoder import Encoder
from cryjax.errors import UserError

PROJECT = "cryjax"


def save_hoplite(folder: pathlib.Path, whole: Embedded, encoder: Encoder) -> None:
    """Writes a SQLite and USearch database with one deployment.

    Args:
      folder: Folder of the database; it must not hold one.
      whole: Windows, those of a recording together.
      encoder: What made them; its fingerprint becomes metadata of the database.

    Raises:
      UserError: perch-hoplite is not installed, or there is a database already.
    """
    try:
        from perch_hoplite.db import (  # pyright: ignore[reportMissingImports]
            sqlite_usearch_impl as hoplite,
        )
    except ImportError as error:
        raise UserError(
            f"--format=hoplite needs perch-hoplite ({error}): "
            "pip install --no-deps perch-hoplite && pip install usearch"
        ) from None
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    index = hoplite.get_default_usearch_config(whole.h.shape[1])
    database = hoplite.SQLiteUSearchDB.create(str(folder), index)
    about = {"model": encoder.meta.encoder.name, "fingerprint": encoder.fingerprint}
    about |= {"window_s": encoder.meta.frames / (encoder.spec.frames_per_s or np.inf)}
    database.insert_metadata(PROJECT, type(index)(about))
    deployment = database.insert_deployment(name=PROJECT, project=PROJECT)
    for path in dict.fromkeys(whole.path.tolist()):
        mine = np.flatnonzero(whole.path == path)
        recording = database.insert_recording(filename=path, deployment_id=deployment)
        windows = [
            {"recording_id": recording, "offsets": [float(a), float(b)]}
            for a, b in zip(whole.start_s[mine], whole.end_s[mine], strict=True)
        ]
        database.insert_windows_batch(windows, whole.h[mine].astype(np.float32))
    database.commit()
