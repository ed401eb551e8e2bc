"""CUT and FastCUT against the authors' numbers."""

import contextlib
import dataclasses

import pytest
import torch
from i2i_baselines.cut import CUT, CUTConfig, FastCUT, FastCUTConfig
from i2i_baselines.official.cut import generator_stems, read_discriminator, read_heads
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.blocks import contrast
from i2i_bench.blocks.contrast import patch_nce
from i2i_bench.blocks.layers import BlurDown
from i2i_bench.model import A2B, B2A, PRESETS, Batch, Clock, Settings
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness
from i2i_bench.training.settings import change_settings

FILES = {f"latest_net_{name}.pth": name for name in "GFD"}
NETWORKS = {"G": "generator", "F": "heads", "D": "discriminator"}
LAYERS = (0, 4, 8, 12, 16)
QUICK = ("cut", "fastcut", "places by columns", "patches that are not mirrored back")
SETS = {  # fixture, settings that no shape tells
    "cut": ("cut", {"num_patches": 96}),
    "all_negatives": ("cut", {"num_patches": 96, "negatives": "batch"}),
    "scaled": ("cut", {"num_patches": 96}),
    "fastcut": ("fastcut", {"num_patches": 64}),
    "fastcut scaled": ("fastcut", {"num_patches": 64}),
}
SCALES = {"D": 32, "F": 64, "G": 1}


class Replay(Randomness):
    """The authors' places and mirrorings of one step."""

    def __init__(self, numbers, step):
        super().__init__(0, dtype=torch.float64)
        prefix = f"draws/{step}/"
        self.drawn = {
            name.removeprefix(prefix): tensor
            for name, tensor in numbers.io.items()
            if name.startswith(prefix)
        }

    def integers(self, name, high, shape):
        loss, _, layer = name.rpartition("_")
        call = "NCE" if loss == "nce_a2b" else "NCE_Y"
        return keys_of(self.drawn[f"{call}/layer{layer}"], high, shape)

    def uniform(self, name, shape):
        assert (name, shape) == ("mirror", (1,))
        return self.drawn["flip_u"].expand(1)


def keys_of(places, high, shape):
    """Give draws of which the smallest are at these places, in every row."""
    keys = torch.full(shape, high - 1)
    keys[:, places.long()] = torch.arange(len(places))
    return keys


def scaled(name, tensors):
    """Amplify a network, as the fixture says, so that errors in it show."""
    changed = {}
    for key, tensor in tensors.items():
        if key.endswith("bias"):
            number = torch.arange(len(tensor))
            changed[key] = ((5 * number % 16) - 8) / (128 if name == "D" else 1024)
        elif key.endswith("filt"):
            changed[key] = tensor
        else:
            changed[key] = tensor * (16 if key == "model.30.weight" else SCALES[name])
    return changed


def images(tensor):
    return (tensor.double() - 128) / 128


