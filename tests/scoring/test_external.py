"""Images of other programs: paired by name, refused where they are not what is scored."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench import pretrained
from i2i_bench.data import test_set
from i2i_bench.data.png import save_images
from i2i_bench.model import A2B, ResizeRule
from i2i_bench.records import record
from i2i_bench.records.run import Run
from i2i_bench.scoring import external, protocols, submission, translations
from i2i_bench.scoring.alarms import alarms_of_scores
from i2i_bench.scoring.scorer import Scorer
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.two_domains import two_domain_task

CPU = torch.device("cpu")
NAMES = [f"test{i}.png" for i in range(8)]


@pytest.fixture(scope="module")
def task(pairs):
    return two_domain_task(pairs)


@pytest.fixture(scope="module")
def fakes(task):
    """Give the true translations, darkened and with noise."""
    truth = translations.reference(test_set.TestSet(task, ResizeRule(32)), A2B).truth
    assert truth is not None
    exact = np.asarray(truth)
    noise = np.random.RandomState(0).randint(0, 60, exact.shape)
    return np.clip(exact * 0.9 + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def folder(fakes, places):
    """Give a folder of translations."""
    save_images(places / "fakes", NAMES, fakes)
    return Path("fakes")


@pytest.fixture
def read(task):
    """Give a function that reads images in the order of their sources."""
    return lambda source: external.read_submission(external.Submission(source, task, A2B)).fakes


@pytest.fixture
def score(cli, folder, pairs):
    """Give a function that scores the folder by the command."""
    command = ("score", folder, "--task", pairs, "--direction", "a2b", "--name", "other")
    return lambda *more, code=0: cli(*command, *more, code=code)


@pytest.fixture
def path(places, task):
    """Give the place of the record."""
    return Path("results") / task.name / "external" / "other.json"


def pack(folder, path=Path("fakes.zip"), start=""):
    """Put a folder into an archive, last file first."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, f"{start}{file.relative_to(folder)}")
    return path


def rename(folder, change):
    for path in list(folder.iterdir()):
        path.rename(folder / change(path.stem, path.suffix))


# Which images are which


def test_copy_of_translations_gets_exactly_their_scores(folder, fakes, task, stand_in):
    Path("weights").mkdir()
    shutil.copy(stand_in / pretrained.INCEPTION_NAME, "weights")
    given = external.Submission(folder, task, A2B)
    own = translations.Translations(A2B, NAMES, external.load_submission(given)[0].sources, fakes)
    against = translations.reference(test_set.TestSet(task, ResizeRule(32)), A2B)
    scorer = Scorer([protocols.find_protocol("i2i")], CPU, quiet)
    expected = scorer.score(task, own, against)["i2i@1/a2b"]
    made = external.score_submission(given, "copy", scorer, Path("results"), force=False)
    found = made.scores["i2i@1/a2b"]
    assert found.values["kid"] is not None
    assert found.values == expected.values
    assert found.baselines == expected.baselines
    assert (found.files_sha256, found.pixels_sha256) == (
        expected.files_sha256,
        expected.pixels_sha256,
    )
    assert (found.checkpoint, found.partial) == ("unknown", False)
    assert "another program" in found.reasons["psnr_cycle"]


def _flat(folder):
    return folder


def _nested(folder):
    inner = folder / "epoch 7" / "fakes"
    inner.mkdir(parents=True)
    for path in list(folder.glob("*.png")):
        path.rename(inner / path.name)
    return folder


def _upper(folder):
    rename(folder, lambda stem, suffix: f"{stem}.PNG")
    return folder


def _webp(folder):
    for path in list(folder.iterdir()):
        with Image.open(path) as image:
            image.save(path.with_suffix(".webp"), lossless=True)
        path.unlink()
    return folder


def _rubbish(folder):
    (folder / "__MACOSX").mkdir()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._x.png", "__MACOSX/x.png"):
        (folder / name).write_bytes(b"rubbish")
    return folder


