"""DCLGAN and SimDCL against the authors' numbers."""

import contextlib
import dataclasses

import pytest
import torch
from i2i_baselines.dclgan.config import DCLGANConfig
from i2i_baselines.dclgan.model import DCLGAN
from i2i_baselines.official.cut import generator_stems, read_discriminator, read_heads
from i2i_baselines.official.dclgan import GENERATORS, HEADS, JUDGES, SUMMARIES
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.blocks.contrast import patch_nce
from i2i_bench.model import A2B, B2A, Batch, Clock, Settings
from i2i_bench.plugins.toy import NOMINAL
from i2i_bench.randomness import Randomness

PLACES = GENERATORS | HEADS | JUDGES
FILES = {f"latest_net_{name}.pth": name for name in PLACES}
LAYERS = (4, 8, 12, 16)
SIMDCL = {"num_patches": 32}
SETS = {  # settings that no shape tells
    "dcl": {"num_patches": 64},
    "patchnce2": {"num_patches": 64, "similarity": "dot", "negatives": "image"},
    "lsgan": {"num_patches": 64, "loss": "lsgan"},
    "scaled": {"num_patches": 64},
    "simdcl": SIMDCL,
    "simdcl_scaled": SIMDCL,
}
CALLS = {
    "nce_a2b": "NCE1",
    "nce_b2a": "NCE2",
    "similarity_b": "q1_noid",
    "similarity_a": "q2_noid",
}
QUICK = ("dcl", "simdcl", "keys that learn", "heads that learn as the other networks")


def mostly_slow(names):
    return [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names]


class Replay(Randomness):
    """The authors' places of one step."""

    def __init__(self, drawn):
        super().__init__(0, dtype=torch.float64)
        self.drawn = drawn

    def integers(self, name, high, shape):
        loss, _, layer = name.rpartition("_")
        places = self.drawn(f"{CALLS[loss]}/layer{layer}").long()
        keys = torch.full(shape, high - 1)
        keys[:, places] = torch.arange(len(places))  # the smallest are drawn
        return keys


def scaled(name, tensors):
    """Amplify a network, as the fixture says, so that errors in it show."""
    kind = "S" if name in SUMMARIES else name[0]
    factor = {"D": 32, "F": 64, "G": 1, "S": 16}[kind]
    changed = {}
    for key, tensor in tensors.items():
        if key.endswith("bias"):
            number = torch.arange(len(tensor))
            changed[key] = ((5 * number % 16) - 8) / (128 if kind == "D" else 1024)
        elif key.endswith("filt"):
            changed[key] = tensor
        else:
            changed[key] = tensor * (16 if key == "model.30.weight" else factor)
    return changed


