"""Records of which leaderboards are made in tests."""

import csv
import io

from sound_records import keyed, make_record, make_score

from i2i_bench.records.record import External, Values

MISSING = "weights file /somewhere/inception.pt not found"


def score_of(values=None, reasons=None, **changes):
    """Make a score of the direction a to b."""
    found = {"psnr_foreground": 20.0, "psnr_background": 30.0} if values is None else values
    baselines = {
        "identity": Values(values={key: v and 11.0 for key, v in found.items()}),
        "real": Values(values={key: None for key in found}, reasons=dict.fromkeys(found, "none")),
    }
    entry = {"baselines": baselines, "values": found, "reasons": reasons or {}}
    return make_score(**(entry | changes))


def make(model="cyclegan", seed=0, *, score=None, values=None, reasons=None, **changes):
    """Make a record with one score of the direction a to b."""
    made = make_record(score_of(values, reasons, **(score or {})), seed=seed)
    return made.model_copy(update={"model": model} | changes)  # changes are not validated


def make_external(name="cut", *, values=None, **changes):
    """Make a record of another program's images with one score."""
    scored = score_of(values, checkpoint="unknown", **changes)
    return External(
        name=name,
        task="stripes",
        headline="psnr_foreground",
        harness_version="0.1.0",
        formats={"a2b": {"png": 100}},
        scores=keyed(scored),
    )


def psnr(model, value, **changes):
    """Make a record that is ranked by its PSNR."""
    return make(model, values={"psnr_foreground": value}, **changes)


def kid(model, value, **changes):
    """Make a record that is ranked by its KID."""
    found = {"kid": value, "kid_se": None if value is None else 0.001, "fid": value}
    return make(model, values=found, headline="kid", **changes)


def models(table):
    """Give label and rank of the rows of models."""
    return [(row.label, row.rank) for row in table.rows if row.kind == "model"]


def cells(text, label):
    """Give the cells of a Markdown row."""
    line = next(line for line in text.splitlines() if f"| {label} " in line)
    return [part.strip() for part in line.strip("|").split("|")]


def parse(text):
    """Give the lines of a CSV file by the names of its columns."""
    return list(csv.DictReader(io.StringIO(text)))
