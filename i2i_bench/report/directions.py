"""Whether the directions of records can be true: those of the task, and those a model states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from i2i_bench.records.record import Record, Score
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.selection import Selection
from i2i_bench.tasks.task import DOMAINS, Task
from i2i_bench.tasks.two_domains import FOLDERS
from i2i_bench.tasks.validation import TEST, scored_on

BOTH = frozenset({"a2b", "b2a"})  # of two domains


def direction_problems(each: Record) -> Iterator[str]:
    """Find what is wrong with the directions of a record, a sentence each.

    Under each protocol there are scores of every direction that the record states, and of no other;
    of every direction of the task where it states none. Networks may be absent, and scores with
    them.
    """
    if not each.scores:
        yield "there are no scores"
    yield from _stated(each)
    by_protocol: defaultdict[str, set[str]] = defaultdict(set)
    for score in each.scores.values():
        by_protocol[f"{score.protocol}@{score.protocol_version}"].add(score.direction)
    for protocol, found in by_protocol.items():
        wanted = set(each.directions) or _wanted(each.task, found)
        missing = set() if each.absent else wanted - found
        if missing:
            yield f"there are no scores of {', '.join(sorted(missing))} under {protocol}"
        if each.directions and (more := sorted(found - wanted)):
            only = ", ".join(each.directions)
            yield (
                f"there are scores of {', '.join(more)} under {protocol}, and directions are {only}"
            )
    for key, score in each.scores.items():
        yield from (f"{key}: {problem}" for problem in _no_way_back(each, score))


def _stated(each: Record) -> Iterator[str]:
    """Compare the directions that a record states with those in which its task is scored."""
    if len(set(each.directions)) < len(each.directions):
        yield f"directions {', '.join(each.directions)} are not different ones"
    known = _scored_directions(each.task, each.directions)
    for direction in dict.fromkeys(each.directions):
        if direction not in known if known else not is_possible(direction, each.task):
            yield f"direction {direction} is none of task {each.task}"


def _scored_directions(task: str, among: Iterable[str] = ()) -> frozenset[str]:
    """Give the directions in which an embedded task or a selection is scored; of others, none.

    Where domains exclude each other they are the changes of a label or, if one is ``among`` those
    of a model, all pairs of domains.
    """
    found = catalogue.find_named(task)
    if not isinstance(found, Task | Selection):
        return frozenset()  # none is certain
    labelling = found.labelling
    pairs = frozenset(f"{source}2{target}" for source, target in labelling.pairs())
    if pairs.intersection(among):
        return pairs
    return frozenset(end for _, end in labelling.changes()) or BOTH


def _wanted(task: str, found: set[str]) -> frozenset[str]:
    """Give the directions of a task, as far as they are known from those of its scores."""
    return _scored_directions(task, found) or (BOTH if found & BOTH else frozenset())


def _no_way_back(each: Record, score: Score) -> Iterator[str]:
    """Find values of translations back in a direction that the model does not translate."""
    back = _reverse(score.direction, each.task)
    if not each.directions or back is None or back in each.directions:
        return
    for metric in known_metrics():
        if "reconstruction" in metric.needs and score.values.get(metric.key) is not None:
            yield f"{metric.key} is of translations back, but directions lack {back}"


def _reverse(direction: str, task: str) -> str | None:
    """Give the way back; None where it is not a direction in which the task is scored."""
    if direction[:1] in ("+", "-"):
        source, _ = ends(direction)
        return source if source in _scored_directions(task) else None
    source, target = ends(direction)
    return f"{target}2{source}" if source else None


def is_possible(direction: str, task: str) -> bool:
    """Tell whether a task may have a direction, as far as that is certain of its name."""
    source, target = ends(direction)
    numbers = num_scored_images(task)
    return bool(source) and (not numbers or {source, target} <= numbers.keys())


def ends(direction: str) -> tuple[str, str]:
    """Give source and target of a direction; of what is none, empty names."""
    if direction[:1] in ("+", "-"):  # a change of a label: from those that lack it, and back
        other = "-" if direction[0] == "+" else "+"
        return other + direction[1:], direction
    source, separator, target = direction.partition("2")
    return (source, target) if separator else ("", "")


def num_scored_images(task: str, split: str = TEST) -> Mapping[str, int | None]:
    """Give how many images a run is scored on, by domain, as far as is certain; empty if unknown.

    In a task of labels, domains are the ends of a change such as ``+x``, and x where it names one.
    """
    found = catalogue.find_named(task)
    if isinstance(found, Task | Selection):
        pairs = [*found.labelling.changes(), *found.labelling.pairs()]
        domains = dict.fromkeys(domain for pair in pairs for domain in pair) or DOMAINS
        made = found.of_embedded() if isinstance(found, Selection) else found
        made = scored_on(made, split) if made else None
        return {domain: len(made.images("test", domain)) if made else None for domain in domains}
    counts = found.counts if found else {}
    return {
        domain: counts[folder] if split == TEST else None
        for (side, domain), folder in FOLDERS.items()
        if side == "test" and folder in counts
    }