class Case:
    """A set of the fixture: its numbers, and the model as its authors' files give it."""

    def __init__(self, name, golden, folder):
        self.name, self.numbers, self.folder = name, golden("dclgan"), folder
        self.is_sim, self.is_scaled = name.startswith("simdcl"), name.endswith("scaled")
        self.prefix = "" if name == "dcl" else f"{name}/"
        self.expected = self.numbers.steps[name]
        self.places = PLACES | (SUMMARIES if self.is_sim else {})
        for network in self.places:
            tensors = self.numbers.network(network)
            tensors = scaled(network, tensors) if self.is_scaled else tensors
            torch.save(tensors, folder / f"latest_net_{network}.pth")

    def model(self):
        read = DCLGAN.from_official(self.folder)
        assert read.absent == set()
        model = DCLGAN(dataclasses.replace(read.config, **SETS[self.name]))
        model.networks.load_state_dict(read.networks.state_dict())
        model.networks.double()
        return model

    def images(self, name):
        count = 1 if self.is_sim and name.startswith("train") else 2
        return (self.numbers.io[name][:count].double() - 128) / 128

    def draws(self, step):
        folder = "simdcl_draws" if self.is_sim else "draws"
        return Replay(lambda name: self.numbers.io[f"{folder}/step{step}/{name}"])

    def probe(self):
        return {d: self.images(f"probe/real_{d.upper()}") for d in "ab"}

    def steps(self, model, count=3):
        """Take steps; give the losses of each by the authors' names, weighted as theirs."""
        found = []
        for step in range(count):
            model.advance(Clock(step + 1, 1000, step, 1000))
            real = {d: self.images(f"train/real_{d.upper()}_{step}") for d in "ab"}
            losses = model.training_step(Batch(real), self.draws(step))
            config = model.config
            theirs = {
                "D_A": losses["discriminator_b"],
                "D_B": losses["discriminator_a"],
                "G_A": losses["adversarial_a2b"],
                "G_B": losses["adversarial_b2a"],
                "NCE1": config.lambda_nce * losses["nce_a2b"],
                "NCE2": config.lambda_nce * losses["nce_b2a"],
                "idt_A": losses["identity_b"],
                "idt_B": losses["identity_a"],
            }
            halves = sum(theirs[n] for n in ("G_A", "G_B", "NCE1", "NCE2", "idt_A", "idt_B")) / 2
            if self.is_sim:
                similarity = losses["similarity_a"] + losses["similarity_b"]
                theirs["Sim"] = config.lambda_similarity * similarity
                halves = halves + theirs["Sim"]
            theirs["G"] = halves
            found.append({name: value.item() for name, value in theirs.items()})
        return found

    def is_published(self, found):
        return all(
            losses == {name: pytest.approx(expected[name], rel=1e-6) for name in expected}
            for losses, expected in zip(found, self.expected["losses_float64"], strict=False)
        )

    def modules(self, model):
        """Give our modules by the authors' names of networks and modules."""
        found = {}
        for name, ours in self.places.items():
            state = official.StateDict(name, self.numbers.network(name))
            if name in GENERATORS:
                stems = generator_stems(dataclasses.asdict(model.config))
            elif name in JUDGES:
                stems = read_discriminator(state, blur=True)[2]
            elif name in HEADS:
                stems = read_heads(state)[1]
            else:
                stems = [(str(i), f"model.{i}") for i in (0, 4, 6)]
            found |= {f"{name}/{theirs}": f"{ours}.{own}" for own, theirs in stems}
        return found


@pytest.fixture(scope="module", params=mostly_slow(SETS))
def case(request, golden, tmp_path_factory):
    return Case(request.param, golden, tmp_path_factory.mktemp("official"))


def note_gradients(model):
    """Give a dictionary that gets the norm of every parameter's first gradient."""
    found, names = {}, {id(p): name for name, p in model.networks.named_parameters()}

    def hook(optimizer, *_):
        for parameter in optimizer.param_groups[0]["params"]:
            found.setdefault(names[id(parameter)], parameter.grad.norm().item())

    for optimizer in model.optimizers.values():
        optimizer.register_step_pre_hook(hook)
    return found


def test_three_steps_in_float64_equal_the_authors(case):
    model = case.model()
    gradients = note_gradients(model)
    assert case.is_published(case.steps(model))
    ours = case.modules(model)
    expected = case.expected["grad_l2_step1_float64"]
    assert len(gradients) == len(expected)
    for name, value in expected.items():
        module, _, leaf = name.rpartition(".")
        if value > 1e-6:  # of biases that a normalisation cancels it is rounding
            found = gradients[f"{ours[module]}.{leaf}"]
            assert found == pytest.approx(value, rel=1e-6), name
    state = model.networks.state_dict()
    for name, stats in case.expected.get("param_stats_after3_float64", {}).items():
        module, _, leaf = name.rpartition(".")
        if leaf != "filt" and expected[name] > 1e-6:
            tensor = state[f"{ours[module]}.{leaf}"]
            assert tensor.norm().item() == pytest.approx(stats["l2"], rel=1e-6), name
            assert tensor.mean().item() == pytest.approx(stats["mean"], abs=1e-6), name
    made, compared = translations(case, model), 0
    for name in ("A2B/fake", "B2A/fake", "D_A/fake_B", "D_B/fake_A"):
        if (truth := case.numbers.io.get(f"{case.prefix}after3_f64/{name}")) is not None:
            found = made[name][: len(truth)].float()
            torch.testing.assert_close(found, truth, atol=1e-6, rtol=1e-6)
            compared += 1
    assert compared == (0 if case.name in ("patchnce2", "lsgan") else 4)


