"""Instance masks that files are translated with, and files that are not overwritten."""

import numpy as np
import pytest
from photo_files import COUNT, SIDE, contents, draw, make, pixels, put_photos, translate
from PIL import Image
from style_models import Objects, Plain, Styled


@pytest.fixture
def photos(tmp_path):
    return put_photos(tmp_path / "photos")


def put_masks(folder, stem, *places):
    """Write masks that are white in a rectangle."""
    folder.mkdir(exist_ok=True)
    for number, (left, width) in enumerate(places):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[4:8, left : left + width] = 255
        Image.fromarray(mask).save(folder / f"{stem}_{number}.png")


def inverted(path, *places):
    """Give an image with its colours inverted in rectangles."""
    image = pixels(path).copy()
    for left, width in places:
        image[4:8, left : left + width] = 255 - image[4:8, left : left + width]
    return image


def white(path):
    """Give the first and last columns of a mask that are white."""
    columns = np.nonzero(pixels(path).max(0) == 255)[0]
    return columns.min(), columns.max()


@pytest.mark.parametrize("given", [False, True])
def test_masks_lie_beside_the_images_or_where_it_is_said(photos, tmp_path, given):
    folder = tmp_path / ("elsewhere" if given else "photos_seg")
    put_masks(folder, "00", (0, 2), (10, 4))
    put_masks(folder, "09", (3, 1))
    wanted = {"instances": folder} if given else {}
    translate(make(Objects), photos, tmp_path / "out", masks=True, **wanted)
    out = tmp_path / "out"
    assert (pixels(out / "00.png") == inverted(photos / "00.png", (0, 2), (10, 4))).all()
    assert (pixels(out / "09.png") == inverted(photos / "09.png", (3, 1))).all()
    assert (pixels(out / "01.png") == pixels(photos / "01.png")).all()
    masks = {name for name in contents(out) if "instance" in name}
    assert masks == {"00_instance1.png", "00_instance2.png", "09_instance1.png"}
    assert white(out / "00_instance1.png") == (2, 5)  # the larger first, mirrored
    assert white(out / "00_instance2.png") == (14, 15)


def test_one_image_takes_its_own_masks(photos, tmp_path):
    put_masks(tmp_path / "photos_seg", "00", (0, 2))
    put_masks(tmp_path / "photos_seg", "09", (3, 1))
    translate(make(Objects), photos / "09.png", tmp_path / "out")
    assert list(contents(tmp_path / "out")) == ["09.png"]
    found = pixels(tmp_path / "out" / "09.png")
    assert (found == inverted(photos / "09.png", (3, 1))).all()


def test_lacking_masks_are_asked_for_where_they_are_needed(photos, tmp_path):
    reason = (
        "Objects needs instance masks of the images: .*NAME_0.png.* in .*photos_seg, or .*--inst"
    )
    with pytest.raises(ValueError, match=reason):
        translate(make(Objects), photos, tmp_path / "out")
    nowhere = tmp_path / "nowhere"
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere of instance masks"):
        translate(make(Objects), photos, tmp_path / "out", instances=nowhere)
    assert not (tmp_path / "out").exists()
    optional = make(Objects, masks="optional")
    translate(optional, photos, tmp_path / "out")
    assert len(contents(tmp_path / "out")) == COUNT
    with pytest.raises(ValueError, match="no attention masks and was given no instance masks"):
        translate(optional, photos, tmp_path / "out", masks=True)


def test_masks_of_no_use_or_of_no_image_are_refused(photos, tmp_path):
    folder = tmp_path / "photos_seg"
    put_masks(folder, "nought", (0, 2))
    with pytest.raises(ValueError, match="Plain takes no instance masks; leave --instances out"):
        translate(make(Plain), photos, tmp_path / "out", instances=folder)
    with pytest.raises(ValueError, match="mask of an image nought"):
        translate(make(Objects), photos, tmp_path / "out")
    translate(make(Plain), photos, tmp_path / "out")  # which has no use for them


def test_examples_and_masks_are_not_overwritten(photos, tmp_path):
    put_masks(tmp_path / "photos_seg", "00", (0, 2))
    with pytest.raises(ValueError, match="photos_seg holds the instance masks"):
        translate(make(Objects), photos, tmp_path / "photos_seg")
    example = draw(tmp_path / "examples" / "red.png", (250, 0, 0))
    with pytest.raises(ValueError, match="examples holds the examples"):
        translate(make(Styled), photos, tmp_path / "examples", like=example)
