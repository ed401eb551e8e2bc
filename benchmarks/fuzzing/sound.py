"""Sound files of every kind that is read."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAIR = ("trainA/1.png", "trainB/2.png")  # in an archive
OFFICIAL = {  # model → fixture in tests/golden, and the parts of a file by the networks in it
    "cyclegan": ("cyclegan", {"G_A": ""}),
    "attentiongan": ("attentiongan_v2", {"G_A": ""}),
    "attentiongan-v1": ("attentiongan_v1", {"netG_A2B": ""}),
    "unit": ("unit", {"gen_a": "a", "gen_b": "b"}),
    "ugatit-light": (
        "ugatit_light",
        {n: n for n in ("genA2B", "genB2A", "disGA", "disGB", "disLA", "disLB")},
    ),
    "stargan": ("stargan", {"G": ""}),
}

_kept: dict[str, Any] = {}


def sound_checkpoint() -> dict[str, Any]:
    """Make a checkpoint of a small model once, as plain values and tensors."""
    import torch

    from i2i_bench.runs import plan
    from i2i_bench.runs.job import Choices, build_model
    from i2i_bench.training import checkpoint
    from i2i_bench.training.checkpoint_file import Position

    if "checkpoint" not in _kept:
        widths = {"generator_width": "2", "discriminator_width": "2", "num_blocks": "1"}
        (job,) = plan.plan_runs(["cyclegan"], ["stripes"], [0], Choices("tiny", widths, 4), Path())
        with tempfile.TemporaryDirectory() as folder:
            made = checkpoint.save_checkpoint(
                Path(folder), build_model(job), job.identity(), Position()
            )
            _kept["checkpoint"] = torch.load(made, weights_only=True)
    return _kept["checkpoint"]


def sound_checkpoints() -> list[bytes]:
    """Give a checkpoint's file."""
    import torch

    file = io.BytesIO()
    torch.save(sound_checkpoint(), file)
    return [file.getvalue()]


def sound_officials() -> list[bytes]:
    """Give a file of the authors of each model, with their names of its tensors."""
    import torch
    from safetensors.torch import load_file

    found = []
    for fixture, networks in OFFICIAL.values():
        tensors = load_file(ROOT / "tests/golden" / fixture / "init.safetensors")
        parts: dict[str, dict[str, Any]] = {part: {} for part in networks.values()}
        for name, tensor in tensors.items():
            network, _, leaf = name.partition("/")
            if network in networks:
                parts[networks[network]][leaf] = tensor
        file = io.BytesIO()
        torch.save(parts.get("", parts), file)
        found.append(file.getvalue())
    return found


def sound_weights() -> list[bytes]:
    """Give weights as safetensors, within a checkpoint, and packed with others."""
    import torch
    from safetensors.torch import save

    state = {"model.1.weight": torch.ones(4, 3, 3, 3), "model.1.bias": torch.zeros(4)}
    file = io.BytesIO()
    torch.save({"state_dict": state, "epoch": 5}, file)
    files = {"a/latest_net_G_A.pth": file.getvalue(), "a/latest_net_G_B.safetensors": save(state)}
    return [
        save(state),
        file.getvalue(),
        packed_zip(files, zipfile.ZIP_DEFLATED),
        packed_tar(files),
    ]


def sound_records() -> list[bytes]:
    """Give some of the committed records."""
    return [path.read_bytes() for path in sorted((ROOT / "results").glob("*/*/*.json"))[::6]]


def sound_external() -> list[bytes]:
    """Give a record of another program's images."""
    scores = json.loads(sound_records()[-1])["scores"]
    head = {
        "name": "x",
        "task": "stripes",
        "headline": "kid",
        "harness_version": "0",
        "formats": {},
    }
    return [json.dumps(head | {"schema_version": 1, "scores": scores}).encode()]


def sound_notes() -> list[bytes]:
    """Give a note of a run, a line of a log, first-seen hashes and a lock file."""
    texts = (
        '{"task": "stripes", "finished": false}',
        '{"step": 1, "images_seen": 2, "seconds": 0.1, "losses": {"cycle_a": 1.0}}',
        '{"a": {"sha256": "00", "size": 1, "origin": "x"}}',
        '{"host": "h", "machine": "m", "process": 1, "born": "1", "since": 1.0, "token": "t"}',
    )
    return [text.encode() for text in texts]


def sound_settings() -> list[bytes]:
    """Give some settings."""
    return [
        b"learning_rate=1e-4",
        b"lambda_cycle=1e1",
        b"resize=square",
        b"flip=true",
        b"batch_size=1",
    ]


