"""The catalogue, folders as tasks, and every folder or file that must be refused."""

import dataclasses
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_bench.tasks import catalogue, embedded, image_folder, two_domains
from i2i_bench.tasks.image_file import read_image

FOLDERS = ("trainA", "trainB", "testA", "testB")


def save(path, size=(8, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, str(path.relative_to(path.parents[1]))))
    shape = (size[1], size[0], {"L": 1, "LA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 3))
    values = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
    image = Image.fromarray(values.squeeze(), mode if mode in ("CMYK",) else None)
    image.save(path, **options)
    return path


def make_task(root, counts=(2, 3, 1, 2), name="{folder}_{index}.png", size=(8, 8)):
    for folder, count in zip(FOLDERS, counts, strict=True):
        for index in range(count):
            save(root / folder / name.format(folder=folder, index=index), size)
    return root


# The catalogue


def test_embedded_names_are_found_without_data(tmp_path):
    task = catalogue.find_task("stripes", tmp_path / "nothing")
    assert (task.kind, task.headline, task.paired) == ("embedded", "psnr_foreground", False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strips", r"unknown task 'strips'; did you mean 'stripes'\? known: hue, morph"),
        ("horse2zebr", "did you mean 'horse2zebra'"),
        ("qqqq", "unknown task 'qqqq'; known: hue"),
        ("none/such", "there is no folder none/such"),
    ],
)
def test_unknown_names_are_answered_with_what_is_possible(name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        catalogue.find_task(name, tmp_path)


def test_missing_data_say_what_goes_where_under_which_licence(tmp_path):
    (tmp_path / "facades" / "trainA").mkdir(parents=True)
    with pytest.raises(ValueError) as error:
        catalogue.find_task("facades", tmp_path)
    for part in ("trainB testA testB", str(tmp_path / "facades"), "https://", "licence"):
        assert part in str(error.value)


def test_wrong_counts_say_expected_and_found(tmp_path):
    make_task(tmp_path / "horse2zebra")
    with pytest.raises(ValueError, match=r"trainA has 2 images \(1067 expected\)"):
        catalogue.find_task("horse2zebra", tmp_path)


@pytest.mark.parametrize("source", catalogue.sources().values(), ids=catalogue.sources())
def test_every_source_keeps_to_one_interface(source, tmp_path):
    folder = tmp_path / source.name
    state = source.state(folder)
    assert state != "ready" and "i2i-bench data " in source.instructions(folder, state)
    assert source.instructions(folder, "ready") == ""
    assert source.count_present(folder) is None
    for ask in (source.make_task, lambda folder: source.verify(folder, print)):
        with pytest.raises(ValueError, match=f"i2i-bench data [a-z]+ {source.name}"):
            ask(folder)


def test_tasks_by_hand_say_what_to_obtain(tmp_path):
    with pytest.raises(ValueError, match="accepting the CelebA agreement"):
        catalogue.find_task("celeba", tmp_path)


def test_catalogued_folders_are_read(tmp_path):
    make_task(tmp_path / "photo2portrait")
    task = catalogue.find_task("photo2portrait", tmp_path)
    assert (task.name, task.kind, task.headline) == ("photo2portrait", "catalogued", "kid")
    assert task.num_train == {"a": 2, "b": 3} and task.num_test == {"a": 1, "b": 2}
    assert task.image_size == 256 and not task.paired
    assert task.truth("a", "b") is None and task.foreground("a", "b") is None


def test_catalogued_pairs_must_pair(tmp_path, monkeypatch):
    source = dataclasses.replace(
        catalogue.sources()["facades"],
        name="pairs",
        counts=dict.fromkeys(two_domains.FOLDERS.values()),
    )
    monkeypatch.setitem(catalogue.sources(), "pairs", source)
    make_task(tmp_path / "pairs")
    with pytest.raises(ValueError, match="names differ"):
        catalogue.find_task("pairs", tmp_path)


def test_listing_states_what_can_be_run(tmp_path):
    make_task(tmp_path / "photo2portrait")
    make_task(tmp_path / "maps")
    rows = {row.name: row for row in catalogue.list_tasks(tmp_path)}
    states = {name: rows[name].state for name in ("hue", "photo2portrait", "maps", "facades")}
    assert list(states.values()) == ["ready", "ready", "incomplete", "missing"]
    assert rows["celeba"].state == "by hand" and rows["celeba"].image_size == 128
    assert rows["celeba"].counts == {"train": 200_600, "test": 1999}
    assert rows["rafd"].counts == {"train": None, "test": None}
    assert rows["hue"].counts == {"trainA": 1000, "trainB": 1000, "testA": 100, "testB": 100}
    assert rows["selfie2anime"].counts["trainA"] == 3400 and rows["selfie2anime"].licence


def test_tasks_are_named_by_what_they_give():
    def published(is_fit):
        return [name for name in catalogue.name_tasks(is_fit) if name in catalogue.sources()]

    names = catalogue.name_tasks(lambda task: True)
    assert names == [*catalogue.EMBEDDED, *catalogue.sources()]
    assert {"stripes", "shapes-attributes"} <= set(catalogue.name_tasks(lambda t: t.has_masks))
    assert catalogue.name_tasks(lambda t: bool(t.attributes))[-3:] == ["celeba", "rafd", "ar-face"]
    pairs = ["maps", "facades", "cityscapes", "edges2shoes", "edges2handbags"]
    assert published(lambda task: task.paired) == pairs
    assert published(lambda task: task.has_masks) == []
    of_two = published(lambda task: task.domains == ("a", "b"))
    assert of_two == [name for name in catalogue.sources() if name not in names[-3:]]


@pytest.fixture
def another_module(tmp_path, monkeypatch):
    """Give a function that puts a module beside those of the embedded tasks."""
    monkeypatch.setattr(embedded, "__path__", [*embedded.__path__, str(tmp_path)])
    name = f"{embedded.__name__}.toy_task"

    def put(text):
        (tmp_path / "toy_task.py").write_text(text)
        return catalogue.embedded_tasks()

    yield put
    sys.modules.pop(name, None)


def test_embedded_task_is_one_file(another_module):
    text = (Path(embedded.__path__[0]) / "stripes_paired.py").read_text(encoding="utf-8")
    found = another_module(text.replace("stripes-paired", "dotted"))
    assert found.keys() == {*catalogue.EMBEDDED, "dotted"} and list(found) == sorted(found)
    assert len(found["dotted"].images("train", "a")) == 1000 and found["dotted"].has_masks


def test_two_embedded_tasks_of_one_name_are_refused(another_module):
    text = (Path(embedded.__path__[0]) / "stripes_paired.py").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="two embedded tasks are named 'hue'"):
        another_module(text.replace("stripes-paired", "hue"))


def test_task_that_two_modules_name_is_one(another_module):
    text = "from i2i_bench.tasks.embedded.stripes_paired import TASK\n"
    assert another_module(text) == catalogue.EMBEDDED


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from pathlib import Path; from i2i_bench.tasks import catalogue;"
        "here = Path('.'); catalogue.list_tasks(here);"
        "catalogue.name_tasks(lambda task: task.paired or task.has_masks or task.attributes);"
        "catalogue.find_task('hue', here).images('test', 'a');"
        "sys.exit(', '.join({'numpy', 'PIL', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Folders


def test_folder_is_found_by_its_path(tmp_path, monkeypatch):
    make_task(tmp_path / "my data!")
    monkeypatch.chdir(tmp_path)
    task = catalogue.find_task("my data!", tmp_path)
    assert task.name.startswith("folder-my-data-") and len(task.name) == len("folder-my-data-") + 8
    assert catalogue.find_task("./my data!", tmp_path).name == task.name
    monkeypatch.chdir("my data!")
    assert catalogue.find_task("./", tmp_path).name == task.name
    assert (task.kind, task.version, task.headline) == ("folder", 1, "kid")


def test_images_are_listed_by_name_whatever_their_suffix(tmp_path):
    make_task(tmp_path)
    for name in ("B.jpg", "a.JPEG", "c.webp", "d.bmp", "e.tif", "10.png", "9.png"):
        save(tmp_path / "testA" / name)
    names = [image.name for image in two_domains.two_domain_task(tmp_path).images("test", "a")]
    assert names == sorted(names) and len(names) == 8


def test_hidden_and_system_files_are_ignored(tmp_path):
    make_task(tmp_path)
    before = two_domains.two_domain_task(tmp_path).name
    for name in (".DS_Store", "Thumbs.db", "._x.png"):
        (tmp_path / "trainA" / name).write_text("x")
    (tmp_path / "trainA" / ".cache").mkdir()
    assert two_domains.two_domain_task(tmp_path).name == before


@pytest.mark.parametrize("change", ["bytes", "name", "more"])
def test_name_follows_the_contents(change, tmp_path):
    make_task(tmp_path)
    before = two_domains.two_domain_task(tmp_path).name
    image = tmp_path / "testB" / "testB_0.png"
    if change == "bytes":
        save(image, size=(9, 9))
    elif change == "name":
        image.rename(image.with_name("other.png"))
    else:
        save(image.with_name("other.png"))
    assert two_domains.two_domain_task(tmp_path).name != before


@pytest.mark.parametrize(
    ("size", "expected"), [((256, 300), 256), ((400, 300), 256), ((99, 70), 68), ((5, 7), 4)]
)
def test_image_size_follows_the_first_training_image(size, expected, tmp_path):
    make_task(tmp_path, counts=(1, 1, 1, 1), size=size)
    assert two_domains.two_domain_task(tmp_path).image_size == expected


@pytest.mark.parametrize("folder", FOLDERS)
def test_missing_folder_is_refused_by_name(folder, tmp_path):
    make_task(tmp_path)
    (tmp_path / folder).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"has no {folder}; needed are trainA trainB testA testB"):
        two_domains.two_domain_task(tmp_path)


