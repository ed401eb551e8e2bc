"""Models of labels, against the numbers of their authors' code (tests/golden/README.md)."""

import math
from typing import cast

import pytest
import torch

from i2i_bench import official
from i2i_bench.blocks.discriminators import LabelledDiscriminator
from i2i_bench.blocks.label_conditioned import (
    LabelConditioned,
    LabelledConfig,
    generator_stems,
    infer,
    judge_stems,
)
from i2i_bench.blocks.losses import gradient_penalty
from i2i_bench.blocks.schedules import learning_rate_factor
from i2i_bench.labels import EVERY
from i2i_bench.model import Batch, Clock, Direction
from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import toy
from i2i_bench.randomness import Randomness
from i2i_bench.training import memory
from i2i_bench.training.settings import change_settings

MODELS = {"stargan": "stargan", "attentiongan-multi": "attentiongan_multi"}  # name: golden folder
FILES = {"200000-G.ckpt": "G", "200000-D.ckpt": "D"}
CELEBA = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
RAFD = (*("angry", "contemptuous", "disgusted", "fearful"), "happy", "neutral", "sad", "surprised")


def load(name: str) -> type[LabelConditioned]:
    return cast(type[LabelConditioned], registry.load_model(name))


def assert_same_image(found: torch.Tensor, truth: torch.Tensor) -> None:
    torch.testing.assert_close(found, truth, rtol=0, atol=2e-5)


def assert_same_judgement(found: torch.Tensor, truth: torch.Tensor) -> None:
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=2e-8)


