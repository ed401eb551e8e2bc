"""Photos for tests to translate, and translations to look at, with models of random weights."""

import numpy as np
import torch
from PIL import Image
from style_models import Objects

from i2i_bench.data.decode import to_float, to_uint8
from i2i_bench.model import ResizeRule
from i2i_bench.runs.source_files import Wanted
from i2i_bench.runs.translate import translate_files
from i2i_bench.runs.translator import Translator
from i2i_bench.scoring.translations import BATCH_SIZE

COUNT = BATCH_SIZE + 3
SIDE = 16


def make(model_class, **settings):
    """Give a translator with a model of random weights."""
    torch.manual_seed(0)
    num = 2 if model_class is Objects else 0
    return Translator(
        model_class(model_class.Config(**settings)), ResizeRule(SIDE), num_instances=num
    )


def put_photos(folder):
    """Write images of noise, more than a batch, each of its own."""
    random = np.random.RandomState(0)
    folder.mkdir()
    for index in range(COUNT):
        pixels = random.randint(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


def draw(path, colour, size=(20, 12)):
    """Write an image of one colour."""
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def translate(translator, source, target, **wanted):
    """Translate files; give how many translations were written."""
    return translate_files(
        *(translator, source, target),
        device=torch.device("cpu"),
        report=lambda *_: None,
        wanted=Wanted(**wanted),
    )


def contents(folder):
    """Give the bytes of every file by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def pixels(path):
    """Read an image as an array."""
    with Image.open(path) as image:
        return np.asarray(image)


def image_of(path):
    """Give a photo as the network sees it, (1, 3, side, side)."""
    return to_float(torch.from_numpy(pixels(path).transpose(2, 0, 1)[None].copy()))


def picture_of(fake):
    """Give a translation as an array, as it is in its file."""
    return to_uint8(fake)[0].permute(1, 2, 0).numpy()