@pytest.mark.parametrize("folder", FOLDERS)
def test_empty_folder_is_refused_by_name(folder, tmp_path):
    make_task(tmp_path)
    for path in (tmp_path / folder).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"{folder} is empty"):
        two_domains.two_domain_task(tmp_path)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (("train", "test"), "is not twice as wide as high"),
        (("train", "val"), r'line halves\.left = "a" in .*task\.toml'),
        (("images",), "has none of the folders needed: trainA trainB testA testB"),
    ],
)
def test_other_layouts_are_refused_with_the_reason(layout, message, tmp_path):
    for folder in layout:
        save(tmp_path / folder / "1.png")
    with pytest.raises(ValueError, match=message):
        two_domains.two_domain_task(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        two_domains.two_domain_task(save(tmp_path / "x" / "1.png"))


@pytest.mark.parametrize("kind", ["text", "duplicate", "subfolder", "loop", "broken"])
def test_strange_entries_are_refused_by_name(kind, tmp_path):
    make_task(tmp_path)
    folder = tmp_path / "trainB"
    if kind == "text":
        (folder / "notes.txt").write_text("x")
        name, message = "notes.txt", "not an image"
    elif kind == "duplicate":
        save(folder / "trainB_0.JPG")
        name, message = "trainB_0.JPG", "differ by suffix alone"
    elif kind == "subfolder":
        (folder / "more").mkdir()
        name, message = "more", "is a folder"
    else:
        target = "round.png" if kind == "loop" else "nowhere.png"
        (folder / "round.png").symlink_to(folder / target)
        name, message = "round.png", "broken link"
    with pytest.raises(ValueError, match=message) as error:
        two_domains.two_domain_task(tmp_path)
    assert name in str(error.value)


def test_a_folder_that_links_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="there is no folder"):
        two_domains.two_domain_task(tmp_path / "loop")