def translations(case, model):
    """Give both translations, both identities and what the discriminators say of them."""
    probe = case.probe()
    with torch.no_grad():
        fake = {d.target: model.translate(Batch(probe), d, Randomness(0)) for d in (A2B, B2A)}
        return {
            "A2B/fake": fake["b"],
            "B2A/fake": fake["a"],
            "idt_A": model.generators["a2b"](probe["b"]),
            "idt_B": model.generators["b2a"](probe["a"]),
            "D_A/real_B": model.discriminators["b"](probe["b"]),
            "D_A/fake_B": model.discriminators["b"](fake["b"]),
            "D_B/real_A": model.discriminators["a"](probe["a"]),
            "D_B/fake_A": model.discriminators["a"](fake["a"]),
        }


def contrasts(case, model):
    """Give features, vectors and losses of the probe's patches, in both directions."""
    probe, named = case.probe(), {}
    places = [case.numbers.io[f"probe/ids/layer{n}"].long().expand(2, -1) for n in LAYERS]
    with torch.no_grad():
        for number, d in (("1", A2B), ("2", B2A)):
            fake = model.translate(Batch(probe), d, Randomness(0))
            features = model.features(probe[d.source], d.source)
            keys = model.heads[d.source](features, places)
            queries = model.heads[d.target](model.features(fake, d.target), places)
            for layer, each, k, q in zip(LAYERS, features, keys, queries, strict=True):
                named[f"feat_k{number}/layer{layer}"] = each[:1]
                named[f"F/k{number}_layer{layer}"] = k.flatten(0, 1)
                named[f"F/q{number}_layer{layer}"] = q.flatten(0, 1)
                if model.config.similarity == "cosine":
                    k, q = (F.normalize(each, dim=-1, eps=1e-8) for each in (k, q))
                losses = patch_nce(q, k, 0.07, model.config.negatives)
                named[f"nce{number}_per_patch/layer{layer}"] = losses.flatten()
    return named


# of float32, in which the authors' numbers are
TOLERANCES = {"F": 1e-4, "nce1_per_patch": 1e-3, "nce2_per_patch": 1e-3}
COMPARED = {"dcl": 28, "patchnce2": 8, "lsgan": 0, "scaled": 12, "simdcl": 0, "simdcl_scaled": 0}


def test_forward_equals_the_authors(case):
    model, compared = case.model(), 0
    for name, value in (translations(case, model) | contrasts(case, model)).items():
        if (truth := case.numbers.io.get(f"{case.prefix}init/{name}")) is not None:
            kind = name.partition("/")[0]
            judged = 2e-5 if case.is_scaled else 2e-8
            atol = judged if kind.startswith("D_") else TOLERANCES.get(kind, 2e-5)
            torch.testing.assert_close(value.float(), truth, atol=atol, rtol=0, msg=name)
            compared += 1
    assert compared == COMPARED[case.name]


@pytest.mark.parametrize("name", ["simdcl", "simdcl_scaled"])
def test_summaries_equal_the_authors(golden, tmp_path, name):
    case = Case(name, golden, tmp_path)
    model, seen = case.model(), {}
    for summary, network in model.summaries.items():
        network.register_forward_hook(
            lambda _, __, output, summary=summary: seen.setdefault(f"summaries.{summary}", output)
        )
    probe = {d: images[:1] for d, images in case.probe().items()}
    with torch.no_grad():
        fake = {d.target: model.translate(Batch(probe), d, Randomness(0)) for d in (A2B, B2A)}
        losses = model.contrast(probe, fake, case.draws(0))
    for theirs, ours in SUMMARIES.items():
        truth = case.numbers.io[f"{name}/init/map/{theirs}"]
        torch.testing.assert_close(seen[ours].float(), truth, atol=1e-5, rtol=0)
    similarity = 10 * (losses["similarity_a"] + losses["similarity_b"])
    found = torch.stack([losses["nce_a2b"], losses["nce_b2a"], similarity]).float()
    torch.testing.assert_close(found, case.numbers.io[f"{name}/init/losses"], atol=1e-3, rtol=0)


