"""Consistency: two looks at a recording should agree (Pi-model and mean teacher)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from cryjax.errors import UserError
from cryjax.models.layers import Dropout
from cryjax.models.teacher import ema_update, frozen_copy
from cryjax.objectives.semi.base import Logits, Ramp, SemiSettings, SemiSupervised
from cryjax.types import Count, Mel, Metrics, RngKey, Scalar


def disagreement(a: Logits, b: Logits) -> Scalar:
    """Averages the squared difference of the probabilities over batch and classes."""
    return ((jax.nn.softmax(a) - jax.nn.softmax(b)) ** 2).mean()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PiModelSettings(SemiSettings):
    """Settings of the Pi-model.

    Attributes:
      both: Whether gradients flow through both passes, as in the reference, or through the first
        alone (Oliver et al. 2018).
    """

    ramp: Ramp = Ramp(20.0)
    both: bool = True


class PiModel(SemiSupervised):
    """L_u is the disagreement of two augmented, dropped-out passes (Laine & Aila 2017)."""

    def __init__(self, encoder: Any, policy: Any, settings: Any, **supervised: Any):
        super().__init__(encoder, policy, settings, **supervised)
        drops = any(isinstance(m, Dropout) and m.rate for _, m in nnx.iter_modules(encoder))
        if not (policy.augments or drops):
            raise UserError(
                "pi_model compares two random passes, and nothing is random here: its loss would "
                "be 0; set augment.order, such as random_resized_crop,spec_augment,normalise"
            )

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """Compares two passes; see `SemiSupervised.unsupervised`."""
        a, b = (self.score(self.views_of(mel, k)) for k in jax.random.split(key))
        b = b if self.settings.both else jax.lax.stop_gradient(b)
        return disagreement(a, b), a, {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanTeacherSettings(SemiSettings):
    """Settings of the mean teacher.

    Attributes:
      decay: Largest share that a teacher's parameter keeps of itself at an update.
    """

    ramp: Ramp = Ramp(8.0)
    decay: float = 0.99


class MeanTeacher(SemiSupervised):
    """L_u is the disagreement with a moving average of the network, which is what is evaluated.

    Tarvainen & Valpola 2017. The teacher's passes move its own running statistics.

    Attributes:
      teacher: Copies of encoder and head.
    """

    def __init__(self, encoder: Any, policy: Any, settings: Any, **supervised: Any):
        super().__init__(encoder, policy, settings, **supervised)
        self.teacher = frozen_copy(self._student())

    def _student(self) -> Any:
        return nnx.Dict(encoder=self.encoder, head=self.head)

    @property
    def classifier(self) -> Any:
        """The teacher's encoder and head."""
        return self.teacher

    def logits(self, mel: Mel) -> Logits:
        """Scores log-mel patches as stored by the teacher, (batch, classes)."""
        return self.teacher["head"](self.teacher["encoder"](self.policy.normalise(mel)))

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """Compares student and teacher; see `SemiSupervised.unsupervised`."""
        k_student, k_teacher = jax.random.split(key)
        a = self.score(self.views_of(mel, k_student))
        x = self.views_of(mel, k_teacher)
        b = self.teacher["head"](self.teacher["encoder"](x))
        return disagreement(a, jax.lax.stop_gradient(b)), a, {}

    def detached(self) -> Any:
        """Copies the module as `SemiSupervised.detached` does, but keeps the teacher itself."""
        copy = super().detached()
        copy.teacher = self.teacher
        return copy

    def after_update(self, step: Count) -> None:
        """Moves the teacher; early on it is the mean of all students so far."""
        super().after_update(step)
        rate = jnp.minimum(1 - 1 / (self.step[...] + 1.0), self.settings.decay)
        ema_update(self.teacher, self._student(), decay=rate)
