"""The map of the package shows each of its folders, and nothing that is not there."""

import re
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "Makefile").exists())
PACKAGE = ROOT / "i2i_bench"
MAPS = ("README.md", "docs/architecture.md")
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def shown(page: str) -> set[Path]:
    """Give the folders and modules of the tree, which begins with the line ``i2i_bench/``.

    A line names one folder, or modules side by side, below the last line that is indented less.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\w*\ni2i_bench/[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    above, found = {0: PACKAGE}, set()
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        above = {depth: folder for depth, folder in above.items() if depth < indent}
        names = re.match(r"\s*((?:\w+\.py\s+)*\w+(?:/|\.py))(?=\s|$)", line)
        assert names, f"{page}: what is {line!r}"
        paths = [above[max(above)] / name for name in names[1].split()]
        above[indent] = paths[0]
        found |= set(paths)
    return found


@pytest.mark.parametrize("page", MAPS)
def test_map_shows_what_there_is(page):
    assert [path for path in sorted(shown(page)) if not path.exists()] == []


@pytest.mark.parametrize("page", MAPS)
def test_map_shows_every_folder_and_module_of_the_package(page):
    there = {path for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    there |= {path for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    assert sorted(there - shown(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