def learnt_keys(queries, keys, temperature, negatives):
    queries, keys = (each.flatten(0, 1) for each in (queries, keys))
    logits = queries @ keys.T / temperature
    return torch.logsumexp(logits, 1) - logits.diagonal()


def settings(**changes):
    def change(model, patch):
        patch.setattr(model, "config", dataclasses.replace(model.config, **changes))

    return change


def keys_that_learn(model, patch):
    patch.setattr("i2i_bench.blocks.contrast.patch_nce", learnt_keys)
    patch.setattr(torch, "no_grad", contextlib.nullcontext)


MISTAKES = {  # the set that shows them, within how many steps
    "keys that learn": ("dcl", 2, keys_that_learn),
    "heads that learn as the other networks": ("dcl", 2, settings(head_learning_rate=2e-4)),
    "negatives of the image": ("dcl", 1, settings(negatives="image")),
    "products in place of cosines": ("dcl", 1, settings(similarity="dot")),
    "least squares in place of the hinge": ("scaled", 1, settings(loss="lsgan")),
    "heads of the other domain": (
        *("dcl", 1),
        lambda model, patch: [model.heads.update({"a": model.heads["b"], "b": model.heads["a"]})],
    ),
    "generators before discriminators": (
        *("scaled", 1),
        lambda model, patch: patch.setattr(
            model.optimizers["discriminators"], "step", lambda *_: None
        ),
    ),
    "summaries that do not learn": (
        *("simdcl", 3),
        lambda model, patch: patch.setattr(model.optimizers["summaries"], "step", lambda *_: None),
    ),
}


@pytest.mark.parametrize("mistake", mostly_slow(MISTAKES))
def test_mistakes_are_seen_in_the_losses(golden, tmp_path, monkeypatch, mistake):
    name, count, change = MISTAKES[mistake]
    case = Case(name, golden, tmp_path)
    model = case.model()
    change(model, monkeypatch)
    assert not case.is_published(case.steps(model, count))


def test_parameters_are_the_authors_to_the_integer():
    for config, count in ((DCLGANConfig(), 29_272_968), (with_similarity(), 29_315_720)):
        with torch.device("meta"):
            model = DCLGAN(config)
        assert sum(p.numel() for p in model.networks.parameters()) == count


def with_similarity(**changes):
    return dataclasses.replace(DCLGANConfig(lambda_similarity=10.0), **changes)