@pytest.mark.parametrize(
    "arrange",
    [
        _flat,
        _nested,
        _upper,
        _webp,
        _rubbish,
        pack,
        lambda folder: pack(_rubbish(folder), start="results/latest/"),
        lambda folder: pack(folder, start="..\\..\\"),
        lambda folder: pack(folder, Path("images.of.no.suffix")),
    ],
)
def test_images_are_found_however_they_lie(folder, fakes, read, arrange):
    assert np.array_equal(read(arrange(folder)), fakes)


@pytest.mark.parametrize("kind", ["L", "RGBA", "P"])
def test_what_is_rgb_in_another_form_is_taken(folder, fakes, read, kind):
    grey = Image.fromarray(fakes[3]).convert("L")
    grey.convert(kind).save(folder / NAMES[3])
    found = read(folder)
    assert np.array_equal(found[3], np.asarray(grey.convert("RGB")))
    assert np.array_equal(found[4], fakes[4])


def test_archive_is_not_unpacked_to_disk(folder, read):
    archive = pack(folder)
    shutil.rmtree(folder)
    read(archive)
    assert [file.name for file in Path().iterdir()] == ["fakes.zip"]


# What is refused


def first(folder):
    return folder / NAMES[0]


def _extra(name):
    def spoil(folder):
        shutil.copy(first(folder), folder / name)

    return spoil


def _resave(image):
    return lambda folder: image.save(first(folder))


def _text(folder):
    shutil.rmtree(folder)
    folder.write_text("no archive")


def _pipe(folder):
    first(folder).unlink()
    os.mkfifo(first(folder))


REFUSED = {
    "missing": (lambda f: first(f).unlink(), ["7 of the 8", "and lacks test0;", "--allow-partial"]),
    "unknown": (_extra("stranger.png"), ["holds stranger.png; names must be"]),
    "duplicate": (
        lambda f: shutil.copy(first(f), first(f).with_suffix(".jpg")),
        [".jpg and", "have one name"],
    ),
    "no image": (
        lambda f: [path.rename(path.with_suffix(".html")) for path in f.iterdir()],
        ["holds no images and 8 other files; names must be"],
    ),
    "one ending": (
        lambda f: first(f).rename(first(f).with_stem(f"{first(f).stem}_fake_B")),
        ["_fake_B.png; names must be"],
    ),
    "other domain": (
        lambda f: rename(f, lambda stem, suffix: f"{stem}_fake_A{suffix}"),
        ["_fake_A.png", "and 5 more"],
    ),
    "size": (_resave(Image.new("RGB", (32, 31))), ["has 32x31 pixels, not 32x32"]),
    "16 bit": (_resave(Image.fromarray(np.full((32, 32), 9, np.uint16))), ["has 16-bit"]),
    "transparent": (
        _resave(Image.new("RGBA", (32, 32), (9, 9, 9, 200))),
        ["has transparent pixels; save it as plain RGB"],
    ),
    "other colours": (
        lambda f: Image.new("CMYK", (32, 32)).save(first(f), "JPEG"),
        ["has other colours than grey or RGB (mode CMYK); save it as plain RGB"],
    ),
    "animated": (
        lambda f: Image.new("RGB", (32, 32)).save(
            first(f), "PNG", save_all=True, append_images=[Image.new("RGB", (32, 32), "red")]
        ),
        ["is an animation of 2 frames; save it as plain RGB"],
    ),
    "cut": (lambda f: first(f).write_bytes(first(f).read_bytes()[:90]), ["cannot be read"]),
    "unprintable": (_extra("a\nb.png"), [r"'a\nb.png'", "is not printable"]),
    "empty": (lambda f: [path.unlink() for path in f.iterdir()], ["holds no images; names must"]),
    "nothing": (shutil.rmtree, ["there is no folder or zip archive fakes"]),
    "text": (_text, ["fakes cannot be read as a zip archive"]),
    "pipe": (_pipe, ["is not a file, or is a broken link"]),
}


@pytest.mark.parametrize(("spoil", "parts"), REFUSED.values(), ids=REFUSED)
def test_unfit_images_are_refused_in_a_sentence_and_leave_no_record(score, folder, spoil, parts):
    spoil(folder)
    sentence = score(code=1)
    assert all(part in sentence for part in parts), sentence
    assert not list(Path("results").rglob("*.*"))


