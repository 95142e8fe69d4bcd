"""Where a model that was examined comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Source:
    """What a user named to be examined.

    Attributes:
        name: As the user wrote it: `models/net.keras` or `package.module:function`.
        file: The file that it stands in: the model's, or that of the code which makes it.
        line: The line in that file; the first one of a model's file.
    """

    name: str
    file: Path
    line: int = 1

    @property
    def stem(self) -> str:
        """Its own name, without where it is.

        Example:
        >>> Source("models/net.keras", Path("models/net.keras")).stem, Source("a.b:make", Path("a/b.py")).stem
        ('net', 'make')
        """
        return self.name.rpartition(":")[2] if ":" in Path(self.name).name else Path(self.name).stem

    @property
    def place(self) -> str:
        """The file relative to the current folder, with forward slashes; in full where it is elsewhere."""
        file, here = self.file.resolve(), Path.cwd()
        return (file.relative_to(here) if file.is_relative_to(here) else file).as_posix()

    @property
    def uri(self) -> str:
        """`place` as a URI: a relative reference, or an absolute one where it is elsewhere."""
        place = self.place
        return Path(place).as_uri() if Path(place).is_absolute() else quote(place)
