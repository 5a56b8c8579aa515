"""What a checkpoint says about itself: one dataclass, written by one function and read by one."""

import dataclasses
import math
from typing import Any

from cryjax.errors import UserError
from cryjax.models import EncoderSettings
from cryjax.models.heads import ProjectorSettings
from cryjax.settings import from_dict, to_dict
from cryjax.spec import FeatureSpec

VERSION = 2
HASH_CHARACTERS = 12  # of a recording's hash that are kept: enough to count overlaps


@dataclasses.dataclass(frozen=True)
class CheckpointMeta:
    """Everything besides arrays that is needed to use, continue or account for a checkpoint.

    Attributes:
      encoder: Settings that build the encoder.
      spec: Feature specification of the log-mels that it was trained on.
      normalise: Name of the normaliser of its input; see `NormaliseSettings.by`.
      statistics: Mean and standard deviation of the training log-mels.
      frames: Length in frames of the patches it was trained on.
      hop_frames: Distance between evaluation windows in frames.
      trained_by: Name of the objective or of the evaluation protocol that trained it.
      projector: Settings that build the projector; None where there is none.
      train_groups: Groups that it has heard, as corpus/group, those of an earlier checkpoint that
        it started from included.
      train_audio: First characters of the SHA-256 of every recording that it has heard.
      selection_groups: Groups whose scores select among its steps, as corpus/group.
      data: Descriptions of the prepared folders; see `Corpus.describe`.
      config: Settings of the run in plain values.
      selected_by: Score whose highest value selects among the steps of a run; None where the
        latest step counts.
      scores: Scores of this step.
      step: Number of updates.
      skipped_batches: Batches that the run passed over after updates that were not finite.
      parts: Modules whose arrays are stored.
      started_from: Fingerprint of the encoder that the run started from; None without one.
      version: Format of this record.
    """

    encoder: EncoderSettings
    spec: FeatureSpec
    normalise: str
    statistics: tuple[float, float]
    frames: int
    hop_frames: int
    trained_by: str
    projector: ProjectorSettings | None = None
    train_groups: tuple[str, ...] = ()
    train_audio: tuple[str, ...] = ()
    selection_groups: tuple[str, ...] = ()
    data: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    selected_by: str | None = None
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    step: int = 0
    skipped_batches: int = 0
    parts: tuple[str, ...] = ()
    started_from: str | None = None
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return to_dict(self)

    def rank(self, scores: dict[str, float]) -> float:
        """Returns the score that selects; one that is not finite is the worst."""
        value = scores[self.selected_by or ""]
        return value if math.isfinite(value) else -math.inf

    @classmethod
    def from_json(cls, values: dict[str, Any], path: str) -> "CheckpointMeta":
        """Builds the record from `to_json`'s values.

        Args:
          values: Plain values.
          path: Where they were read, for errors.

        Raises:
          UserError: Another version of cryjax wrote them, or they are no such record.
        """
        version = values.get("version") if isinstance(values, dict) else None
        if version != VERSION:
            raise UserError(
                f"{path}: written in format {version}, this cryjax reads format {VERSION}; train "
                "again, or use the version of cryjax that wrote it"
            )
        return from_dict(cls, values, path)


def audio_hashes(clips: Any) -> tuple[str, ...]:
    """Shortens the hashes of these clips' audio to what `CheckpointMeta.train_audio` keeps."""
    return tuple(sorted({clip.audio[:HASH_CHARACTERS] for clip in clips} - {""}))