def test_published_settings_are_the_authors(golden):
    theirs = golden("dclgan").steps["settings"]["official_schedule_and_options"]
    options = theirs["options"]
    config = DCLGANConfig(
        constant_epochs=theirs["n_epochs"],
        decay_epochs=theirs["n_epochs_decay"],
        lambda_adversarial=options["lambda_GAN"],
        lambda_nce=options["lambda_NCE"],
        nce_layers=options["nce_layers"],
        temperature=options["nce_T"],
        loss=options["gan_mode"],
        learning_rate=options["lr"],
    )
    expected = Settings(config, batch_size=1, budget=400_000, load_size=286, crop_size=256)
    assert DCLGAN.settings("published", NOMINAL) == expected
    model = DCLGAN(dataclasses.replace(config, generator_width=2, discriminator_width=2))
    for epoch, rates in theirs["lr_in_epoch"].items():
        model.advance(Clock(1, 1, int(epoch) - 1, 400))
        for letter, network in zip("GDF", ("generators", "discriminators", "heads"), strict=True):
            (group,) = model.optimizers[network].param_groups
            assert group["lr"] == pytest.approx(rates[letter])
            assert group["betas"] == tuple(theirs["adam_betas"][letter])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "wgan"}, "loss is 'wgan'; possible: hinge, lsgan"),
        ({"similarity": "l2"}, "similarity is 'l2'; possible: cosine, dot"),
        ({"channels": (1, 3)}, "channels are 1, 3; with an identity loss both domains must have"),
        ({"nce_layers": "4,21"}, "nce_layers is '4,21'; numbers of layers from 0 to 20 are"),
        ({"lambda_similarity": 1.0, "num_patches": 2}, "num_patches and head_width of at least 3"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DCLGANConfig(**changes)


def test_domains_of_other_channels_have_no_identity_loss():
    mixed = dataclasses.replace(NOMINAL, num_channels=(1, 4), image_size=64)
    model = DCLGAN(DCLGAN.settings("tiny", mixed).config)
    batch = Batch({"a": torch.rand(2, 1, 24, 32), "b": torch.rand(2, 4, 24, 32)})
    losses = model.training_step(batch, Randomness(0))
    assert not any(name.startswith("identity") for name in losses)
    assert model.translate(batch, B2A, Randomness(0)).shape == (2, 1, 24, 32)


def test_summaries_of_layers_with_fewer_places_are_refused():
    model = DCLGAN(with_similarity(generator_width=2, discriminator_width=2))
    batch = Batch({d: torch.rand(1, 3, 24, 32) for d in "ab"})
    with pytest.raises(ValueError, match="are 256, 192, 48, 48: set num_patches to 48 or less"):
        model.training_step(batch, Randomness(0))


def test_generator_of_one_direction_is_read_alone(golden, tmp_path):
    golden("dclgan").save(tmp_path, {"200_net_G_A.pth": "G_A", "200_net_D_A.pth": "D_A"})
    model = DCLGAN.from_official(tmp_path)
    assert model.absent == {"generators.b2a", "heads.a", "heads.b", "discriminators.a"}
    assert model.config == DCLGANConfig(generator_width=4, discriminator_width=4)


@pytest.mark.parametrize(
    ("file", "name", "tensor", "message"),
    [
        ("G_A", "model.1.weight", None, r"G_A\.pth lacks model\.1\.weight"),
        ("G_B", "model.30.weight", torch.ones(3, 4, 5, 5), r"G_B\.pth has misshapen model\.30"),
        ("G_B", "model.7.filt", torch.zeros(8, 1, 3, 3), "another filter than the authors' in"),
        ("F1", "mlp_3.2.bias", None, r"F1\.pth lacks mlp_3\.2\.bias$"),
        ("F2", "mlp_0.0.weight", torch.ones(16, 4), r"F2\.pth has misshapen mlp_0\.0\.weight"),
        ("D_B", "model.0.bias", torch.full((4,), torch.nan), r"not finite in model\.0\.bias$"),
        ("F3", "model.0.weight", torch.ones(8, 5, 3, 3), r"F3\.pth has misshapen model\.0"),
    ],
)
def test_damaged_files_are_refused_by_name(golden, tmp_path, file, name, tensor, message):
    numbers = golden("dclgan")
    folder = numbers.save(tmp_path, FILES | {f"latest_net_{n}.pth": n for n in SUMMARIES})
    tensors = numbers.network(file) | {name: tensor}
    kept = {n: t for n, t in tensors.items() if t is not None}
    torch.save(kept, folder / f"latest_net_{file}.pth")
    with pytest.raises(ValueError, match=message):
        DCLGAN.from_official(folder)


def test_generators_that_may_be_cyclegans_are_refused(golden, tmp_path):
    with pytest.raises(ValueError, match=r"no generator: needed is latest_net_G_A\.pth"):
        DCLGAN.from_official(tmp_path)
    names = ("G_A", "G_B", "D_A", "D_B")
    golden("cyclegan").save(tmp_path, {f"latest_net_{name}.pth": name for name in names})
    with pytest.raises(ValueError, match=r"without blurs, which is CycleGAN's, too; DCLGAN's is"):
        DCLGAN.from_official(tmp_path)
