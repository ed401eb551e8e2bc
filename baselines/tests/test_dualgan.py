"""DualGAN against the numbers of the authors' TensorFlow graphs, of 2017 and the last revision."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from i2i_baselines.dualgan.model import DualGAN, DualGANConfig, make_generator
from i2i_baselines.official.dualgan import NETWORKS, discriminator_stems, generator_stems

from i2i_bench.model import A2B, B2A, Batch, Clock, Needs, Settings
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL, Toy
from i2i_bench.randomness import Randomness

WGAN_GP: dict[str, Any] = {"loss": "wgan-gp", "lambda_cycle_a": 500.0, "lambda_cycle_b": 500.0}
SETS: dict[
    str, dict[str, dict[str, Any]]
] = {  # folder → set → what its configuration adds to what the files tell
    "dualgan": {
        "wgan_gp": WGAN_GP,
        "wgan_gp_perturbed": WGAN_GP,
        "wgan_gp_patch_l2": {
            **{"loss": "wgan-gp", "cycle_distance": "l2"},
            **{"lambda_cycle_a": 1000.0, "lambda_cycle_b": 1000.0},
        },
        "classic": WGAN_GP | {"loss": "classic"},
        "wgan": WGAN_GP | {"loss": "wgan", "critic_steps": 2},
    },
    "dualgan/rev2017": {"classic": {}, "classic_perturbed": {}},
}
QUICK = {("dualgan", "wgan_gp_perturbed"), ("dualgan/rev2017", "classic_perturbed")}
EVERY = [(folder, name) for folder, sets in SETS.items() for name in sets]
PASSES = ("a2b", "b2a", "back_b2a", "back_a2b")  # in the order of the authors' masks of dropout


TINY: dict[str, Any] = {
    **{"generator_width": 1, "discriminator_width": 1, "num_levels": 2},
    **{"discriminator_layers": 2},
}


def marked(cases, quick):
    return [pytest.param(*each, marks=[pytest.mark.slow] * (each not in quick)) for each in cases]


class Given(Randomness):
    """Give the authors' draws: shares of penalties, and what dropout keeps."""

    def __init__(self, numbers, run="probe"):
        super().__init__(0, dtype=torch.float64)
        self.io, self.settings, self.run = numbers.io, numbers.steps["settings"], run

    def uniform(self, name, shape):
        kind, _, rest = name.partition("_")
        if kind == "penalty":
            return self.io[f"draws/eps_{rest.upper()}_{self.run}"].double()
        *session, way, number = rest.split("_")
        place = PASSES.index(f"back_{way}" if "back" in session else way)
        part = {"discriminators": "_d", "generators_0": "_g1", "generators_1": "_g2"}
        run = self.run + part.get("_".join(w for w in session if w != "back"), "")
        bits = np.unpackbits(self.io[f"draws/maskbits_{run}"].numpy())
        width = 8 * self.settings["fcn_filter_dim"] * self.settings["batch"]
        sizes = [width * side**2 for side in (2, 4, 8)]
        start = place * sum(sizes) + sum(sizes[: int(number) - 1])
        return torch.tensor(bits[start : start + sizes[int(number) - 1]]).view(shape)


