"""Two looks at a recording should agree: the Pi-model, and the mean teacher."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from cryjax.models.teacher import frozen_copy, move_towards
from cryjax.objectives.semi.base import Logits, SemiSupervised
from cryjax.types import Count, Mel, Metrics, RngKey, Scalar


def disagreement(a: Logits, b: Logits) -> Scalar:
    """Mean over batch and classes of the squared difference of the probabilities."""
    return ((jax.nn.softmax(a) - jax.nn.softmax(b)) ** 2).mean()


class PiModel(SemiSupervised):
    """L_u: `disagreement` of two augmented, dropped-out passes (Laine & Aila 2017).

    Attributes:
      both: Whether gradients flow through both passes (the reference) or the first alone (Oliver
        et al. 2018).
    """

    def __init__(self, encoder: Any, policy: Any, *, both: bool = True, **settings: Any):
        super().__init__(encoder, policy, **settings)
        self.both = both

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """See `SemiSupervised.unsupervised`."""
        a, b = (self.score(self.views_of(mel, k)) for k in jax.random.split(key))
        return disagreement(a, b if self.both else jax.lax.stop_gradient(b)), a, {}


class MeanTeacher(SemiSupervised):
    """L_u: `disagreement` with a slow copy of the network, which is what is judged.

    Tarvainen & Valpola 2017. The teacher's passes move its own running statistics.

    Attributes:
      decay: Of the teacher's parameters at every update.
    """

    def __init__(self, encoder: Any, policy: Any, *, decay: float = 0.99, **settings: Any):
        super().__init__(encoder, policy, **settings)
        self.decay = decay
        self.teacher = frozen_copy(self._student())

    def _student(self) -> Any:
        return nnx.Dict(encoder=self.encoder, head=self.head)

    def logits(self, mel: Mel) -> Logits:
        """Scores log-mel patches by the teacher."""
        return self.teacher["head"](self.teacher["encoder"](self.policy.normalise(mel)))

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """See `SemiSupervised.unsupervised`."""
        k_student, k_teacher = jax.random.split(key)
        a = self.score(self.views_of(mel, k_student))
        x = self.views_of(mel, k_teacher)
        b = self.teacher["head"](self.teacher["encoder"](x))
        return disagreement(a, jax.lax.stop_gradient(b)), a, {}

    def detached(self) -> Any:
        """See `SemiSupervised.detached`; the teacher stays itself."""
        copy = super().detached()
        copy.teacher = self.teacher
        return copy

    def after_update(self, step: Count) -> None:
        """Moves the teacher; early on by the mean of all students so far."""
        super().after_update(step)
        rate = jnp.minimum(1 - 1 / (self.step[...] + 1.0), self.decay)
        move_towards(self.teacher, self._student(), decay=rate)
