"""The errors that are refusals: their message alone tells a user what to change."""


class UserError(ValueError):
    """A refusal: the message says what must hold, what was found, and the nearest remedy.

    `main` prints the message of a `UserError` without its traceback; every other exception is a
    defect of the program or of the machine and keeps its traceback.
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named, or that belongs to one, is not there."""


class StorageError(UserError, OSError):
    """Something could not be written or read, such as a checkpoint on a full disk."""
