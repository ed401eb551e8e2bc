"""DRIT against the authors' numbers, in both versions."""

import dataclasses

import pytest
import torch
from i2i_baselines.drit.config import DOMAINS, PRESETS, DRITConfig, published_epochs
from i2i_baselines.drit.model import DRIT
from i2i_baselines.drit.networks import ContentDiscriminator, content_minimum
from i2i_baselines.official.drit import infer_facts, network_stems
from torch import nn

from i2i_bench import official
from i2i_bench.model import A2B, B2A, Batch, Clock
from i2i_bench.plugins.toy import Toy
from i2i_bench.randomness import Randomness

NAMES = ("enc_c", "enc_a", "gen", "disA", "disB", "disA2", "disB2", "disContent")
FIXTURES = {"drit": "concat", "drit_concat0": "transform"}
LOSSES = {  # theirs → ours and the factor that theirs includes
    "disA_loss": ("discriminator_a", 1),
    "disB_loss": ("discriminator_b", 1),
    "disA2_loss": ("discriminator_random_a", 1),
    "disB2_loss": ("discriminator_random_b", 1),
    "disContent_loss": ("discriminator_content", 1),
    "gan_loss_a": ("adversarial_b2a", 1),
    "gan_loss_b": ("adversarial_a2b", 1),
    "gan_loss_acontent": ("adversarial_content_a", 1),
    "gan_loss_bcontent": ("adversarial_content_b", 1),
    "kl_loss_za_a": ("kl_a", 0.01),
    "kl_loss_za_b": ("kl_b", 0.01),
    "kl_loss_zc_a": ("kl_content_a", 0.01),
    "kl_loss_zc_b": ("kl_content_b", 0.01),
    "l1_recon_A_loss": ("cycle_a", 10),
    "l1_recon_B_loss": ("cycle_b", 10),
    "l1_recon_AA_loss": ("reconstruction_a", 10),
    "l1_recon_BB_loss": ("reconstruction_b", 10),
    "l1_recon_z_loss_a": ("latent_a", 10),
    "l1_recon_z_loss_b": ("latent_b", 10),
    "gan2_loss_a": ("adversarial_random_b2a", 1),
    "gan2_loss_b": ("adversarial_random_a2b", 1),
    "lz_AB": ("mode_seeking_a2b", 1),
    "lz_BA": ("mode_seeking_b2a", 1),
}
CONTENTS = ("content_a", "content_b", "content_fake_a", "content_fake_b")
CODES = {
    "concat": (
        *("attribute_a", "attribute_b", "drawn", "drawn2"),
        *("attribute_fake_a", "attribute_fake_b"),
    ),
    "transform": ("drawn", "drawn2"),
}


class Replay(Randomness):
    """What the authors drew, by name."""

    def __init__(self, draws):
        super().__init__(0, dtype=torch.float64)
        self.draws = draws

    def normal(self, name, shape):
        noise = self.draws.pop(name).double()
        assert noise.shape == shape
        return noise


def task(size, name="palette", kind="embedded"):
    return Toy(name, kind, size, num_train={"a": 1000, "b": 1000})


@pytest.fixture(scope="module", params=FIXTURES)
def fixture(request):
    return request.param


@pytest.fixture(scope="module")
def numbers(golden, fixture):
    return golden(fixture)


@pytest.fixture
def folder(numbers, tmp_path):
    whole = {name: numbers.network(name) for name in NAMES}
    torch.save(whole | {"gen_opt": {"state": {}}, "ep": 9, "total_it": 5}, tmp_path / "00009.pth")
    torch.save({"ep": 8}, tmp_path / "00008.pth")
    return tmp_path


@pytest.fixture
def model(folder):
    model = DRIT.from_official(folder)
    model.networks.double()
    return model


def images(numbers, side, rows):
    """Give images of a pool, by the authors' rounding."""
    return (numbers.io[f"train/pool_{side}"][rows].double() - 128) / 128


def shown(y):
    """Give the pixels that the fixtures hold."""
    return y[..., ::5, ::5].float()