class Drawn(Randomness):
    """The draws of the authors' run in the place of new ones."""

    def __init__(self, order: torch.Tensor, shares: torch.Tensor) -> None:
        super().__init__(0)
        places = torch.empty(len(order), dtype=torch.float64)
        places[order] = torch.arange(len(order), dtype=torch.float64)
        self.known = {"exchange": places, "interpolation": shares}

    def uniform(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        assert self.known[name].shape == shape
        return self.known[name]


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def numbers(golden, name):
    return golden(MODELS[name])


@pytest.fixture
def model(numbers, name, tmp_path):
    return load(name).from_official(numbers.save(tmp_path, FILES))


def one_hot(labels, count=8):
    return torch.nn.functional.one_hot(labels, count)


def translate(model, images, labels):
    """Give translations as the authors have them, which are not clipped."""
    return model.generator(images, labels)


def with_replaced(numbers, folder, part):
    """Write the files with the tensors under ``<part>/replace/`` in the place of the others."""
    for file, network in FILES.items():
        prefix = f"{part}/replace/{network}/"
        new = {k.removeprefix(prefix): t for k, t in numbers.io.items() if k.startswith(prefix)}
        torch.save(numbers.network(network) | new, folder / file)
    return folder


def official_losses(losses, config):
    """Give our terms by the authors' names."""
    of_critic = (
        losses["discriminator"] - config.lambda_classification * losses["classification_real"]
    )
    names = {
        "d_loss": losses["discriminator"],
        "D/loss_cls": losses["classification_real"],
        "D/loss_gp": losses["gradient_penalty"],
        "D/loss_real + D/loss_fake": of_critic - config.lambda_penalty * losses["gradient_penalty"],
    }
    if "cycle" in losses:
        names |= {
            "G/loss_fake": losses["adversarial"],
            "G/loss_cls": losses["classification"],
            "G/loss_rec": losses["cycle"],
            "g_loss": losses["adversarial"]
            + config.lambda_cycle * losses["cycle"]
            + config.lambda_classification * losses["classification"],
        }
    return {key: value.item() for key, value in names.items()}


def expect(losses, expected, config, rel, floor=1e-12):
    found = official_losses(losses, config)
    known = expected | {
        "D/loss_real + D/loss_fake": expected["D/loss_real"] + expected["D/loss_fake"]
    }
    assert found.keys() == {key for key in known if key not in ("D/loss_real", "D/loss_fake")}
    for key, value in found.items():
        assert value == pytest.approx(known[key], rel=rel, abs=floor), key


def gradient_norms(model, network, stems):
    ours = dict(model.networks[network].named_parameters())
    optimizer = model.optimizers[network]
    beta1 = model.config.beta1
    return {
        f"{official_name}.{leaf}": (optimizer.state[ours[f"{own}.{leaf}"]]["exp_avg"] / (1 - beta1))
        .norm()
        .item()
        for own, official_name in stems
        for leaf in ("weight", "bias")
        if f"{own}.{leaf}" in ours
    }


def check_norms(model, network, expected, letter):
    stems = generator_stems(model.config.num_blocks) if letter == "G" else judge_stems(model.config)
    found = gradient_norms(model, network, stems)
    assert {f"{letter}/{n}" for n in found} == set(expected)
    for each, value in found.items():
        assert value == pytest.approx(expected[f"{letter}/{each}"], rel=1e-6, abs=1e-9), each


def test_configuration_is_read_off_the_shapes(model):
    expected = {"generator_width": 8, "discriminator_width": 4, "image_size": 64}
    assert model.config == type(model.config)(CELEBA, (CELEBA[:3],), **expected)
    assert not model.config.is_softmax
    assert model.absent == set()


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_forward_equals_the_authors_in_both_modes(model, numbers, mode):
    model.networks.train(mode == "train")
    real, origin, target = (numbers.io[f"probe/{key}"] for key in ("x_real", "c_org", "c_trg"))
    with torch.no_grad():
        fake = translate(model, real, target)
        assert_same_image(fake, numbers.io["init/fake"])
        again = translate(model, fake, origin)
        torch.testing.assert_close(again, numbers.io["init/reconst"], rtol=0, atol=5e-5)
        for which, images in (("real", real), ("fake", fake)):
            values, logits = model.discriminator(images)
            assert_same_judgement(values, numbers.io[f"init/D/{which}_src"])
            assert_same_judgement(logits, numbers.io[f"init/D/{which}_cls"])


def test_running_statistics_move_in_training_alone(model, numbers):
    def statistics():
        return {n: b.clone() for n, b in model.generator.named_buffers()}

    before = statistics()
    real, target = numbers.io["probe/x_real"], numbers.io["probe/c_trg"]
    for is_training in (False, True):
        model.networks.train(is_training)
        with torch.no_grad():
            translate(model, real, target)
        moved = [n for n, b in statistics().items() if not torch.equal(b, before[n])]
        running = [n for n in before if "running" in n]
        assert moved == (running if is_training else [])


@pytest.mark.slow
def test_five_critic_steps_and_one_of_the_generator_equal_the_authors(model, numbers, name):
    model.networks.double().train()
    steps = numbers.steps
    for i, expected in enumerate(steps["losses_float64"]):
        parts = ("x_real", "label_org", "rand_idx", "alpha")
        real, labels, order, shares = (numbers.io[f"train/{part}_{i}"] for part in parts)
        batch = Batch({EVERY: real.double()}, {EVERY: labels.double()})
        model.advance(Clock(i + 1, 200_000, 16 * i, 3_200_000))
        losses = model.training_step(batch, Drawn(order, shares.double()))
        assert ("cycle" in losses) == (i == 4)
        expect(losses, expected, model.config, rel=1e-6, floor=1e-9)
        if i == 0:
            check_norms(model, "discriminator", steps["grad_l2_first_D_step_float64"], "D")
        assert torch.equal(labels[order], numbers.io[f"train/label_trg_{i}"])
    check_norms(model, "generator", steps["grad_l2_first_G_step_float64"], "G")
    for kept in ("main.1", "main.19", "main.9.main.4"):
        stem = dict((b, a) for a, b in generator_stems(6))[kept]
        buffers = dict(model.generator.named_buffers())
        for statistic in ("running_mean", "running_var"):
            truth = numbers.io[f"after5_f64/running/G/{kept}.{statistic}"]
            found = buffers[f"{stem}.{statistic}"].float()
            torch.testing.assert_close(found, truth, atol=1e-6, rtol=1e-6)
    model.networks.eval()
    real, target = (numbers.io[f"probe/{key}"].double() for key in ("x_real", "c_trg"))
    with torch.no_grad():
        fake = translate(model, real, target)
        truth = numbers.io["after5_f64/fake"]
        torch.testing.assert_close(fake.float(), truth, atol=1e-6, rtol=1e-6)
        for which, images in (("real", real), ("fake", fake)):
            for part, found in zip(("src", "cls"), model.discriminator(images), strict=True):
                truth = numbers.io[f"after5_f64/D/{which}_{part}"]
                torch.testing.assert_close(found.float(), truth, atol=5e-9, rtol=1e-6)


def one_iteration(model, numbers, labels, draws):
    """Take one step of both networks in float64."""
    model.networks.double().train()
    batch = Batch({EVERY: numbers.io["train/x_real_0"].double()}, {EVERY: labels.double()})
    model.trains_generator = True
    return model.training_step(batch, draws)


@pytest.mark.slow
def test_softmax_over_eight_labels_equals_the_authors(name, numbers, tmp_path):
    model = load(name).from_official(with_replaced(numbers, tmp_path, "rafd"))
    assert (model.config.attributes, model.config.exclusive) == (RAFD, (RAFD,))
    assert model.config.is_softmax
    real = numbers.io["probe/x_real"][:1]
    with torch.no_grad():
        fake = translate(model, real, numbers.io["rafd/probe/c_trg"])
        assert_same_image(fake, numbers.io["rafd/init/fake"])
        for which, images in (("real", real), ("fake", fake)):
            truth = numbers.io[f"rafd/init/D/{which}_cls"]
            assert_same_judgement(model.discriminator(images)[1], truth)
    draws = Drawn(numbers.io["rafd/rand_idx_0"], numbers.io["rafd/alpha_0"].double())
    losses = one_iteration(model, numbers, one_hot(numbers.io["rafd/label_org_0"]), draws)
    truth = numbers.steps["rafd_c8"]
    expect(losses, truth["losses_float64"][0], model.config, rel=1e-6, floor=1e-9)
    check_norms(model, "discriminator", truth["grad_l2_D_step_float64"], "D")
    check_norms(model, "generator", truth["grad_l2_G_step_float64"], "G")


def test_critic_of_large_weights_feels_every_term(model, numbers):
    truth = numbers.steps["scaled_D"]
    with torch.no_grad():
        for parameter in model.discriminator.parameters():
            parameter *= truth["settings"]["factor_on_every_D_tensor"]
    parts = ("label_org", "rand_idx", "alpha")
    labels, order, shares = (numbers.io[f"train/{part}_0"] for part in parts)
    losses = one_iteration(model, numbers, labels, Drawn(order, shares.double()))
    expect(losses, truth["losses_float64"][0], model.config, rel=1e-6, floor=1e-9)
    check_norms(model, "discriminator", truth["grad_l2_D_step_float64"], "D")
    check_norms(model, "generator", truth["grad_l2_G_step_float64"], "G")


@pytest.mark.parametrize(("factor", "suffix"), [(1, ""), (4, "_scaled_D")])
def test_penalty_is_of_the_sum_over_an_images_values(name, numbers, tmp_path, factor, suffix):
    model = load(name).from_official(with_replaced(numbers, tmp_path, "size128"))
    assert model.config.image_size == 128
    rows = [torch.cat(list(numbers.io[f"train/x_real_{i}"][:2]), dim=2) for i in (0, 1)]
    mosaic = torch.cat(rows, dim=1)[None]
    if factor == 1:
        values, logits = model.discriminator(mosaic)
        assert_same_judgement(values.detach(), numbers.io["size128/D/src"])
        assert_same_judgement(logits.detach(), numbers.io["size128/D/cls"])
    model.networks.double()
    with torch.no_grad():
        for parameter in model.discriminator.parameters():
            parameter *= factor
    penalty = gradient_penalty(lambda x: model.discriminator(x)[0], mosaic.double())
    truth = numbers.steps["size128"]["float64"]
    assert penalty.item() == pytest.approx(truth[f"gradient_penalty{suffix}"], rel=1e-6)


# --- files


def test_generator_alone_is_enough(name, numbers, tmp_path):
    numbers.save(tmp_path, {"200000-G.ckpt": "G"})
    for source in (tmp_path, tmp_path / "200000-G.ckpt"):
        assert load(name).from_official(source).absent == {"discriminator"}


def test_newest_step_is_read_and_counters_may_be_missing(name, numbers, tmp_path):
    torch.save({}, tmp_path / "90000-G.ckpt")
    old = {n: t for n, t in numbers.network("G").items() if "num_batches" not in n}
    torch.save(old, tmp_path / "200000-G.ckpt")
    model = load(name).from_official(tmp_path)
    first = model.generator.state_dict()["layers.0.weight"]
    assert torch.equal(first, numbers.network("G")["main.0.weight"])


def test_files_of_the_other_model_do_not_fit(name, numbers, tmp_path):
    (other,) = set(MODELS) - {name}
    with pytest.raises(ValueError, match=r"misshapen main\.21\.weight"):
        load(other).from_official(numbers.save(tmp_path, FILES))


def test_no_file_is_a_sentence(name, tmp_path):
    with pytest.raises(ValueError, match=r"needed is a file such as 200000-G\.ckpt"):
        load(name).from_official(tmp_path)


def test_labels_of_unknown_number_are_numbered():
    tensors = {"main.0.weight": torch.zeros(4, 6, 7, 7)}
    found = infer({"G": official.StateDict("G", tensors)})
    assert (found["attributes"], found["exclusive"]) == (("label1", "label2", "label3"), ())
    tensors = {"main.0.weight": torch.zeros(4, 3, 7, 7)}
    with pytest.raises(ValueError, match="takes 3 channels"):
        infer({"G": official.StateDict("G", tensors)})


# --- what the authors' files do not say


def test_authors_rate_falls_by_a_thousandth_and_the_linear_one_to_nothing():
    def rates(decay):
        clocks = [Clock(s, 200_000, 0, 1) for s in (1, 101_000, 101_001, 150_001, 200_000)]
        return [learning_rate_factor(clock, decay) for clock in clocks]

    authors = [1, 1, 1 - 1e-5, 1 - 50e-5, 1 - 99e-5]
    assert rates("authors") == pytest.approx(authors, rel=1e-12)
    assert rates("linear") == pytest.approx([1, 1 - 0.00999, 0.99, 0.5, 1e-5], rel=1e-9)


def test_images_of_another_size_are_refused_in_a_sentence():
    judge = LabelledDiscriminator(2, 3, num_labels=2, image_size=32)
    with pytest.raises(ValueError, match="of images of 32 px, not 40x48"):
        judge(torch.zeros(1, 3, 48, 40))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attributes": ()}, "needs attributes"),
        ({"decay": "cosine"}, "decay is 'cosine'; possible: authors, linear"),
        ({"critic_steps": 0}, "critic_steps is 0; at least 1"),
        ({"image_size": 32}, "image_size is 32; at least 64"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        LabelledConfig(**({"attributes": CELEBA} | changes))


@pytest.mark.parametrize(
    ("exclusive", "expected"),
    [((), False), ((CELEBA[:3],), False), ((CELEBA,), True), ((CELEBA[::-1],), True)],
)
def test_softmax_is_of_one_group_of_all(exclusive, expected):
    assert LabelledConfig(CELEBA, exclusive).is_softmax is expected


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        (8, {"stargan": (8_439_936, 44_786_624), "attentiongan-multi": (8_443_072, 44_786_624)}),
        (5, {"stargan": (8_430_528, 44_762_048), "attentiongan-multi": (8_433_664, 44_762_048)}),
    ],
)
def test_parameters_are_the_authors_to_the_integer(name, labels, counts):
    model_class = load(name)
    with torch.device("meta"):
        model = model_class(model_class.Config(tuple(map(str, range(labels)))))
    found = [sum(p.numel() for p in n.parameters()) for n in model.networks.values()]
    assert tuple(found) == counts[name]


