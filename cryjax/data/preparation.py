"""One clip: decode, resample, log-mel; the same function in a process, a pool or a cluster."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np

from cryjax.audio import AudioError, Recording, make_logmel, read
from cryjax.audio.decode import DecodeLimits, resample
from cryjax.audio.logmel import Analysis
from cryjax.data import shards
from cryjax.data.manifest import Clip
from cryjax.spec import FeatureSpec

CLIPPED_SHARE, SILENT_PEAK, SHORT_S = 0.001, 1e-3, 0.25


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One clip's log-mel and what was seen on the way, or why there is none.

    Attributes:
      mel: (frames, mels) float16; None where the recording cannot be used.
      columns: What is known of it now, for the columns of `shards.COMPUTED`.
      seconds: Its length.
      reason: Why there is no log-mel.
      remedy: What can be done about it.
    """

    mel: np.ndarray | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    remedy: str = ""


def _flags(recording: Recording) -> str:
    """Lists what a listener should know: clipped, silent, short, short_tail."""
    wave, peak = recording.wave, np.abs(recording.wave).max()
    seen = {
        "clipped": peak >= 0.999 and (np.abs(wave) >= 0.999 * peak).mean() > CLIPPED_SHARE,
        "silent": peak < SILENT_PEAK,
        "short": len(wave) < SHORT_S * recording.rate_hz,
        "short_tail": recording.short_tail,
    }
    return " ".join(name for name, yes in seen.items() if yes)


class Worker:
    """Prepares clips one at a time; made once in every process.

    Args:
      source: Folder that the clips' paths are relative to.
      spec: Feature specification.
      analysis: Its arrays where they were made before.
      limits: Caps on recordings; `DecodeLimits()` by default.
      view: Adds to what was prepared whatever else is wanted of the recording.
    """

    def __init__(
        self,
        source: pathlib.Path,
        spec: FeatureSpec,
        analysis: Analysis | None = None,
        *,
        limits: DecodeLimits | None = None,
        view: Callable[[Recording, Prepared], Prepared] | None = None,
    ):
        self.source, self.spec, self.logmel = source, spec, make_logmel(spec, analysis)
        self._limits, self._view = limits, view

    def __call__(self, clip: Clip) -> Prepared:
        """Computes the clip's log-mel; a recording that cannot be used gives its reason instead."""
        if any(c < " " or "\ud800" <= c <= "\udfff" for c in clip.path):
            return Prepared(reason="its name is not text in UTF-8 on one line", remedy="rename it")
        try:
            found = read(
                self.source / clip.path,
                start_s=clip.start_s,
                end_s=clip.end_s,
                limits=self._limits,
            )
            wave = resample(found.wave, found.rate_hz, self.spec.sample_rate_hz)
            if not len(wave):
                raise AudioError(clip.path, "no sample at the spec's rate", "lengthen the stretch")
            mel = self.logmel(wave).astype(np.float16)
        except AudioError as error:
            return Prepared(reason=error.reason, remedy=error.remedy)
        except OSError as error:  # no permission, a name too long, a disk that fails
            return Prepared(reason=f"not readable ({error.strerror})", remedy="copy it anew")
        except MemoryError:
            return Prepared(reason="does not fit into memory", remedy="cut it")
        if not np.isfinite(mel).all():
            return Prepared(reason="its mel overflows float16", remedy="choose a spec with a log")
        values = mel.astype(np.float64)
        computed = (
            len(mel),
            float(values.sum()),
            float((values**2).sum()),
            found.rate_hz,
            hashlib.sha256(found.wave.tobytes()).hexdigest(),
            _flags(found),
        )
        columns = {
            name: value if isinstance(value, str) else repr(value)
            for name, value in zip(shards.COMPUTED, computed, strict=True)
        }
        made = Prepared(mel, columns, len(found.wave) / found.rate_hz)
        return self._view(found, made) if self._view else made
