"""U-GAT-IT against the authors' numbers."""

import copy
from dataclasses import asdict

import pytest
import torch
from i2i_baselines.official.ugatit import OFFICIAL, network_stems
from i2i_baselines.ugatit.model import UGATIT, UGATITConfig, UGATITLight, adversarial_loss
from i2i_baselines.ugatit.networks import Discriminator, LayerInstanceNorm

from i2i_bench.blocks.spectral import SpectralNorm
from i2i_bench.model import A2B, B2A, Batch, Clock
from i2i_bench.plugins.toy import Toy
from i2i_bench.randomness import Randomness

JUDGES = [name for name in OFFICIAL if name.startswith("dis")]


def task(size, name="stripes", kind="embedded"):
    return Toy(name, kind, size, num_train={"a": 1000, "b": 1000})


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("ugatit_light")


@pytest.fixture
def networks(numbers):
    return {name: numbers.network(name) for name in OFFICIAL}


@pytest.fixture
def model(networks, tmp_path):
    torch.save(networks, tmp_path / "toy_params_latest.pt")
    return UGATITLight.from_official(tmp_path)


def network(model, official):
    return model.networks.get_submodule(OFFICIAL[official])


def generator_outputs(generator, images):
    """Give translation, domain logits and the sum of the attended features."""
    with torch.no_grad():
        fake, logits = generator(images)
        attended, _ = generator.activation_map(generator.encoder(images))
    return {"fake": fake, "cam_logit": logits, "heatmap": attended.sum(dim=1, keepdim=True)}


def judge_outputs(judge, images):
    """Give both kinds of logits and the sum of the attended features, of one forward."""
    attended = []
    hook = judge.activation_map.register_forward_hook(lambda *args: attended.append(args[2][0]))
    with torch.no_grad():
        logit, logits = judge(images)
    hook.remove()
    heatmap = attended[0].sum(dim=1, keepdim=True)
    return {"logit": logit, "cam_logit": logits, "heatmap": heatmap}


def test_configuration_is_read_off_the_shapes(model):
    assert model.config == UGATITConfig(light=True, generator_width=4, discriminator_width=4)