def outputs(model, numbers, combine):
    """Give what the fixtures hold of the probe images, in evaluation mode."""
    probe = {d: images(numbers, d.upper(), [3]) for d in DOMAINS}
    model.networks.eval()
    with torch.no_grad():
        named = {}
        for way in (A2B, B2A):
            side = f"{way.source.upper()}2{way.target.upper()}"
            drawn = Replay({"attribute": numbers.io["probe/z"]})
            named[f"{side}/fake_z"] = shown(model.translate(Batch(probe), way, drawn))
            noise = (
                {"attribute": numbers.io[f"probe/eps_{way.target}"]} if combine == "concat" else {}
            )
            guided = model.translate(Batch(probe, examples=probe), way, Replay(noise))
            named[f"{side}/fake_guided"] = shown(guided)
            source = way.source
            content = model.contents(probe[source], source)
            named[f"{source.upper()}/content"] = shown(content)
            told = model.content_discriminator(content).flatten()
            named[f"disContent/{source.upper()}"] = told.float()
            mean, log_variance = model._attribute(probe[source], source)
            named[f"{source.upper()}/mu"] = named[f"{source.upper()}/attr"] = mean.float()
            if log_variance is not None:
                named[f"{source.upper()}/logvar"] = log_variance.float()
        judges = {"disA": model.discriminators["a"], "disB2": model.random_discriminators["b"]}
        for name, judge in judges.items():
            scales = judge(probe[name[3].lower()])
            named |= {f"{name}/scale{i}": logits.float() for i, logits in enumerate(scales)}
    model.networks.train()
    return named


def test_configuration_is_read_off_the_shapes(folder, fixture):
    model = DRIT.from_official(folder)
    wanted = DRITConfig(generator_width=4, discriminator_width=4)
    if FIXTURES[fixture] == "transform":
        wanted = dataclasses.replace(wanted, combine="transform", decoder_blocks=4)
    assert model.config == wanted
    assert model.absent == set()


def test_forward_equals_the_authors(model, numbers, fixture):
    found = outputs(model, numbers, FIXTURES[fixture])
    names = [n for n in numbers.io if n.startswith("init/") and "train_it2" not in n]
    assert len(names) >= 14
    for name in names:
        # truths are of float32
        near = 2e-7 if "/dis" in name else 3e-5
        output = found[name.removeprefix("init/")]
        torch.testing.assert_close(output, numbers.io[name], atol=near, rtol=1e-6)


def draws(numbers, iteration, combine, is_full):
    """Give the authors' draws of an update by our names."""
    io, count = numbers.io, 4 if is_full else 2
    noise = {CONTENTS[k]: io[f"noise/it{iteration}_n{k}"].double() / 32 for k in range(count)}
    if is_full:
        noise |= {n: io[f"noise/it{iteration}_z{k}"] for k, n in enumerate(CODES[combine])}
    return Replay(noise)


def update(model, numbers, iteration, combine):
    """Take a step, in an epoch of five."""
    config = model.config
    model.advance(Clock(iteration + 1, 5, 2 * iteration, 10))
    assert model.optimizers["translators"].param_groups[0]["lr"] == config.learning_rate == 1e-4
    assert model.optimizers["content_discriminator"].param_groups[0]["lr"] == pytest.approx(4e-5)
    rows = {side: numbers.io[f"train/idx_{side}"][iteration] for side in "AB"}
    batch = Batch({side.lower(): images(numbers, side, rows[side]) for side in "AB"})
    return model.training_step(batch, draws(numbers, iteration, combine, model.is_full))


def of_one_epoch(model):
    model.config = dataclasses.replace(model.config, num_epochs=1, decay_start=1)
    return model


def require_losses(found, expected):
    stated = {name: value for name, value in expected.items() if name in LOSSES}
    assert found.keys() == {LOSSES[name][0] for name in stated}
    for name, value in stated.items():
        ours, factor = LOSSES[name]
        assert factor * found[ours].item() == pytest.approx(value, rel=1e-6), name


