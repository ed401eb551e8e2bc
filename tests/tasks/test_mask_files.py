"""Instance masks beside folders of images: read, hashed, and refused where they cannot be right."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from i2i_bench.labels import EVERY
from i2i_bench.tasks import catalogue, two_domains
from i2i_bench.tasks.image_file import read_image_size, read_mask

FOLDERS = ("trainA", "trainB", "testA", "testB")
DOMAINS = ("train/calm", "train/sad", "test/calm", "test/sad")
SIZE = (12, 8)  # width, height


def save_image(path, seed=0, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def save_mask(path, column=0, *, inside=255, outside=0, size=SIZE, mode="L"):
    """Save a mask whose object is two columns wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), outside, np.uint8)
    pixels[:, column : column + 2] = inside
    Image.fromarray(pixels).convert(mode).save(path)


def make_folder(root, folders=FOLDERS, names=("{folder}x", "{folder}y_1")):
    """Make a folder whose first images have two masks and whose second ones have none."""
    for folder in folders:
        prefix = folder.replace("/", "")
        for seed, name in enumerate(names):
            save_image(root / folder / f"{name.format(folder=prefix)}.jpg", seed)
        for number in (0, 1):
            mask = f"{names[0].format(folder=prefix)}_{number}.png"
            save_mask(root / f"{folder}_seg" / mask, 4 * number)
    return root


def find(path):
    return catalogue.find_task(str(path), path.parent)


@pytest.fixture
def masked(tmp_path):
    return make_folder(tmp_path / "masked")


@pytest.fixture
def domains(tmp_path):
    return make_folder(tmp_path / "moods", DOMAINS)


# --- what is read


def test_each_image_has_its_masks_by_number_and_some_have_none(masked):
    for number in range(2, 11):  # 10 comes after 9, not after 1
        save_mask(masked / "testA_seg" / f"testAx_{number}.png", number)
    task = find(masked)
    assert task.has_masks
    several, none = task.instance_masks("test", "a") or []
    assert [several.name, none.name] == [image.name for image in task.images("test", "a")]
    found = several.read()
    assert (found.shape, found.dtype) == ((11, 8, 12), np.bool_)
    assert [int(mask[0].argmax()) for mask in found] == [0, 4, *range(2, 11)]
    assert none.read().shape == (0, 8, 12)


def test_folder_without_masks_has_none_and_keeps_its_name(masked):
    with_masks = find(masked).name
    for folder in FOLDERS:
        shutil.rmtree(masked / f"{folder}_seg")
    task = find(masked)
    assert not task.has_masks
    assert task.instance_masks("train", "a") is None and task.true_masks("a", "b") is None
    files = two_domains.scan(masked)
    assert task.name == f"folder-masked-{two_domains.contents_hash(files)[:8]}" != with_masks


@pytest.mark.parametrize("folder", ["trainA_seg", "testB_seg"])
def test_name_follows_the_masks(masked, folder):
    before = find(masked).name
    assert find(masked).name == before
    save_mask(masked / folder / f"{folder[:-4]}x_1.png", 5)
    assert find(masked).name != before


def test_masks_may_be_stored_in_any_plain_way(tmp_path):
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        save_mask(tmp_path / f"{mode}.png", 3, mode=mode)
        found = read_mask(tmp_path / f"{mode}.png")
        assert found[:, 3:5].all() and found.sum() == 16
    save_mask(tmp_path / "x.jpg", 4, mode="RGB")
    assert read_mask(tmp_path / "x.jpg")[:, 4:6].all()


@pytest.mark.parametrize(("grey", "is_inside"), [(127, False), (128, True)])
def test_inside_is_brighter_than_127(tmp_path, grey, is_inside):
    save_mask(tmp_path / "x.png", outside=grey)
    assert read_mask(tmp_path / "x.png")[:, 5:].all() == is_inside


