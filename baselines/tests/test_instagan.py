"""InstaGAN against numbers of its authors' code (tests/golden/README.md)."""

import pytest
import torch
from i2i_baselines.instagan import losses, networks
from i2i_baselines.instagan import model as module
from i2i_baselines.instagan.config import InstaGANConfig
from i2i_baselines.instagan.instances import MaskedImages, join_masks, order_by_size
from i2i_baselines.instagan.model import InstaGAN, largest_first
from i2i_baselines.instagan.networks import SetDiscriminator
from i2i_baselines.official.instagan import discriminator_stems, generator_stems

from i2i_bench import official
from i2i_bench.model import A2B, B2A, Batch, Clock
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.randomness import Randomness

RANDOM = Randomness(0, dtype=torch.float64)
PAIR = {"G_A": "generators.a2b", "G_B": "generators.b2a"}
PAIR |= {"D_A": "discriminators.b", "D_B": "discriminators.a"}
FILES = {f"latest_net_{name}.pth": name for name in PAIR}
LEAVES = {"weight_orig": "weight_bar"}
SIDES = (("A", "B", A2B), ("B", "A", B2A))  # theirs: the side, the other one; ours


@pytest.fixture(scope="module")
def numbers(golden):
    return golden("instagan")


@pytest.fixture(scope="module")
def whole(numbers, tmp_path_factory):
    model = InstaGAN.from_official(numbers.save(tmp_path_factory.mktemp("official"), FILES))
    assert not model.absent
    return model.networks.state_dict()


@pytest.fixture
def model(whole):
    model = InstaGAN(InstaGANConfig(generator_width=4, discriminator_width=6))
    model.networks.load_state_dict(whole)
    return model


def batch_of(numbers, kind, end="", dtype=torch.float32):
    """Give images, and masks in the order of the authors' files, of the probe or of a step."""
    images, masks = {}, {}
    for name in "AB":
        images[name.lower()] = numbers.io[f"{kind}/real_{name}{end}"].to(dtype)
        masks[name.lower()] = (numbers.io[f"{kind}/segs_{name}{end}"].to(dtype) + 1) / 2
    return Batch(images, masks=masks)


def scene_of(numbers, domain, dtype=torch.float32):
    return largest_first(batch_of(numbers, "probe", dtype=dtype), domain, 4)[0]


def outputs(model, numbers):
    """Give what the networks make of the probe, by the authors' names."""
    dtype = next(model.networks.parameters()).dtype
    a, b = (scene_of(numbers, domain, dtype) for domain in "ab")
    generators, found = model.generators, {"A/selected": a.masks, "B/selected": b.masks}
    with torch.no_grad():
        there = MaskedImages(*generators["a2b"](a.images, a.masks))
        found["A2B/fake"] = there.joined()
        found["A2B/cycle"] = MaskedImages(*generators["b2a"](there.images, there.masks)).joined()
        found["B2A/fake"] = MaskedImages(*generators["b2a"](b.images, b.masks)).joined()
        permuted = generators["a2b"](a.images, a.masks[:, [2, 0, 3, 1]])
        found["A2B/fake_masks_permuted"] = MaskedImages(*permuted).joined()
        judge = model.discriminators["b"]
        for number in (1, 2):
            found[f"D_A/real_B_call{number}"] = judge(b.images, b.masks)
        for ours, theirs in discriminator_stems(3):
            vector = judge.get_submodule(ours).weight_u
            found[f"D_A/after_call2/{theirs}.weight_u"] = vector.clone()
        fake = numbers.io["init/A2B/fake"].to(dtype)  # ours has digits of its own
        found["D_A/fake_B_call3"] = judge(*fake.tensor_split([3], dim=1))
    return found


def official_names(model, numbers):
    """Give the authors' name of each of our tensors."""
    names = {}
    for theirs, ours in PAIR.items():
        state = official.StateDict(theirs, numbers.network(theirs))
        is_judge = theirs.startswith("D")
        for own, stem in discriminator_stems(3) if is_judge else generator_stems(state):
            for leaf in ("weight", "weight_orig", "weight_u", "weight_v", "bias"):
                names[f"{ours}.{own}.{leaf}"] = f"{theirs}/{stem}.{LEAVES.get(leaf, leaf)}"
    return {own: names[own] for own in model.networks.state_dict()}


