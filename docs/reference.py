"""Write the generated parts of the pages: commands, API, tasks and protocols.

A part stands between ``<!-- generated: KIND WHAT -->`` and ``<!-- end -->``; what is around it is
written by hand. The pages are committed, so that a clone is readable without building them.

    python docs/reference.py            # write
    python docs/reference.py --check    # fail if a page is stale
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import click

os.environ.pop("XDG_CACHE_HOME", None)  # defaults are shown as for everybody

from i2i_bench.cli.main import main
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.protocols import PROTOCOLS
from i2i_bench.tasks import catalogue

FOLDER = Path(__file__).parent
PART = re.compile(r"(<!-- generated: (\w+)(.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):")
ENTRY = re.compile(r"([\w*., ]+?)( \([^)]*\))?: (.*)")
PROGRAM = "i2i-bench"


def page_text(path: Path) -> str:
    """Give a page with its generated parts as they are now."""
    text = path.read_text(encoding="utf-8")
    return PART.sub(lambda m: f"{m[1]}\n{KINDS[m[2]](*m[3].split())}\n\n{m[4]}", text)


def stale_pages(folder: Path = FOLDER) -> list[Path]:
    """Name the pages of which a generated part is not as it is now."""
    return [path for path in sorted(folder.glob("*.md")) if page_text(path) != path.read_text()]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out rows as a Markdown table."""
    lines = [header, ["--"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


# --- commands


def commands() -> str:
    """Give every command with its text, arguments and options."""
    return "\n\n".join(_commands_of(main, PROGRAM))


def _commands_of(group: click.Group, program: str) -> Iterator[str]:
    for name in sorted(group.commands):
        command, typed = group.commands[name], f"{program} {name}"
        yield _command(command, typed)
        if isinstance(command, click.Group):
            yield from _commands_of(command, typed)


def _command(command: click.Command, typed: str) -> str:
    """Give one command: its line, what it does, its examples and its options."""
    context = click.Context(command, info_name=typed)
    usage = " ".join(command.collect_usage_pieces(context))
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    about, _, examples = text.partition("Example:\n")
    parts = [f"## {typed}", f"```text\n{typed} {usage}\n```", about.strip()]
    parts += [f"```sh\n{inspect.cleandoc(examples)}\n```"] if examples else []
    options = [o for o in command.params if isinstance(o, click.Option) and not o.hidden]
    parts += [table(("option", "what"), [_option(o, context) for o in options])] if options else []
    return "\n\n".join(part for part in parts if part)


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    names, about = option.get_help_record(context) or ("", "")
    return f"`{names}`", about


# --- API


def api(name: str, *wanted: str) -> str:
    """Give the public classes and functions of a module, or those that are wanted."""
    module = importlib.import_module(name)
    parts = [f"### {name}", _prose(module.__doc__ or "")]
    parts += [
        _class(each) if inspect.isclass(each) else _function(each)
        for each in _public(module)
        if not wanted or each.__name__ in wanted
    ]
    return "\n\n".join(part for part in parts if part)


def _public(module: ModuleType) -> list[type | Callable[..., object]]:
    """Give what a module defines and documents, in the order of its lines."""
    own = [
        value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
        and (inspect.isclass(value) or inspect.isfunction(inspect.unwrap(value)))
        and getattr(value, "__name__", "") == name
    ]
    return sorted(own, key=lambda value: inspect.getsourcelines(inspect.unwrap(value))[1])


def _class(each: type) -> str:
    parts = [f"#### class `{each.__name__}{_signature(each)}`", _prose(inspect.getdoc(each) or "")]
    for name, value in vars(each).items():
        if name.startswith("_") or not getattr(value, "__doc__", None):
            continue
        if isinstance(value, property):
            parts.append(f"##### `{each.__name__}.{name}`\n\n{_prose(value.__doc__ or '')}")
        elif inspect.isfunction(inspect.unwrap(getattr(value, "__func__", value))):
            plain = getattr(value, "__func__", value)
            head = f"##### `{each.__name__}.{name}{_signature(plain)}`"
            parts.append(f"{head}\n\n{_prose(inspect.getdoc(plain) or '')}")
    return "\n\n".join(parts)


def _function(each: Callable[..., object]) -> str:
    return f"#### `{each.__name__}{_signature(each)}`\n\n{_prose(inspect.getdoc(each) or '')}"


def _signature(each: Callable[..., object]) -> str:
    """Write parameters as in the source; addresses of defaults are left out."""
    try:
        found = str(inspect.signature(each))
    except (TypeError, ValueError):
        return ""
    return re.sub(r" at 0x[0-9a-f]+", "", found).replace("'", "")


def _prose(doc: str) -> str:
    """Turn a Google docstring into Markdown: its sections become lists."""
    lines, output, section = inspect.cleandoc(doc).splitlines(), [], ""
    for line in lines:
        if found := SECTION.fullmatch(line):
            section = found[1]
            output += ["", f"**{section}**", ""]
        elif section and line and not line.startswith(" "):
            section = ""
            output.append(_escaped(line))
        elif section != "Returns" and section and re.match(r" {4}\S", line):
            entry = ENTRY.fullmatch(line.strip())
            named = (
                f"- `{entry[1]}`: {_escaped(entry[3])}" if entry else f"- {_escaped(line.strip())}"
            )
            output.append(named)
        else:
            indent = "  " if section not in ("", "Returns") else ""
            output.append((indent + _escaped(line.strip()) if section else _escaped(line)).rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(output)).strip()


def _escaped(text: str) -> str:
    """Keep Markdown from reading stars, angles and brackets of a text, but for code."""
    parts = re.split(r"(``.*?``)", text)
    return "".join(
        part if part.startswith("``") else re.sub(r"([*<>\[\]_$])", r"\\\1", part) for part in parts
    )


# --- catalogues


def metrics() -> str:
    """Give the metrics that are columns."""
    rows = [
        (
            f"`{metric.key}`",
            ", ".join(f"`{key}`" for key in metric.spreads),
            metric.unit if metric.scale == 1 else "",  # tables scale what has none
            metric.better,
            metric.meaning or metric.title,
        )
        for metric in known_metrics().of_suite
        if metric.is_shown
    ]
    return table(("column", "spread", "unit", "better", "what"), rows)


def tasks() -> str:
    """Give the embedded and catalogued tasks."""
    header = ("task", "kind", "size", "trainA / trainB / testA / testB", "what", "licence")
    rows = [
        (row.name, row.kind, f"{row.image_size} px", _counts(row), row.title, row.licence)
        for row in catalogue.list_tasks(Path("no-such-folder"))
    ]
    return table(header, rows)


def _counts(row: catalogue.TaskRow) -> str:
    """Give the images of each folder, with a question mark where the number is unknown."""
    return " / ".join("?" if number is None else str(number) for number in row.counts.values())


def protocols() -> str:
    """Give the protocols."""
    rows = [(str(p), p.recipe, p.reference, p.title) for p in PROTOCOLS.values()]
    return table(("protocol", "features", "reference", "what"), rows)


KINDS: dict[str, Callable[..., str]] = {
    each.__name__: each for each in (commands, api, metrics, tasks, protocols)
}


def run(arguments: Sequence[str]) -> int:
    """Write the pages, or say which are stale."""
    stale = stale_pages()
    if list(arguments) == ["--check"]:
        for path in stale:
            print(f"{path} is stale; python docs/reference.py writes it", file=sys.stderr)
        return int(bool(stale))
    for path in stale:
        path.write_text(page_text(path), encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