def test_black_mask_is_an_instance_of_no_pixels(masked):
    save_mask(masked / "trainB_seg" / "trainBx_0.png", inside=0)
    masks, _ = find(masked).instance_masks("train", "b") or []
    assert masks.read().sum((1, 2)).tolist() == [0, 16]


def test_size_is_read_without_the_pixels(tmp_path):
    save_image(tmp_path / "x.png", size=(64, 32))
    content = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(content[: len(content) // 2])
    assert read_image_size(tmp_path / "x.png") == (64, 32)


# --- pairs


def test_right_masks_of_a_paired_folder_are_those_of_the_partner(tmp_path):
    root = make_folder(tmp_path / "pairs", names=("{folder}x", "{folder}y"))
    for folder in FOLDERS:
        for path in [*(root / folder).iterdir(), *(root / f"{folder}_seg").iterdir()]:
            path.rename(path.with_name(path.name.removeprefix(folder)))
    save_mask(root / "testB_seg" / "x_1.png", 7)
    task = find(root)
    assert task.paired
    right, _ = task.true_masks("a", "b") or []
    assert [int(mask[0].argmax()) for mask in right.read()] == [0, 7]
    save_mask(root / "testB_seg" / "x_2.png")
    assert find(root).true_masks("a", "b") is None  # which is which is not known


def test_unpaired_folder_has_no_right_masks(masked):
    task = find(masked)
    assert not task.paired and task.true_masks("a", "b") is None


# --- many domains


def test_masks_of_domains_are_no_domains(domains):
    task = find(domains)
    assert task.attributes == ("calm", "sad") and task.has_masks
    masks = task.instance_masks("test", EVERY) or []
    assert [each.name for each in masks] == [image.name for image in task.images("test", EVERY)]
    assert [len(each.read()) for each in masks] == [2, 0, 2, 0]
    (_, none) = task.instance_masks("train", "+sad") or []
    assert none.name == "sad-trainsady_1.jpg" and none.read().shape == (0, 8, 12)


def test_domains_without_masks_have_none_and_keep_their_name(domains):
    with_masks = find(domains).name
    for domain in DOMAINS:
        shutil.rmtree(domains / f"{domain}_seg")
    task = find(domains)
    assert not task.has_masks and task.instance_masks("test", EVERY) is None
    assert task.name != with_masks


# --- what is refused by the names of files


def move(before, after):
    return lambda root: (root / before).rename(root / after)


def add(*names):
    return lambda root: [save_mask(root / name) for name in names]


def remove(name):
    return lambda root: shutil.rmtree(root / name)


def empty(root):
    shutil.rmtree(root / "testA_seg")
    (root / "testA_seg").mkdir()


def replace_by_file(root):
    shutil.rmtree(root / "testA_seg")
    (root / "testA_seg").write_text("masks")


def replace_by_broken_link(root):
    shutil.rmtree(root / "testA_seg")
    (root / "testA_seg").symlink_to(root / "nowhere")


SEG = "trainA_seg"
DAMAGED_NAMES = {
    "a folder lacks": (remove("testB_seg"), "has masks in trainA_seg and no folder testB_seg"),
    "no such image": (
        add(f"{SEG}/other_0.png"),
        r"other_0\.png is the mask of an image other, which is not in .*trainA; add the image",
    ),
    "no such image for lack of a number": (
        add(f"{SEG}/trainAy_1.png"),
        "is the mask of an image trainAy, which is not in",
    ),
    "gap": (add(f"{SEG}/trainAx_3.png"), r"trainAx_3\.png is there and trainAx_2 is not"),
    "first lacks": (
        move(f"{SEG}/trainAx_0.png", f"{SEG}/trainAx_2.png"),
        r"trainAx_2\.png is there and trainAx_0 is not; .* from 0 without a gap",
    ),
    "huge number": (add(f"{SEG}/trainAx_{'9' * 200}.png"), "is there and trainAx_2 is not"),
    "no number": (add(f"{SEG}/trainAx.png"), r"trainAx\.png is not named as a mask is"),
    "no underscore": (add(f"{SEG}/trainAx0.png"), "is not named as a mask is; masks of the image"),
    "negative": (add(f"{SEG}/trainAx_-1.png"), "is not named as a mask is"),
    "leading zero": (add(f"{SEG}/trainAx_02.png"), "numbers without leading zeros"),
    "other digits": (add(f"{SEG}/trainAx_\u0662.png"), "is not named as a mask is"),
    "number alone": (add(f"{SEG}/_2.png"), "is not named as a mask is"),
    "twice": (add(f"{SEG}/trainAx_1.bmp"), "differ by suffix alone"),
    "text": (lambda root: (root / SEG / "list.txt").write_text("x"), "is not an image this bench"),
    "folder inside": (lambda root: (root / SEG / "more").mkdir(), "more is a folder"),
    "broken link": (
        lambda root: (root / SEG / "trainAx_2.png").symlink_to(root / "nowhere.png"),
        "is not a file, or is a broken link",
    ),
    "empty": (empty, "testA_seg is empty; masks of the image NAME are"),
    "file for folder": (replace_by_file, "testA_seg is not a folder of masks"),
    "broken link for folder": (replace_by_broken_link, "testA_seg is not a folder of masks"),
    "other capitals": (
        move("testA_seg", "testA_SEG"),
        "testA_SEG is not taken for masks, which lie in testA_seg; rename it",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED_NAMES)
def test_masks_of_wrong_names_are_refused_in_a_sentence(masked, damage):
    break_it, message = DAMAGED_NAMES[damage]
    break_it(masked)
    with pytest.raises(ValueError, match=message):
        find(masked)


def test_hidden_files_beside_masks_are_ignored(masked):
    before = find(masked).name
    (masked / SEG / ".DS_Store").write_text("x")
    assert find(masked).name == before


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (remove("test/sad_seg"), "has masks in train/calm_seg and no folder test/sad_seg"),
        (
            move("train/sad", "train/glad"),
            "sad_seg holds masks by its name, and there is no folder 'sad' beside it",
        ),
        (add("train/sad_seg/trainsadz_0.png"), r"trainsadz, which is not in .*train/sad"),
        (move("train/sad_seg", "train/sad_Seg"), "has sad_Seg only in train"),
    ],
)
def test_masks_of_wrong_domains_are_refused_in_a_sentence(domains, break_it, message):
    break_it(domains)
    with pytest.raises(ValueError, match=message):
        find(domains)


def test_domain_whose_name_ends_as_masks_do_is_refused(tmp_path):
    for split in ("train", "test"):
        for domain in ("photo", "photo_seg"):
            save_image(tmp_path / "maps" / split / domain / "1.png")
    with pytest.raises(
        ValueError, match="has only the domain photo beside masks in photo_seg; need"
    ):
        find(tmp_path / "maps")


def test_masks_lie_beside_folders_of_two_sides_as_well(tmp_path):
    make_folder(tmp_path / "sides", ("train/A", "train/B", "test/A", "test/B"))
    task = find(tmp_path / "sides")
    assert task.has_masks and task.domains == ("a", "b")
    (tmp_path / "sides" / "task.toml").write_text("upright = true")
    with pytest.raises(ValueError, match="images with instance masks are read as stored"):
        find(tmp_path / "sides")


def test_masks_beside_folders_of_labels_are_passed_over_and_named(tmp_path):
    make_folder(tmp_path / "deep", ("trainA", "trainB", "testA", "testB"))
    folder = tmp_path / "deep" / "trainA"
    for path in sorted(folder.iterdir()):
        (folder / path.stem).mkdir()
        path.rename(folder / path.stem / path.name)
    task = find(tmp_path / "deep")
    assert not task.has_masks and "passes over trainA_seg trainB_seg" in " ".join(task.notes)


# --- what is refused when it is read


def save_array(path, pixels, **options):
    Image.fromarray(np.asarray(pixels)).save(path, **options)


def save_label_map(path):
    pixels = np.zeros((8, 12), np.uint8)
    pixels[:, :3], pixels[:, 6:] = 1, 2
    image = Image.fromarray(pixels, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(path)


def save_transparent(path):
    pixels = np.full((8, 12, 4), 255, np.uint8)
    pixels[:, :6, 3] = 0
    save_array(path, pixels)


def save_frames(path):
    frames = [Image.new("L", SIZE, value) for value in (0, 255)]
    frames[0].save(path, format="TIFF", save_all=True, append_images=frames[1:])


def truncate(path):
    pixels = np.random.RandomState(0).randint(0, 2, (8, 12), np.uint8) * 255
    save_array(path, pixels)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGED_FILES = {
    "size": (
        lambda path: save_mask(path, size=(8, 12)),
        r"of 8x12 pixels is the mask of .*testAx\.jpg of 12x8 pixels; both must have one size",
    ),
    "colour": (lambda path: save_image(path), "has colours, as a map of labels has"),
    "label map": (save_label_map, "has colours, as a map of labels has"),
    "0 and 1": (
        lambda path: save_mask(path, inside=1),
        "without an inside: its brightest value is 1 of 255",
    ),
    "transparent": (save_transparent, "has transparent pixels; save the mask as black and white"),
    "frames": (save_frames, "is an animation of 2 frames"),
    "16 bits": (
        lambda path: save_array(path, np.full((8, 12), 65535, np.uint16)),
        "scale it to 8 bits",
    ),
    "CMYK": (
        lambda path: Image.new("CMYK", SIZE).save(path, format="JPEG"),
        "has other colours than grey or RGB",
    ),
    "text": (lambda path: path.write_text("mask"), "cannot be read as an image"),
    "nothing": (lambda path: path.write_bytes(b""), "cannot be read as an image"),
    "half a file": (truncate, "cannot be read as an image"),
    "SVG": (lambda path: path.write_text("<svg/>"), "its content is none of"),
}


@pytest.mark.parametrize("damage", DAMAGED_FILES)
def test_damaged_masks_are_refused_by_name(masked, damage):
    break_it, message = DAMAGED_FILES[damage]
    break_it(masked / "testA_seg" / "testAx_1.png")
    masks, _ = find(masked).instance_masks("test", "a") or []
    with pytest.raises(ValueError, match=message) as error:
        masks.read()
    assert "testAx_1.png" in str(error.value)


@pytest.mark.parametrize("name", ["testA_seg/testAx_0.png", "testA/testAx.jpg"])
def test_files_that_are_replaced_meanwhile_are_refused(masked, name):
    masks, _ = find(masked).instance_masks("test", "a") or []
    masks.read()
    os.utime(masked / name, (0, 0))
    with pytest.raises(ValueError, match="was changed since this command began"):
        masks.read()


def test_mask_that_never_ends_is_not_read(masked):
    os.mkfifo(masked / SEG / "trainAx_2.png")
    with pytest.raises(ValueError, match=r"trainAx_2\.png is not a file"):
        find(masked)


def test_finding_masks_opens_none_and_imports_nothing_heavy(masked):
    code = (
        "import sys; from pathlib import Path; from i2i_bench.tasks import mask_files, two_domains;"
        f"path = Path({json.dumps(str(masked))}); files = two_domains.scan(path);"
        "names = {f: files[k] for k, f in two_domains.FOLDERS.items()};"
        "assert mask_files.find_masks(path, names).folders;"
        "sys.exit(', '.join({'numpy', 'PIL', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- catalogued tasks


def test_masks_beside_published_images_are_not_theirs(tmp_path):
    make_folder(tmp_path / "photo2portrait")
    task = catalogue.find_task("photo2portrait", tmp_path)
    assert not task.has_masks and task.instance_masks("train", "a") is None
    (tmp_path / "photo2portrait" / SEG / "trainAx_0.png").write_text("damaged")
    source = catalogue.sources()["photo2portrait"]
    assert source.state(tmp_path / "photo2portrait") == "ready"
    assert source.verify(tmp_path / "photo2portrait", lambda *_: None)