def in_official_terms(losses, now):
    """Name the losses of a pass as the authors do, of the sides that have an instance."""
    found, total = {}, 0.0
    for side, other, way in SIDES:
        if not now[way.source].is_active:
            assert losses[f"cycle_{way.source}"] == 0
            continue
        weighted = {
            f"G_{side}": losses[f"adversarial_{way}"],
            f"cyc_{side}": 10 * losses[f"cycle_{way.source}"],
            f"idt_{other}": 10 * losses[f"identity_{way.source}"],
            f"ctx_{side}": 10 * losses[f"context_{way}"],
        }
        total += sum(weighted.values())
        found |= {name: value.item() for name, value in weighted.items()}
        found[f"D_{side}"] = losses[f"discriminator_{way.target}"].item()
    return found | ({"G_total": float(total)} if found else {})


def train(model, numbers, num_steps=3):
    """Take steps in float64, and require the published losses of each pass; give gradients."""
    model.networks.double()
    published, take, seen = numbers.steps["losses_float64"], model.train_pass, []

    def checked(whole, now, *rest):
        found, after = take(whole, now, *rest)
        if terms := in_official_terms(found, now):
            place = len(seen), f"pass{rest[-1]}"
            assert terms == pytest.approx(published[place[0]][place[1]], rel=1e-6), place
            expected.discard(place)
        return found, after

    model.train_pass = checked
    expected = {(step, name) for step in range(num_steps) for name in published[step]}
    with recorded_gradients(model) as gradients:
        for step in range(num_steps):
            model.advance(Clock(1 + step, 600, step, 600))
            model.training_step(batch_of(numbers, "train", f"_{step}", torch.float64), RANDOM)
            seen.append(step)
    assert not expected
    return gradients


def assert_gradients(gradients, names, norms):
    found = {names[own]: each[0].norm().item() for own, each in gradients.items()}
    assert found.keys() == norms.keys()
    for theirs, norm in norms.items():
        assert found[theirs] == pytest.approx(norm, rel=1e-6, abs=1e-6), theirs


def test_forward_equals_the_authors(model, numbers):
    found = outputs(model, numbers)
    assert len(found) == 17
    for name, value in found.items():
        atol = 2e-6 if name.startswith("D_") else 2e-5
        torch.testing.assert_close(value, numbers.io[f"init/{name}"], atol=atol, rtol=0)


@pytest.mark.parametrize(("side", "other", "way"), SIDES)
def test_translations_in_passes_equal_the_authors(model, numbers, side, other, way):
    batch = batch_of(numbers, "probe")
    assert batch.masks is not None
    masks = batch.masks[way.source]
    chosen = order_by_size(masks)[:, :4].sort(dim=1).values  # the authors' test has room for four
    kept = masks.gather(1, chosen[:, :, None, None].expand(-1, -1, *masks.shape[2:]))
    batch = Batch(batch.images, masks={way.source: kept})
    with torch.no_grad():
        fake = model.translate(batch, way, RANDOM)
        moved = model.translate_masks(batch, way, RANDOM)
    torch.testing.assert_close(fake, numbers.io[f"init/test/fake_{other}_img"], atol=2e-5, rtol=0)
    merged = 2 * moved.sum(dim=1, keepdim=True).clamp(0, 1) - 1
    truth = numbers.io[f"init/test/fake_{other}_seg"]
    torch.testing.assert_close(merged, truth, atol=2e-5, rtol=0)


def test_first_step_in_float64_equals_the_authors(model, numbers):
    gradients, names = train(model, numbers, 1), official_names(model, numbers)
    assert_gradients(gradients, names, numbers.steps["grad_l2_step1_float64"])


@pytest.mark.slow
def test_steps_in_float64_equal_the_authors(model, numbers):
    train(model, numbers)
    stated, held = numbers.steps["param_stats_after3_float64"], model.networks.state_dict()
    names = official_names(model, numbers)
    assert sum(map(len, stated.values())) == len(names)
    for own, theirs in names.items():
        network, _, tensor = theirs.partition("/")
        norm = pytest.approx(stated[network][tensor]["l2"], rel=1e-6, abs=1e-7)  # before a norm
        assert held[own].norm().item() == norm, own
    after = outputs(model, numbers)
    for name in ("A2B/fake", "B2A/fake", "D_A/real_B_call1"):
        truth = numbers.io[f"after3_f64/{name}"]
        torch.testing.assert_close(after[name].float(), truth, atol=1e-6, rtol=1e-6)