@pytest.mark.parametrize(
    ("changes", "code", "part"),
    [
        ({"--direction": "a2c"}, 1, "has no direction a2c; possible: a2b, b2a"),
        ({"--name": "../../x"}, 1, "cannot name a file"),
        ({"--task": "strips"}, 1, "unknown task 'strips'"),
        ({"--protocol": "i2j"}, 1, "did you mean 'i2i'?"),
        ({"--task": "stripes", "--size": 64}, 1, "is exact in pixels: images must be of 32 px"),
        ({"--size": 1}, 2, "--size"),
    ],
)
def test_impossible_wish_is_refused(score, changes, code, part):
    more = [each for pair in changes.items() for each in pair]
    assert part in score(*more, code=code)
    assert not Path("results").exists()


def test_damaged_archives_are_refused(folder, read):
    archive = pack(folder)
    content = bytearray(archive.read_bytes())
    content[60] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be unpacked: Bad CRC-32"):
        read(archive)
    archive.write_bytes(content[:-30])
    with pytest.raises(ValueError, match="cannot be read as a zip archive"):
        read(archive)


def test_archive_that_unpacks_to_too_much_is_refused_before_it_does(places, read, monkeypatch):
    monkeypatch.setattr(submission, "LARGEST_FILE", 2**16)
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(name, bytes(2**20))
    assert Path("bomb.zip").stat().st_size < 2**15
    with pytest.raises(ValueError, match=r"is larger than 0 MiB"):
        read(Path("bomb.zip"))
    monkeypatch.setattr(submission, "MOST_FILES", 7)
    with pytest.raises(ValueError, match="more than 7 files"):
        read(Path("bomb.zip"))


def test_encrypted_archive_is_refused(folder, read):
    archive = pack(folder)
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):  # flags of both headers
        for start in (i for i in range(len(content)) if content[i : i + 4] == mark):
            content[start + offset] |= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be unpacked: .*encrypted"):
        read(archive)


# Incomplete sets


def test_incomplete_set_is_scored_against_its_own_sources_and_marked(score, folder, cli, path):
    for name in (*NAMES[:2], *NAMES[5:]):
        (folder / name).unlink()
    assert "i2i@1, a2b, n = 3, partial: " in score("--allow-partial")
    found = record.read_external_record(path).scores["i2i@1/a2b"]
    assert (found.n_fake, found.n_real, found.partial) == (3, 8, True)
    assert "other (external, partial): not ranked" in cli("leaderboard")


def test_incomplete_set_is_compared_with_the_truth_of_its_own_sources(places):
    stripes = catalogue.EMBEDDED["stripes"]
    whole = translations.reference(test_set.TestSet(stripes, ResizeRule(32)), A2B)
    assert whole.truth is not None
    assert whole.foreground is not None
    names = [image.name for image in stripes.images("test", "a")][50:60]
    save_images(Path("few"), names, whole.truth[50:60])
    given = external.Submission(Path("few"), stripes, A2B, allow_partial=True)
    found, against, _ = external.load_submission(given)
    assert found.names == names
    assert against.truth is not None
    assert np.array_equal(found.fakes, against.truth)
    assert np.array_equal(np.stack(against.foreground or []), np.stack(whole.foreground[50:60]))
    assert len(against.real) == 100


def test_allowed_gaps_do_not_allow_strangers(score, folder):
    first(folder).rename(folder / "stranger.png")
    assert "stranger.png; names must" in score("--allow-partial", code=1)


# The record


def test_record_says_what_was_scored_and_no_more(score, folder, path):
    first(folder).rename(first(folder).with_suffix(".webp"))  # PNG in truth: content is what counts
    assert score().splitlines()[0] == f"scored {path.resolve()}"
    content = json.loads(path.read_text())
    assert content["formats"] == {"a2b": {"png": 8}}
    assert content["files"] == {"a2b": {"how": "", "passed_over": 0, "taken": 8}}
    assert set(content) == {
        *("schema_version", "name", "task", "headline", "harness_version", "formats", "scores"),
        "files",
    }
    assert record.read_external_records(Path("results"))[0].name == "other"
    assert record.read_records(Path("results")) == []


