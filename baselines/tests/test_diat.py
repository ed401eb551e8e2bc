"""DIAT against the numbers of an independent derivation from the authors' Caffe files."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from i2i_baselines.diat.config import DIATConfig
from i2i_baselines.diat.model import DIAT
from i2i_baselines.diat.steps import half_squares
from torch import nn
from torch.nn import functional as F

from i2i_bench.blocks.losses import wasserstein
from i2i_bench.model import Batch
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.randomness import Randomness

SUMS = ("mean", "var", "factor")  # of Caffe's batch normalisation
LETTERS = {
    **{"T": "transfer.transform", "M": "transfer.mask", "R": "auxiliary"},
    **{"D": "critic", "N": "denoiser"},
}
FORWARDS = {"T": 17, "M": 17, "R": 12, "D": 34}  # of a round, each of which moves statistics
CRITIC = ("features.0", "features.2", "features.4", "features.6", "head.0", "head.3")


def module_of(letter, layer):
    """Give our module of the authors' layer, below its network."""
    kind, number = layer.rstrip("0123456789"), int(layer[-1]) if layer[-1].isdigit() else 0
    part = {"conv": 0, "up": 0, "bn": 1, "bn_up": 1, "prelu": 2, "prelu_up": 2}
    if letter == "D":
        named = {"bn5": "head.1", "bn6": "head.4", "prelu6": "head.5"}
        named |= {"fc1": "head.7", "fc2": "head.8"}
        return named.get(layer) or CRITIC[number - 1]
    if letter == "N":
        return str(2 * (number - 1) + (kind == "prelu"))
    if layer == "out":
        return "head"
    if letter == "M":
        return "layers.4" if layer == "conv5" else f"layers.{number - 1}.{part[kind]}"
    return f"up.{4 - number}.{part[kind]}" if "up" in kind else f"down.{number - 1}.{part[kind]}"


def name_of(key):
    """Give our name of a parameter of theirs, such as ``T/conv1.weight``."""
    letter, _, rest = key.partition("/")
    layer, _, leaf = rest.partition(".")
    return f"{LETTERS[letter]}.{module_of(letter, layer)}.{leaf}"


def is_learnt(key):
    return key.rpartition(".")[2] not in SUMS


class Face(nn.Module):
    """The features of the fixture, in place of VGG-Face's."""

    def __init__(self, state):
        super().__init__()
        shapes = [state[f"conv{i}.weight"].shape for i in (1, 2, 3)]
        for i, (outputs, inputs, *_) in enumerate(shapes, 1):
            self.add_module(f"conv{i}", nn.Conv2d(inputs, outputs, 3, padding=1))
        self.fc = nn.Linear(*state["fc.weight"].shape[::-1])
        self.load_state_dict(state)

    def forward(self, images):
        x = F.interpolate(images, (56, 56), mode="bilinear", align_corners=False)
        for i in (1, 2, 3):
            x = F.max_pool2d(F.relu(self.get_submodule(f"conv{i}")(x)), 2)
        return self.fc(x.flatten(1))


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("diat")


def make(numbers, dtype=torch.float64):
    settings = numbers.steps["settings"]
    config = DIATConfig(
        transform_width=settings["width_T"],
        mask_width=settings["width_M"],
        critic_width=settings["width_D"],
        critic_hidden=settings["fc"],
        denoiser_width=settings["width_denoiser"],
        clip=settings["clip"],
        denoiser_steps=0,
        face_features="none",
    )
    model = DIAT(config)
    given = {name_of(k): t for k, t in numbers.init.items() if k[0] in LETTERS and is_learnt(k)}
    model.networks.load_state_dict(given, strict=False)
    assert given.keys() == dict(model.networks.named_parameters()).keys()
    model.frozen = nn.ModuleDict({"face": Face(numbers.network("F"))})
    model.networks.to(dtype).train()
    model.frozen.to(dtype)
    return model


def images_of(numbers, name, dtype=torch.float64):
    images = (numbers.io[name].to(dtype) - 128) / 128
    return images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


