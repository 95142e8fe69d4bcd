"""Colours by what they stand for, and pictures that take theirs from the page they are in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True)
class Palette:
    """Colours, `#rrggbb` each.

    Attributes:
        page: Behind everything.
        card: Behind cards and plots.
        text: Of text.
        muted: Of text that matters less.
        line: Of rules and frames.
        wire: Of edges between layers.
        own: Of what is the user's: links, bars, curves.
        peer: Of what it is held beside.
        kept, changed, new, removed: Of frames and labels of layers, by what became of them; `*_fill` behind these.
        error, warning, info: Of labels of findings, by severity.
    """

    page: str
    card: str
    text: str
    muted: str
    line: str
    wire: str
    own: str
    peer: str
    kept: str
    kept_fill: str
    changed: str
    changed_fill: str
    new: str
    new_fill: str
    removed: str
    removed_fill: str
    error: str
    warning: str
    info: str


LIGHT = Palette(
    page="#f4f6f8",
    card="#ffffff",
    text="#1d232b",
    muted="#5b6675",
    line="#dde2e8",
    wire="#8794a3",
    own="#0b6bcb",
    peer="#a9b4c0",
    kept="#9aa6b3",
    kept_fill="#f8fafb",
    changed="#8a5300",
    changed_fill="#fff3dc",
    new="#17693b",
    new_fill="#e2f5e9",
    removed="#b3261e",
    removed_fill="#fdecea",
    error="#b3261e",
    warning="#8a5300",
    info="#0b62ba",
)

DARK = Palette(
    page="#0f1216",
    card="#161a20",
    text="#e4e8ee",
    muted="#98a4b3",
    line="#333b46",
    wire="#6d7a8a",
    own="#5aa9f5",
    peer="#5d6876",
    kept="#56616f",
    kept_fill="#1d232b",
    changed="#f0b557",
    changed_fill="#37290f",
    new="#63cf92",
    new_fill="#12301f",
    removed="#ff9389",
    removed_fill="#3a1a18",
    error="#ff9389",
    warning="#f0b557",
    info="#72b5f7",
)

OF_PAGE = Palette(**{name: f"#fe{number:02x}ef" for number, name in enumerate(asdict(LIGHT))})
"""Colours that stand for the page's own; `themed` puts these in their place."""

_VARIABLES = {colour: f"var(--{name.replace('_', '-')})" for name, colour in asdict(OF_PAGE).items()}


def css_variables(palette: Palette) -> str:
    """The colours as CSS custom properties.

    Example:
    >>> css_variables(LIGHT).split("; ")[0]
    '--page: #f4f6f8'
    """
    return "; ".join(f"--{name.replace('_', '-')}: {colour}" for name, colour in asdict(palette).items())


def themed(svg: str, *, label: str, number: int, titles: Mapping[str, str] | None = None) -> str:
    """A picture drawn in `OF_PAGE` as a part of a page: its colours and its font are those of the page.

    Args:
        svg: The picture as a file of its own.
        label: What it shows, for those who do not see it.
        number: Which picture of the page it is, so that its ids are not those of another.
        titles: Texts that pop up, by id of the group of which they tell.

    Returns:
        One `<svg>` element. It keeps the ids of `titles`; others only where it refers to them itself.
    """
    titles = titles or {}
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    referred = set(_REFERENCE.findall(svg)) | set(re.findall(r'xlink:href="#([^"]+)"', svg))
    for element in root.iter():
        _take_page_style(element)
        _make_ids_own(element, referred, number, titles)
        text = titles.get(element.get("id", ""))
        if text is not None:
            title = ElementTree.Element(f"{{{_SVG}}}title")
            title.text = text
            element.insert(0, title)
    for size in ("width", "height"):
        root.set(size, root.get(size, "").removesuffix("pt"))
    # Smaller than this it could not be read.
    root.set("style", f"min-width: {0.85 * float(root.get('width', '0')):.0f}px")
    # Links inside would be hidden from readers by the role of an image.
    root.set("role", "group" if titles else "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _take_page_style(element: ElementTree.Element) -> None:
    style = element.get("style")
    if not style:
        return
    for colour, variable in _VARIABLES.items():
        style = style.replace(colour, variable)
    style = re.sub(r"font-family: [^;]*(; )?", "", style)
    # Older versions of matplotlib write all about a font as one.
    size = re.search(r"font: ((?:bold |italic |\d+ )*)([\d.]+px)[^;]*", style)
    if size:
        weight = "font-weight: 700; " if "bold" in size[1] or "700" in size[1] else ""
        style = style.replace(size[0], f"{weight}font-size: {size[2]}")
    element.set("style", style)


def _make_ids_own(element: ElementTree.Element, referred: set[str], number: int, titles: Mapping[str, str]) -> None:
    name = element.get("id")
    if name is not None and name not in titles:
        if name in referred:
            element.set("id", f"{name}-{number}")
        else:
            del element.attrib["id"]
    link = element.attrib.pop(f"{{{_XLINK}}}href", None)
    if link is not None:
        inside = element.tag.endswith("use")
        element.set("href", f"{link}-{number}" if inside else link)
        if not inside:
            element.attrib.pop("target", None)
    for attribute in ("clip-path", "style"):
        value = element.get(attribute)
        if value and "url(#" in value:
            element.set(attribute, _REFERENCE.sub(rf"url(#\1-{number})", value))
