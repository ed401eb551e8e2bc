"""How a data set of the Hugging Face hub is named, as in ``hf:owner/name@revision:config``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote

PREFIX = "hf:"
PAGES = "https://huggingface.co/datasets/"
MAIN = "main"  # the revision where none is typed
GRAMMAR = "hf:owner/name, hf:owner/name@revision, hf:owner/name:configuration"
PAIRED, UNPAIRED = "paired", "unpaired"  # in place of what is selected: how rows are read

_WORD = r"[A-Za-z0-9_][\w.-]*"
_NAME = re.compile(
    rf"hf:(?P<owner>{_WORD})/(?P<name>{_WORD})(?:@(?P<revision>[^\s:@]+))?"
    r"(?::(?P<choice>[^:]+))?(?::(?P<selected>[^:]+))?",
    re.ASCII,
)


_BARE = re.compile(rf"{_WORD}/{_WORD}", re.ASCII)


@dataclass(frozen=True)
class HubName:
    """A data set of the hub, and what of it.

    Attributes:
        owner: User or organisation.
        name: Of the data set.
        revision: Branch, tag or commit.
        choice: What is typed after a colon: a configuration, two with a comma between them, or two
            columns; "" where nothing is.
        selected: What is typed after a second colon, of its labels, or ``paired``; "" where nothing
            is.
    """

    owner: str
    name: str
    revision: str = MAIN
    choice: str = ""
    selected: str = ""

    @property
    def repository(self) -> str:
        """Owner and name, as the hub writes them."""
        return f"{self.owner}/{self.name}"

    @property
    def folder(self) -> str:
        """The name of a folder for all revisions of the set."""
        return f"{self.owner}--{self.name}"

    @property
    def choice_folder(self) -> str:
        """The name of a folder for what is chosen of a revision."""
        chosen = quote(self.choice, safe=",. ") if self.choice else "all"
        return f"{chosen} {PAIRED}" if self.is_paired else chosen

    @property
    def is_paired(self) -> bool:
        """Whether the two images of a row are a pair."""
        return self.selected == PAIRED

    @property
    def typed(self) -> str:
        """What is typed after ``--task``."""
        revision = f"@{self.revision}" if self.revision != MAIN else ""
        parts = "".join(f":{part}" for part in (self.choice, self.selected) if part)
        return f"{PREFIX}{self.repository}{revision}{parts}"

    def readings(self) -> tuple[HubName, ...]:
        """Return what may be meant: what follows one colon may be of labels, too."""
        if not self.choice or self.selected:
            return (self,)
        return self, replace(self, choice="", selected=self.choice)


def is_hub_name(text: str) -> bool:
    """Tell whether a text names a data set of the hub, or is the address of its page."""
    return text.startswith((PREFIX, PAGES))


def parse_hub_name(text: str) -> HubName:
    """Read the name of a data set of the hub.

    Raises:
        ValueError: If it is none, with how they are written.
    """
    if text.startswith(PAGES):
        owner, _, rest = text.removeprefix(PAGES).partition("/")
        meant = f"{PREFIX}{owner}/{re.split('[/?#]', rest)[0]}"
        raise ValueError(f"{text} is the page of a data set, which is named {meant}")
    found = _NAME.fullmatch(text)
    if not found or ".." in text:
        raise ValueError(f"{text!r} is no data set of the Hugging Face hub; written are {GRAMMAR}")
    parts = {key: value for key, value in found.groupdict().items() if value}
    return HubName(**parts)


def near_hub_name(text: str) -> str:
    """Say how a data set of the hub is named, where a text may be one without what begins it."""
    if not _BARE.fullmatch(text):
        return ""
    return f"; if it is a data set of the Hugging Face hub, it is {PREFIX}{text}"
