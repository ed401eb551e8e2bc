"""GANimorph against the numbers of the authors' TensorFlow graphs, of both branches."""

import dataclasses
from typing import Any

import i2i_baselines.ganimorph.model as module
import pytest
import torch
from i2i_baselines.ganimorph.config import GANimorphConfig
from i2i_baselines.ganimorph.model import BETAS, GANimorph
from i2i_baselines.official.ganimorph import NETWORKS, discriminator_stems, generator_stems

from i2i_bench.blocks import optimise
from i2i_bench.blocks.optimise import adam_correction, set_learning_rate
from i2i_bench.model import Batch, Clock
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.randomness import Randomness

LAST = {"slope": 0.0, "generator_steps": 1}  # of the last revision
SETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "paper_refresh": {},
    "paper_perturbed": {},
    "head": LAST,
}
TRAINED = ("paper", "paper_refresh", "head")
ORDER = ("adversarial", "feature_matching", "structure", "cycle")  # gan, fm, recon, recon_l
KINDS = {"G": "generators", "D": "discriminators"}


def marked(names, quick=""):
    return [pytest.param(each, marks=[pytest.mark.slow] * (each != quick)) for each in names]


class Numbers:
    """The numbers of all sets, and models with their weights."""

    def __init__(self, golden):
        self.io, self.init, self.steps = golden.io, golden.init, golden.steps
        self.settings, self.network = golden.steps["settings"], golden.network

    def images(self, domain, indices):
        pool = self.io[f"pool_{domain.upper()}"][indices].double()
        enlarged = pool.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return enlarged / 127.5 - 1

    def probe(self):
        return {d: self.images(d, self.settings[f"probe_index_{d.upper()}"]) for d in "ab"}

    def variables(self, name):
        """Give the variables of a set, as a checkpoint of the authors names them."""
        found = {k: t for k, t in self.init.items() if k.startswith(("gen_", "dis_"))}
        if "perturbed" in name:
            found |= self.network("perturbed")
        return {k.partition("/")[2]: tensor for k, tensor in found.items()}

    def model(self, name, path):
        torch.save(self.variables(name), path / "ganimorph.pt")
        read = GANimorph.from_official(path)
        assert not read.absent
        model = GANimorph(dataclasses.replace(read.config, **SETS[name]))
        model.networks.load_state_dict(read.networks.state_dict())
        model.networks.double()
        start = self.settings["initial_ema_and_normaliser"].get(name)
        if isinstance(start, dict):
            kinds = {"mean": "ema", "scale": "normaliser"}
            model.scales.load_state_dict(
                {ours: torch.tensor(start[k], dtype=torch.float64) for ours, k in kinds.items()}
            )
        return model


@pytest.fixture(scope="module")
def numbers(golden):
    return Numbers(golden("ganimorph"))


def outputs(model, numbers):
    """Give what all networks make of the probe, by the authors' names."""
    real = numbers.probe()
    a2b, b2a = (model.generators[name] for name in ("a2b", "b2a"))
    with torch.no_grad():
        ab, ba = a2b(real["a"]), b2a(real["b"])
        images = {"AB": ab, "BA": ba, "ABA": b2a(ab), "BAB": a2b(ba)}
        found = {name: (image + 1) / 2 for name, image in images.items()}
        for domain, fake in (("a", ba), ("b", ab)):
            judge = model.discriminators[domain]
            for kind, shown in (("real", real[domain]), ("fake", fake)):
                logits, features = judge(shown)
                found[f"dis_{domain.upper()}/{kind}"] = logits
                if (domain, kind) == ("a", "real"):
                    found |= {f"dis_A/real_tap{n}": tap for n, tap in enumerate(features)}
    return found


def taps(model, numbers):
    """Give features of the generator of a to b, by the authors' names."""
    found, names = {}, {"stem": "conv0", "down.0": "conv1", "up.0": "deconv0", "last.0": "deconv2"}
    names |= {f"down_groups.{n}": f"layer{n + 1}" for n in range(3)}
    names |= {f"up_groups.{n}": f"blayer{2 - n}" for n in range(2)}
    generator = model.generators["a2b"]
    for place, theirs in names.items():
        layer = generator.get_submodule(place)
        layer.register_forward_hook(lambda _, __, y, n=theirs: found.setdefault(n, y))
    with torch.no_grad():
        generator(numbers.probe()["a"])
    return {f"tap/gen_B/{theirs}": value for theirs, value in found.items()}


