"""The leaderboard page as a file: what it says, what it escapes, which images it takes along."""

from __future__ import annotations

import dataclasses
import io
import random
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from page_tree import Tree, lines, of_class, text
from PIL import Image

from i2i_bench.cli.main import main
from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.records.record import External, Record
from i2i_bench.records.run import variant_name
from i2i_bench.report.render import leaderboard_markdown
from i2i_bench.report.site import page
from i2i_bench.report.site.command import repeat_command
from i2i_bench.report.site.samples import Folders
from i2i_bench.runs import plan
from i2i_bench.runs.job import Choices, Job
from i2i_bench.tasks.catalogue import EMBEDDED

pytestmark = pytest.mark.slow  # whole runs and commands

COMMITTED = Path(__file__).parents[3] / "results"
NOWHERE = Folders(Path("nowhere"), Path("nowhere"))
KEY = "i2i@1/a2b"
DASH = "\N{EN DASH}"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "../../etc/passwd",
    "javascript:alert(1)//{{ 7*7 }}{% raw %}",
    "</title></style><!--",
    "\U0001f600 \u202eevil & co",
    "x" * 300,
]


def made(records, output: Path, folders: Folders = NOWHERE) -> Element:
    """Write a page; give its tree."""
    return Tree(page.write_page(records, output, folders).read_text(encoding="utf-8")).root


def make(model="cyclegan", *, value: float | None = 20.0, seed=0, score=None, **changes) -> Record:
    """Make a record like a committed one, with another PSNR of the foreground in one direction."""
    found = record.read_record(COMMITTED / "stripes/cyclegan+preset=small/seed0.json")
    whole = found.scores[KEY]
    values = whole.values | {"psnr_foreground": value}
    changed = whole.model_copy(update={"values": values} | (score or {}))
    key = f"{changed.protocol}@{changed.protocol_version}/{changed.direction}"
    return found.model_copy(
        update={"model": model, "seed": seed, "scores": {key: changed}} | changes
    )


# --- what it says


def test_rows_ranks_and_values_are_those_of_the_markdown(tmp_path):
    records = record.read_records(COMMITTED)
    shown = {}
    for board in of_class(made(records, tmp_path), "article", "board"):
        (caption,) = board.iter("caption")
        heading = text(caption).partition(". ")[0]
        parts = [row for part in ("ranked", "unranked", "baselines") for row in lines(board, part)]
        shown[heading] = [
            [cell.replace(DASH, "-").removesuffix(" alarm") for cell in row] for row in parts
        ]
    assert shown == dict(_markdown_tables(leaderboard_markdown(records)))


