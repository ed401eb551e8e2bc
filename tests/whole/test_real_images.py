"""Whole runs on real images: paired facades and unpaired cats and dogs."""

import shutil

import pytest
from click.testing import CliRunner

from i2i_bench.cli.main import main
from i2i_bench.records import record


def few(source, target, count):
    """Copy the first images of each split, so that a run takes seconds."""
    for split in ("trainA", "trainB", "testA", "testB"):
        (target / split).mkdir(parents=True)
        for path in sorted((source / split).iterdir())[:count]:
            shutil.copy(path, target / split / path.name)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("name", ["facades", "cat2dog"])
def test_small_preset_makes_a_record_of_real_images(real_images, tmp_path, name):
    folder = few(real_images / name, tmp_path / name, 12)
    results = tmp_path / "results"
    places = ["--results", str(results), "--runs", str(tmp_path / "runs")]
    choices = ["--preset", "small", "--budget", "8", "--device", "cpu"]
    arguments = ["run", "--model", "attentiongan", "--task", str(folder), *choices, *places]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (found,) = record.read_records(results)
    assert found.task.startswith(f"folder-{name}-")
    assert found.images_seen == 8
    for direction in ("a2b", "b2a"):
        score = found.scores[f"i2i@1/{direction}"]
        assert score.n_fake == 12
        if name == "facades":
            assert found.headline == "psnr"
            assert 3 < (score.values["psnr"] or 0) < 40
            assert -1 < (score.values["ssim"] or -2) < 1
            assert score.baselines["identity"].values["psnr"]
        else:
            assert score.values["psnr"] is None
            assert "true translations" in score.reasons["psnr"]
        assert score.values["fid"] is None
        assert "inception-2015-12-05.pt" in score.reasons["fid"]
        assert 1 <= (score.values["effective_masks"] or 0) <= 4
        assert score.values["background_share"] is None  # photographs have a generated one