# --- mistakes


def mean_of_masks(model, monkeypatch):
    def averaged(_, inputs):
        features, whole = inputs[0].chunk(2, dim=1)
        return (torch.cat([features, whole / 3], dim=1),)

    for judge in model.discriminators.values():
        judge.classifier[0].register_forward_pre_hook(averaged)


def unsorted_masks(model, monkeypatch):
    order = order_by_size
    monkeypatch.setattr(module, "order_by_size", lambda masks: order(masks).sort(dim=1).values)


def empty_masks_are_translated(model, monkeypatch):
    monkeypatch.setattr(networks, "has_instance", lambda masks: torch.ones(masks.shape[:2]).bool())


def original_image_in_later_passes(model, monkeypatch):
    monkeypatch.setattr(module, "keep_inactive", lambda before, images: before.images)


def masks_of_this_pass_alone_are_judged(model, monkeypatch):
    join = join_masks
    monkeypatch.setattr(module, "join_masks", lambda moved, count: join(moved[-1:], count))


def real_masks_of_the_pass(model, monkeypatch):
    judge = model.discriminator_loss

    def short(domain, real, fake, is_active):
        return judge(domain, MaskedImages(real.images, real.masks[:, :2]), fake, is_active)

    monkeypatch.setattr(model, "discriminator_loss", short)


def one_forward_of_both(model, monkeypatch):
    def joined(domain, real, fake, is_active):
        both = (torch.cat(pair) for pair in zip(*map(vars_of, (real, fake)), strict=True))
        of_real, of_fake = model.discriminators[domain](*both).chunk(2)
        terms = ((of_real, 1.0), (of_fake, 0.0))
        return 0.5 * sum(losses.active_least_squares(*each, is_active) for each in terms)

    monkeypatch.setattr(model, "discriminator_loss", joined)


def vars_of(scene):
    return scene.images, scene.masks


def context_of_images_alone(model, monkeypatch):
    """Leave the masks out of the context's gradient."""
    plain = losses.context_loss
    monkeypatch.setattr(
        module,
        "context_loss",
        lambda before, after: plain(before, MaskedImages(after.images, after.masks.detach())),
    )


def norms_count_empty_masks(model, monkeypatch):
    apply = networks._apply
    monkeypatch.setattr(networks, "_apply", lambda layers, x, _: apply(layers, x, None))


@pytest.mark.parametrize(
    "mistake",
    [
        mean_of_masks,
        unsorted_masks,
        empty_masks_are_translated,
        original_image_in_later_passes,
        masks_of_this_pass_alone_are_judged,
        real_masks_of_the_pass,
        one_forward_of_both,
        context_of_images_alone,
        norms_count_empty_masks,
    ],
)
@pytest.mark.slow
def test_mistakes_are_seen_in_the_first_step(model, numbers, monkeypatch, mistake):
    mistake(model, monkeypatch)
    with pytest.raises(AssertionError):
        gradients, names = train(model, numbers, 1), official_names(model, numbers)
        assert_gradients(gradients, names, numbers.steps["grad_l2_step1_float64"])


def adam_never_rests(model, monkeypatch):
    for optimizer in model.optimizers.values():
        for group in optimizer.param_groups:
            group["params"][0].register_hook(lambda gradient: gradient + 1e-30)


def norms_count_inactive_images(model, monkeypatch):
    forward = SetDiscriminator.forward
    monkeypatch.setattr(
        SetDiscriminator,
        "forward",
        lambda self, images, masks, is_active=None: forward(self, images, masks),
    )


@pytest.mark.slow
@pytest.mark.parametrize("mistake", [adam_never_rests, norms_count_inactive_images])
def test_mistakes_about_absent_instances_are_seen_in_later_steps(
    model, numbers, monkeypatch, mistake
):
    mistake(model, monkeypatch)
    with pytest.raises(AssertionError):
        train(model, numbers)