def test_linked_folders_are_the_same_task(tmp_path):
    make_task(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    names = {two_domains.two_domain_task(tmp_path / name).name for name in ("real", "link")}
    assert len(names) == 1


# Pairs


@pytest.mark.parametrize("names", [("{i}.png", "{i}.jpg"), ("{i}_A.png", "{i}_B.png")])
def test_pairs_are_found_by_stem_and_keep_one_order(names, tmp_path):
    for folder in FOLDERS:
        for stem in ("x", "x1", "x-1"):  # sorted otherwise with a suffix than without
            save(tmp_path / folder / names[folder[-1] == "B"].format(i=stem))
    task = two_domains.two_domain_task(tmp_path)
    assert task.paired and task.headline == "psnr"
    source, truth = task.images("test", "a"), task.truth("a", "b")
    assert truth
    stems = [
        [Path(i.name).stem.removesuffix(end) for i in images]
        for images, end in ((source, "_A"), (truth, "_B"))
    ]
    assert stems[0] == stems[1]
    assert [i.name for i in source] == sorted(i.name for i in source)


def test_one_name_more_makes_a_set_unpaired(tmp_path):
    make_task(tmp_path, counts=(2, 2, 2, 2), name="{index}.png")
    assert two_domains.two_domain_task(tmp_path).paired
    save(tmp_path / "testB" / "more.png")
    assert not two_domains.two_domain_task(tmp_path).paired


def test_two_candidates_for_one_partner_are_no_pairs(tmp_path):
    make_task(tmp_path, counts=(2, 1, 1, 1), name="{index}.png")
    save(tmp_path / "trainB" / "0_B.png")
    assert not two_domains.two_domain_task(tmp_path).paired


def test_pairs_can_be_declined_and_demanded(tmp_path):
    make_task(tmp_path / "pairs", counts=(2, 2, 2, 2), name="{index}.png")
    task = two_domains.two_domain_task(tmp_path / "pairs", paired=False)
    assert not task.paired and task.headline == "kid" and task.truth("a", "b") is None
    make_task(tmp_path / "others")
    with pytest.raises(ValueError, match="do not pair"):
        two_domains.two_domain_task(tmp_path / "others", paired=True)


# Files


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
def test_eight_bit_modes_are_converted_as_pil_does(mode, tmp_path):
    suffix = "tif" if mode == "CMYK" else "png"
    path = save(tmp_path / "x" / f"1.{suffix}", mode=mode)
    image = read_image(path)
    assert image.mode == "RGB"
    assert (np.asarray(image) == np.asarray(Image.open(path).convert("RGB"))).all()


def test_alpha_is_dropped_and_not_blended(tmp_path):
    path = save(tmp_path / "x" / "1.png", mode="RGBA")
    assert (np.asarray(read_image(path)) == np.asarray(Image.open(path))[..., :3]).all()


@pytest.mark.parametrize("transparency", [None, 3, b"\x00\x80\xff"])
def test_palettes_are_converted_without_a_warning(transparency, tmp_path):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert("P")
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "1.png", **options)
    assert (np.asarray(read_image(tmp_path / "1.png")) == np.asarray(image.convert("RGB"))).all()


