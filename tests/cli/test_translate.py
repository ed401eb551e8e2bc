"""The command that translates images with a run, a checkpoint or the authors' files."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_runs import runs_of
from PIL import Image


def sizes(folder: Path) -> dict[str, tuple[str, tuple[int, int]]]:
    found = {}
    for path in folder.iterdir():
        with Image.open(path) as image:
            found[path.name] = (image.mode, image.size)
    return found


def test_translate_writes_translations_and_masks_of_a_folder(cli, finished, tiny):
    cli("translate", "--run", runs_of("attentiongan"), tiny / "testA", "out", "--masks")
    expected = {f"a{i}.png": ("RGB", (32, 32)) for i in range(2)}
    expected |= {f"a{i}_attention{k}.png": ("L", (32, 32)) for i in range(2) for k in (1, 2, 3)}
    assert sizes(Path("out")) == expected


def test_translated_masks_share_white(cli, finished, tiny):
    cli("translate", "--run", runs_of("attentiongan"), tiny / "testA" / "a1.png", "out", "--masks")
    masks = [np.asarray(Image.open(f"out/a1_attention{k}.png"), np.int64) for k in (1, 2, 3)]
    assert np.abs(sum(masks) - 255).max() <= 1  # rounded to 8 bits


def test_translate_takes_one_file_and_another_size_and_direction(cli, finished, tiny):
    arguments = ("--direction", "b2a", "--size", 36)
    cli("translate", "--run", runs_of("cyclegan"), tiny / "testB" / "b0.png", "new/out", *arguments)
    assert sizes(Path("new/out")) == {"b0.png": ("RGB", (36, 36))}


def test_translate_gives_what_the_run_gave(cli, finished, tiny):
    cli("translate", "--run", runs_of("cyclegan"), tiny / "testA", "out")
    for name in ("a0.png", "a1.png"):
        saved = Path("runs") / runs_of("cyclegan") / "translations-a2b" / name
        assert Image.open(f"out/{name}").tobytes() == Image.open(saved).tobytes()


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["in", "out", "--masks"], 1, "CycleGAN has no attention masks"),
        (["nothing", "out"], 1, "there is no image or folder nothing"),
        (["runs", "out"], 1, "no images in runs"),
        (["in", "in"], 1, "in holds the images to translate"),
        (["in/a0.png", "in/../in"], 1, "holds the images to translate"),
        (["in", "in/a0.png"], 2, "is a file"),
        (["in", "out", "--direction", "a2c"], 1, "no direction a2c; possible: a2b, b2a"),
        (["in", "out", "--direction", "atob"], 1, "no direction atob; possible: a2b, b2a"),
        (["in", "out", "--outputs", 2], 1, "CycleGAN makes one output of an image"),
        (["in", "out", "--outputs", 0], 2, "0 is not in the range"),
        (["in", "out", "--like", "in/a0.png"], 1, "does not take the style of an example"),
        (["in", "out", "--instances", "in"], 1, "CycleGAN takes no instance masks"),
        (["in", "out", "--size", 33], 1, "divisible by 4"),
        (["in", "out", "--model", "cyclegan"], 2, "either --run, or --model with --weights"),
    ],
)
def test_translate_refuses_and_writes_nothing(cli, finished, tiny, arguments, code, part):
    shutil.copytree(tiny / "testA", "in")
    sentence = cli("translate", "--run", runs_of("cyclegan"), *arguments, code=code)
    assert part in sentence
    assert not Path("out").exists()
    assert [path.read_bytes() for path in sorted(Path("in").iterdir())] == [
        path.read_bytes() for path in sorted((tiny / "testA").iterdir())
    ]


def test_translate_names_what_it_passes_over_and_says_the_size(cli, finished, tiny):
    shutil.copytree(tiny / "testA", "in")
    for name in ("z.gif", "p.ppm"):
        Image.new("RGB", (32, 32)).save(Path("in", name))
    for name in ("IMG_1.HEIC", "without_suffix", ".DS_Store", "Thumbs.db"):
        shutil.copy("in/a0.png", Path("in", name))
    for name in ("more", "@eaDir", "folder.png"):
        Path("in", name).mkdir()
    said = cli("translate", "--run", runs_of("cyclegan"), "in", "out")
    others = "IMG_1.HEIC, folder.png/, more/, p.ppm, without_suffix, z.gif"
    assert said.endswith(f"translated 2 images into out at 32x32 px; passed over 6: {others}\n"), (
        said
    )
    for name in ("a0.png", "a1.png"):
        Path("in", name).unlink()
    sentence = cli("translate", "--run", runs_of("cyclegan"), "in", "new", code=1)
    assert "no images in in; possible: .png" in sentence and "such as IMG_1.HEIC" in sentence


def test_translate_turns_photos_upright_where_it_is_asked_to_and_says_so(cli, finished):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for folder, turns, options in (("phone", 1, {"exif": exif}), ("upright", 0, {})):
        Path(folder).mkdir()
        Image.fromarray(np.rot90(pixels, turns).copy()).save(
            Path(folder, "x.png"), "PNG", **options
        )
    command = ("translate", "--run", runs_of("cyclegan"))
    said = cli(*command, "phone", "lying")
    assert "1 of 1 images has an EXIF orientation, which is not applied; --upright applies" in said
    assert "which is applied\n" in cli(*command, "phone", "turned", "--upright")
    assert "EXIF" not in cli(*command, "upright", "truth")
    made = {name: Path(name, "x.png").read_bytes() for name in ("lying", "turned", "truth")}
    assert made["turned"] == made["truth"] != made["lying"]


@pytest.mark.parametrize("given", [(), ("--model", "cyclegan"), ("--weights", "x")])
def test_translate_without_networks_is_a_wrong_usage(cli, places, given):
    said = cli("translate", "in", "out", *given, code=2)
    assert said == "either --run, or --model with --weights, is needed"


def test_translate_refuses_images_named_as_the_masks_of_others(cli, finished, tiny):
    shutil.copytree(tiny / "testA", "in")
    shutil.copy("in/a1.png", "in/a0_attention1.png")
    command = ("translate", "--run", runs_of("attentiongan"), "in", "out")
    sentence = cli(*command, "--masks", code=1)
    assert "a0_attention1.png has the name of a mask of a0; rename it" in sentence
    assert not Path("out").exists()
    cli(*command)
    assert len(sizes(Path("out"))) == 3
    Path("in/a0.png").unlink()  # then it is an image as any other
    cli("translate", "--run", runs_of("attentiongan"), "in", "masks", "--masks")
    assert len(sizes(Path("masks"))) == 2 * 4


def test_translate_refuses_a_name_too_long_for_those_of_masks(cli, finished, tiny):
    shutil.copytree(tiny / "testA", "in")
    name = "é" * 119 + ".png"  # 242 bytes: with _attention10, 254
    shutil.copy("in/a1.png", Path("in", name))
    command = ("translate", "--run", runs_of("attentiongan"), "in", "--masks")
    cli(*command, "fits")
    Path("in", name).rename(Path("in", f"é{name}"))
    assert "rename it, or leave --masks out" in cli(*command, "out", code=1)
    assert not Path("out").exists()


def test_translate_takes_a_checkpoint_of_the_same_model(cli, finished, tiny):
    (path,) = Path("runs", runs_of("cyclegan")).glob("checkpoint-*.pt")
    cli("translate", "--model", "cyclegan", "--weights", path, tiny / "testA", "out")
    assert len(sizes(Path("out"))) == 2


def test_translate_refuses_a_checkpoint_of_another_model(cli, finished, tiny):
    (path,) = Path("runs", runs_of("attentiongan")).glob("checkpoint-*.pt")
    weights = ("--model", "cyclegan", "--weights", path)
    sentence = cli("translate", *weights, tiny / "testA", "out", code=1)
    assert "of model 'attentiongan', not of 'cyclegan'" in sentence


class _Evil:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _change(**changes: object):
    def change(path: Path) -> None:
        torch.save(torch.load(path, weights_only=True) | changes, path)

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        _flip_a_bit,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no checkpoint"),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save(_Evil(), path),
        _change(format=2),
        _change(networks={}),
        _change(networks=3),
        _change(identity="cyclegan"),
        _change(identity={"model": "cyclegan"}),
        _change(identity={"model": "cyclegan", "settings": {"config": {"num_blocks": "x"}}}),
    ],
)
def test_translate_refuses_a_damaged_or_hostile_checkpoint(cli, finished, tiny, spoil):
    (path,) = Path("runs", runs_of("cyclegan")).glob("checkpoint-*.pt")
    spoil(path)
    weights = ("--model", "cyclegan", "--weights", path)
    cli("translate", *weights, tiny / "testA", "out", code=1)
    assert not Path("pwned").exists()


def test_refusal_of_a_hostile_checkpoint_does_not_advise_to_execute_it(cli, places, tiny):
    torch.save(_Evil(), "evil.pt")
    weights = ("--model", "cyclegan", "--weights", "evil.pt")
    assert "weights_only" not in cli("translate", *weights, tiny / "testA", "out", code=1)


@pytest.mark.parametrize(
    ("model", "fixture", "masks"),
    [("attentiongan", "attentiongan_v2", 10), ("cyclegan", "cyclegan", 0)],
)
def test_translate_reads_the_authors_files(cli, golden, places, tiny, model, fixture, masks):
    (places / "official").mkdir()
    networks = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B")}
    golden(fixture).save(places / "official", networks)
    options = ("--size", 48, "--direction", "b2a", *(["--masks"] if masks else []))
    weights = ("--model", model, "--weights", "official")
    cli("translate", *weights, tiny / "testB" / "b0.png", "out", *options)
    found = sizes(Path("out"))
    assert found["b0.png"] == ("RGB", (48, 48))
    assert len(found) == 1 + masks


def test_translate_refuses_another_models_official_files(cli, golden, places, tiny):
    (places / "official").mkdir()
    networks = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B")}
    golden("cyclegan").save(places / "official", networks)
    weights = ("--model", "attentiongan", "--weights", "official")
    sentence = cli("translate", *weights, tiny / "testB", "out", code=1)
    assert "latest_net_G_A.pth holds a ResNet of 9 blocks (--netG resnet_9blocks), and" in sentence
    assert sentence.endswith("; these files fit cyclegan")