def test_class_head_grows_with_the_image(name):
    model_class = load(name)
    with torch.device("meta"):
        model = model_class(model_class.Config(RAFD, image_size=256))
    assert sum(p.numel() for p in model.networks["discriminator"].parameters()) == 44_983_232


def test_translation_is_clipped_and_follows_the_target(model, numbers):
    direction = Direction("-Male", "+Male")
    real, target = numbers.io["probe/x_real"], numbers.io["probe/c_trg"]
    with torch.no_grad():
        fake = model.translate(
            Batch({"-Male": real}, {"-Male": 1 - target, "+Male": target}), direction, Randomness(0)
        )
        whole = translate(model, real, target)
    torch.testing.assert_close(fake, whole.clamp(-1, 1))
    assert math.isclose(fake.abs().max().item(), min(1.0, whole.abs().max().item()), rel_tol=1e-6)


@pytest.mark.slow
def test_memory_of_the_generators_rare_step_is_counted(name):
    model_class = load(name)
    task = toy(model_class)
    settings = model_class.settings("tiny", task)
    needs = [
        memory.measure_need(model_class, change_settings(name, settings, {"critic_steps": n}), task)
        for n in ("1", "5")
    ]
    assert needs[0].states == needs[1].states
    assert needs[0].step and needs[1].step
    assert needs[1].step >= 0.8 * needs[0].step  # which also holds the gradients of the first step
