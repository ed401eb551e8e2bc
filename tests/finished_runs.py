"""Commands of small runs, and what they leave, by the fixture ``finished``."""

from pathlib import Path

TINY = ("--preset", "tiny")
CYCLEGAN = ("run", "--model", "cyclegan", *TINY)
ATTENTIONGAN = ("run", "--model", "attentiongan", *TINY)


def runs_of(model: str) -> str:
    """Name the folder of a finished run, relative to runs/."""
    (folder,) = Path("runs").glob(f"*/{model}+preset=tiny/seed0")
    return folder.relative_to("runs").as_posix()


def record_of(model: str, seed: int = 0) -> Path:
    """Give the record of a finished run."""
    (path,) = Path("results").glob(f"*/{model}+preset=tiny/seed{seed}.json")
    return path


def files_below(folder: Path) -> list[Path]:
    """List the files of a folder and of those below it."""
    return [path for path in folder.rglob("*") if path.is_file()]
