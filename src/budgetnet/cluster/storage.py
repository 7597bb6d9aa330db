"""A folder that every node of a cluster sees: a path, as of NFS, or a URL that fsspec opens, as s3://bucket/folder.

What Ray Tune and Ray Train call `storage_path`. Files are written aside and renamed, so that each is whole or absent.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from budgetnet.atomic_write import written_aside

DATABASE = re.compile(r"(postgres|sqlite|mysql|mariadb|mssql|oracle)\w*(\+\w+)?:", re.IGNORECASE)
GIVE = "give a path, as /mnt/shared, or a URL, as s3://bucket/folder"


def check_storage(storage: str) -> None:
    """Raise a one-line `ValueError` for a storage that is a database's address or that fsspec cannot open.

    Args:
        storage: A path or a URL. It is not connected to.
    """
    if DATABASE.match(storage.strip()):
        raise ValueError(f"storage is the address of a database; it is a folder that every node sees: {GIVE}")
    Storage.of(storage)


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder by its absolute URL; `storage / name` is a folder in it."""

    url: str

    @staticmethod
    def of(place: str) -> Storage:
        """The storage at a path or URL. Raises a one-line `ValueError` where no file system has its protocol."""
        try:
            files, root = Storage(place)._opened()
        except (ValueError, ImportError) as error:
            raise ValueError(f"storage {_shown(place)} cannot be opened ({error}); {GIVE}") from error
        return Storage(files.unstrip_protocol(root).rstrip("/"))

    def __truediv__(self, name: str) -> Storage:
        return Storage(f"{self.url}/{name}")

    def __str__(self) -> str:
        return _shown(self.url.removeprefix("file://"))

    def check(self) -> None:
        """Write a file and read it back. Raises a one-line `ValueError` where that fails."""
        name = f".check-{uuid.uuid4().hex}"
        try:
            with self.writing(name) as file:
                file.write(b"budgetnet")
            if not self.exists(name):
                raise OSError("what was written is not there")
            self.remove(name)
        except Exception as error:  # each file system has errors of its own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"cannot write to the storage {self}: {reason}") from error

    def exists(self, name: str = "") -> bool:
        """Whether there is such a file or folder."""
        files, root = self._opened()
        return bool(files.exists(f"{root}/{name}".rstrip("/")))

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """An open file that takes its name at the end, if nothing was raised."""
        files, root = self._opened()
        path = f"{root}/{name}"
        part = f"{path}.{uuid.uuid4().hex}.part"
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            with files.open(part, "wb") as file:
                yield file
            files.mv(part, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                files.rm_file(part)
            raise

    def put(self, source: Path, name: str) -> None:
        """Copy a file of this machine into the storage."""
        with source.open("rb") as file, self.writing(name) as copy:
            shutil.copyfileobj(file, copy)

    def get(self, name: str, target: Path) -> bool:
        """Copy a file to this machine, whole or not at all; False where the storage has none of that name."""
        files, root = self._opened()
        try:
            opened = files.open(f"{root}/{name}", "rb")
        except FileNotFoundError:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened as file, written_aside(target) as aside, aside.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        return True

    def read(self, name: str) -> bytes | None:
        """The content of a small file, None where there is none."""
        files, root = self._opened()
        try:
            return bytes(files.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            return None

    def remove(self, name: str = "") -> None:
        """Remove a file, or the folder with all that is in it, if it is there."""
        files, root = self._opened()
        with contextlib.suppress(FileNotFoundError):
            files.rm(f"{root}/{name}".rstrip("/"), recursive=not name)

    def local(self, name: str) -> Path | None:
        """The path of a file where this storage is a folder of this machine, as one of NFS is."""
        files, root = self._opened()
        return Path(root) / name if "file" in files.protocol else None

    def _opened(self) -> tuple[Any, str]:
        import fsspec.core

        # Other nodes write here too, so no listing may be kept.
        return fsspec.core.url_to_fs(self.url, use_listings_cache=False)


def _shown(url: str) -> str:
    """A URL without a user and password."""
    return re.sub(r"//[^/@]*@", "//", url)