class Revision:
    """The numbers of one revision, and models with its weights."""

    def __init__(self, numbers, folder):
        self.numbers, self.folder = numbers, folder
        self.settings = numbers.steps["settings"]

    def seen(self, images):
        """Turn images from or to the colours that networks see: the last revision's are BGR."""
        return images.flip(1) if self.folder == "dualgan" else images

    def images(self, domain, indices):
        pool = self.numbers.io[f"pool_{domain.upper()}"][indices].double()
        enlarged = pool.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        return self.seen((enlarged - 128) / 128)

    def variables(self, name):
        """Give the variables of a set, as a checkpoint of the authors names them."""
        found = {k: t for k, t in self.numbers.init.items() if k[:3] in NETWORKS}
        for kind in ("perturbed", "patch"):
            if kind in name:
                found |= self.numbers.network(kind)
        if "patch" in name:
            found = {k: t for k, t in found.items() if "lin" not in k}
        return {k.partition("/")[2]: tensor for k, tensor in found.items()}

    def model(self, name, path):
        torch.save(self.variables(name), path / "dualgan.pt")
        model = DualGAN.from_official(path)
        assert not model.absent
        model.config = dataclasses.replace(model.config, **SETS[self.folder][name])
        return model

    def outputs(self, model):
        """Give what both generators and discriminators make of the probe, by the authors' names."""
        dtype = next(model.networks.parameters()).dtype
        indices, random = self.settings["probe_index"], Given(self.numbers)
        a, b = (self.images(domain, indices).to(dtype) for domain in "ab")
        with torch.no_grad():
            a2b = model.translate(Batch({"a": a}), A2B, random)
            b2a = model.translate(Batch({"b": b}), B2A, random)
            images = {"A2B": a2b, "B2A": b2a}
            images["A2B2A"] = model.generate(a2b, B2A, random, "test_back")
            images["B2A2B"] = model.generate(b2a, A2B, random, "test_back")
            judges = model.discriminators
            judged = {"Ad_fake": judges["b"](a2b), "Ad_real": judges["b"](b)}
            judged |= {"Bd_fake": judges["a"](b2a), "Bd_real": judges["a"](a)}
        return {name: self.seen(image) for name, image in images.items()} | judged

    def stored(self, name, output, stride):
        """Give the part of an output that the fixture stores."""
        if not name[1:].startswith("d_"):
            return output[:, :, ::stride, ::stride]
        is_wide = output.ndim == 4 and output.shape[-1] > 8
        return output[:, :, ::3, ::3] if is_wide else output


@pytest.fixture(scope="module")
def revisions(golden):
    return {folder: Revision(golden(folder), folder) for folder in SETS}


def official_names(model, letter):
    """Give the name of each parameter of our networks of a kind, by the authors'."""
    stems = generator_stems(8) if letter == "g" else discriminator_stems(model.config.networks)
    leaves = {"conv": ("w", "biases"), "bn": ("scale", "center"), "lin": ("Matrix", "bias")}
    found = {}
    for side in "AB":
        network = f"{side}_{letter}"
        for ours, theirs in stems:
            kind = "bn" if theirs.startswith("bn") else "lin" if "lin" in theirs else "conv"
            for leaf, own in zip(leaves[kind], ("weight", "bias"), strict=True):
                name = f"{network}/{network}_{theirs}/{leaf}"
                found[name] = f"{NETWORKS[network]}.{ours}.{own}"
    return found


FORWARD = [each for each in EVERY if each not in {("dualgan", "classic"), ("dualgan", "wgan")}]


@pytest.mark.parametrize(("folder", "name"), marked(FORWARD, QUICK))
def test_forward_equals_the_authors(revisions, tmp_path, folder, name):
    revision = revisions[folder]
    model, io = revision.model(name, tmp_path), revision.numbers.io
    is_perturbed = "perturbed" in name
    stride = revision.settings["image_stride"]["perturbed_init" if is_perturbed else "init"]
    outputs = revision.outputs(model)
    stored = [output for output in outputs if f"{name}/init/{output}" in io]
    assert len(stored) >= 4
    for output in stored:
        twice, of_fake = len(output) == 5, output.endswith("fake")
        atol = {True: 5e-5 if twice else 3e-4 if of_fake else 2e-5, False: 2e-5}[is_perturbed]
        found = revision.stored(output, outputs[output], stride)
        torch.testing.assert_close(found, io[f"{name}/init/{output}"], atol=atol, rtol=0)


@pytest.mark.parametrize(("folder", "name"), sorted(QUICK))
def test_features_around_the_bottleneck_equal_the_authors(revisions, tmp_path, folder, name):
    revision = revisions[folder]
    model, found = revision.model(name, tmp_path), {}
    model.networks.double()
    names = dict(generator_stems(8))
    for place, layer in model.generators["a2b"].named_modules():
        if place in names:
            layer.register_forward_hook(lambda _, __, y, n=names[place]: found.setdefault(n, y))
    images = revision.images("a", revision.settings["probe_index"])
    with torch.no_grad():
        model.translate(Batch({"a": images}), A2B, Given(revision.numbers))
    taps = {
        key: t for key, t in revision.numbers.io.items() if key.startswith(f"{name}/init/tap/A_g")
    }
    assert len(taps) == 4
    for key, truth in taps.items():
        value = found[f"bn_{key.rpartition('_')[2]}"]
        torch.testing.assert_close(value.float(), truth, atol=2e-4, rtol=0)


