"""The encoder-decoder against numbers of an independent derivation (tests/golden/README.md)."""

import pytest
import torch
from i2i_baselines.pix2pix import EncoderDecoder, EncoderDecoderConfig
from pix2pix_steps import Given, train, with_batch_statistics, with_running_statistics

from i2i_bench.model import Batch
from i2i_bench.randomness import Randomness


@pytest.fixture(scope="module")
def derived(golden):
    return golden("encoder_decoder")


def encoder_decoder(derived, *, bottleneck_norm):
    """Build the network of the fixture: its layers are numbered in the order of their use."""
    config = EncoderDecoderConfig(
        generator_width=3, discriminator_width=4, bottleneck_norm=bottleneck_norm
    )
    model = EncoderDecoder(config)
    names = {"down.0.0": "G/conv1"} | {f"down.{i}.1": f"G/conv{i + 1}" for i in range(1, 8)}
    names |= {f"down.{i}.2": f"G/bn{i + 1}" for i in range(1, 8)}
    for i in range(8):
        names |= {f"up.{i}.1": f"G/deconv{i + 1}", f"up.{i}.2": f"G/dbn{i + 1}"}
    names |= {f"layers.{p}": f"D/conv{i + 1}" for i, p in enumerate((0, 2, 5, 8, 11))}
    names |= {f"layers.{3 * i + 3}": f"D/bn{i + 2}" for i in range(3)}
    for network in model.networks.values():
        state = network.state_dict()
        for key in [key for key in state if "num_batches" not in key]:
            module, _, leaf = key.rpartition(".")
            state[key] = derived.init[f"{names[module]}.{leaf}"]
        network.load_state_dict(state)
    return model, names


def images_of(derived, key):
    """Give images of 256 px: each stored pixel is 4x4."""
    values = (derived.io[key].double() - 128) / 128
    return values.repeat_interleave(4, 2).repeat_interleave(4, 3)


def masks_of(derived, key):
    return {f"dropout_{i + 1}": derived.io[f"{key}_{i}"] for i in range(3)}


@pytest.mark.parametrize("bottleneck_norm", [True, False])
def test_encoder_decoder_equals_the_derivation(derived, monkeypatch, bottleneck_norm):
    model, _ = encoder_decoder(derived, bottleneck_norm=bottleneck_norm)
    with_batch_statistics(model.networks.double())
    case = "init/bn8" if bottleneck_norm else "init/nobn8"
    a, b = (images_of(derived, f"probe/real_{d}") for d in "AB")
    with torch.no_grad():
        fake = model.generate(a, Given(masks_of(derived, "probe/dropout_mask")))
        outputs = {"fake": fake, "fake_no_dropout": model.generator(a)}
        judged = {"D/real": model.judge(a, b).sigmoid(), "D/fake": model.judge(a, fake).sigmoid()}
        with_running_statistics(model.networks, monkeypatch)
        outputs["fake_eval"] = model.generator(a)
    outputs = {name: output[..., ::16, ::16] for name, output in outputs.items()}
    outputs |= {name: output[..., ::4, ::4] for name, output in judged.items()}
    for name, output in outputs.items():
        truth = derived.io[f"{case}/{name}"]
        torch.testing.assert_close(output.float(), truth, atol=1e-6, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["clean_bn8", "clean_nobn8"])
def test_three_steps_of_the_encoder_decoder_equal_the_derivation(derived, case):
    model, names = encoder_decoder(derived, bottleneck_norm=case == "clean_bn8")
    batches = [
        Batch({d: images_of(derived, f"train/real_{d.upper()}_{step}") for d in "ab"})
        for step in range(3)
    ]
    masks = [masks_of(derived, f"train/dropout_mask_{step}") for step in range(3)]
    losses, gradients = train(model, batches, masks)
    facts = derived.steps["sets"][case]
    for found, expected in zip(losses, facts["losses_float64"], strict=True):
        official = {
            "errD": found["discriminator_b"],
            "errG": found["adversarial_a2b"],
            "errL1": found["pixel_a2b"],
        }
        for name, value in official.items():
            assert value.item() == pytest.approx(expected[name], rel=1e-6)
    expected = facts["grad_l2_step1_float64"]["G"] | facts["grad_l2_step1_float64"]["D"]
    for name, value in gradients.items():
        module, _, leaf = name.partition(".")[2].rpartition(".")
        truth = expected[f"{names[module]}.{leaf}"]
        if truth > 1e-6:  # of biases before a normalisation it is rounding
            assert value == pytest.approx(truth, rel=1e-6), name
    after = facts["param_stats_after3_float64"]
    for key, tensor in model.networks.state_dict().items():
        module, _, leaf = key.partition(".")[2].rpartition(".")
        truth = after.get(f"{names[module]}.{leaf}")
        is_cancelled = leaf == "bias" and expected.get(f"{names[module]}.{leaf}", 1) < 1e-6
        if truth and not is_cancelled:
            assert tensor.norm().item() == pytest.approx(truth["l2"], rel=1e-6), key
    with_batch_statistics(model.networks)
    with torch.no_grad():
        fake = model.generate(
            images_of(derived, "probe/real_A"), Given(masks_of(derived, "probe/dropout_mask"))
        )
    truth = derived.io[f"after3_f64/{case}/fake"]
    torch.testing.assert_close(fake[..., ::16, ::16].float(), truth, atol=1e-6, rtol=1e-6)


def test_table_form_at_batch_one_is_refused_in_a_sentence():
    model = EncoderDecoder(EncoderDecoderConfig(generator_width=2, bottleneck_norm=True))
    images = {d: torch.rand(1, 3, 256, 256) for d in "ab"}
    with pytest.raises(ValueError, match="take a larger batch_size"):
        model.training_step(Batch(images), Randomness(0))
