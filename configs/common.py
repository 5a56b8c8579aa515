"""What several experiment families share."""

from cryjax.errors import UserError


def refuse(variant: str, known: tuple[str, ...]) -> None:
    """Names the variants when another was asked for."""
    if variant not in ("", *known):
        raise UserError(f"variants are {', '.join(known)}, got {variant!r}")
