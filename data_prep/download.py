"""Archives from their sources: pinned checksums, and extraction that trusts nobody."""

import dataclasses
import hashlib
import http.client
import lzma
import pathlib
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from tqdm import tqdm

from cryjax.errors import UserError
from data_prep.corpus import Archive

BLOCK = 1 << 20
ASK_AGAIN = (408, 425, 429)  # statuses below 500 that are about the moment, not about the file
STALLS_S = 60  # without a byte after which a server is asked again
WAITS_S = (1, 5, 20, 60, 0)  # before each further attempt
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
BEYOND_US = (NotImplementedError, RuntimeError, MemoryError)  # a method, encryption, a dictionary


@dataclasses.dataclass(frozen=True)
class Caps:
    """What an archive may hold at most.

    Attributes:
      members: Files and folders.
      total: Bytes when extracted.
      ratio: Extracted bytes for each byte of the archive.
    """

    members: int = 1_000_000
    total: int = 500 << 30
    ratio: float = 200.0


def _continue(url: str, part: pathlib.Path, bar: tqdm) -> bool:
    """Fetches what is missing of a file; returns whether it is whole."""
    have = part.stat().st_size if part.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(asked, timeout=STALLS_S) as answer:
            begins = (
                have if getattr(answer, "status", None) == http.HTTPStatus.PARTIAL_CONTENT else 0
            )
            size = begins + int(answer.headers.get("Content-Length") or 0)
            bar.total, bar.n = size if size > begins else None, begins
            with part.open("ab" if begins else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    bar.update(len(block))
        return part.stat().st_size >= size
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # all of it is here; the checksum decides
        if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in ASK_AGAIN:
            raise UserError(
                f"{url}: the server answers {error.code} {error.reason}; the file may have moved: "
                "fetch it by hand from the corpus's page and give its folder with --source"
            ) from None
        print(f"{url}: {error}")
    except (OSError, http.client.HTTPException) as error:
        print(f"{url}: {error}")
    return False


def fetch(archive: Archive, folder: pathlib.Path) -> pathlib.Path:
    """Downloads into the folder unless it is there; a wrong checksum removes it and is named."""
    path = folder / archive.url.rsplit("/", 1)[1]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with tqdm(unit="B", unit_scale=True, desc=path.name) as bar:
            for wait_s in WAITS_S:
                if _continue(archive.url, part, bar):
                    break
                time.sleep(wait_s)
            else:
                raise UserError(
                    f"{archive.url}: the server does not answer or stalls; {part} keeps what came, "
                    "and the same command goes on from there"
                )
        part.replace(path)
    kind, _, wanted = archive.checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != wanted:
        path.unlink()
        raise UserError(f"{archive.url}: {kind} is {found}, expected {wanted}; it was removed")
    return path


def _inside(root: pathlib.Path, name: str) -> pathlib.Path:
    """Decides where a member goes; refuses what would leave the folder."""
    pure = pathlib.PurePosixPath(name.replace("\\", "/"))
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0]:
        raise UserError(f"archive member {name!r} would be written outside {root}")
    return root.joinpath(*pure.parts)


def _zipped(archive: zipfile.ZipFile) -> Iterator[tuple[str, int, IO[bytes]]]:
    for member in archive.infolist():
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise UserError(f"archive member {member.filename!r} is a link")
        if not member.is_dir():
            with archive.open(member) as content:
                yield member.filename, member.file_size, content


def _tarred(archive: tarfile.TarFile) -> Iterator[tuple[str, int, IO[bytes]]]:
    for member in archive:
        if member.isdir():
            continue
        content = archive.extractfile(member) if member.isfile() else None
        if content is None:
            raise UserError(f"archive member {member.name!r} is a link or a device")
        with content:
            yield member.name, member.size, content


def _write(content: IO[bytes], path: pathlib.Path, room: int) -> int:
    """Copies at most `room` bytes, whatever the header says; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("wb") as file:
        while block := content.read(BLOCK):
            written += len(block)
            if written > room:
                raise UserError(f"{path.name} is larger than the caps on archives allow")
            file.write(block)
    return written


def extract(path: pathlib.Path, folder: pathlib.Path, caps: Caps | None = None) -> None:
    """Unpacks a zip or tar; nothing of it appears in the folder before all of it is there.

    Raises:
      UserError: It holds a link, a path outside, too many members or bytes, or is damaged.
    """
    caps = caps or Caps()
    most = int(min(caps.total, caps.ratio * path.stat().st_size))
    building = folder.with_name(folder.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    written, count = 0, 0
    try:
        zipped = zipfile.is_zipfile(path)
        with zipfile.ZipFile(path) if zipped else tarfile.open(path) as archive:
            members = _zipped(archive) if isinstance(archive, zipfile.ZipFile) else _tarred(archive)
            for name, size, content in members:
                count += 1
                if count > caps.members or size < 0 or written + size > most:
                    raise UserError(
                        f"{path}: more than {caps.members} members, or a member beyond "
                        f"{most} bytes in all (it claims {size})"
                    )
                written += _write(content, _inside(building, name), most - written)
        if not count:
            raise UserError(f"{path} holds no file")
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(building.rglob("*")):  # into what an earlier, killed move has left
            if file.is_file():
                goes = folder / file.relative_to(building)
                goes.parent.mkdir(parents=True, exist_ok=True)
                file.replace(goes)
    except (*BROKEN, *BEYOND_US) as error:
        raise UserError(
            f"{path}: damaged or not an archive ({str(error) or type(error).__name__})"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def provide(archives: tuple[Archive, ...], folder: pathlib.Path) -> pathlib.Path:
    """Fetches and extracts all of a corpus; its recordings are below the folder returned.

    Where all is in a single top folder, that is it.
    """
    root = folder / "recordings"
    for archive in archives:
        path = fetch(archive, folder / "archives")
        done = path.with_name(path.name + ".extracted")
        if not done.exists():
            print(f"extracting {path}")
            extract(path, root)
            done.touch()
    inside = list(root.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root
