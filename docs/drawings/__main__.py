"""Writes all pictures."""

from pathlib import Path

from docs.drawings.pictures import PICTURES

FOLDER = Path(__file__).parents[1] / "techniques" / "pictures"

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().render(), "utf-8")
        print(name)