def test_directions_and_protocols_of_one_name_share_a_record(score, path):
    score()
    before = record.read_external_record(path)
    score("--protocol", "clean")
    score("--direction", "b2a")  # here the names are the same
    after = record.read_external_record(path)
    assert list(after.scores) == ["clean@1/a2b", "i2i@1/a2b", "i2i@1/b2a"]
    assert after.scores["i2i@1/a2b"] == before.scores["i2i@1/a2b"]
    assert after.formats.keys() == {"a2b", "b2a"}


def test_scores_that_are_there_are_kept_unless_forced(score, path):
    score()
    before = path.read_bytes()
    assert "holds i2i@1/a2b already; choose another name, or --force" in score(code=1)
    assert path.read_bytes() == before
    score("--force")
    assert path.read_bytes() == before


def test_record_never_mixes_the_scores_of_two_sets_of_images(score, folder, fakes, path):
    score()
    Image.fromarray(255 - fakes[0]).save(first(folder))
    assert "holds i2i@1/a2b already" in score("--protocol", "clean", code=1)
    score("--protocol", "clean", "--force")
    assert list(record.read_external_record(path).scores) == ["clean@1/a2b"]


def test_losses_of_compression_are_warned_of(score, folder, fakes, caplog):
    Image.fromarray(fakes[0]).save(first(folder).with_suffix(".jpg"))
    first(folder).unlink()
    score()
    assert "1 of 8 images are JPEG or WebP" in caplog.text


def test_one_picture_for_all_is_warned_of_recorded_and_not_ranked(score, cli, folder, path, caplog):
    for file in folder.iterdir():
        Image.new("RGB", (32, 32)).save(file)
    score()
    said = "all translations are nearly the same: they differ from each other by 0.0 of 255 levels"
    assert f"other: a2b: {said}" in caplog.text
    (alarm,) = record.read_external_record(path).alarms
    assert alarm.startswith(f"a2b: {said}")
    text = cli("leaderboard")
    assert "| ! | other (external) " in text
    assert text.count(said) == 1
    assert "Nothing is ranked: no sound and complete row has a value of " in text


@pytest.mark.parametrize("change", ["name", "scores", "unknown"])
def test_hostile_or_misplaced_record_is_named(score, cli, path, change):
    score()
    content = json.loads(path.read_text())
    scores = {"i2i@1/b2a": content["scores"]["i2i@1/a2b"]}
    content |= {"name": {"name": "another"}, "scores": {"scores": scores}}.get(change, {"x": 1})
    path.write_text(json.dumps(content))
    assert "external/other.json" in cli("leaderboard", code=1)


def test_run_and_external_images_of_any_name_stay_apart(score, cli):
    score("--name", "seed0")
    assert "seed0 (external)" in cli("leaderboard")
    with pytest.raises(ValueError, match="no model can be named 'external'"):
        Run("external", "", "stripes", 0)


def test_translations_of_a_run_get_its_scores_at_their_own_size(cli, finished, tiny, caplog):
    run = next(Path("runs").glob("*/attentiongan+preset=tiny/seed0"))
    arguments = ("score", run / "translations-a2b", "--task", tiny)
    arguments += ("--direction", "a2b", "--name", "copy")
    assert "has 32x32 pixels, not 36x36; save" in cli(*arguments, "--size", 36, code=1)
    cli(*arguments)
    assert "translations are of 32 px and the task of 36: all is compared at 32" in caplog.text
    (path,) = Path("results").glob("*/external/copy.json")
    found = record.read_external_record(path).scores["i2i@1/a2b"]
    ours = record.read_record(path.parent.parent / "attentiongan+preset=tiny/seed0.json")
    expected = ours.scores["i2i@1/a2b"]
    assert found.pixels_sha256 == expected.pixels_sha256
    assert found.files_sha256 == expected.files_sha256
    assert alarms_of_scores({"": found}) == []
