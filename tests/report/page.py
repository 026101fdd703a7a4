"""Reads a report as a browser would: elements, text, and whether every one of them is closed."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The elements of a page with their attributes and text, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, its white space folded."""
        return " ".join(" ".join(self.texts).split())

    def find(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Attributes of the elements with this tag and these attributes."""
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]

    def pictures(self) -> list[tuple[str, np.ndarray]]:
        """Alternative text and pixels ``[H, W, 3]`` of every image."""
        result = []
        for image in self.find("img"):
            kind, data = image["src"].split(",", 1)
            assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
            result.append((image["alt"], np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))))
        return result