def mostly_slow(names):
    return [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.fixture(scope="module", params=mostly_slow(SETS))
def case(request, golden, tmp_path_factory):
    return Case(request.param, golden, tmp_path_factory.mktemp("official"))


@pytest.fixture
def one_case(golden, tmp_path):
    return lambda name: Case(name, golden, tmp_path)


class Case:
    """A set of a fixture: its numbers, and the model as its authors' files give it."""

    def __init__(self, name, golden, folder):
        fixture, self.changes = SETS[name]
        self.kind = CUT if fixture == "cut" else FastCUT
        self.name, self.numbers, self.folder = name.rpartition(" ")[2], golden(fixture), folder
        self.prefix = "" if self.name == fixture else f"{self.name}/"
        self.expected = self.numbers.steps[self.name]
        for file, network in FILES.items():
            tensors = self.numbers.network(network)
            tensors = scaled(network, tensors) if self.name == "scaled" else tensors
            torch.save(tensors, folder / file)

    def model(self):
        read = self.kind.from_official(self.folder)
        assert read.absent == set()
        model = self.kind(dataclasses.replace(read.config, **self.changes))
        model.networks.load_state_dict(read.networks.state_dict())
        model.networks.double()
        return model

    def probe(self, count=2):
        return [images(self.numbers.io[f"probe/real_{d}"])[:count] for d in "AB"]

    def steps(self, model, count=3):
        """Take steps; give the losses of each by the authors' names, weighted as theirs."""
        found = []
        for step in range(count):
            model.advance(Clock(step + 1, 1000, step, 1000))
            real = {d: images(self.numbers.io[f"train/real_{d.upper()}_{step}"]) for d in "ab"}
            losses = model.training_step(Batch(real), Replay(self.numbers, f"step{step}"))
            weight = model.config.lambda_nce
            official_names = {
                "G_GAN": losses["adversarial_a2b"],
                "NCE": weight * losses["nce_a2b"],
                "D": losses["discriminator_b"],
            }
            if "nce_identity_b" in losses:
                official_names["NCE_Y"] = weight * losses["nce_identity_b"]
            found.append({name: value.item() for name, value in official_names.items()})
        return found

    def is_published(self, found):
        return all(
            losses == {name: pytest.approx(expected[name], rel=1e-6) for name in losses}
            and losses.keys() == expected.keys() - {"D_real", "D_fake", "G"}
            for losses, expected in zip(found, self.expected["losses_float64"], strict=False)
        )

    def truth(self, name):
        return self.numbers.io.get(f"{self.prefix}{name}")


def stems_of(case, model):
    """Give our modules by the authors' names of networks and modules."""
    states = {
        letter: official.StateDict(letter, case.numbers.network(letter)) for letter in NETWORKS
    }
    stems = {
        "G": generator_stems(dataclasses.asdict(model.config)),
        "F": read_heads(states["F"])[1],
        "D": read_discriminator(states["D"], blur=True)[2],
    }
    return {
        f"{letter}/{theirs}": f"{NETWORKS[letter]}.{ours}"
        for letter, pairs in stems.items()
        for ours, theirs in pairs
    }


def test_three_steps_in_float64_equal_the_authors(case):
    model = case.model()
    with recorded_gradients(model) as gradients:
        assert case.is_published(case.steps(model))
    ours = stems_of(case, model)
    expected = case.expected["grad_l2_step1_float64"]
    assert len(gradients) == len(expected)
    for name, value in expected.items():
        module, _, leaf = name.rpartition(".")
        if value > 1e-6:  # of biases that a normalisation cancels it is rounding
            found = gradients[f"{ours[module]}.{leaf}"][0].norm().item()
            assert found == pytest.approx(value, rel=1e-6), name
    state = model.networks.state_dict()
    for name, stats in case.expected.get("param_stats_after3_float64", {}).items():
        module, _, leaf = name.rpartition(".")
        if leaf != "filt" and expected[name] > 1e-6:
            tensor = state[f"{ours[module]}.{leaf}"]
            assert tensor.norm().item() == pytest.approx(stats["l2"], rel=1e-6), name
            assert tensor.mean().item() == pytest.approx(stats["mean"], abs=1e-6), name
    a, b = case.probe()
    with torch.no_grad():
        fake = model.translate(Batch({"a": a}), A2B, Randomness(0))
        made = {"A2B/fake": fake, "D/real": model.discriminator(b)}
        made["D/fake"] = model.discriminator(fake)
    truths = {name: case.truth(f"after3_f64/{name}") for name in made}
    assert case.name == "all_negatives" or all(truth is not None for truth in truths.values())
    for name, truth in truths.items():
        if truth is not None:
            found = made[name][: len(truth)].float()
            torch.testing.assert_close(found, truth, atol=1e-6, rtol=1e-6)


def forward(case, model):
    """Give what the fixtures hold of a probe batch before any step."""
    a, b = case.probe()
    places = [case.numbers.io[f"probe/ids/layer{n}"].long().expand(2, -1) for n in LAYERS]
    with torch.no_grad():
        fake, identity = model.generator(torch.cat([a, b])).chunk(2)
        named = {"A2B/fake": fake, "identity": identity}
        named |= {"D/real": model.discriminator(b), "D/fake": model.discriminator(fake)}
        features = model.generator.features(a, LAYERS)
        keys = model.heads(features, places)
        queries = model.heads(model.generator.features(fake, LAYERS), places)
    for number, each, k, q in zip(LAYERS, features, keys, queries, strict=True):
        losses = patch_nce(q, k, 0.07, model.config.negatives)
        named |= {f"feat_k/layer{number}": each[:1], f"F/k_layer{number}": k.flatten(0, 1)}
        named |= {f"F/q_layer{number}": q.flatten(0, 1)}
        named |= {f"nce_per_patch/layer{number}": losses.flatten()}
    return named


# of float32, in which the authors' numbers are
TOLERANCES = {"F": 1e-4, "D": 2e-8, "D scaled": 2e-5, "nce_per_patch": 1e-3}


def test_forward_equals_the_authors(case):
    compared = 0
    for name, value in forward(case, case.model()).items():
        if (truth := case.truth(f"init/{name}")) is not None:
            kind = name.partition("/")[0] + (" scaled" if case.name == "scaled" else "")
            atol = TOLERANCES.get(kind, TOLERANCES.get(kind.removesuffix(" scaled"), 2e-5))
            torch.testing.assert_close(value.float(), truth, atol=atol, rtol=0, msg=name)
            compared += 1
    assert compared == {"all_negatives": 5, "scaled": 7}.get(case.name, 23)


BLURS = {"noaa": (False, False), "noaa_down": (False, True), "noaa_up": (True, False)}


@pytest.mark.parametrize("switch", BLURS)
def test_networks_without_blurs_equal_the_authors(golden, tmp_path, switch):
    numbers = golden("cut")
    numbers.save(tmp_path, {"latest_net_G.pth": f"{switch}/G"})
    widths = enumerate((3, 4, 8, 8, 8))
    heads = {f"mlp_{i}.0.{leaf}": torch.ones(2, w) for i, w in widths for leaf in ("weight",)}
    heads |= {f"mlp_{i}.2.weight": torch.ones(2, 2) for i in range(5)}
    heads |= {f"mlp_{i}.{j}.bias": torch.ones(2) for i in range(5) for j in (0, 2)}
    torch.save(heads, tmp_path / "latest_net_F.pth")
    if switch == "noaa":
        numbers.save(tmp_path, {"latest_net_D.pth": "noaa/D"})
    model = CUT.from_official(tmp_path)
    assert (model.config.antialias, model.config.antialias_up) == BLURS[switch]
    a, b = (images(numbers.io[f"probe/real_{d}"]).float() for d in "AB")
    with torch.no_grad():
        made = {"A2B/fake": model.translate(Batch({"a": a[:1]}), A2B, Randomness(0))}
        if switch == "noaa":
            made["D/real"] = model.discriminator(b)
            features = model.generator.features(a[:1], LAYERS[1:])
            made |= {f"feat_k/layer{n}": f for n, f in zip(LAYERS[1:], features, strict=True)}
    for name, value in made.items():
        truth = numbers.io[f"{switch}/init/{name}"]
        torch.testing.assert_close(value, truth, atol=2e-5, rtol=0)


def unmasked(queries, keys, temperature, negatives):
    """Have the key among the negatives, too."""
    logits = queries @ keys.detach().transpose(1, 2) / temperature
    positive = logits.diagonal(dim1=1, dim2=2)
    return torch.logsumexp(torch.cat([positive[..., None], logits], 2), 2) - positive


def learnt_keys(queries, keys, temperature, negatives):
    logits = queries @ keys.transpose(1, 2) / temperature
    return torch.logsumexp(logits, 2) - logits.diagonal(dim1=1, dim2=2)


def patched(owner, name, value):
    return lambda model, patch: patch.setattr(owner, name, value)


def keys_that_learn(model, patch):
    patch.setattr(contrast, "patch_nce", learnt_keys)
    patch.setattr(torch, "no_grad", contextlib.nullcontext)


def by_columns(model, patch):
    take = contrast.take_patches

    def other(features, places):
        rows, columns = features.shape[2:]
        return take(features, places % rows * columns + places // rows)

    patch.setattr(contrast, "take_patches", other)


MISTAKES = {  # the set that shows them, within how many steps
    "vectors of norm 1 to the last digit": ("cut", 1, patched(contrast, "SMALLEST_NORM", 0.0)),
    "places by columns": ("cut", 1, by_columns),
    "the key among the negatives": ("cut", 1, patched(contrast, "patch_nce", unmasked)),
    "keys that learn": ("cut", 2, keys_that_learn),
    "a blur that does not overlap": (
        *("scaled", 1),
        patched(BlurDown, "forward", lambda self, x: F.avg_pool2d(x, 2, ceil_mode=True)),
    ),
    "generator before discriminator": (
        *("scaled", 1),
        lambda model, patch: patch.setattr(
            model.optimizers["discriminator"], "step", lambda *_: None
        ),
    ),
    "heads that do not learn": (
        *("cut", 2),
        lambda model, patch: patch.setattr(model.optimizers["heads"], "step", lambda *_: None),
    ),
    "patches that are not mirrored back": (
        *("fastcut", 1),
        lambda model, patch: patch.setattr("i2i_baselines.cut.mirror_places", lambda p, *_: p),
    ),
    "features before the heads at other layers": (
        *("cut", 1),
        lambda model, patch: patch.setattr(
            *(model, "config", dataclasses.replace(model.config, nce_layers="0,5,8,12,16"))
        ),
    ),
}


@pytest.mark.parametrize("mistake", mostly_slow(MISTAKES))
def test_mistakes_are_seen_in_the_losses(one_case, monkeypatch, mistake):
    name, count, change = MISTAKES[mistake]
    case = one_case(name)
    model = case.model()
    change(model, monkeypatch)
    if mistake == "features before the heads at other layers":
        monkeypatch.setattr(Replay, "integers", any_layer(Replay.integers))
    assert not case.is_published(case.steps(model, count))


def any_layer(integers):
    return lambda self, name, high, shape: integers(self, name.replace("_5", "_4"), high, shape)


@pytest.mark.parametrize("kind", [CUT, FastCUT])
def test_parameters_are_the_authors_to_the_integer(kind):
    with torch.device("meta"):
        model = kind(kind.Config())
    counts = [sum(p.numel() for p in network.parameters()) for network in model.networks.values()]
    assert counts == [11_378_179, 560_384, 2_764_737]
    assert sum(counts) == 14_703_300


@pytest.mark.parametrize("fixture", ["cut", "fastcut"])
def test_published_settings_are_the_authors(golden, fixture):
    kind = {"cut": CUT, "fastcut": FastCUT}[fixture]
    theirs = golden(fixture).steps["settings"]["official_schedule_and_options"]
    options, epochs = theirs["options"], theirs["n_epochs"] + theirs["n_epochs_decay"]
    config = kind.Config(
        constant_epochs=theirs["n_epochs"],
        decay_epochs=theirs["n_epochs_decay"],
        lambda_adversarial=options["lambda_GAN"],
        lambda_nce=options["lambda_NCE"],
        nce_identity=options["nce_idt"],
        nce_layers=options["nce_layers"],
        temperature=options["nce_T"],
        flip_equivariance=options["flip_equivariance"],
        learning_rate=options["lr"],
    )
    expected = Settings(
        config, batch_size=1, budget=epochs * 1000, load_size=286, crop_size=256, flip=True
    )
    assert kind.settings("published", NOMINAL) == expected
    model = kind(kind.settings("tiny", dataclasses.replace(NOMINAL, image_size=32)).config)
    for epoch, rates in theirs["lr_in_epoch"].items():
        model.advance(Clock(1, 1, int(epoch) - 1, epochs))
        for optimizer in model.optimizers.values():
            (group,) = optimizer.param_groups
            assert group["lr"] == pytest.approx(rates["G"])
            assert group["betas"] == (0.5, 0.999)


@pytest.mark.parametrize("preset", PRESETS)
def test_points_of_the_ablation_are_different_runs(preset):
    settings = CUT.settings(preset, dataclasses.replace(NOMINAL, image_size=32))
    points = [p for p in CUT.ablations["contrast"].points if not p.model]
    assert len({change_settings("cut", settings, point.changes) for point in points}) == 5


def test_direction_of_cityscapes_is_the_authors(golden, tmp_path):
    cityscapes = dataclasses.replace(NOMINAL, name="cityscapes")
    config = CUT.settings("published", cityscapes).config
    assert config.direction == "b2a"
    model = CUT(dataclasses.replace(config, generator_width=2, discriminator_width=2))
    assert model.directions == (B2A,)
    batch = Batch({d: torch.rand(1, 3, 32, 40) for d in "ab"})
    names = {"nce_b2a", "nce_identity_a", "adversarial_b2a", "discriminator_a"}
    assert model.training_step(batch, Randomness(0)).keys() == names
    (tmp_path / "cityscapes_cut_pretrained").mkdir()
    folder = golden("cut").save(tmp_path / "cityscapes_cut_pretrained", FILES)
    assert CUT.from_official(folder).directions == (B2A,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "a"}, "direction is 'a'; possible: a2b, b2a"),
        ({"negatives": "all"}, "negatives is 'all'; possible: image, batch"),
        ({"channels": (1, 3)}, "channels are 1, 3; source and target must have as many"),
        ({"nce_layers": "0,4,21"}, "nce_layers is '0,4,21'; numbers of layers from 0 to 20 are"),
        ({"nce_layers": "4,0"}, "in ascending order"),
        ({"nce_layers": ""}, "nce_layers is ''; numbers"),
        ({"nce_layers": "19", "antialias": False}, "from 0 to 18 are needed"),
        ({"temperature": 0.0}, "temperature is 0.0; at least 0.001 is needed"),
        ({"decay_epochs": -1}, "decay_epochs -1; neither may be below 0"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        CUTConfig(**changes)


def test_one_channel_is_possible_and_two_kinds_are_refused():
    grey = dataclasses.replace(NOMINAL, num_channels=(1, 1), image_size=64)
    model = FastCUT(FastCUT.settings("tiny", grey).config)
    batch = Batch({d: torch.rand(3, 1, 28, 36) for d in "ab"})
    model.training_step(batch, Randomness(0))
    assert model.translate(batch, A2B, Randomness(0)).shape == (3, 1, 28, 36)
    mixed = dataclasses.replace(NOMINAL, num_channels=(1, 3))
    with pytest.raises(ValueError, match="source and target must have as many"):
        CUT.settings("published", mixed)


def test_half_of_the_images_are_mirrored_each_by_its_own_draw():
    model = FastCUT(dataclasses.replace(FastCUTConfig(), generator_width=2, discriminator_width=2))
    seen = []
    model.generator.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    real = {d: torch.rand(8, 3, 24, 24) for d in "ab"}
    model.training_step(Batch(real), Randomness(1))
    (given,) = seen
    same = [torch.equal(*pair) for pair in zip(given, real["a"], strict=True)]
    mirrored = [torch.equal(*pair) for pair in zip(given, real["a"].flip(3), strict=True)]
    drawn = Randomness(1).uniform("mirror", (8,)) < 0.5
    assert mirrored == drawn.tolist()
    assert same == (~drawn).tolist()
    assert 0 < sum(same) < 8


def test_newest_epoch_is_read_and_what_is_missing_is_absent(golden, tmp_path):
    numbers = golden("cut")
    numbers.save(tmp_path, {"5_net_G.pth": "G", "400_net_G.pth": "G", "5_net_F.pth": "F"})
    (tmp_path / "5_net_G.pth").write_bytes(b"")
    model = CUT.from_official(tmp_path)
    assert model.absent == {"heads", "discriminator"}
    assert model.config == CUTConfig(generator_width=5)


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        ("G", "model.1.weight", None, r"G\.pth lacks model\.1\.weight"),
        ("G", "model.30.bias", None, r"G\.pth lacks model\.30\.bias$"),
        ("G", "model.4.weight", torch.ones(10, 5, 4, 4), "has misshapen model.4.weight"),
        ("G", "model.11.filt", torch.ones(20, 1, 3, 3), "another filter than the authors' in"),
        ("G", "model.21.filt", torch.ones(20, 1, 5, 5), "another filter than the authors' in"),
        ("F", "mlp_3.2.bias", None, r"F\.pth lacks mlp_3\.2\.bias$"),
        ("F", "mlp_5.0.weight", torch.ones(16, 20), "heads for 6 layers, and does not say which"),
        ("F", "mlp_0.0.weight", torch.ones(16, 4), r"misshapen mlp_0\.0\.weight \(16, 4\)"),
        ("D", "model.0.bias", torch.full((4,), torch.nan), r"not finite in model\.0\.bias$"),
        ("D", "model.2.weight", torch.ones(8, 4, 4, 4), r"D\.pth lacks"),
    ],
)
def test_damaged_files_are_refused_by_name(golden, tmp_path, file, name, tensor, message):
    numbers = golden("cut")
    folder = numbers.save(tmp_path, FILES)
    tensors = numbers.network(file) | {name: tensor}
    kept = {n: t for n, t in tensors.items() if t is not None}
    torch.save(kept, folder / f"latest_net_{file}.pth")
    with pytest.raises(ValueError, match=message):
        CUT.from_official(folder)


def test_generators_that_may_be_cyclegans_are_refused(golden, tmp_path):
    with pytest.raises(ValueError, match=r"no generator: needed is latest_net_G\.pth"):
        CUT.from_official(tmp_path)
    golden("cyclegan").save(tmp_path, {"latest_net_G.pth": "G_A"})
    with pytest.raises(
        ValueError, match=r"without blurs, which is CycleGAN's, too; CUT's is known"
    ):
        CUT.from_official(tmp_path)
