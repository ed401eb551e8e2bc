"""Read answers that other tools gathered, and write those of AMT_Real_vs_Fake."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from i2i_bench.study.judgements import Judgement
from i2i_bench.system.files import read_bounded

LARGEST_TABLE = 256 * 2**20  # bytes
SIDES = ("left", "right")
REALISM_IMAGES = 200  # which a person judges in dgm-eval, half of them real
_TRIAL = re.compile(r"Input\.gt_side(\d+)")


@dataclass(frozen=True)
class AmtTrial:
    """A trial of AMT_Real_vs_Fake.

    Attributes:
        real_side: ``left`` or ``right``, where the real image is.
        left: Path of the image on the left, whose folder is its method.
        right: Of that on the right.
        selection: Side that the person took for the generated one; "" where there is no answer.
    """

    real_side: str
    left: str
    right: str
    selection: str

    @property
    def fake(self) -> PurePosixPath:
        """Path of the generated image."""
        return PurePosixPath(self.right if self.real_side == "left" else self.left)

    @property
    def real(self) -> PurePosixPath:
        """Path of the real image."""
        return PurePosixPath(self.left if self.real_side == "left" else self.right)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = read_bounded(path, LARGEST_TABLE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a CSV file in UTF-8") from None
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from None
    if not rows:
        raise ValueError(f"{path} holds no answer")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"{path}, line {line}, has another number of cells than its header")
    return rows


def read_amt_trials(path: Path) -> list[list[AmtTrial]]:
    """Read the results of AMT_Real_vs_Fake, as Mechanical Turk gives them: trials of each person.

    Raises:
        ValueError: If the file is none, naming what is wrong with it.
    """
    rows = _rows(path)
    numbers = sorted(int(found[1]) for key in rows[0] if (found := _TRIAL.fullmatch(key)))
    if not numbers or numbers != list(range(len(numbers))):
        raise ValueError(
            f"{path} is not of AMT_Real_vs_Fake, which has columns Input.gt_side0, "
            "Input.images_left0, Input.images_right0 and Answer.selection0, then 1 and so on"
        )
    names = ("Input.gt_side", "Input.images_left", "Input.images_right", "Answer.selection")
    wanted = [f"{name}{number}" for number in numbers for name in names]
    if missing := [name for name in wanted if name not in rows[0]]:
        raise ValueError(f"{path} lacks the column {missing[0]}")
    people = []
    for line, row in enumerate(rows, start=2):
        trials = [AmtTrial(*(row[f"{name}{number}"] for name in names)) for number in numbers]
        for number, trial in enumerate(trials):
            if trial.real_side not in SIDES:
                raise ValueError(
                    f"{path}, line {line}: Input.gt_side{number} is {trial.real_side!r}, "
                    "not left or right"
                )
        people.append(trials)
    return people


def amt_judgements(
    people: Sequence[Sequence[AmtTrial]], practice: int
) -> tuple[list[Judgement], int]:
    """Turn trials into answers; the first of each person are practice.

    A method is the folder of a generated image.

    Returns:
        The answers, and the number of scored trials without one.

    Raises:
        ValueError: If practice leaves nothing to score.
    """
    fewest = min(len(trials) for trials in people)
    if not 0 <= practice < fewest:
        raise ValueError(f"{practice} practice trials of {fewest} leave nothing to score")
    found, silent = [], 0
    for number, trials in enumerate(people):
        for trial in trials[practice:]:
            if trial.selection not in SIDES:
                silent += 1
                continue
            method = str(trial.fake.parent)
            is_fooled = trial.selection == trial.real_side
            unit = (str(trial.fake), str(trial.real))
            chosen = method if is_fooled else None
            found.append(Judgement(f"{number:06d}", (method,), chosen, trial.fake.name, unit))
    return found, silent


def amt_table(people: Sequence[Sequence[AmtTrial]]) -> str:
    """Write trials as the results of AMT_Real_vs_Fake, which its ``process_csv.py`` reads.

    Raises:
        ValueError: If people have different numbers of trials, which the format has no place for.
    """
    numbers = {len(trials) for trials in people}
    if len(numbers) != 1:
        raise ValueError(
            "AMT_Real_vs_Fake has as many trials for everybody, and here are "
            f"{' and '.join(map(str, sorted(numbers)))}"
        )
    header = [key for number in range(numbers.pop()) for key in _columns(number)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for trials in people:
        cells = ((t.real_side, t.left, t.right, t.selection) for t in trials)
        writer.writerow([cell for row in cells for cell in row])
    return text.getvalue()


def _columns(number: int) -> Iterator[str]:
    for name in ("Input.gt_side", "Input.images_left", "Input.images_right", "Answer.selection"):
        yield f"{name}{number}"


def read_realism(path: Path) -> list[Judgement]:
    """Read a table of layer6ai-labs/dgm-eval: a line a person, with the right answers of 200.

    Raises:
        ValueError: If the file is none, naming what is wrong with it.
    """
    rows = _rows(path)
    if missing := {"id", "model", "num_correct"} - rows[0].keys():
        raise ValueError(f"{path} is not of dgm-eval: it lacks the column {sorted(missing)[0]}")
    found = []
    for line, row in enumerate(rows, start=2):
        right = _right_answers(row, f"{path}, line {line}")
        person, method = f"{line:06d}", row["model"]
        found += [Judgement(person, (method,), None)] * right
        found += [Judgement(person, (method,), method)] * (REALISM_IMAGES - right)
    return found


def _right_answers(row: Mapping[str, str], where: str) -> int:
    try:
        number = float(row["num_correct"])
    except ValueError:
        number = -1.0
    if number != int(number) or not 0 <= number <= REALISM_IMAGES:
        raise ValueError(
            f"{where}: num_correct is {row['num_correct']!r}, not a number from 0 to "
            f"{REALISM_IMAGES}"
        )
    return int(number)