def test_exif_orientation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "x" / "1.jpg", size=(8, 12), exif=exif)
    assert read_image(path).size == (8, 12)


@pytest.mark.parametrize(
    ("dtype", "suffix"), [("uint16", "png"), ("int32", "tif"), ("float32", "tif")]
)
def test_deep_images_are_refused(dtype, suffix, tmp_path):
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(np.ones((8, 8), dtype=dtype)).save(path)
    with pytest.raises(ValueError, match=rf"deep\.{suffix}.*scale it to 8 bits"):
        read_image(path)


def test_deep_colour_png_is_refused_though_pil_would_cut_it_to_8_bits(tmp_path):
    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)  # 8 x 8 pixels, 16 bits, RGB
    pixels = zlib.compress((b"\0" + b"\1\xff" * 24) * 8)
    path = tmp_path / "deep.png"
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    with pytest.raises(ValueError, match=r"deep\.png has 16-bit"):
        read_image(path)


def test_name_that_is_no_text_is_refused(tmp_path):
    folder = make_task(tmp_path)
    (folder / "testA" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    with pytest.raises(ValueError, match=r"caf.{1,8}\.png.* is not printable UTF-8"):
        two_domains.two_domain_task(folder)


@pytest.mark.parametrize("size", [(3, 8), (8, 3), (1, 1)])
def test_tiny_images_are_refused(size, tmp_path):
    path = save(tmp_path / "x" / "tiny.png", size=size)
    with pytest.raises(ValueError, match=r"tiny\.png of \dx\d pixels is too small"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_truncated_files_are_refused(suffix, part, tmp_path):
    path = save(tmp_path / "x" / f"cut.{suffix}", size=(32, 32))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match=rf"cut\.{suffix} cannot be read as an image: \w"):
        read_image(path)


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(content, tmp_path):
    (tmp_path / "fake.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"fake\.png cannot be read as an image"):
        read_image(tmp_path / "fake.png")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.png cannot be read"):
        read_image(tmp_path / "gone.png")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("side", [12, 16])  # PIL warns of the first and refuses the second
def test_decompression_bombs_are_refused(side, tmp_path, monkeypatch, recwarn):
    path = save(tmp_path / "x" / "bomb.png", size=(side, side))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"bomb\.png.*too large"):
        read_image(path)


def test_decompression_bombs_are_refused_where_warnings_are_errors(tmp_path, monkeypatch):
    path = save(tmp_path / "x" / "bomb.png", size=(12, 12))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"bomb\.png.*too large"):
        read_image(path)


