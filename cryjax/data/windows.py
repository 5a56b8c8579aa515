"""Evaluation windows: which stretches of a clip are encoded when it is evaluated."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cryjax.errors import UserError

LAST = ("aligned", "dropped")
WHOLE_STEP = 32  # frames that the length of a whole recording is rounded up to


@dataclasses.dataclass(frozen=True)
class Windows:
    """How clips are cut into windows.

    Attributes:
      frames: Length of a window in frames; shorter clips are repeated to fill one.
      hop_frames: Distance between the starts of neighbouring windows in frames.
      last: What happens to frames behind the last whole hop: "aligned" adds a window that ends
        with the clip, "dropped" ignores them, as Fonseca et al. 2021 release it.
      whole: Encodes each clip in one piece instead. Lengths are rounded up to a multiple of 32
        frames, filled by repeating the clip, so that few shapes are compiled.
    """

    frames: int
    hop_frames: int
    last: str = "aligned"
    whole: bool = False

    def __post_init__(self):
        if self.frames < 1 or self.hop_frames < 1:
            raise UserError(
                f"frames and hop_frames must be at least 1, got {self.frames} and {self.hop_frames}"
            )
        if self.last not in LAST:
            raise UserError(f"last_window must be one of {', '.join(LAST)}, got {self.last!r}")


class Cut(NamedTuple):
    """Windows of one length.

    Attributes:
      frames: Their length in frames.
      window_to_clip: (windows,) position of each window's clip.
      starts: (windows,) first frame of each.
    """

    frames: int
    window_to_clip: np.ndarray
    starts: np.ndarray


def window_counts(lengths: np.ndarray, windows: Windows) -> np.ndarray:
    """Counts the windows of clips of these lengths in frames; at least one each."""
    if windows.whole:
        return np.ones(len(lengths), int)
    room = np.maximum(lengths - windows.frames, 0)
    counts = 1 + room // windows.hop_frames
    return counts + (room % windows.hop_frames > 0) if windows.last == "aligned" else counts


def cut(lengths: np.ndarray, windows: Windows) -> Iterator[Cut]:
    """Yields all windows of clips of these lengths, grouped by window length.

    Starts are 0, hop, 2 hop, ... as far as a window fits, and then what `Windows.last` says; a
    clip shorter than a window has one. Within a group windows are in the order of the clips.
    """
    if windows.whole:
        rounded = -(-lengths // WHOLE_STEP) * WHOLE_STEP
        for frames in np.unique(rounded):
            clips = np.flatnonzero(rounded == frames)
            yield Cut(int(frames), clips, np.zeros(len(clips), int))
        return
    counts = window_counts(lengths, windows)
    clips = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)
    latest = np.maximum(lengths - windows.frames, 0)[clips]
    yield Cut(windows.frames, clips, np.minimum(number * windows.hop_frames, latest))