def sound_images() -> list[bytes]:
    """Give an image in each format and some modes."""
    from PIL import Image

    found = []
    for form, mode in (
        *(("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")),
        *(("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "L")),
    ):
        file = io.BytesIO()
        Image.effect_noise((16, 12), 64).convert(mode).save(file, form)
        found.append(file.getvalue())
    return found


def sound_deep_images() -> list[bytes]:
    """Give an image of 16-bit grey values in each format."""
    import numpy as np
    from PIL import Image

    found = []
    values = np.arange(192, dtype=np.uint16).reshape(12, 16) * 341
    for form, compression in (("PNG", None), ("TIFF", "raw"), ("TIFF", "tiff_lzw")):
        file = io.BytesIO()
        Image.fromarray(values).save(file, form, compression=compression)
        found.append(file.getvalue())
    return found


def sound_masks() -> list[bytes]:
    """Give a black and white image in each format and some modes."""
    from PIL import Image

    found = []
    for form, mode in (
        *(("PNG", "L"), ("PNG", "1"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "L")),
        *(("WEBP", "RGB"), ("BMP", "1"), ("TIFF", "L")),
    ):
        file = io.BytesIO()
        image = Image.new("L", (16, 12))
        image.paste(255, (4, 2, 11, 9))
        image.convert(mode).save(file, form, **({"lossless": True} if form == "WEBP" else {}))
        found.append(file.getvalue())
    return found


def write_images(root: Path, places: Sequence[str]) -> None:
    """Write two small images, twice as wide as high, into each of some folders."""
    from PIL import Image

    if "wide" not in _kept:
        file = io.BytesIO()
        Image.new("RGB", (16, 8)).save(file, "PNG")
        _kept["wide"] = file.getvalue()
    for place in places:
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            (root / place / f"{number}.png").write_bytes(_kept["wide"])


def sound_task_files() -> list[bytes]:
    """Give what ``task.toml`` may state, each line at least once."""
    texts = (
        'paired = false\ntitle = "CT to MR"\nheadline = "ssim"\nresize = "whole"\nunits.a = "HU"',
        "upright = true\nbackground = [255, 0, 9]\nchannels = 3\nsubfolders = true",
        'folders.trainA = "testB"\nroot = "trainA"\nvalidation = false\nbackground = "white"',
        'domains = ["zebra", "horse"]',
        'halves.left = "b"',
        'halves = { top = "a" }\n[folders]\ntrain = "test"',
        "test_share = 0.4",
    )
    return [text.encode() for text in texts]


def sound_name_lists() -> list[bytes]:
    """Give lists of images, and of pairs."""
    return [b"images/0.png\r\nimages/1.png\n", b"# all\n\n0.png 7\n1.png 9", b"0.png,1.png"]


def sound_zips() -> list[bytes]:
    """Give zip archives of images, compressed and not."""
    files: dict[str, bytes] = dict.fromkeys(PAIR, sound_images()[0])
    return [packed_zip(files, how) for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]


def sound_results() -> list[bytes]:
    """Give archives of results: named translations beside their inputs, a strip, a grid."""
    from PIL import Image

    from i2i_bench.tasks.catalogue import EMBEDDED

    first = EMBEDDED["stripes"].images("test", "a")[0]
    shown = first.read()
    files: list[dict[str, bytes]] = []
    for name, width, height in (("A2B_1.png", 1, 7), ("1-images.png", 3, 1)):
        whole = Image.new("RGB", (width * shown.width, height * shown.height))
        whole.paste(shown)
        files.append({name: _png(whole)})
    stem = Path(first.name).stem
    files.append({f"images/{stem}_{kind}.png": _png(shown) for kind in ("fake_B", "real_A")})
    files.append({f"7_{kind}.png": _png(shown) for kind in ("fake_B", "real_A")})
    return [packed_zip(each, zipfile.ZIP_STORED) for each in files]


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def sound_archives() -> list[bytes]:
    """Give archives of images of every kind that is unpacked."""
    files: dict[str, bytes] = dict.fromkeys(PAIR, sound_images()[0])
    return [*sound_zips(), packed_tar(files)]


def packed_zip(files: Mapping[str, bytes], how: int) -> bytes:
    """Pack files by name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def packed_tar(files: Mapping[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Pack files by name; or what else a tar archive can hold, at the last of these names."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name == list(files)[-1]:
                info.type, info.linkname = kind, "../../x"
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sound_metadata() -> list[bytes]:
    """Give metadata of a plugin, a zero byte between its two files."""
    metadata = "Metadata-Version: 2.1\nName: hostile\nVersion: 1\nSummary: A summary\n\nText\n"
    return [f"{metadata}\0[i2i_bench.models]\nhostile = hostile:Model\n".encode()]


def sound_parquets() -> list[bytes]:
    """Give parquet of two columns of images, and of images and labels, packed in several ways."""
    import pyarrow as pa
    from pyarrow import parquet

    images = sound_images()[:3]
    structs = pa.array([{"bytes": image, "path": f"{i}.png"} for i, image in enumerate(images)])
    pair = {"imageA": structs, "imageB": pa.array(images, pa.binary())}
    said = json.dumps(
        {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["x", "y"]}}}}
    )
    labelled = pa.table({"image": structs, "label": pa.array([0, 1, 0])})
    found = []
    ways: list[tuple[Any, dict[str, Any]]] = [
        (pa.table(pair), {"compression": "none"}),
        (pa.table(pair), {"compression": "zstd", "use_dictionary": False, "row_group_size": 1}),
        (labelled.replace_schema_metadata({"huggingface": said}), {"compression": "snappy"}),
    ]
    for table, options in ways:
        file = io.BytesIO()
        parquet.write_table(table, file, **options)
        found.append(file.getvalue())
    return found


def sound_hub_answers() -> list[bytes]:
    """Give what the hub says of data sets: with and without a card."""
    files = [
        {
            "rfilename": f"data/{split}-00000-of-00001.parquet",
            "size": 9,
            "lfs": {"sha256": "0" * 64},
        }
        for split in ("train", "test")
    ]
    label = {"name": "label", "dtype": {"class_label": {"names": {"0": "x", "1": "y"}}}}
    patterns = [{"split": split, "path": f"data/{split}-*"} for split in ("train", "test")]
    card = {
        "license": "mit",
        "configs": [{"config_name": "default", "data_files": patterns}],
        "dataset_info": {"features": [label]},
    }
    texts = (
        {"sha": "a" * 40, "siblings": files},
        {"sha": "b", "siblings": files, "cardData": card},
    )
    return [json.dumps(text).encode() for text in texts]