@pytest.fixture(scope="module")
def replayed(numbers, fixture, tmp_path_factory):
    """Take the authors' five updates; give losses, model, and norms of the third's gradients."""
    path = tmp_path_factory.mktemp("drit") / "00009.pth"
    torch.save({name: numbers.network(name) for name in NAMES}, path)
    model = of_one_epoch(DRIT.from_official(path))
    model.networks.double()
    taken, losses = {}, []
    names = {id(p): name for name, p in model.networks.named_parameters()}

    def note(optimizer, *_):
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            taken.setdefault(names[id(parameter)], []).append(parameter.grad.norm().item())

    for iteration in range(5):
        hooks = [o.register_step_pre_hook(note) for o in model.optimizers.values()]
        if iteration != 2:
            for hook in hooks:
                hook.remove()
        found = update(model, numbers, iteration, FIXTURES[fixture])
        losses.append((model.is_full, found))
        for hook in hooks:
            hook.remove()
    return model, losses, taken


def named_parameters(model, numbers):
    """Give the authors' network and name of every parameter, with ours."""
    states = {n: official.StateDict(n, numbers.network(n)) for n in NAMES}
    for network, stems in network_stems(infer_facts(states)).items():
        for ours, theirs in stems:
            for leaf, parameter in model.networks.get_submodule(ours).named_parameters():
                yield network, f"{theirs}.{leaf}", f"{ours}.{leaf}", parameter


@pytest.mark.slow
def test_five_updates_in_float64_equal_the_authors(replayed, numbers):
    _, losses, _ = replayed
    for (was_full, found), expected in zip(losses, numbers.steps["losses_float64"], strict=True):
        assert expected["update"] == ("full" if was_full else "content")
        require_losses(found, expected)


@pytest.mark.slow
def test_what_five_updates_make_equals_the_authors(replayed, numbers, fixture):
    model, _, _ = replayed
    found = outputs(model, numbers, FIXTURES[fixture])
    after = [name for name in numbers.io if name.startswith("after5_f64/")]
    assert len(after) == 5
    for name in after:
        near = 5e-9 if "/dis" in name else 1e-6
        output = found[name.removeprefix("after5_f64/")]
        torch.testing.assert_close(output, numbers.io[name], atol=near, rtol=1e-6)
    norms = numbers.steps["param_stats_after5_float64"]
    for network, theirs, ours, parameter in named_parameters(model, numbers):
        if not is_cancelled(ours):
            wanted = norms[network][theirs]["l2"]
            assert parameter.norm().item() == pytest.approx(wanted, rel=1e-6), theirs


def is_cancelled(name):
    """Tell whether a normalisation takes away what a bias does: its gradient is rounding."""
    normalised = (".first.conv", ".second.conv", ".convolutions.0.conv", ".convolutions.1.conv")
    down = tuple(f"own.{domain}.{i}.conv" for domain in DOMAINS for i in (1, 2))
    module, _, leaf = name.rpartition(".")
    return leaf == "bias" and module.endswith((*normalised, *down))


@pytest.mark.slow
def test_gradients_of_the_first_full_update_equal_the_authors(replayed, numbers):
    model, _, taken = replayed
    stated = numbers.steps["grad_l2_first_full_update_float64"]
    compared = set()
    for network, theirs, ours, _ in named_parameters(model, numbers):
        kinds = ["D"] if network.startswith("dis") else ["EG", "G_alone"][: len(taken[ours])]
        for kind, value in zip(kinds, taken[ours], strict=True):
            name = f"{kind}:{network}/{theirs}"
            if stated[name] > 1e-6:
                assert value == pytest.approx(stated[name], rel=1e-6, abs=1e-9), name
                compared.add(name)
    assert compared == {name for name, norm in stated.items() if norm > 1e-6}


@pytest.mark.slow
def test_judges_that_are_sure_are_clipped_as_the_authors(model, numbers, fixture):
    of_one_epoch(model)
    scaled = numbers.steps["scaled_D"]
    with torch.no_grad():
        for name, network in model.networks.items():
            factor = {"content_discriminator": 4.0, "discriminators": 5.0}.get(name, 1.0)
            for parameter in network.parameters():
                parameter.mul_(factor)
    for iteration, expected in zip((0, 2), scaled["losses_float64"], strict=True):
        require_losses(update(model, numbers, iteration, FIXTURES[fixture]), expected)