LAYOUTS = {
    "as saved": lambda tensors: tensors,
    "several GPUs": lambda tensors: {f"module.{name}": t for name, t in tensors.items()},
    "torch 1.0": lambda tensors: {n: t for n, t in tensors.items() if not n.endswith("weight_v")},
    "old torch": lambda tensors: tensors | {"DownBlock.2.running_mean": torch.ones(4)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("direction", [A2B, B2A], ids=str)
def test_generators_equal_the_authors(networks, numbers, tmp_path, direction, layout):
    path = tmp_path / "toy_params_0000100.pt"
    torch.save({name: LAYOUTS[layout](tensors) for name, tensors in networks.items()}, path)
    model = UGATITLight.from_official(path)
    assert model.absent == set()
    images = numbers.io[f"probe/real_{direction.source.upper()}"]
    found = generator_outputs(model.generators[str(direction)], images)
    assert torch.equal(
        found["fake"], model.translate(Batch({direction.source: images}), direction, Randomness(0))
    )
    for name, output in found.items():
        truth = numbers.io[f"init/{str(direction).upper()}/{name}"]
        torch.testing.assert_close(output, truth, atol=2e-5, rtol=1e-6)


def test_full_generator_equals_the_authors(networks, golden, tmp_path):
    full = golden("ugatit_full")
    for name in ("genA2B", "genB2A"):
        networks[name] = {key: t.clone() for key, t in full.network("genA2B").items()}
    torch.save(networks, tmp_path / "toy_params_0000100.pt")
    model = UGATIT.from_official(tmp_path)
    assert (model.config.light, model.config.image_size) == (False, 96)
    found = generator_outputs(model.generators["a2b"], full.io["probe/real_A"])
    for name, output in found.items():
        torch.testing.assert_close(output, full.io[f"init/A2B/{name}"], atol=2e-5, rtol=1e-6)
    with pytest.raises(ValueError, match="for images of 96 px, not 64x96"):
        model.generators["a2b"](torch.zeros(1, 3, 96, 64))


@pytest.mark.parametrize("official", JUDGES)
def test_training_forwards_move_the_spectral_norm_as_the_authors(model, numbers, official):
    judge = network(model, official)
    images = numbers.io[f"probe/real_{official[-1]}"]
    for call in (1, 2):
        for name, output in judge_outputs(judge, images).items():
            truth = numbers.io[f"train_mode/{official}/{name}_call{call}"]
            torch.testing.assert_close(output, truth, atol=2e-5, rtol=1e-6)
    names = {theirs: ours for ours, theirs in network_stems(official, asdict(model.config))}
    vectors = [
        name
        for name in numbers.io
        if name.startswith(f"train_mode/{official}/") and "weight_u" in name
    ]
    assert len(vectors) == sum(isinstance(m, SpectralNorm) for m in judge.modules())
    for name in vectors:
        layer = judge.get_submodule(names[name.split("/")[-1].removesuffix(".weight_u")])
        torch.testing.assert_close(layer.weight_u, numbers.io[name], atol=1e-6, rtol=0)


def run(model, numbers, step):
    model.advance(Clock(step + 1, 1_000_000, step, 1_000_000))
    return model.training_step(Batch(numbers.batch(step)), Randomness(0))


def test_three_steps_in_float64_equal_the_authors(model, numbers):
    model.networks.double()
    for step, expected in enumerate(numbers.steps["losses_float64"]):
        losses = run(model, numbers, step)
        for d, into in (("A", "b2a"), ("B", "a2b")):
            kinds = [f"{kind}_{scale}{d}" for kind in ("loss", "cam_loss") for scale in "GL"]
            sums = {
                f"adversarial_{into}": sum(expected[f"G_ad_{kind}"] for kind in kinds),
                f"discriminator_{d.lower()}": sum(expected[f"D_ad_{kind}"] for kind in kinds),
                f"cycle_{d.lower()}": expected[f"G_recon_loss_{d}"],
                f"identity_{d.lower()}": expected[f"G_identity_loss_{d}"],
                f"cam_{into}": expected[f"G_cam_loss_{d}"],
            }
            for name, value in sums.items():
                assert losses[name].item() == pytest.approx(value, rel=1e-6)
        assert len(losses) == 10
    model.networks.eval()
    found = {}
    for d, name in (("A", "A2B"), ("B", "B2A")):
        images = numbers.io[f"probe/real_{d}"].double()
        found[name] = generator_outputs(model.generators[name.lower()], images)
        for judge in (f"disG{d}", f"disL{d}"):
            found[judge] = judge_outputs(network(model, judge), images)
    after = [name.split("/") for name in numbers.io if name.startswith("after3_f64/")]
    assert len(after) == 17
    for folder, part, name in after:
        truth = numbers.io[f"{folder}/{part}/{name}"]
        torch.testing.assert_close(found[part][name].float(), truth, atol=1e-6, rtol=1e-6)


def test_first_gradients_in_float64_equal_the_authors(model, numbers):
    model.networks.double()
    run(model, numbers, 0)
    state = {p: s for optimizer in model.optimizers.values() for p, s in optimizer.state.items()}
    found = {
        f"{official}/{theirs}.{leaf}": state[parameter]["exp_avg"].norm().item() / 0.5
        for official in OFFICIAL
        for ours, theirs in network_stems(official, asdict(model.config))
        for leaf, parameter in network(model, official).get_submodule(ours).named_parameters()
    }
    norms = numbers.steps["grad_l2_step1_float64_incl_weight_decay"]
    assert found == pytest.approx(norms["G"] | norms["D"], rel=1e-6)


@pytest.mark.parametrize(
    ("light", "generator", "total"),
    [(False, 278_959_808, 670_761_088), (True, 10_589_888, 134_021_248)],
)
def test_parameters_are_the_authors_to_the_integer(light, generator, total):
    with torch.device("meta"):
        networks = UGATIT(UGATITConfig(light=light)).networks
    counts = {
        name: sum(p.numel() for p in networks.get_submodule(path).parameters())
        for name, path in OFFICIAL.items()
    }
    judges = {"G": 53_130_176, "L": 3_290_560}
    assert counts == {n: judges[n[3]] if n in JUDGES else generator for n in OFFICIAL}
    assert sum(p.numel() for p in networks.parameters()) == total


def test_rho_stays_between_0_and_1(networks, numbers, tmp_path):
    networks["genA2B"]["UpBlock1_1.norm1.rho"] = torch.ones(1, 16, 1, 1)
    torch.save(networks, tmp_path / "toy_params_latest.pt")
    model = UGATITLight.from_official(tmp_path)
    model.networks.double()
    run(model, numbers, 0)
    rho = [p for n, p in model.generators.named_parameters() if n.endswith("rho")]
    assert len(rho) == 20
    assert all(p.min() >= 0 and p.max() <= 1 for p in rho)
    assert rho[0].max() == 1
    assert any((p == 0).any() for p in rho)


def test_spectral_norm_continues_from_a_copy_and_from_its_state():
    whole = Discriminator(4, 3)
    images = torch.randn(1, 3, 8, 8)
    whole(images)
    copied, restored = copy.deepcopy(whole), Discriminator(4, 3)
    restored.load_state_dict(whole.state_dict())
    expected = whole(images)
    for judge in (copied, restored):
        assert all(torch.equal(x, y) for x, y in zip(judge(images), expected, strict=True))


def test_gradients_of_the_discriminators_are_of_their_own_loss_alone(model, numbers):
    model.networks.double()
    real, alone = numbers.batch(0), copy.deepcopy(model.discriminators)
    with torch.no_grad():
        fake = {d.target: model.translate(Batch(real), d, Randomness(0)) for d in (A2B, B2A)}
    for domain, judges in alone.items():
        adversarial_loss(judges, real[domain], 1.0).backward()
        adversarial_loss(judges, fake[domain], 0.0).backward()
    run(model, numbers, 0)
    pairs = zip(model.discriminators.parameters(), alone.parameters(), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-12, rtol=1e-9)


def test_files_without_weight_v_give_the_same_training_outputs(networks, numbers, tmp_path):
    for name in JUDGES:
        networks[name] = {k: t for k, t in networks[name].items() if not k.endswith("weight_v")}
    torch.save(networks, tmp_path / "toy_params_latest.pt")
    discriminator = network(UGATITLight.from_official(tmp_path), "disGA")
    layer = discriminator.get_submodule("layers.1")
    assert isinstance(layer, SpectralNorm)
    v = layer.weight_orig.detach().flatten(1).t() @ layer.weight_u
    torch.testing.assert_close(layer.weight_v, torch.nn.functional.normalize(v, dim=0))
    outputs = judge_outputs(discriminator, numbers.io["probe/real_A"])
    for name, output in outputs.items():
        truth = numbers.io[f"train_mode/disGA/{name}_call1"]
        torch.testing.assert_close(output, truth, atol=2e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("where", "name", "tensor", "message"),
    [
        (
            "genB2A",
            "UpBlock2.11.weight",
            torch.zeros(3, 8, 7, 7),
            r"genB2A, has misshapen UpBlock2\.11\.w",
        ),
        ("genB2A", "UpBlock1_2.norm1.rho", None, r"lacks UpBlock1_2\.norm1\.rho"),
        ("genA2B", "DownBlock.1.weight", None, r"genA2B, lacks DownBlock\.1\.weight; it holds "),
        ("disLB", "conv.weight_u", None, r"lacks conv\.weight_u"),
        ("disGA", "extra.weight", torch.zeros(1), "unknown extra.weight"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(
    networks, tmp_path, where, name, tensor, message
):
    if tensor is None:
        del networks[where][name]
    else:
        networks[where][name] = tensor
    torch.save(networks, tmp_path / "toy_params_latest.pt")
    with pytest.raises(ValueError, match=message):
        UGATITLight.from_official(tmp_path)


def test_the_light_model_is_not_read_as_the_full_one(networks, tmp_path):
    torch.save(networks, tmp_path / "toy_params_latest.pt")
    with pytest.raises(ValueError, match="holds the light model"):
        UGATIT.from_official(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no file "),
        (["checkpoint", "UGATIT.model-1.index", "UGATIT.model-1.data-0"], "TensorFlow checkpoint"),
        (["selfie2anime/UGATIT.model-1000000.index"], "biases, affine normalisation, one classif"),
        (["checkpoint/UGATIT_sn/UGATIT.model-1000000.index"], "TensorFlow checkpoint"),
        (["a_params_latest.pt", "b_params_latest.pt"], "several datasets: a, b"),
        (["a_params_0000100.pt"], "lacks the state dicts genB2A"),
    ],
)
def test_other_folders_are_refused_with_the_reason(tmp_path, files, message):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        torch.save({"genA2B": {}}, tmp_path / file)
    with pytest.raises(ValueError, match=message):
        UGATIT.from_official(tmp_path)


@pytest.mark.parametrize(
    ("total", "steps"), [(10, {1: 1, 5: 1, 6: 0.8, 9: 0.2, 10: 0}), (1, {1: 1})]
)
def test_learning_rate_falls_linearly_over_the_second_half(total, steps):
    model = UGATIT(UGATIT.settings("tiny", task(12)).config)
    for step, factor in steps.items():
        model.advance(Clock(step, total, step - 1, total))
        for optimizer in model.optimizers.values():
            assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4 * factor)


@pytest.mark.parametrize("model", [UGATIT, UGATITLight])
@pytest.mark.parametrize(("preset", "size"), [("published", 96), ("small", 24), ("tiny", 12)])
def test_smaller_images_are_refused(model, preset, size):
    settings = model.settings(preset, task(size))
    assert settings.config.light == model.light
    assert settings.config.image_size == settings.crop_size == size
    with pytest.raises(ValueError, match=f"needs images of at least {size} px"):
        model.settings(preset, task(size - 1))


@pytest.mark.parametrize("layers", [3, 4, 5, 7])
def test_minimum_size_is_what_the_discriminator_takes(layers):
    judge = Discriminator(2, layers)
    size = judge.minimum_size
    judge(torch.zeros(1, 3, size, size))
    with pytest.raises(ValueError, match=f"needs images of at least {size} px"):
        judge(torch.zeros(1, 3, size, size - 1))
    judge.minimum_size = 0
    with pytest.raises(RuntimeError, match="Padding size"):
        judge(torch.zeros(1, 3, size - 1, size - 1))


def test_published_settings_are_the_authors():
    settings = UGATITLight.settings("published", task(256, kind="catalogued"))
    assert (settings.batch_size, settings.budget) == (1, 1_000_000)
    assert (settings.load_size, settings.crop_size) == (286, 256)
    assert (settings.resampling, settings.resize, settings.flip) == ("bilinear", "square", True)


@pytest.mark.parametrize("suffix", ["index", "meta", "data-00000-of-00001"])
def test_one_file_of_tensorflow_is_refused_with_the_reason(tmp_path, suffix):
    path = tmp_path / f"UGATIT.model-1000000.{suffix}"
    path.write_bytes(b"\0")
    with pytest.raises(ValueError, match="TensorFlow checkpoint: its architecture differs"):
        UGATIT.from_official(path)


@pytest.mark.parametrize(("adaptive", "rho"), [(True, 0.9), (False, 0.0)])
def test_share_of_instance_normalisation_starts_as_the_authors(adaptive, rho):
    found = LayerInstanceNorm(2, adaptive=adaptive).rho.flatten().tolist()
    assert found == pytest.approx([rho, rho])