def in_official_terms(judged, turns, config):
    """Name the losses of a step as the authors do, and weigh them as they do."""
    found = {"d_loss": judged["discriminator_a"] + judged["discriminator_b"]}
    for name, domain in (("Ad_loss", "b"), ("Bd_loss", "a")):  # A_d judges b
        penalty = judged.get(f"gradient_penalty_{domain}", 0.0)
        found[name] = judged[f"discriminator_{domain}"] - config.lambda_penalty * penalty
    for number, losses in enumerate(turns, 1):
        cycle_a, cycle_b = losses["cycle_a"], losses["cycle_b"]
        of_a = losses["adversarial_a2b"] + config.lambda_cycle_b * cycle_b
        of_b = losses["adversarial_b2a"] + config.lambda_cycle_a * cycle_a
        terms = {"A_loss": cycle_a, "B_loss": cycle_b, "Ag_loss": of_a, "Bg_loss": of_b}
        terms["g_loss"] = of_a + of_b
        found |= {f"G{number}/{name}": value for name, value in terms.items()}
    return found


@pytest.mark.parametrize(
    ("folder", "name"), marked(EVERY, {("dualgan/rev2017", "classic_perturbed")})
)
def test_steps_in_float64_equal_the_authors(revisions, tmp_path, monkeypatch, folder, name):
    revision = revisions[folder]
    model, truth = revision.model(name, tmp_path), revision.numbers.steps["sets"][name]
    model.networks.double()
    turns, update = [], model.update_generators
    monkeypatch.setattr(model, "update_generators", lambda *args: turns.append(update(*args)) or {})
    with recorded_gradients(model) as gradients:
        for step, expected in enumerate(truth["losses_float64"]):
            turns.clear()
            indices = {d: revision.settings[f"batch_index_{d.upper()}"][step] for d in "ab"}
            images = {d: revision.images(d, indices[d]) for d in "ab"}
            model.advance(Clock(step + 1, 1000, step, 1000))
            judged = model.training_step(Batch(images), Given(revision.numbers, str(step)))
            for number in (1, 2):
                updated = expected.get(f"G{number}/updated", False)
                assert updated == (number <= len(turns))
            for term, value in in_official_terms(judged, turns, model.config).items():
                assert value.item() == pytest.approx(expected[term], rel=1e-6), (step, term)
    for kind, letter in (("D", "d"), ("G", "g")):
        ours = official_names(model, letter)
        norms = truth["grad_l2_first_update_float64"][kind]
        assert ours.keys() == norms.keys()
        for theirs, norm in norms.items():
            found = gradients[ours[theirs]][0].norm().item()
            assert found == pytest.approx(norm, rel=1e-6, abs=1e-6), theirs
    parameters = dict(model.networks.named_parameters())
    for theirs, own in (official_names(model, "d") | official_names(model, "g")).items():
        norm = parameters[own].norm().item()
        assert norm == pytest.approx(truth["param_l2_after_float64"][theirs], rel=1e-6, abs=1e-9)
    stride = revision.settings["image_stride"]["after"]
    for output, value in revision.outputs(model).items():
        length = value.norm().item()
        assert length == pytest.approx(truth["output_l2_after_float64"][output], rel=1e-6)
        if (key := f"{name}/after_f64/{output}") in revision.numbers.io:
            found = revision.stored(output, value, stride).float()
            torch.testing.assert_close(found, revision.numbers.io[key], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("networks", "generator", "discriminator"),
    [
        ("2017", 85_022_787, 4_321_153),
        ("latest", 30_627_907, 3_949_441),
        ("latest-patch", 30_627_907, 3_921_281),
    ],
)
def test_parameters_are_the_authors_to_the_integer(networks, generator, discriminator):
    with torch.device("meta"):
        model = DualGAN(DualGANConfig(networks=networks))
    for part, count in ((model.generators, generator), (model.discriminators, discriminator)):
        counts = [sum(p.numel() for p in network.parameters()) for network in part.values()]
        assert counts == [count, count]