def test_parameters_are_the_authors_to_the_integer():
    transform = DRITConfig(combine="transform", decoder_blocks=4)
    counts = (
        (DRITConfig(), 9_018_112, 2_688_160, 9_564_710, 65_039_315),
        (transform, 9_018_112, 5_529_872, 17_146_374, 75_462_691),
    )
    for config, content, attribute, generator, whole in counts:
        with torch.device("meta"):
            model = DRIT(config)
        found = [
            sum(p.numel() for p in network.parameters())
            for network in (model.contents, model.attributes, model.decoders, model.joint)
        ]
        assert found[:2] == [content, attribute]
        assert found[2] + found[3] == generator
        assert sum(p.numel() for p in model.networks.parameters()) == whole


def test_files_without_discriminators_translate(folder):
    path = folder / "00009.pth"
    whole = torch.load(path)
    torch.save({name: whole[name] for name in NAMES[:3]}, folder / "released.pth")
    model = DRIT.from_official(folder / "released.pth")
    assert all("discriminator" in name for name in model.absent)
    assert len(model.absent) == 5


@pytest.mark.parametrize(
    ("network", "name", "tensor", "message"),
    [
        ("enc_c", "convA.0.model.1.weight", None, r"enc_c, lacks convA\.0\.model\.1\.weight"),
        ("enc_c", "conv_share.0.model.5.bias", None, r"lacks conv_share\.0\.model\.5\.bias"),
        ("gen", "surplus.weight", torch.zeros(1), r"gen, has unknown surplus"),
        ("disContent", "model.4.bias", torch.zeros(2), r"disContent, has misshapen model\.4\.bias"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(folder, network, name, tensor, message):
    path = folder / "00009.pth"
    whole = torch.load(path)
    if tensor is None:
        del whole[network][name]
    else:
        whole[network][name] = tensor
    torch.save(whole, path)
    with pytest.raises(ValueError, match=message):
        DRIT.from_official(folder)


def test_unreadable_files_are_refused(folder, tmp_path_factory):
    with pytest.raises(ValueError, match=r"no file 00000\.pth"):
        DRIT.from_official(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="lacks the state dicts enc_c, enc_a, gen"):
        DRIT.from_official(folder / "00008.pth")


# --- the schedule


def trained(config, total):
    steps = range(1, total + 1)
    return [config.trains_all(Clock(s, total, 2 * (s - 1), 2 * total)) for s in steps]


@pytest.mark.parametrize(
    ("length", "wanted"), [(5, "..FFF"), (7, "..F..FF"), (9, "..F..F.FF"), (2, "FF"), (1, "F")]
)
def test_last_two_steps_of_an_epoch_train_all(length, wanted):
    found = trained(DRITConfig(num_epochs=3), 3 * length)
    assert "".join("F" if each else "." for each in found) == 3 * wanted


def test_more_epochs_than_steps_train_all():
    assert all(trained(DRITConfig(num_epochs=1200), 4))


def test_learning_rate_falls_after_half_of_the_epochs():
    config = DRITConfig()
    for epoch, share in ((0, 1), (600, 1), (601, 600 / 601), (1199, 2 / 601)):
        clock = Clock(10 * epoch + 1, 12_000, 0, 24_000)
        assert config.rate(clock) == pytest.approx(1e-4 * share)


def test_published_settings_are_the_authors():
    settings = DRIT.settings("published", task(256, "summer2winter_yosemite", "catalogued"))
    assert settings.config == DRITConfig()
    assert (settings.batch_size, settings.budget) == (2, 1200 * 1000)
    assert (settings.load_size, settings.crop_size) == (256, 216)
    assert (settings.resampling, settings.resize, settings.flip) == ("bicubic", "square", True)
    cats = DRIT.settings("published", task(256, "cat2dog", "catalogued"))
    assert cats.config == DRITConfig(combine="transform", decoder_blocks=4)


def test_training_ends_with_the_epoch_of_the_500_000th_update():
    assert published_epochs(1364) == 1200
    # 1,700 steps: every third, 566, and the last two, of which neither is one of these
    assert published_epochs(3400) == -(-500_000 // 568)


# --- sizes, starts, batches


@pytest.mark.parametrize(("preset", "size"), [("small", 32), ("tiny", 32)])
def test_smaller_images_are_refused(preset, size):
    config = DRIT.settings(preset, task(size)).config
    least = config.minimum_size
    images = {d: torch.rand(2, 3, least, least) for d in DOMAINS}
    model = DRIT(dataclasses.replace(config, generator_width=2, discriminator_width=2))
    model.training_step(Batch(images), Randomness(0))  # the least is enough
    with pytest.raises(ValueError, match=f"needs images of at least {least} px"):
        DRIT.settings(preset, task(least - 1))


@pytest.mark.parametrize(("layers", "kernel"), [(3, 7), (1, 3), (0, 3), (2, 5)])
def test_content_minimum_is_what_the_discriminator_takes(layers, kernel):
    side = content_minimum(layers, kernel)
    judge = ContentDiscriminator(1, layers, kernel)
    assert judge(torch.zeros(1, 1, side, side)).shape == (1, 1, 1, 1)
    judge.minimum_size = 0
    with pytest.raises(RuntimeError):
        judge(torch.zeros(1, 1, side - 1, side - 1))


def test_published_crops_hold_what_the_networks_need():
    with pytest.raises(ValueError, match="DRIT needs images of at least 251 px; task palette"):
        DRIT.settings("published", task(250))
    settings = DRIT.settings("published", task(251))
    assert settings.crop_size == settings.config.minimum_size == 212


def test_published_content_discriminator_needs_53():
    assert content_minimum(3, 7) == 53
    assert DRITConfig().minimum_size == 212


def test_networks_start_as_the_authors():
    torch.manual_seed(0)
    model = DRIT(dataclasses.replace(PRESETS["small"], generator_width=32))
    for layer in model.networks.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 5000:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert layer.bias is not None
            assert layer.bias.abs().max() > 0  # PyTorch's own


@pytest.mark.parametrize("combine", ["concat", "transform"])
@pytest.mark.parametrize("norm", ["instance", "none"])
def test_every_combination_translates_with_fewer_halvings(combine, norm):
    changes = {"combine": combine, "content_norm": norm, "num_halvings": 1}
    config = dataclasses.replace(PRESETS["tiny"], **changes)
    images = torch.rand(1, 3, 32, 32)
    model = DRIT(config)
    assert model.contents(images, "a").shape == (1, 8, 16, 16)
    assert model.translate(Batch({"a": images}), A2B, Randomness(0)).shape == images.shape
    moved = model.contents(images + 0.25, "a")
    assert DRIT.needs(config).multiple == 2
    assert not torch.equal(moved, model.contents(images, "a"))


def test_domains_start_alike_where_asked():
    for same_start in (True, False):
        config = dataclasses.replace(PRESETS["tiny"], same_start=same_start)
        model = DRIT(config)
        for networks in (model.contents.own, model.attributes, model.decoders):
            pairs = zip(networks["a"].parameters(), networks["b"].parameters(), strict=True)
            alike = [torch.equal(*pair) for pair in pairs]
            assert all(alike) == same_start
    with pytest.raises(ValueError, match="same_start is on"):
        DRITConfig(same_start=True, channels=(1, 3))


def test_halves_of_a_batch_have_their_roles():
    config = dataclasses.replace(PRESETS["tiny"], content_interval=1)
    batch = {d: torch.rand(4, 3, 32, 32) for d in DOMAINS}
    changed = {d: batch[d].clone() for d in DOMAINS}
    for each in changed.values():
        each[2:] = 0.5
    found = []
    for given in (batch, changed):
        torch.manual_seed(0)
        found.append(DRIT(config).training_step(Batch(given), Randomness(0)))
    first, second = found
    differ = {name for name in first if not torch.equal(first[name], second[name])}
    assert {"discriminator_random_a", "discriminator_random_b"} <= differ
    encoded = ("cycle", "reconstruction", "kl", "discriminator_a", "discriminator_content")
    assert not any(name.startswith(encoded) for name in differ)


def test_without_mode_seeking_one_attribute_is_drawn():
    config = dataclasses.replace(PRESETS["tiny"], lambda_mode_seeking=0.0, content_interval=1)
    model = DRIT(config)
    batch = Batch({d: torch.rand(2, 3, 32, 32) for d in DOMAINS})
    counts = []
    model.decoders["a"].register_forward_hook(lambda _, x, y: counts.append(len(y)))
    losses = model.training_step(batch, Randomness(0))
    assert counts == [3, 1]
    assert not any(name.startswith("mode_seeking") for name in losses)
