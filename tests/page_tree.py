"""The leaderboard page as a tree of elements, and what a reader sees of it."""

from __future__ import annotations

import html.parser
from xml.etree.ElementTree import Element, TreeBuilder

VOID = {"meta", "link", "input", "img", "br"}


class Tree(html.parser.HTMLParser):
    """Build a tree of HTML in which every element is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._builder, self._open = TreeBuilder(), []
        self.feed(text)
        self.close()
        self.root: Element = self._builder.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {key: value or "" for key, value in attrs})
        self._open.append(tag)
        if tag in VOID:
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {key: value or "" for key, value in attrs})
        self._builder.end(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)


def text(element: Element) -> str:
    """Give the words a reader sees, without those for screen readers alone."""
    parts = [element.text or ""]
    for child in element:
        parts += ["" if child.get("class") == "hidden" else text(child), child.tail or ""]
    return " ".join("".join(parts).split())


def of_class(root: Element, tag: str, name: str) -> list[Element]:
    return [each for each in root.iter(tag) if name in each.get("class", "").split()]


def lines(board: Element, part: str) -> list[list[str]]:
    """Give the cells of a part of a table: ranked, unranked, baselines."""
    bodies = of_class(board, "tbody", part)
    rows = [row for body in bodies for row in body if row.get("data-name") is not None]
    return [[text(cell) for cell in row] for row in rows]