def test_published_settings_are_the_authors():
    counts = {"a": 400, "b": 500}
    task = dataclasses.replace(NOMINAL, kind="catalogued", num_train=counts)
    assert DualGAN.settings("published", task) == Settings(
        DualGANConfig(
            networks="2017",
            loss="classic",
            num_levels=8,
            lambda_cycle_a=20.0,
            lambda_cycle_b=20.0,
            learning_rate=5e-5,
        ),
        batch_size=1,
        budget=45 * 400,
        load_size=256,
        crop_size=256,
        resampling="bilinear",
        resize="square",
        flip=False,
    )


@pytest.mark.parametrize(
    ("size", "levels", "dropped"), [(256, 8, 3), (128, 7, 2), (64, 6, 1), (48, 4, 0), (200, 3, 0)]
)
def test_images_of_other_sizes_are_halved_as_often_as_they_can_be(size, levels, dropped):
    settings = DualGAN.settings("published", Toy(kind="folder", image_size=size))
    assert settings.config.num_levels == levels
    assert DualGAN.needs(settings.config) == Needs(multiple=2**levels)
    with torch.device("meta"):
        assert make_generator(settings.config, A2B).plan.dropout == tuple(range(1, dropped + 1))


@pytest.mark.parametrize("preset", ["published", "small", "tiny"])
@pytest.mark.parametrize("size", [24, 50, 100, 256])
def test_every_preset_has_levels_that_fit(size, preset):
    settings = DualGAN.settings(preset, Toy(kind="folder", image_size=size))
    assert settings.crop_size % 2**settings.config.num_levels == 0
    assert settings.config.image_size == settings.crop_size


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="DualGAN halves images at least once; 75 px cannot be"):
        DualGAN.settings("published", Toy(kind="folder", image_size=75))


def test_generators_have_their_turn_at_the_authors_batches():
    model = DualGAN(DualGANConfig(generator_width=1, discriminator_width=1, critic_steps=3))
    turns = []
    for step in range(1, 9):
        model.advance(Clock(step, 8, step - 1, 8))
        turns.append(model.trains_generators)
    assert turns == [False, True, False, False, True, False, False, True]  # numbers 3, 6, 9


def test_weights_start_as_the_authors():
    torch.manual_seed(0)
    config = DualGANConfig(generator_width=16, discriminator_width=16, networks="latest")
    weights = {n: p.detach() for n, p in DualGAN(config).networks.named_parameters()}
    scales = torch.cat([p for n, p in weights.items() if p.ndim == 1 and n.endswith("weight")])
    truncated = weights["generators.a2b.down.4.1.weight"]  # at two deviations: 0.88 of them wide
    assert truncated.abs().max() <= 0.04
    assert truncated.std().item() == pytest.approx(0.0176, rel=0.02)
    for whole in ("generators.a2b.up.3.1", "discriminators.a.layers.15"):
        assert weights[f"{whole}.weight"].abs().max() > 0.05
        assert weights[f"{whole}.weight"].std().item() == pytest.approx(0.02, rel=0.03)
    assert scales.mean().item() == pytest.approx(1.0, abs=1e-3)
    assert scales.std().item() == pytest.approx(0.02, rel=0.1)
    assert not any(p.any() for n, p in weights.items() if n.endswith("bias"))


