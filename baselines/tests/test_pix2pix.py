"""Pix2pix against the authors' numbers."""

import dataclasses

import pytest
import torch
from i2i_baselines.official.pix2pix import generator_stems
from i2i_baselines.pix2pix import EncoderDecoder, EncoderDecoderConfig, Pix2pix, Pix2pixConfig
from pix2pix_steps import Given, train, with_batch_statistics, with_running_statistics

from i2i_bench.blocks.unet import UNet
from i2i_bench.model import A2B, B2A, Batch, Clock, Settings
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

FILES = {"latest_net_G.pth": "G", "latest_net_D.pth": "D"}
PAIRED = dataclasses.replace(NOMINAL, paired=True)
JUDGE = [(f"layers.{i}", f"model.{i}") for i in range(12)]


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("pix2pix")


@pytest.fixture
def model(numbers, tmp_path):
    return Pix2pix.from_official(numbers.save(tmp_path, FILES))


def test_configuration_is_read_off_the_shapes(model):
    assert model.config == Pix2pixConfig(levels=6, generator_width=4, discriminator_width=4)


LAYOUTS = {
    "as saved": lambda tensors: tensors,
    "several GPUs": lambda tensors: {f"module.{name}": t for name, t in tensors.items()},
    "old torch": lambda tensors: {n: t for n, t in tensors.items() if "num_batches" not in n},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_forward_equals_the_authors(numbers, tmp_path, monkeypatch, layout):
    for file, name in FILES.items():
        torch.save(LAYOUTS[layout](numbers.network(name)), tmp_path / file)
    model = Pix2pix.from_official(tmp_path)
    assert model.absent == set()
    with_batch_statistics(model.networks)
    a, b = (numbers.io[f"probe/real_{d}"] for d in "AB")
    with torch.no_grad():
        fake = model.generate(a, Given({"dropout_2": numbers.io["probe/dropout_mask_0"]}))
        outputs = {
            "fake": fake,
            "fake_no_dropout": model.generator(a),
            "D/real": model.judge(a, b),
            "D/fake": model.judge(a, fake),
        }
        with_running_statistics(model.networks, monkeypatch)
        outputs |= {"fake_eval": model.generator(a), "D_eval/fake": model.judge(a, fake)}
    for name, output in outputs.items():
        torch.testing.assert_close(output, numbers.io[f"init/{name}"], atol=5e-6, rtol=0)


def test_eight_levels_equal_the_authors(numbers, tmp_path):
    numbers.save(tmp_path, {"latest_net_G.pth": "full/G"})
    model = Pix2pix.from_official(tmp_path)
    assert (model.config.levels, model.absent) == (8, {"discriminator"})
    image = numbers.io["probe/real_A"][:1].repeat_interleave(4, 2).repeat_interleave(4, 3)
    kept = {f"dropout_{i + 2}": numbers.io[f"full/dropout_mask_{i}"] for i in range(3)}
    model.networks.eval()
    with torch.no_grad():
        outputs = {
            "fake": model.translate(Batch({"a": image}), A2B, Given(kept)),
            "fake_no_dropout": model.generator(image),
        }
    for name, output in outputs.items():
        norms = numbers.steps["full_unet_256"]["float64"][name]
        assert output.norm().item() == pytest.approx(norms["l2"], rel=1e-5)
        truth = numbers.io[f"full/init/{name}_sub4"]
        torch.testing.assert_close(output[..., ::4, ::4], truth, atol=5e-6, rtol=0)


def train_as_fixture(model, numbers):
    batches = [Batch(numbers.batch(step)) for step in range(3)]
    masks = [{"dropout_2": numbers.io[f"train/dropout_mask_{step}_0"]} for step in range(3)]
    return train(model, batches, masks)


def is_as_published(losses, numbers):
    """Tell whether the losses of all steps are the authors'."""
    return all(
        value.item() == pytest.approx(expected[name], rel=1e-6)
        for found, expected in zip(losses, numbers.steps["losses_float64"], strict=True)
        for name, value in (
            ("D_total", found["discriminator_b"]),
            ("G_GAN", found["adversarial_a2b"]),
            ("G_L1", 100 * found["pixel_a2b"]),
        )
    )


def test_three_steps_in_float64_equal_the_authors(model, numbers):
    losses, gradients = train_as_fixture(model, numbers)
    assert is_as_published(losses, numbers)
    parts = (("G", "generator", generator_stems(6)), ("D", "discriminator", JUDGE))
    for letter, network, stems in parts:
        ours = {theirs: own for own, theirs in stems}
        state = model.networks[network].state_dict()
        for name, expected in numbers.steps["grad_l2_step1_float64"][letter].items():
            module, _, leaf = name.removeprefix(f"{letter}/").rpartition(".")
            found = gradients[f"{network}.{ours[module]}.{leaf}"]
            assert found == pytest.approx(expected, rel=1e-6), name
        for name, expected in numbers.steps["param_stats_after3_float64"][letter].items():
            module, _, leaf = name.rpartition(".")
            tensor = state[f"{ours[module]}.{leaf}"]
            if "value" in expected:
                assert tensor.item() == expected["value"]
            else:
                assert tensor.norm().item() == pytest.approx(expected["l2"], rel=1e-6), name
                assert tensor.mean().item() == pytest.approx(expected["mean"], abs=1e-6), name


def test_translations_after_three_steps_equal_the_authors(model, numbers, monkeypatch):
    train_as_fixture(model, numbers)
    with_batch_statistics(model.networks)
    a, b = (numbers.io[f"probe/real_{d}"].double() for d in "AB")
    with torch.no_grad():
        fake = model.generate(a, Given({"dropout_2": numbers.io["probe/dropout_mask_0"]}))
        outputs = {"fake": fake, "D/real": model.judge(a, b), "D/fake": model.judge(a, fake)}
        with_running_statistics(model.networks, monkeypatch)
        outputs |= {"fake_eval": model.generator(a), "D_eval/fake": model.judge(a, fake)}
    for name, output in outputs.items():
        truth = numbers.io[f"after3_f64/{name}"]
        torch.testing.assert_close(output.float(), truth, atol=1e-6, rtol=1e-6)


def other_plan(**changes):
    def change(model, monkeypatch):
        del monkeypatch
        plan = dataclasses.replace(model.generator.plan, **changes)
        state = model.generator.state_dict()
        model.generator.plan = plan
        model.generator.load_state_dict(state)

    return change


MISTAKES = {
    "joined in the order of BicycleGAN": other_plan(join="up_skip"),
    "no dropout": lambda model, monkeypatch: monkeypatch.setattr(UNet, "draw_kept", lambda *_: ()),
    "generator before discriminator": lambda model, monkeypatch: monkeypatch.setattr(
        model.optimizers["discriminator"], "step", lambda *_: None
    ),
    "discriminator blind for the source": lambda model, monkeypatch: monkeypatch.setattr(
        model, "judge", lambda s, i: model.networks["discriminator"](torch.cat([0 * s, i], 1))
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_in_the_losses(model, numbers, monkeypatch, mistake):
    MISTAKES[mistake](model, monkeypatch)
    losses, _ = train_as_fixture(model, numbers)
    assert not is_as_published(losses, numbers)


def test_dropout_at_another_level_is_seen(model, numbers, monkeypatch):
    plan = dataclasses.replace(model.generator.plan, dropout=(1,))
    monkeypatch.setattr(model.generator, "plan", plan)
    masks = (numbers.io[f"train/dropout_mask_{step}_0"][..., ::2, ::2] for step in range(3))
    monkeypatch.setattr(UNet, "draw_kept", lambda *_: (next(masks),))
    losses, _ = train_as_fixture(model, numbers)
    assert not is_as_published(losses, numbers)


COUNTS = [
    (Pix2pixConfig(), 54_413_955, 2_768_705),
    (Pix2pixConfig(program="torch7", bottleneck_norm=True), 54_420_483, 2_769_601),
    (EncoderDecoderConfig(), 39_080_963, 2_769_601),
    (EncoderDecoderConfig(bottleneck_norm=True), 39_081_987, 2_769_601),
]


@pytest.mark.parametrize(("config", "generator", "discriminator"), COUNTS)
def test_parameters_are_the_authors_to_the_integer(config, generator, discriminator):
    with torch.device("meta"):
        model = Pix2pix(config)
    counts = [sum(p.numel() for p in network.parameters()) for network in model.networks.values()]
    assert counts == [generator, discriminator]


def test_published_settings_are_the_authors():
    facades = dataclasses.replace(PAIRED, name="facades", num_train={"a": 400, "b": 400})
    expected = Settings(
        Pix2pixConfig(direction="b2a", constant_epochs=100, decay_epochs=100, learning_rate=2e-4),
        batch_size=1,
        budget=200 * 400,
        load_size=286,
        crop_size=256,
    )
    assert Pix2pix.settings("published", facades) == expected
    shoes = dataclasses.replace(PAIRED, name="edges2shoes", num_train={"a": 10, "b": 10})
    settings = Pix2pix.settings("published", shoes)
    assert (settings.batch_size, settings.budget, settings.config.decay_epochs) == (4, 150, 0)
    config = EncoderDecoder.settings("published", PAIRED).config
    assert config == EncoderDecoderConfig(skips=False, program="torch7", constant_epochs=200)


@pytest.mark.parametrize(
    ("size", "levels", "dropout", "torch7"),
    [(256, 8, (2, 3, 4), (1, 2, 3)), (64, 6, (2,), (1,)), (32, 5, (), ()), (48, 4, (), ())],
)
def test_a_level_for_each_halving_of_the_size(size, levels, dropout, torch7):
    task = dataclasses.replace(PAIRED, image_size=size)
    for kind, places in ((Pix2pix, dropout), (EncoderDecoder, torch7)):
        config = kind.settings("published", task).config
        with torch.device("meta"):
            plan = kind(config).generator.plan
        assert (config.levels, plan.dropout) == (levels, places)
        assert kind.needs(config).multiple == 2**levels


def test_small_encoder_decoder_ends_at_two_pixels():
    task = dataclasses.replace(PAIRED, image_size=32)
    levels = [kind.settings("small", task).config.levels for kind in (Pix2pix, EncoderDecoder)]
    assert levels == [5, 4]


def test_sides_that_cannot_be_halved_are_refused():
    odd = dataclasses.replace(PAIRED, image_size=30)
    with pytest.raises(ValueError, match="Pix2pix halves images twice at least; 30 px cannot be"):
        Pix2pix.settings("tiny", odd)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "a"}, "direction is 'a'; possible: a2b, b2a"),
        ({"program": "caffe"}, "program is 'caffe'; possible: pytorch, torch7"),
        ({"levels": 1}, "levels is 1; at least 2 is needed"),
        ({"lambda_pixel": 0.0, "lambda_adversarial": 0.0}, "are 0; one of them must not be"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Pix2pixConfig(**changes)


TINY = Pix2pixConfig(
    levels=6, generator_width=2, discriminator_width=2, discriminator_layers=2, channels=(1, 4)
)


@pytest.mark.parametrize(("direction", "made"), [("a2b", 4), ("b2a", 1)])
@pytest.mark.parametrize("conditional", [True, False])
def test_domains_may_have_other_channels(direction, made, conditional):
    config = dataclasses.replace(TINY, direction=direction, conditional=conditional)
    model, images = Pix2pix(config), {"a": torch.rand(2, 1, 64, 64), "b": torch.rand(2, 4, 64, 64)}
    assert model.directions == (A2B if direction == "a2b" else B2A,)
    losses = model.training_step(Batch(images), Randomness(0))
    target = direction[-1]
    assert losses.keys() == {
        f"pixel_{direction}",
        f"adversarial_{direction}",
        f"discriminator_{target}",
    }
    assert model.translate(Batch(images), model.direction, Randomness(0)).shape[1] == made


def test_without_adversarial_loss_there_is_no_discriminator():
    model = Pix2pix(dataclasses.replace(TINY, lambda_adversarial=0.0))
    assert list(model.networks) == list(model.optimizers) == ["generator"]
    images = {"a": torch.rand(2, 1, 64, 64), "b": torch.rand(2, 4, 64, 64)}
    assert model.training_step(Batch(images), Randomness(0)).keys() == {"pixel_a2b"}


def test_dropout_at_test_is_the_images_and_the_seeds():
    torch.manual_seed(0)
    model = Pix2pix(dataclasses.replace(TINY, channels=(3, 3), generator_width=8))
    model.networks.eval()
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        made = [model.translate(Batch({"a": images}), A2B, Randomness(seed)) for seed in (0, 0, 1)]
        last = model.translate(Batch({"a": images[2:]}), A2B, Randomness(0, 2))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert torch.allclose(made[0][2:], last, atol=1e-6)


def test_learning_rates_are_the_authors():
    model, encoder_decoder = Pix2pix(TINY), EncoderDecoder(EncoderDecoderConfig(generator_width=2))
    for epoch, factor in ((0, 1), (99, 1), (100, 100 / 101), (199, 1 / 101)):
        for each, expected in ((model, 2e-4 * factor), (encoder_decoder, 2e-4)):
            each.advance(Clock(1, 1, epoch, 200))
            rates = [o.param_groups[0]["lr"] for o in each.optimizers.values()]
            assert rates == [pytest.approx(expected)] * 2


def test_newest_epoch_is_read_and_one_file_alone(numbers, tmp_path):
    numbers.save(tmp_path, {"5_net_D.pth": "D", "5_net_G.pth": "G", "40_net_G.pth": "G"})
    (tmp_path / "5_net_G.pth").write_bytes(b"")
    assert Pix2pix.from_official(tmp_path).absent == {"discriminator"}
    numbers.save(tmp_path, {"any.pth": "G"})
    assert Pix2pix.from_official(tmp_path / "any.pth").absent == {"discriminator"}
    numbers.save(tmp_path, {"map2sat_net_G.pth": "G"})
    assert Pix2pix.from_official(tmp_path / "map2sat_net_G.pth").directions == (B2A,)


def test_direction_is_that_of_the_authors_names(numbers, tmp_path):
    for name, direction in (("facades_label2photo_pretrained", B2A), ("sat2map_pretrained", A2B)):
        (tmp_path / name).mkdir()
        numbers.save(tmp_path / name, FILES)
        assert Pix2pix.from_official(tmp_path / name).directions == (direction,)


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        ("G", "model.model.0.weight", None, r"G\.pth lacks model\.model\.0\.weight"),
        ("G", "model.model.1.model.2.bias", None, r"G\.pth lacks model\.model\.1\.model\.2\.bias$"),
        ("G", "model.model.0.bias", torch.ones(4), r"has unknown model\.model\.0\.bias$"),
        ("G", "model.model.1.model.5.weight", torch.ones(8, 4, 4, 4), "misshapen"),
        ("D", "model.0.bias", torch.full((4,), torch.nan), r"not finite in model\.0\.bias$"),
        ("D", "model.0.weight", torch.ones(4, 5, 4, 4), r"D\.pth has misshapen model\.0\.weight"),
    ],
)
def test_damaged_files_are_refused_by_name(numbers, tmp_path, file, name, tensor, message):
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network(file)
    tensors[name] = tensor
    kept = {n: t for n, t in tensors.items() if t is not None}
    torch.save(kept, folder / f"latest_net_{file}.pth")
    with pytest.raises(ValueError, match=message):
        Pix2pix.from_official(folder)


def test_folders_without_a_generator_are_refused(golden, tmp_path):
    with pytest.raises(ValueError, match=r"no generator: needed is latest_net_G\.pth"):
        Pix2pix.from_official(tmp_path)
    golden("cyclegan").save(tmp_path, {"latest_net_G.pth": "G_A"})
    with pytest.raises(ValueError, match=r"latest_net_G\.pth lacks model\.model\.0\.weight"):
        Pix2pix.from_official(tmp_path)
    with pytest.raises(ValueError, match=r"Torch7 files \(\.t7\) and released none"):
        EncoderDecoder.from_official(tmp_path)