@pytest.mark.parametrize("kind", ["GIF", "PPM", "EPS", "ICO"])
def test_what_is_in_a_file_counts_and_not_its_name(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)  # PIL would start Ghostscript
    path = tmp_path / "image.png"
    Image.new("RGB", (16, 16)).save(path, kind)
    with pytest.raises(ValueError, match=r"image\.png cannot be read as an image: its content is"):
        read_image(path)


def test_folder_of_a_task_has_its_records_name(tmp_path):
    make_task(tmp_path / "mine")
    typed = str(tmp_path / "mine")
    assert catalogue.task_name_of(typed) == catalogue.find_task(typed, tmp_path).name
    assert catalogue.task_name_of("stripes") == "stripes"
    assert catalogue.task_name_of("nothing") == "nothing"
    (tmp_path / "results/gone/cyclegan").mkdir(parents=True)  # as of records
    assert catalogue.task_name_of(str(tmp_path / "results/gone")) == str(tmp_path / "results/gone")


def test_contents_in_another_folder_are_other_contents(tmp_path):
    x, y, z = (save(tmp_path / f"{name}.png") for name in "xyz")
    first = image_folder.hash_folders([("trainB", [x, y]), ("testA", [z])])
    assert image_folder.hash_folders([("trainB", [x]), ("testA", [y, z])]) != first


def test_image_that_was_written_anew_is_refused_whatever_its_size(tmp_path):
    task = two_domains.two_domain_task(make_task(tmp_path))
    path = tmp_path / "trainA" / "trainA_0.png"
    path.write_bytes(path.read_bytes())
    os.utime(path, (0, 0))  # whatever the clock of the file system tells apart
    with pytest.raises(ValueError, match=r"trainA_0\.png was changed since this command began"):
        task.images("train", "a")[0].read()


def test_size_of_own_images_does_not_hang_on_one_of_them(tmp_path):
    make_task(tmp_path / "own", counts=(3, 3, 3, 3), size=(40, 36))
    first = sorted((tmp_path / "own" / "trainA").iterdir())[0]
    Image.new("RGB", (8, 8)).save(first)
    assert two_domains.two_domain_task(tmp_path / "own").image_size == 36
