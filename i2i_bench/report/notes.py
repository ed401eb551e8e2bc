"""Notes under a table: how it is ranked, what is missing and why, what costs include."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from i2i_bench.metric import Column
from i2i_bench.records.record import Record
from i2i_bench.records.run import EXTERNAL
from i2i_bench.report.columns import SPREADS
from i2i_bench.report.cost_notes import cost_note, shared_notes
from i2i_bench.report.rows import (
    Entry,
    Group,
    Row,
    have_one,
    versions_of_metrics,
    with_given_masks,
)
from i2i_bench.report.targets import MEAN, averaged
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.distances import FID
from i2i_bench.scoring.metrics.lpips import LPIPS
from i2i_bench.scoring.metrics.recognition import TARGET_SHARE
from i2i_bench.scoring.protocols import PROTOCOLS, remarks
from i2i_bench.tasks.validation import TEST

LONGEST_REASON = 300  # characters
UNBIASED_FID = 2048  # images; with fewer, the covariance has no full rank


def explain(
    group: Group,
    columns: list[Column],
    *,
    rows: list[tuple[list[Entry], Row]],
    ranked: list[Row],
    headline: Column,
) -> list[str]:
    """Say what the numbers are, what is missing and why."""
    entries = [entry for part, _ in rows for entry in part]
    notes = [_ranking_note(ranked, headline), *_split_notes(group), *given_notes(ranked)]
    notes += [*_partial_notes(rows), *_unsound_notes(ranked), _spread_note(group)]
    notes += _missing_notes(rows, headline)
    fewest = min(min(score.n_real, score.n_fake) for _, score in entries)
    if any(column.key == FID.key for column in columns) and fewest < UNBIASED_FID:
        notes.append(
            f"FID is biased at n = {fewest}, below {UNBIASED_FID}: not comparable across set sizes."
        )
    notes += _remarks(group, entries)
    legend = [f"{column.title}: {column.meaning}" for column in columns if column.meaning]
    notes += ["; ".join(legend) + "."] if legend else []
    notes += [
        *_alarm_notes(group, rows),
        *_version_notes(rows),
        *_source_notes(rows),
        *_frozen_notes(rows),
    ]
    notes += [*_shape_notes(entries), *_other_notes(rows)]
    notes += [*_mode_notes(rows), cost_note(rows), *shared_notes(rows)]
    notes.append(_identity_note(group, entries))
    return notes


def _shape_notes(entries: list[Entry]) -> list[str]:
    """Say which images were made squares, and how those came to their size that stayed whole."""
    known = [r.reshaped for r, _ in entries if isinstance(r, Record) and r.reshaped]
    notes = [f"Images of rows that were trained on squares were {each}." for each in known]
    for whole in (score.whole for _, score in entries if score.whole):
        how = f"resized to a short side of {whole.short_side} px" if whole.short_side else ""
        cut = (
            f"sides trimmed to multiples of {whole.multiple} px, of {whole.num_trimmed} sources, "
            f"{whole.most_trimmed} px at most"
            if whole.num_trimmed
            else ""
        )
        parts = [part for part in (how or "of their own size", cut) if part]
        notes.append(f"Images were compared whole, {', '.join(parts)}.")
    return list(dict.fromkeys(notes))


def _other_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say of images beside those of models that another program made them."""
    others = [row.label for _, row in rows if row.kind == EXTERNAL]
    if not others or len(others) == len(rows):
        return []
    return [f"{', '.join(others)}: made by other programs, with a training that is not known."]


def _spread_note(group: Group) -> str:
    spread = SPREADS.get(group.spread_kind)
    seeds = "± is the standard deviation over seeds"
    single = f"rows of one seed show the {spread} of the KID, or none"
    return f"{seeds}; {single}." if spread else f"{seeds}."


def _remarks(group: Group, entries: list[Entry]) -> list[str]:
    """State the remarks of the protocol, and how weights differ."""
    found = []
    protocol = PROTOCOLS.get(group.protocol)
    if protocol and protocol.version == group.protocol_version:
        n_fake = min(score.n_fake for _, score in entries)
        size = json.loads(group.estimator).get("kid_subset_size")
        said = remarks(protocol, group.n_real, n_fake, size)
        found = [f"{sentence}." for sentence in said]
    if not have_one(LPIPS.weights_field, entries):
        found.append("LPIPS here comes from several weights files; its values are not compared.")
    if not have_one(TARGET_SHARE.weights_field, entries):
        found.append("Several classifiers judged these rows; their shares are not compared.")
    for key, versions in sorted(versions_of_metrics(entries).items()):
        found.append(f"{_title(key)} is of versions {', '.join(versions)}, which do not compare.")
    return found


