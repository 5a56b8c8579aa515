"""What several experiment families share."""

from cryjax.errors import UserError


class UnknownVariantError(UserError):
    """A variant that a config does not have; `known` lists those that it has."""

    def __init__(self, variant: str, known: tuple[str, ...]):
        super().__init__(f"variants are {', '.join(known)}, got {variant!r}")
        self.known = known


def refuse(variant: str, known: tuple[str, ...]) -> None:
    """Names the variants when another was asked for."""
    if variant not in ("", *known):
        raise UnknownVariantError(variant, known)
