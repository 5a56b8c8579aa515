"""A recording as a picture: waveform above, log-mel below, annotated clips marked.

    python -m data_prep.show --corpus=icbhi --source=DIR --spec=course --out=picture.png

Draws the first recording that has a clip of every label it can find, or the --path given.
"""

import pathlib
import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from cryjax.errors import UserError

_CORPUS = flags.DEFINE_string("corpus", "folder", "Recipe that knows the clips.")
_SOURCE = flags.DEFINE_string("source", None, "Folder of recordings, or the CSV of --corpus=csv.")
_PATH = flags.DEFINE_string("path", "", "Recording within --source; else the richest in labels.")
_SPEC = flags.DEFINE_string("spec", "uclser", "Preset of the log-mel.")
_OUT = flags.DEFINE_string("out", "recording.png", "Picture to write.")


def choose(clips: Sequence, path: str) -> list:
    """Clips of the recording asked for, or of the one with most labels (the first of equals)."""
    by_path: dict[str, list] = {}
    for clip in clips:
        by_path.setdefault(clip.path, []).append(clip)
    if path and path not in by_path:
        raise UserError(f"no clip of {path!r}; there are such as {sorted(by_path)[:3]}")
    chosen = path or max(by_path, key=lambda name: len({c.label for c in by_path[name]}))
    return by_path[chosen]


def draw(source: pathlib.Path, clips: Sequence, spec_text: str):
    """Draws one recording."""
    import dataclasses

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from cryjax.audio import make_logmel, read
    from cryjax.audio.decode import resample
    from cryjax.spec import preset

    spec = dataclasses.replace(preset(spec_text), resize_frames=0, clip_norm="none")
    recording = read(source / clips[0].path)
    wave = resample(recording.wave, recording.rate_hz, spec.sample_rate_hz)
    seconds = len(wave) / spec.sample_rate_hz
    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 5), sharex=True)
    above.plot(np.linspace(0, seconds, len(wave)), wave, linewidth=0.4)
    above.set(ylabel="amplitude", title=clips[0].path)
    mel = make_logmel(spec)(wave)
    extent = (0, seconds, 0, spec.n_mels)
    below.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
    below.set(xlabel="s", ylabel="mel band")
    for clip in clips:
        above.axvspan(clip.start_s, clip.end_s or seconds, alpha=0.06, color="C1")
        above.axvline(clip.start_s, color="grey", linewidth=0.6)
        above.text(clip.start_s, above.get_ylim()[1], f" {clip.label}", fontsize=7, va="top")
    figure.tight_layout()
    return figure


def _main(argv: Sequence[str]) -> None:
    del argv
    from data_prep import CORPORA

    try:
        if _SOURCE.value is None or _CORPUS.value not in CORPORA:
            raise UserError(f"--source is needed, and --corpus one of {', '.join(CORPORA)}")
        source = pathlib.Path(_SOURCE.value)
        clips = choose(CORPORA[_CORPUS.value].find(source, 0), _PATH.value)
        root = source if source.is_dir() else source.parent
        pathlib.Path(_OUT.value).parent.mkdir(parents=True, exist_ok=True)
        draw(root, clips, _SPEC.value).savefig(_OUT.value, dpi=120)
    except (ValueError, OSError) as error:
        sys.exit(f"show: {error}")
    print(f"{clips[0].path}: {len(clips)} clips, drawn in {_OUT.value}")


if __name__ == "__main__":
    app.run(_main)