def _alarm_notes(group: Group, rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Give each alarm once, but those for which a row is not ranked, which are noted already."""
    start = f"{group.direction}: "
    seeds: dict[tuple[str, str], list[str]] = {}  # by row and alarm, as several may agree
    for part, row in rows:
        for record, _ in part:
            for alarm in (
                text.removeprefix(start) for text in record.alarms if text.startswith(start)
            ):
                if alarm not in row.unsound:
                    seed = [str(record.seed)] if isinstance(record, Record) else []
                    seeds.setdefault((row.label, alarm), []).extend(seed)
    whose = {key: f", seed{'s' * (len(of) > 1)} {', '.join(of)}" for key, of in seeds.items() if of}
    return [f"Alarm of {key[0]}{whose.get(key, '')}: {key[1]}." for key in seeds]


def _ranking_note(ranked: list[Row], headline: Column) -> str:
    if any(row.rank for row in ranked):
        return f"Ranked by {headline.title}, {headline.better} is better."
    if not headline.better:
        return f"Nothing is ranked: {headline.title!r} is not a metric to rank by."
    if not any(headline.key in row.stats for row in ranked):
        return f"Nothing is ranked: no row has a value of {headline.title}, for the reason below."
    which = "sound and complete" if any(row.unsound for row in ranked) else "complete"
    return f"Nothing is ranked: no {which} row has a value of {headline.title}."


def _split_notes(group: Group) -> list[str]:
    """Say of images that were held out of training that they are no test images."""
    if group.split == TEST:
        return []
    return [
        f"No test scores: a tenth of the training images was held out of training, and these "
        f"{group.split} scores are of it. They are to choose settings by, and are never ranked "
        "with scores of test images."
    ]


def given_notes(rows: Iterable[Row]) -> list[str]:
    """Say which models were given masks, where they stand beside models that were not."""
    names = ", ".join(sorted({row.label for row in with_given_masks(rows)}))
    said = (
        "given the masks of the objects, in tests too, which the others are not: never marked, and "
        "to be ranked above these is no merit of the model"
    )
    return [f"{names}: {said}."] if names else []


def _unsound_notes(rows: list[Row]) -> list[str]:
    return [
        f"{row.label}: neither ranked nor marked, {row.unsound}." for row in rows if row.unsound
    ]


def _partial_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    return [
        f"{row.label}: not ranked, test images are missing "
        f"({' or '.join(map(str, sorted({score.n_fake for _, score in part})))} were translated)."
        for part, row in rows
        if row.partial
    ]


def _missing_notes(rows: list[tuple[list[Entry], Row]], headline: Column) -> list[str]:
    """Give each reason once, with the metrics and the rows it explains."""
    affected: dict[str, dict[str, list[str]]] = {}  # reason → metric → labels
    for part, row in rows:
        for key, seeds in _missing(part, headline).items():
            for reason, count in seeds.items():
                whole = "" if count == len(part) else f", {count} of {len(part)} seeds"
                affected.setdefault(reason, {}).setdefault(key, []).append(row.label + whole)
    notes = []
    for reason, metrics in affected.items():
        whose: dict[tuple[str, ...], list[str]] = {}
        for key in sorted(metrics, key=_position):
            whose.setdefault(tuple(metrics[key]), []).append(_title(key))
        everyone = tuple(row.label for _, row in rows)
        for labels, titles in whose.items():
            of = "" if labels == everyone else f" of {'; '.join(labels)}"
            notes.append(f"No {', '.join(titles)}{of}: {reason}")
    return notes


def _missing(part: list[Entry], headline: Column) -> dict[str, dict[str, int]]:
    """Count, by metric and reason, the seeds of a row that lack a value."""
    missing: dict[str, dict[str, int]] = {}
    for _, score in part:
        for key in dict.fromkeys([*score.values, *score.reasons, headline.key]):
            if score.values.get(key) is None and key not in known_metrics().hidden:
                reason = _short(score.reasons.get(key, "no reason was recorded"))
                counts = missing.setdefault(key, {})
                counts[reason] = counts.get(reason, 0) + 1
    return missing


def _position(key: str) -> tuple[int, str]:
    """Order metrics as their columns, unknown ones last."""
    known = list(known_metrics().by_key)
    return (known.index(key) if key in known else len(known), key)


def _title(key: str) -> str:
    known = known_metrics().by_key
    return known[key].title if key in known else key


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."


def _version_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say where seeds of one row come from several versions of the model."""
    notes = []
    for part, row in rows:
        runs = [record for record, _ in part if isinstance(record, Record)]
        versions = sorted({f"{r.distribution} {r.distribution_version}" for r in runs})
        if len(versions) > 1:
            notes.append(f"{row.label}: seeds of several versions ({', '.join(versions)}).")
    return notes


def _source_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say where the runs of one row were made by several codes of the model."""
    notes = []
    for part, row in rows:
        seeds: dict[str, list[str]] = {}
        for record in (record for record, _ in part if isinstance(record, Record)):
            if record.source_sha256:
                seeds.setdefault(record.source_sha256, []).append(str(record.seed))
        if len(seeds) > 1 or any("+" in codes for codes in seeds):
            whose = [f"{codes} (seed {', '.join(of)})" for codes, of in sorted(seeds.items())]
            notes.append(f"{row.label}: made by several codes of the model: {'; '.join(whose)}.")
    return notes


def _frozen_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say where the losses of rows use other weights of a pretrained network."""
    found: dict[str, dict[str, dict[str, list[int]]]] = {}  # network → hash → label → seeds
    for part, row in rows:
        for record in (record for record, _ in part if isinstance(record, Record)):
            for name, digest in record.frozen.items():
                seeds = found.setdefault(name, {}).setdefault(digest, {})
                seeds.setdefault(row.label, []).append(record.seed)
    notes = []
    for name, hashes in sorted(found.items()):
        if len(hashes) > 1:
            count = Counter(label for labels in hashes.values() for label in labels)
            whose = (
                f"{digest} of {', '.join(_of_seeds(*each, count[each[0]] > 1) for each in labels)}"
                for digest, labels in ((digest, of.items()) for digest, of in hashes.items())
            )
            notes.append(f"Pretrained network {name} is not the same in all: {'; '.join(whose)}.")
    return notes


def _of_seeds(label: str, seeds: list[int], is_split: bool) -> str:
    """Name a row, with its seeds where others of them differ."""
    return f"{label} (seed {', '.join(map(str, seeds))})" if is_split else label


def _mode_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say whose steps were carried out without modes that others had, and why."""
    found: dict[tuple[str, str], list[str]] = {}  # by mode and reason
    for part, row in rows:
        for record in (record for record, _ in part if isinstance(record, Record)):
            for left_out in record.modes_left_out.items():
                labels = found.setdefault(left_out, [])
                labels += [row.label] if row.label not in labels else []
    return [
        f"Trained without {mode}: {', '.join(labels)}, because {_short(reason)}."
        for (mode, reason), labels in found.items()
    ]


def explain_directions(stated: Mapping[str, Sequence[str]]) -> list[str]:
    """Say which models do not translate every way, and so are missing in some tables.

    Args:
        stated: Directions by the label of a row.
    """
    labels: dict[str, list[str]] = {}
    for label, directions in stated.items():
        labels.setdefault(", ".join(directions), []).append(label)
    return [
        f"{' and '.join(names)} translate{'s' * (len(names) == 1)} {only} only."
        for only, names in labels.items()
    ]


def _identity_note(group: Group, entries: list[Entry]) -> str:
    """Say what else distinguishes this table from others."""
    note = f"Real set {group.real_sha256[:8]}"
    translated = {score.n_fake for _, score in entries if not score.partial}
    if translated - {group.n_real}:
        least = "at least " if group.direction.startswith(MEAN) else ""
        numbers = ", ".join(map(str, sorted(translated)))
        note += f" of {least}{group.n_real}, translated {least}{numbers}"
    if group.weights_sha256:
        status = {score.weights_status for _, score in entries} - {None}
        remark = f" ({', '.join(sorted(map(str, status)))})" if status else ""
        note += f"; features {group.recipe}, weights {group.weights_sha256[:8]}{remark}"
    if group.trained_version != group.task_version:
        note += f"; trained on version {group.trained_version} of the task"
    return note + "."


def explain_split(entries: list[Entry]) -> str:
    """Say why another table has this heading."""
    settings = [record.settings for record, _ in entries if isinstance(record, Record)]
    keys = ("resampling", "resize")
    ways = sorted({" ".join(str(each[k]) for k in keys if k in each) for each in settings} - {""})
    here = f" (here {', '.join(ways)})" if ways else ""
    record, mean = entries[0]
    if mean.direction.startswith(MEAN):
        part = averaged(record.scores.values(), mean)
        targets = ", ".join(each.direction for each in part)
        return (
            f"Another table has the same heading but a mean over other targets (here {targets}) or "
            f"of different real images{here}; rows measured against different images are not "
            "ranked together."
        )
    return (
        "Another table has the same heading but different real images, because models resize them "
        f"differently{here} or the images themselves differ; rows measured against different "
        "images are not ranked together."
    )
