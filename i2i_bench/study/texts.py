"""What the page says, in each language a text file; a folder may bring more languages."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from i2i_bench.system.files import LARGEST_NOTE, read_bounded, write_text

LANGUAGES = ("en", "de")  # that come along
_OWN = Path(__file__).parent / "texts"
_TAG = re.compile("[a-z]{2,3}")
_FILLED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class PageTexts:
    """What the page says.

    Attributes:
        texts: By language, then key.
        consent: By language, paragraphs with an empty line between.
    """

    texts: dict[str, dict[str, str]]
    consent: dict[str, str]

    @property
    def blanks(self) -> list[str]:
        """Files of consent that still have something in [brackets] to fill in."""
        return [_consent_name(tag) for tag, text in self.consent.items() if "[" in text]


def _consent_name(tag: str) -> str:
    return f"consent.{tag}.txt"


def write_texts(folder: Path) -> None:
    """Copy the texts that come along, for the user to edit."""
    for tag in LANGUAGES:
        for name in (f"{tag}.toml", _consent_name(tag)):
            write_text(folder / name, (_OWN / name).read_text(encoding="utf-8"))


def read_texts(folder: Path) -> PageTexts:
    """Read the texts of a study.

    Raises:
        ValueError: If there are none, or a file is unfit, naming what is wrong with it.
    """
    wanted = _read_toml(_OWN / "en.toml")
    texts, consent = {}, {}
    for path in sorted(folder.glob("*.toml")):
        tag = path.stem
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{path} must be named after a language, such as fr.toml")
        texts[tag] = _checked(_read_toml(path), wanted, path)
        beside = folder / _consent_name(tag)
        if not beside.is_file():
            raise ValueError(
                f"there is no {beside}, which people are to agree to before they begin"
            )
        consent[tag] = _read_text(beside)
    if not texts:
        raise ValueError(f"{folder} has no texts, such as en.toml")
    return PageTexts(texts, consent)


def _read_text(path: Path) -> str:
    try:
        return read_bounded(path, LARGEST_NOTE).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text in UTF-8") from None


def _read_toml(path: Path) -> dict[str, str]:
    try:
        content = tomllib.loads(_read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    return {str(key): str(value) for key, value in content.items()}


def _checked(found: dict[str, str], wanted: dict[str, str], path: Path) -> dict[str, str]:
    if lacking := [key for key in wanted if not found.get(key, "").strip()]:
        raise ValueError(f"{path} has no text for {lacking[0]}")
    if unknown := [key for key in found if key not in wanted]:
        raise ValueError(f"{path} has a text {unknown[0]}, which the page does not know")
    for key, text in found.items():
        if other := set(_FILLED.findall(text)) - {*_FILLED.findall(wanted[key]), "target"}:
            raise ValueError(f"{path}: {key} has {{{sorted(other)[0]}}}, which is not filled in")
    return found