def _markdown_tables(markdown: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Put the blocks of each table side by side again."""
    for section in markdown.split("## ")[1:]:
        heading, _, body = section.partition("\n")
        rows: dict[str, list[str]] = {}
        for block in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
            for line in block.splitlines()[2:]:
                cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
                known = rows.setdefault(cells[1], [])
                known += cells[2:] if known else cells
            width = max(map(len, rows.values()))
            for known in rows.values():  # a block leaves out rows without a value in it
                known += ["-"] * (width - len(known))
        yield heading, list(rows.values())


def test_best_is_bold_and_second_underlined(tmp_path):
    records = [make("unit", value=19.0), make("cyclegan", value=21.0), make("munit", value=20.0)]
    (board,) = of_class(made(records, tmp_path), "article", "board")
    (body,) = of_class(board, "tbody", "ranked")
    marked = [[text(each) for each in body.iter(tag)] for tag in ("strong", "u")]
    assert "21.00" in marked[0]
    assert "20.00" in marked[1]
    assert not {"19.00", "20.00"} & set(marked[0])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"value": None, "score": {"reasons": {"psnr_foreground": "broken images"}}},
            "no PSNR fg: broken images",
        ),
        (
            {"score": {"partial": True, "n_fake": 50}},
            "test images are missing: 50 were translated",
        ),
        (
            {"score": {"values": {"psnr_foreground": 30.0, "unchanged_share": 1.0}}},
            "sources are returned unchanged: 100% of the translations are their source to within "
            "rounding",
        ),
    ],
)
def test_what_cannot_be_ranked_stands_apart_with_its_reason(tmp_path, changes, reason):
    records = [make("unit", value=19.0), make("munit", **changes)]
    (board,) = of_class(made(records, tmp_path), "article", "board")
    assert [row[:2] for row in lines(board, "ranked")] == [["1", "unit"]]
    (apart,) = lines(board, "unranked")
    assert apart[0] == ("!" if "unchanged" in reason else DASH)
    (said,) = of_class(board, "tr", "reason")
    assert text(said) == f"{apart[1].removesuffix(' alarm')}: {reason}"


def test_unknown_headline_ranks_nothing(tmp_path):
    root = made([make(headline="beauty")], tmp_path)
    assert not lines(root, "ranked")
    (said,) = of_class(root, "tr", "reason")
    assert text(said) == "cyclegan: 'beauty' is not a metric to rank by"


def test_alarm_stands_at_the_row_of_its_direction_and_in_the_detail(tmp_path):
    alarm = "b2a: nothing is translated"
    found = record.read_record(COMMITTED / "stripes/cyclegan+preset=small/seed0.json")
    root = made([found.model_copy(update={"alarms": [alarm]})], tmp_path)
    boards = of_class(root, "article", "board")
    assert [b.get("data-direction") for b in boards if of_class(b, "span", "alarm")] == ["b2a"]
    (said,) = of_class(root, "p", "alarms")
    assert text(said) == f"seed 0, {alarm}."


def test_run_of_one_way_has_its_direction_alone_and_says_so(tmp_path):
    both = record.read_record(COMMITTED / "stripes/cyclegan+preset=small/seed0.json")
    one = make("pix2pix", directions=["a2b"], modes_left_out={"capture": "it waits"})
    root = made([both, one.model_copy(update={"frozen": {"vgg": "0" * 8}})], tmp_path)
    boards = {board.get("data-direction"): board for board in of_class(root, "article", "board")}
    names = {way: [row[1] for row in lines(board, "ranked")] for way, board in boards.items()}
    assert names == {"a2b": ["pix2pix", "cyclegan"], "b2a": ["cyclegan"]}
    for board in boards.values():
        said = [text(note) for note in board.iter("li")]
        assert said[0] == "pix2pix translates a2b only."
    detail = facts(root, "pix2pix")
    assert (detail["translates"], detail["pretrained networks"]) == ("a2b", "vgg 00000000")
    assert detail["modes left out"] == "capture: it waits"
    assert (
        not {"translates", "pretrained networks", "modes left out"} & facts(root, "cyclegan").keys()
    )


def facts(root: Element, model: str) -> dict[str, str]:
    """Give the facts in the detail of a run, by name."""
    (detail,) = (
        each
        for each in of_class(root, "details", "run")
        if text(next(each.iter("summary"))).startswith(model)
    )
    return {text(each[0]): text(each[1]) for each in of_class(detail, "dl", "facts")[0]}


def test_detail_holds_the_record_as_it_is_written(tmp_path):
    path = COMMITTED / "stripes/unit+preset=small/seed1.json"
    root = made([record.read_record(path)], tmp_path)
    (shown,) = of_class(root, "pre", "record")
    assert shown.text == path.read_text(encoding="utf-8")


def test_images_of_another_program_have_a_row_and_a_detail(tmp_path):
    score = make().scores[KEY]
    other = External(
        name="cut",
        task="stripes",
        headline="psnr_foreground",
        harness_version="0.1.0",
        formats={"a2b": {"png": 100}},
        scores={KEY: score},
    )
    root = made([other], tmp_path)
    assert [row[1] for row in lines(root, "ranked")] == ["cut (external)"]
    (detail,) = of_class(root, "details", "run")
    assert "a2b: 100 png" in [text(each) for each in detail.iter("dd")]


def test_page_without_records_says_so(cli, places):
    written = places / "results" / "site" / "index.html"
    assert cli("leaderboard", "--format", "html") == f"wrote {written}\n"
    assert "No record holds a score yet" in written.read_text()


# --- what it is made of


def test_every_link_leads_to_a_place_of_its_own(tmp_path):
    root = made(record.read_records(COMMITTED), tmp_path)
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    named = {n for e in root.iter() for n in e.get("aria-labelledby", "").split()}
    links = [each.get("href", "") for each in root.iter("a")]
    assert links
    assert {link.removeprefix("#") for link in links} | named <= set(ids)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_of_a_record_becomes_more_than_text(tmp_path, name):
    score = {"reasons": {"fid": name}, "protocol": name}
    hostile = make(name, score=score, variant=name, device=name, preset=name, alarms=[name])
    settings = hostile.settings | {"config": {name: name}}
    second = make(name, value=None, seed=1, score=score, task=name, settings=settings)
    root = made([hostile, second], tmp_path)
    plain = made([make(), make(value=None, seed=1, task="other", alarms=["x"])], tmp_path)
    assert {each.tag for each in root.iter()} <= {each.tag for each in plain.iter()} | {"dl", "p"}
    assert len(list(root.iter("script"))) == 1
    for each in root.iter():
        assert not [key for key in each.attrib if key.startswith("on")]
        assert re.fullmatch("[a-z0-9-]*", each.get("id", ""))
        assert re.fullmatch("(#.*|data:,)?", each.get("href", ""))
        assert not each.get("src")
    assert name in [each.text for each in root.iter("dd")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html"]


def test_page_is_a_function_of_the_records(tmp_path):
    records = [*record.read_records(COMMITTED), make("a"), make("b", task="other")]
    first = page.write_page(records, tmp_path / "first", NOWHERE).read_bytes()
    random.Random(0).shuffle(records)
    assert page.write_page(records, tmp_path / "second", NOWHERE).read_bytes() == first


def test_page_of_another_maker_is_kept(tmp_path):
    (tmp_path / "index.html").write_text("<p>mine</p>")
    with pytest.raises(ValueError, match="was not made by i2i-bench; give another folder"):
        page.write_page([make()], tmp_path, NOWHERE)
    assert (tmp_path / "index.html").read_text() == "<p>mine</p>"


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (["--output", "x"], 2, "--output is the folder of the page"),
        (["--format", "html", "--check"], 2, "leave --task and --format out"),
        (["--format", "html", "--task", "strips"], 1, "did you mean 'stripes'?"),
    ],
)
def test_impossible_page_is_refused_and_nothing_written(cli, places, options, code, part):
    shutil.copytree(COMMITTED, "results")
    assert part in cli("leaderboard", *options, code=code)
    assert not Path("results/site").exists()


# --- the command that repeats a run


def _again(lines: tuple[str, ...]) -> list[Job]:
    """Plan what a command would do."""
    (line,) = lines
    name, *arguments = shlex.split(line)[1:]
    with main.commands[name].make_context(name, arguments) as context:
        given = context.params
    changes = dict(change.split("=", 1) for change in given["changes"])
    chosen = Choices(given["preset"], changes, given["budget"], given["precision"])
    return plan.plan_runs(given["models"], given["tasks"], given["seeds"], chosen, Path("nowhere"))


def test_command_of_committed_records_repeats_them():
    runs: dict[tuple[str, str], list[Record]] = {}
    for each in record.read_records(COMMITTED):
        runs.setdefault((each.task, each.run.label), []).append(each)
    for records in runs.values():
        jobs = _again(repeat_command(records).lines)
        assert [job.run for job in jobs] == [each.run for each in records]
        for job, each in zip(jobs, records, strict=True):
            now = job.plain_settings()
            defaults = type(job.settings.config)  # a field's default is an attribute of its class
            added = now["config"].keys() - each.settings["config"].keys()  # since the record
            for name in added:
                assert now["config"].pop(name) == getattr(defaults, name)
            assert now == each.settings


@pytest.mark.parametrize(
    ("preset", "changes", "budget", "precision"),
    [
        ("published", {}, None, "fp32"),
        ("tiny", {"background": "generated"}, 16, "bf16"),
        ("small", {"flip": "false", "resampling": "lanczos", "num_masks": "6"}, None, "fp32"),
        (  # so many that the variant's name is hashed
            "small",
            {"learning_rate": "0.00012345", "lambda_cycle": "12.5", "lambda_identity": "0.25"}
            | {"discriminator_width": "8", "generator_width": "8", "batch_size": "4"},
            800,
            "bf16",
        ),
    ],
)
def test_command_of_changed_settings_repeats_them(preset, changes, budget, precision):
    model = registry.load_model("attentiongan")
    named = ("stripes", EMBEDDED["stripes"])
    chosen = Choices(preset, changes, budget, precision)
    job = plan.make_job("attentiongan", model, named, 3, chosen)
    of_job = {"variant": job.run.variant, "preset": preset, "settings": job.plain_settings()}
    (again,) = _again(repeat_command([make("attentiongan", seed=3, **of_job)]).lines)
    assert again.run == job.run
    assert again.plain_settings() == job.plain_settings()


def test_command_says_what_a_record_does_not_know():
    own = repeat_command([make(task="folder-mine-12345678", variant="preset=small,start=abcd")])
    assert own.lines == (
        "i2i-bench run --model cyclegan --task path/to/task --preset small --start path/to/run "
        "--seed 0",
    )
    assert any("folder-mine-12345678" in remark for remark in own.remarks)
    assert any("abcd" in remark for remark in own.remarks)
    official = repeat_command([make(preset="official", variant="official-abcd")])
    assert [line.split()[1] for line in official.lines] == ["import", "evaluate"]


def test_command_types_the_selection_of_a_set():
    (named,) = repeat_command([make(task="celeba.Smiling")]).lines
    assert named.startswith("i2i-bench run --model cyclegan --task celeba:Smiling ")
    own = repeat_command([make(task="folder-my.pets-12345678.happy2sad")])
    assert " --task path/to/task:happy2sad " in own.lines[0]
    assert own.remarks == (
        "path/to/task stands for the folder that is task folder-my.pets-12345678.",
    )


def test_hashed_variant_is_known_by_its_name():
    long = variant_name("small", {"a" * 40: 1, "b" * 40: 2})
    settings = {"config": {"width": 8, "is_deep": True}, "budget": 10, "precision": "fp32"}
    (line,) = repeat_command([make(variant=long, settings=settings)]).lines
    assert "--budget 10 --set width=8 --set is_deep=true" in line


# --- samples


def folders(places: Path) -> Folders:
    return Folders(places / "runs", places / "data")


def shown_images(root: Element) -> list[str]:
    return [each.get("src", "") for each in root.iter("img")]


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def test_samples_are_the_translations_that_were_scored_and_their_sources(finished, tiny):
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    galleries = of_class(root, "section", "gallery")
    assert len(galleries) == 2  # directions
    rows = [row for row in galleries[0].iter("tr") if row.find("td") is not None]
    assert [text(row[0]) for row in rows] == ["a0", "a1"]
    for row in rows:
        source, *translations = row.findall("td")
        (shown,) = [finished / "site" / name for name in shown_images(source)]
        original = opened(tiny / "testA" / f"{text(row[0])}.png")
        assert opened(shown).size == (32, 32) != original.size  # as the models were given it
        for cell, model in zip(translations, ("attentiongan", "cyclegan"), strict=True):
            (run,) = finished.glob(f"runs/*/{model}+preset=tiny/seed0")
            behind, above = (finished / "site" / name for name in shown_images(cell))
            assert behind == shown
            expected = run / "translations-a2b" / f"{text(row[0])}.png"
            assert opened(above).tobytes() == opened(expected).tobytes()


def test_masks_are_shown_of_models_that_have_some(finished):
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    figures = [text(each[0]) for each in of_class(root, "details", "figure")]
    assert figures == 2 * [
        "Masks of attentiongan+preset=tiny, seed 0",
        "Further samples of cyclegan+preset=tiny, seed 0",
    ]


def test_truth_is_shown_where_it_is_known(cli, finished, pairs):
    cli("run", "--model", "cyclegan", "--task", pairs, "--preset", "tiny", "--results", "paired")
    root = made(record.read_records(Path("paired")), Path("site"), folders(finished))
    heads = [text(each) for each in of_class(root, "table", "samples")[0].iter("th")]
    assert heads[:3] == ["image", "source", "truth"]


def test_images_of_a_folder_are_said_to_have_an_owner(finished):
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    remarks = [text(each) for each in of_class(root, "p", "remark")]
    assert sum("publish it only where their licence (not stated) allows" in r for r in remarks) == 2


def test_images_of_a_run_other_than_the_recorded_one_are_not_shown(finished):
    for path in finished.glob("runs/*/cyclegan*/seed0/translations-a2b/a0.png"):
        Image.new("RGB", opened(path).size).save(path)
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    gallery, other = of_class(root, "section", "gallery")
    assert "cyclegan+preset=tiny, seed 0: the translations where this page was made are not" in (
        text(gallery)
    )
    assert len(of_class(gallery, "span", "wiped")) == 2
    assert len(of_class(other, "span", "wiped")) == 4


def test_damaged_image_costs_its_run_the_samples_only(finished):
    for path in finished.glob("runs/*/cyclegan*/seed0/translations-a2b/a1.png"):
        path.write_bytes(path.read_bytes()[:60])
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    assert "seed 0: a1.png is not a readable PNG." in text(root)


def test_damaged_figure_costs_its_run_the_samples_only(finished):
    for path in finished.glob("runs/*/cyclegan*/seed0/samples-a2b.png"):
        path.write_bytes(b"no image")
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    assert "seed 0: samples-a2b.png is not a readable PNG." in text(root)
    assert {Path(name).name for name in shown_images(root)} == {
        path.name for path in (finished / "site" / "images").iterdir()
    }


def test_translations_are_shown_without_the_task(finished, caplog):
    for path in finished.glob("runs/*/*/seed0/run.json"):
        path.write_text('{"task": "/gone", "finished": true}')
    root = made(record.read_records(finished / "results"), finished / "site", folders(finished))
    assert "that were translated are not at hand" in text(root)
    assert "/gone" not in text(root)
    assert not of_class(root, "input", "wipe")
    assert all((finished / "site" / name).is_file() for name in shown_images(root))


def test_page_without_runs_says_why_there_are_no_samples(tmp_path):
    root = made(record.read_records(COMMITTED), tmp_path)
    assert not shown_images(root)
    assert "No samples: the translations of these runs are not where" in text(root)


def test_images_no_longer_shown_are_removed_and_others_kept(finished):
    site = finished / "site"
    made(record.read_records(finished / "results"), site, folders(finished))
    before = {path.name for path in (site / "images").iterdir()}
    (site / "images" / "mine.png").write_bytes(b"mine")
    records = [r for r in record.read_records(finished / "results") if r.model == "cyclegan"]
    root = made(records, site, folders(finished))
    after = {path.name for path in (site / "images").iterdir()}
    assert after == {Path(name).name for name in shown_images(root)} | {"mine.png"}
    assert before - after


def test_page_does_not_depend_on_where_things_are(finished, tmp_path):
    records = record.read_records(finished / "results")
    one = page.write_page(records, finished / "one", folders(finished)).read_text()
    shutil.copytree(finished / "runs", tmp_path / "elsewhere")
    moved = Folders(tmp_path / "elsewhere", tmp_path)
    assert page.write_page(records, tmp_path / "two", moved).read_text() == one
    assert str(finished) not in one


def test_images_are_kept_byte_by_byte(finished):
    made(record.read_records(finished / "results"), finished / "site", folders(finished))
    for path in (finished / "site" / "images").iterdir():
        assert opened(path).format == "PNG"
        assert re.fullmatch("[0-9a-f]{16}.png", path.name)


def test_unused_fields_of_rows_stay_out_of_csv():
    from i2i_bench.report.render import leaderboard_csv
    from i2i_bench.report.rows import Row

    header = leaderboard_csv([make()]).splitlines()[0].split(",")
    assert "entries" in {field.name for field in dataclasses.fields(Row)}
    assert "entries" not in header