def stored(name, output, stride):
    """Give the part of an output that the fixture stores."""
    if "tap" not in name:
        return output if "dis" in name else output[:, :, ::stride, ::stride]
    size = output.shape[-1]
    step = max(5, size // 6)
    return output[:, :, ::step, ::step] if size > 8 else output


@pytest.mark.parametrize("name", marked(["paper", "paper_perturbed", "head"], "paper_perturbed"))
def test_forward_in_float64_equals_the_authors(numbers, tmp_path, name):
    model, truth = numbers.model(name, tmp_path), numbers.steps["sets"][name]
    found = outputs(model, numbers) | taps(model, numbers)
    expected = truth["output_stats_init_float64"]
    assert expected.keys() <= found.keys()
    for output, statistics in expected.items():
        value = found[output]
        sizes = {"l2": value.norm(), "mean": value.mean(), "absmax": value.abs().max()}
        known = statistics if isinstance(statistics, dict) else {"l2": statistics}
        assert {k: sizes[k].item() for k in known} == pytest.approx(known, rel=1e-6), output
    prefix, stride = f"{name}/init/", numbers.settings["image_stride"]
    coarse = {"head": 5e-3}.get(name, 2e-3)  # stored values are of the authors' float32
    for key, truth in numbers.io.items():
        if key.startswith(prefix):
            output = key.removeprefix(prefix)
            value = stored(output, found[output], stride).float()
            torch.testing.assert_close(value, truth, atol=coarse, rtol=0)


def in_official_terms(losses):
    """Name the losses of a step as the authors do: by the domain that is judged or rebuilt."""
    found = {}
    for domain, way in (("A", "b2a"), ("B", "a2b")):
        found[f"G_loss_{domain}"] = losses[f"adversarial_{way}"]
        found[f"fm_loss_{domain}"] = losses[f"feature_matching_{way}"]
        found[f"D_loss_{domain}"] = losses[f"discriminator_{domain.lower()}"]
        found[f"recon_loss_{domain}"] = losses[f"structure_{domain.lower()}"]
        found[f"recon_loss_{domain}_l"] = losses[f"cycle_{domain.lower()}"]
    return {name: value.item() for name, value in found.items()}


@pytest.mark.parametrize("name", marked(["paper", "paper_perturbed", "head"]))
def test_losses_of_the_probe_equal_the_authors(numbers, tmp_path, name):
    losses = numbers.model(name, tmp_path).training_step(Batch(numbers.probe()), Randomness(0))
    expected = numbers.steps["sets"][name]["probe_losses_float64"]
    assert in_official_terms(losses) == pytest.approx(expected, rel=1e-6)


def official_names():
    """Give our name of each parameter, by the authors'."""
    found = {}
    for scope, network in NETWORKS.items():
        kind, domain = scope.split("/")
        is_generator = kind == "gen"
        for ours, theirs in generator_stems(4, 3) if is_generator else discriminator_stems(3):
            weight = "gamma" if "inorm" in theirs else "weights" if "Conv" in theirs else "W"
            leaves = {weight: "weight"} | ({"beta": "bias"} if "inorm" in theirs else {})
            if "mConv" in theirs and weight == "weights":
                leaves = {"W": "weight"}
            for leaf, own in leaves.items():
                key = f"{kind[:3]}_{domain}/{scope}/{theirs}/{leaf}"
                found[key] = f"{network}.{ours}.{own}"
    return found


@dataclasses.dataclass
class Training:
    """What the steps of a set did."""

    losses: list
    totals: list
    kinds: list
    scales: list
    gradients: dict


def train(model, numbers, name, monkeypatch):
    """Take the steps of a set as the authors' program does."""
    expected = numbers.steps["sets"][name]["runs_float64"]
    found = Training([], [], [], [], {})
    descend = optimise.descend

    def recorded(optimizer, loss):
        names = {id(each): kind for kind, each in model.optimizers.items()}
        found.kinds.append(names[id(optimizer)])
        found.totals.append(loss.item())
        descend(optimizer, loss)

    monkeypatch.setattr(module, "descend", recorded)
    with recorded_gradients(model) as found.gradients:
        for run, truth in enumerate(expected):
            indices = {d: numbers.settings[f"batch_index_{d.upper()}"][run] for d in "ab"}
            images = {d: numbers.images(d, indices[d]) for d in "ab"}
            model.advance(Clock(truth["global_step"] + 1, 10**6, 16 * run, 16 * 10**6))
            if truth["global_step"] != run:  # Adam's count begins at 1 in every set
                rate = numbers.settings["lr"] * adam_correction(run + 1, BETAS)
                set_learning_rate(model.optimizers, rate)
            losses = model.training_step(Batch(images), Randomness(0))
            found.losses.append(in_official_terms(losses))
            found.scales.append({k: v.tolist() for k, v in model.scales.values.items()})
    return found


@pytest.mark.parametrize("name", marked(TRAINED, "paper_refresh"))
def test_steps_in_float64_equal_the_authors(numbers, tmp_path, monkeypatch, name):
    model, truth = numbers.model(name, tmp_path), numbers.steps["sets"][name]
    found = train(model, numbers, name, monkeypatch)
    for run, expected in enumerate(truth["runs_float64"]):
        assert found.kinds[run] == KINDS[expected["kind"]]
        losses = {key: expected[key] for key in found.losses[run]}
        assert found.losses[run] == pytest.approx(losses, rel=1e-6), run
        total = expected[f"{expected['kind']}_loss_total"]
        assert found.totals[run] == pytest.approx(total, rel=1e-6), run
        for ours, theirs in (("mean", "ema"), ("scale", "norm")):
            values = [expected[f"{theirs}_{term}"] for term in ("gan", "fm", "recon", "recon_l")]
            assert found.scales[run][ours] == pytest.approx(values, rel=1e-8), run
    ours = official_names()
    for norms in truth["grad_l2_first_update_float64"].values():
        for theirs, norm in norms.items():
            gradient = found.gradients[ours[theirs]][0].norm().item()
            assert gradient == pytest.approx(norm, rel=1e-6), theirs
    if "param_l2_after_float64" not in truth:  # two runs of the authors differ by then
        return
    parameters = dict(model.networks.named_parameters())
    assert truth["param_l2_after_float64"].keys() == ours.keys()
    for theirs, norm in truth["param_l2_after_float64"].items():
        assert parameters[ours[theirs]].norm().item() == pytest.approx(norm, rel=1e-6), theirs
    after = outputs(model, numbers)
    for output, norm in truth["output_l2_after_float64"].items():
        assert after[output].norm().item() == pytest.approx(norm, rel=1e-6), output
    prefix, stride = f"{name}/after_f64/", numbers.settings["image_stride"]
    kept = [key.removeprefix(prefix) for key in numbers.io if key.startswith(prefix)]
    assert len(kept) == 4
    for output in kept:
        value = stored(output, after[output], stride).float()
        truth_of = numbers.io[prefix + output]
        torch.testing.assert_close(value, truth_of, atol=1e-6, rtol=1e-6)


def test_parameters_are_the_authors_to_the_integer():
    with torch.device("meta"):
        model = GANimorph(GANimorphConfig())
    for part, count in ((model.generators, 53_017_728), (model.discriminators, 16_798_208)):
        counts = [sum(p.numel() for p in network.parameters()) for network in part.values()]
        assert counts == [count, count]


def test_file_of_tensorflow_is_refused_with_what_to_do(tmp_path):
    for name in ("checkpoint", "model-450000.index", "model-450000.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"0")
    with pytest.raises(ValueError, match=r"model-450000.*TensorFlow.*load_checkpoint.*torch\.save"):
        GANimorph.from_official(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gen/B/conv2/W": None}, r"ganimorph\.pt, gen/B, lacks conv2\.weight"),
        ({"gen/A/layer1/res1/conv0/W": None}, r"gen/A, lacks layer1/res1/conv0\.weight"),
        (
            {"discrim/A/lsconv/W": torch.zeros(4, 4, 8, 1)},
            r"discrim/A, has misshapen lsconv\.weight \(1, 8, 4, 4\)",
        ),
        ({"beta1_power": torch.zeros(1)}, r"has 'beta1_power', which is no variable of GANimorph"),
        ({"gen/B/conv9/inorm/W": torch.zeros(1)}, r"gen/B, has unknown conv9/inorm\.weight"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(numbers, tmp_path, change, message):
    tensors = numbers.variables("paper") | change
    torch.save({n: t for n, t in tensors.items() if t is not None}, tmp_path / "ganimorph.pt")
    with pytest.raises(ValueError, match=message):
        GANimorph.from_official(tmp_path)


def test_generators_alone_are_enough(numbers, tmp_path):
    tensors = {n: t for n, t in numbers.variables("paper").items() if n.startswith("gen")}
    torch.save(tensors, tmp_path / "any.pth")
    model = GANimorph.from_official(tmp_path / "any.pth")
    assert model.absent == {"discriminators.a", "discriminators.b"}