@torch.no_grad()
def outputs(model, numbers):
    """Give what the fixture holds of the probe: taps within the networks, and whole outputs."""
    probe = images_of(numbers, "probe/x", dtype=next(model.networks.parameters()).dtype)
    net, taps = model.transform, {}
    following = {"enc5": net.up[0], "up1": net.head}  # sees the tap with its depth moved to space
    following |= {f"up{4 - number}": net.up[number + 1] for number in range(3)}
    hooks = [
        module.register_forward_pre_hook(
            lambda _, inputs, n=name: taps.update({n: F.pixel_unshuffle(inputs[0], 2)})
        )
        for name, module in following.items()
    ]
    taps["soft"] = model.mask.layers(probe)
    blurred = F.conv2d(taps["soft"], model.mask.before, padding=2)
    fake, made = model.compose(probe)[0], net(probe)
    for hook in hooks:
        hook.remove()
    return taps, {
        **{"fake": fake, "T": made, "mask": model.mask(probe)[0]},
        **{"mask_binary": model.mask.cut(probe), "mask_blur5": blurred},
        **{"aux": model.auxiliary(fake), "noise": model.denoiser(fake)},
        **{"D/out_fake": model.critic(fake), "D/out_real": model.critic(probe)},
        **{"D/feature4": model.critic.features(fake), "face": model.frozen["face"](probe)},
    }


def below(stage, content):
    """Give the entries of a stage of the round, by the rest of their names."""
    return {k.partition("/")[2]: v for k, v in content.items() if k.partition("/")[0] == stage}


def require_outputs(model, numbers, stage, atol):
    """Compare outputs for the probe with the fixture's of a stage; the model stays as it is."""
    before = copy.deepcopy(model.networks.state_dict())
    taps, found = outputs(model, numbers)
    model.networks.load_state_dict(before)
    stored = below(stage, numbers.io)
    assert len(stored) >= 11
    for name, truth in stored.items():
        value = (found | taps)[name][: len(truth)]
        value = value[..., ::4, ::4] if value.shape[-1] == 128 else value
        torch.testing.assert_close(value.float(), truth.float(), atol=atol, rtol=0)
    for name, truth in below(stage, numbers.steps["full_size_norms"]).items():
        value = taps[name[4:]] if name.startswith("tap/") else found[name]
        assert value.norm().item() == pytest.approx(truth["l2"], rel=atol), name
        assert value.mean().item() == pytest.approx(truth["mean"], rel=atol, abs=atol / 10), name


@pytest.mark.parametrize(
    ("dtype", "atol"),
    [(torch.float64, 1e-6), pytest.param(torch.float32, 3e-5, marks=pytest.mark.slow)],
)
def test_forward_equals_the_derivation(numbers, dtype, atol):
    require_outputs(make(numbers, dtype), numbers, "init", atol)


def test_blurs_are_the_derivations(numbers):
    mask = make(numbers).mask
    for found, side in ((mask.before, 5), (mask.after, 9)):
        truth = numbers.io[f"const/gauss{side}"].double()
        torch.testing.assert_close(found[0, 0], truth, atol=0, rtol=1e-7)


def term(model, name, source, fake):
    """Give a term of the losses, without its weight."""
    if name == "gan":
        return wasserstein(model.critic(fake), 1.0)
    if name == "per":
        return half_squares(model.critic.features(fake), model.critic.features(source))
    if name == "ab":
        return half_squares(model.auxiliary(fake), source)
    if name == "id":
        return half_squares(model.frozen["face"](fake), model.frozen["face"](source))
    return model.noise_of(source) if name == "tv" else 0 * fake.sum()


@pytest.mark.parametrize("name", ["gan", "per", "ab", "id", "tv", "area_only"])
def test_each_term_and_the_area_have_the_derivations_gradients(numbers, name):
    model, truth = make(numbers), numbers.steps["init_terms_on_probe"][name]
    source = images_of(numbers, "probe/x")
    value = term(model, name, source, model.compose(source)[0])
    assert value.item() == pytest.approx(truth["value"], rel=1e-6, abs=1e-9)
    value.backward()
    for letter, network in (("T", model.transform), ("M", model.mask)):
        squares = [p.grad.square().sum() for p in network.parameters() if p.grad is not None]
        norm = math.sqrt(sum(each.item() for each in squares))
        assert norm == pytest.approx(truth[f"grad_l2_{letter}"], rel=1e-6, abs=1e-9), letter


@pytest.fixture(scope="module")
def taken(numbers):
    """Take the fixture's round in float64, and give all that happened in it."""
    model, images = make(numbers), {}
    for domain, name in (("a", "source"), ("b", "target")):
        drawn = torch.cat([numbers.io[f"draw/{name}_{i}"] for i in (1, 2)]).long()
        images[domain] = images_of(numbers, f"pool/{name}")[drawn]
    seen = {name: [] for name in ("update_critic_once", "update_transfer_once", "noise_of")}
    with pytest.MonkeyPatch.context() as patch, recorded_gradients(model) as gradients:
        for name, calls in seen.items():
            call = getattr(model, name)

            def noted(*given, call=call, calls=calls):
                calls.append((given, result := call(*given)))
                return result

            patch.setattr(model, name, noted)
        losses = model.training_step(Batch(images), Randomness(0, dtype=torch.float64))
    return SimpleNamespace(model=model, gradients=gradients, losses=losses, **seen)