def test_dropout_stays_on_at_test_and_repeats():
    torch.manual_seed(0)
    model = DualGAN(DualGANConfig(generator_width=2, discriminator_width=2, num_levels=7))
    batch = Batch({"a": torch.rand(1, 3, 128, 128) * 2 - 1})
    with torch.no_grad():
        first, again, other = (model.translate(batch, A2B, Randomness(k)) for k in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("distance", "power"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize(("side", "way"), [("a", A2B), ("b", B2A)])
def test_each_domain_has_its_cycle_weight(side, way, distance, power):
    images = {d: torch.rand(1, 3, 24, 24, dtype=torch.float64) for d in "ab"}

    def gradients(weight):
        torch.manual_seed(0)
        weights = {"lambda_cycle_a": 0.0, "lambda_cycle_b": 0.0, f"lambda_cycle_{side}": weight}
        config = TINY | weights | {"cycle_distance": distance, "loss": "wgan-gp"}
        model = DualGAN(DualGANConfig(**config))
        model.networks.double()
        with recorded_gradients(model) as found:
            model.training_step(Batch(images), Randomness(0, dtype=torch.float64))
        return {name: of_steps[0] for name, of_steps in found.items()}

    without, heavy = gradients(0.0), gradients(3.0)
    torch.manual_seed(0)
    generators = DualGAN(DualGANConfig(**TINY)).generators.double()
    there, back = (generators.get_submodule(str(each)) for each in (way, way.reverse))
    distances = (back(there(images[side])) - images[side]).abs() ** power
    distances.mean().backward()
    for name, parameter in generators.named_parameters():
        added = heavy[f"generators.{name}"] - without[f"generators.{name}"]
        torch.testing.assert_close(added / 3, parameter.grad)


def test_clipping_covers_scales_and_spares_the_generators():
    model = DualGAN(DualGANConfig(**TINY, loss="wgan"))
    model.training_step(Batch({d: torch.rand(1, 3, 24, 24) for d in "ab"}), Randomness(0))
    assert max(p.abs().max().item() for p in model.discriminators.parameters()) <= 0.01
    assert max(p.abs().max().item() for p in model.generators.parameters()) > 0.9


def test_domains_may_have_other_channels_each():
    model = DualGAN(DualGANConfig(**TINY, channels=(1, 4)))
    images = {"a": torch.rand(1, 1, 24, 24), "b": torch.rand(1, 4, 24, 24)}
    model.training_step(Batch(images), Randomness(0))
    shapes = [model.translate(Batch(images), d, Randomness(0)).shape[1] for d in (A2B, B2A)]
    assert shapes == [4, 1]


def test_linear_head_refuses_images_of_another_size():
    config = DualGANConfig(**TINY, networks="latest", image_size=64)
    images = {domain: torch.rand(1, 3, 32, 48) for domain in "ab"}
    with pytest.raises(ValueError, match=r"of images of 64 px, not 48x32; image_size, crop_size"):
        DualGAN(config).training_step(Batch(images), Randomness(0))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("loss", "lsgan", "loss is 'lsgan'; possible: classic, wgan, wgan-gp"),
        ("networks", "2018", "networks is '2018'; possible: 2017, latest, latest-patch"),
        ("cycle_distance", "l3", "cycle_distance is 'l3'; possible: l1, l2"),
        ("num_levels", 17, "num_levels is 17; at most 16 are possible"),
        ("clip", -1.0, r"clip is -1\.0; at least 0 is needed"),
        ("learning_rate", -1e-3, r"learning_rate is -0\.001; at least 0 is needed"),
    ],
)
def test_impossible_settings_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        DualGANConfig(**{field: value})


def test_file_of_tensorflow_is_refused_with_what_to_do(tmp_path):
    for name in ("checkpoint", "DualNet.model-7.index", "DualNet.model-7.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"0")
    with pytest.raises(ValueError, match=r"DualNet.*TensorFlow.*load_checkpoint.*torch\.save"):
        DualGAN.from_official(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A_g_e3_conv/w": None}, r"dualgan\.pt, A_g, lacks e3_conv\.weight"),
        ({"A_d_h4/w": torch.zeros(5, 5, 2, 1)}, r"A_d, has misshapen h4\.weight \(1, 2, 5, 5\)"),
        ({"beta1_power": torch.zeros(1)}, r"has 'beta1_power', which is no variable of DualGAN"),
        (
            {"B_g_e9_conv/u": torch.zeros(1)},
            r"has 'B_g_e9_conv/u', which is no variable of DualGAN",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(revisions, tmp_path, change, message):
    tensors = revisions["dualgan/rev2017"].variables("classic") | change
    torch.save({n: t for n, t in tensors.items() if t is not None}, tmp_path / "dualgan.pt")
    with pytest.raises(ValueError, match=message):
        DualGAN.from_official(tmp_path)


def test_generators_alone_are_enough(revisions, tmp_path):
    tensors = revisions["dualgan/rev2017"].variables("classic")
    torch.save({n: t for n, t in tensors.items() if n[2] == "g"}, tmp_path / "any.pth")
    model = DualGAN.from_official(tmp_path / "any.pth")
    assert model.absent == {"discriminators.a", "discriminators.b"}