@pytest.mark.slow
def test_critic_of_a_round_equals_the_derivation(numbers, taken):
    truth = numbers.steps["losses_float64"]["critic"]
    assert len(taken.update_critic_once) == len(truth) == 24
    for ((_, target), loss), expected in zip(taken.update_critic_once, truth, strict=True):
        sign = 2 * target - 1
        assert sign == expected["label"]
        assert -sign * loss.item() == pytest.approx(expected["mean_output"], abs=1e-8)


@pytest.mark.slow
def test_transfer_of_a_round_equals_the_derivation(numbers, taken):
    truth = numbers.steps["losses_float64"]
    names = {"loss_per": "feature_matching_a2b", "loss_ab": "cycle_a", "loss_id": "perceptual_a2b"}
    assert len(taken.update_transfer_once) == len(truth["transfer"]) == 8
    for ((_, scale), found), wanted in zip(
        taken.update_transfer_once, truth["transfer"], strict=True
    ):
        losses = found[0]
        assert scale.item() == pytest.approx(wanted["gan_diff"], rel=1e-6)
        assert -losses["adversarial_a2b"].item() == pytest.approx(wanted["loss_gan"], abs=1e-8)
        assert losses["area"].item() == pytest.approx(wanted["mask_share"], abs=1e-9)
        for theirs, ours in names.items():
            assert losses[ours].item() == pytest.approx(wanted[theirs], rel=1e-6), theirs
    rise = truth["lb"] - truth["la"]
    assert taken.model.rise.value.item() == pytest.approx(rise, rel=1e-6)


@pytest.mark.slow
def test_noise_and_way_back_of_a_round_equal_the_derivation(numbers, taken):
    truth = numbers.steps["losses_float64"]
    levels = [truth["denoiser"]["tv_loss_before"], *truth["denoiser"]["steps"]]
    assert [level.item() for _, level in taken.noise_of] == pytest.approx(levels, rel=1e-6)
    assert taken.losses["cycle_b"].item() == pytest.approx(truth["loss_ba"][0], rel=1e-6)


STEPS = {  # number of the optimiser's step in the round
    **{"critic_first_real": 0, "critic_first_fake": 2},
    **{"transfer_first": 0, "denoiser_first": 8, "dual_first": 11},
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STEPS)
def test_gradients_of_a_round_equal_the_derivation(numbers, taken, stage):
    truth = numbers.steps["grad_l2_float64"][stage]
    for key, norm in truth.items():
        found = taken.gradients[name_of(key)][STEPS[stage]].norm().item()
        assert found == pytest.approx(norm, rel=1e-6, abs=1e-6), key
    letters = {key[0] for key in truth}
    learnt = {k for k in numbers.init if k[0] in letters and is_learnt(k) and "/fc" not in k}
    assert truth.keys() == learnt


@pytest.mark.slow
def test_tensors_after_a_round_equal_the_derivation(numbers, taken):
    state, truth = (
        taken.model.networks.state_dict(),
        numbers.steps["param_stats_after_round_float64"],
    )
    assert {key[0] for key in truth} >= {"T", "M", "R", "D"}
    for key, wanted in truth.items():
        value = caffes(key, state) if key[0] in LETTERS else numbers.init[key].double()
        assert value.norm().item() == pytest.approx(wanted["l2"], rel=1e-6, abs=1e-9), key
        assert value.abs().max().item() == pytest.approx(wanted["absmax"], rel=1e-6, abs=1e-9)
        assert value.mean().item() == pytest.approx(wanted["mean"], rel=1e-6, abs=1e-7), key


def caffes(key, state):
    """Give a tensor as Caffe holds it, whose running statistics are sums that decay."""
    if is_learnt(key):
        return state[name_of(key)]
    layer, count = name_of(key).rpartition(".")[0], FORWARDS[key[0]]
    assert state[f"{layer}.num_batches_tracked"] == count
    fading = 0.9**count  # of what PyTorch's begin with
    return {
        "mean": lambda: 10 * state[f"{layer}.running_mean"],
        "var": lambda: 10 * (state[f"{layer}.running_var"] - fading),
        "factor": lambda: torch.tensor([10 * (1 - fading)]).double(),
    }[key.rpartition(".")[2]]()


@pytest.mark.slow
def test_outputs_after_a_round_equal_the_derivation(numbers, taken):
    require_outputs(taken.model, numbers, "after_round_f64", 1e-6)
