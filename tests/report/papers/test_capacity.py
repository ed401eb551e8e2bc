"""Table V: parameters counted from layers, beside listed figures and installed models."""

import csv
import io
import re
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from torch import nn

from i2i_bench.cli.main import main
from i2i_bench.plugins import registry
from i2i_bench.plugins.describe import count_published
from i2i_bench.plugins.registry import BrokenModel
from i2i_bench.report.papers import layers, published, tables
from i2i_bench.report.papers.capacity import capacity_table

pytestmark = pytest.mark.slow  # whole runs and commands

# Trainable parameters of the networks built in torch 2.12.1, independently of our descriptions;
# those of StarGAN, AttentionGAN-v1-multi, DiscoGAN, BicycleGAN and the latest ComboGAN are equal in
# the authors' own modules. (of each network, times how many; in total)
EXACT = {
    "pix2pix": ("54,413,955 + 2,768,705", 57_182_660),
    "pix2pix-torch7": ("54,420,483 + 2,769,601", 57_190_084),
    "encoder-decoder": ("39,081,987 + 2,769,601", 41_851_588),
    "encoder-decoder-unbiased": ("39,075,459 + 2,768,705", 41_844_164),
    "bicyclegan": ("54,794,627 + 2,590,032 + 2 x 3,458,978", 64_302_615),
    "resnet6-and-labelled": ("7,841,408 + 44,721,088", 52_562_496),
    "resnet6-biased-and-labelled": ("7,837,699 + 44,721,088", 52_558_787),
    "cyclegan": ("2 x 11,378,179 + 2 x 2,764,737", 28_285_832),
    "dualgan-2017": ("2 x 85,022,787 + 2 x 4,321,153", 178_687_880),
    "dualgan-first": ("2 x 85,022,787 + 2 x 4,832,641", 179_710_856),
    "dualgan": (None, 69_154_696),
    "discogan": ("2 x 5,513,856 + 2 x 2,765,568", 16_558_848),
    "discogan-bottleneck": (None, 19_838_096),
    "distancegan": (None, 28_310_408),
    "distancegan-disco": (None, 16_558_848),
    "combogan-2017": ("11,664,899 + 2,764,737", 14_429_636),
    "combogan": ("11,664,913 + 13,931,410", 25_596_323),
    "contrastgan": ("7,865,923 + 2,822,088", 10_688_011),
    "stargan": ("8,439,936 + 44,786,624", 53_226_560),
    "attentiongan-unlabelled": ("7,844,544 + 44,721,088", 52_565_632),
    "attentiongan-scheme1": ("7,923,524 + 44,721,088", 52_644_612),
    "attentiongan-multi": ("8,443,072 + 44,786,624", 53_229_696),
    "attentiongan-multi-256": ("8,443,072 + 44,983,232", 53_426_304),
    "labelled": (None, 52_653_120),
    "labelled-with-mask": (None, 52_656_256),
    "labelled-less-one": (None, 52_641_792),
}
# method: models for 8 domains, listed millions, total as listed, total as implemented
ROWS = {
    "Pix2pix": (56, "57.2", 3_202_228_960, 3_202_228_960),
    "Encoder-Decoder": (56, "41.9", 2_343_688_928, 2_343_688_928),
    "BicycleGAN": (56, "64.3", 3_600_946_440, 3_600_946_440),
    "CycleGAN": (28, "52.6", 1_471_749_888, 792_003_296),
    "DualGAN": (28, "178.7", 5_003_260_640, 1_936_331_488),
    "DiscoGAN": (28, "16.6", 463_647_744, 463_647_744),
    "DistanceGAN": (28, "52.6", 1_471_749_888, 792_691_424),
    "Dist.+Cycle": (28, "52.6", 1_471_749_888, 792_691_424),
    "Self Dist.": (28, "52.6", 1_471_749_888, 792_691_424),
    "ComboGAN": (8, "14.4", 115_437_088, 204_770_584),
    "StarGAN": (1, "53.2", 53_226_560, 53_226_560),
    "ContrastGAN": (1, "52.6", 52_562_496, None),
    "AttentionGAN": (1, "52.6", 52_565_632, 53_229_696),
}
NEAR = {  # tried, but not the listed figure
    *("encoder-decoder-unbiased", "cyclegan", "dualgan", "dualgan-first", "discogan-bottleneck"),
    *("distancegan", "distancegan-disco", "combogan", "contrastgan", "attentiongan-multi"),
    *("attentiongan-multi-256", "labelled", "labelled-with-mask"),
}


def table(num_domains=8, count=lambda name, domains: 1000):
    return capacity_table(num_domains, count)


def parse(text):
    return list(csv.DictReader(io.StringIO(text)))


def lines(num_domains=8, kind=None, **arguments):
    found = parse(tables.paper_csv(table(num_domains, **arguments)))
    return [line for line in found if kind in (None, line["kind"])]


def cells(text, start):
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start} "))
    return [part.strip() for part in line.strip("|").split("|")]


# --- counting


@pytest.mark.parametrize("name", EXACT)
def test_configuration_has_exactly_the_parameters_of_the_networks(name):
    parts, total = EXACT[name]
    count = layers.read_descriptions().count(name, 8)
    assert count.total == total
    assert parts in (None, str(count))


def test_every_configuration_and_every_network_is_checked():
    descriptions = layers.read_descriptions()
    assert set(descriptions.configurations) == set(EXACT)
    used = {n for c in descriptions.configurations.values() for n in c.networks}
    assert used == set(descriptions.networks)


@pytest.mark.parametrize(  # of AttentionGAN-v1-multi on CelebA at 128 px, 5 attributes
    ("num_domains", "parts"), [(5, "8,433,664 + 44,762,048"), (8, "8,443,072 + 44,786,624")]
)
def test_label_planes_and_the_class_head_grow_with_the_domains(num_domains, parts):
    assert str(layers.read_descriptions().count("attentiongan-multi", num_domains)) == parts


def test_class_head_grows_with_the_image():
    small, large = (
        layers.read_descriptions().count(f"attentiongan-multi{x}", 8).total for x in ("", "-256")
    )
    assert large - small == 2048 * 8 * (4**2 - 2**2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", ["conv", "deconv", "linear"])
def test_layer_counts_as_in_torch(kind, bias, affine):
    shape = {"conv": (5, 7, 3), "deconv": (5, 7, 4), "linear": (5, 7)}[kind]
    made = {
        "conv": nn.Conv2d(5, 7, 3, bias=bias),
        "deconv": nn.ConvTranspose2d(5, 7, 4, bias=bias),
        "linear": nn.Linear(5, 7, bias=bias),
    }[kind]
    truth = [made, nn.InstanceNorm2d(7, affine=affine)] * 2
    expected = sum(p.numel() for module in truth for p in module.parameters())
    network = {"n": (layers.Layer(kind, shape, bias=bias, affine=affine, repeat=2),)}
    chosen = {"c": layers.Configuration("", "", "", {"n": 1})}
    assert layers.Descriptions(network, chosen).count("c", 2).total == expected


@pytest.mark.parametrize(
    ("expression", "value"), [(3, 3), ("3 + m", 8), ("m - 1", 4), ("2 * m", 10), ("m // 2", 2)]
)
def test_expression_has_its_value(expression, value):
    assert layers.evaluate_formula(expression, {"m": 5}) == value


@pytest.mark.parametrize("expression", ["n", "m / 2", "m ** 9", "f(m)", "1.5", "m if m else 1"])
def test_other_expression_is_refused(expression):
    with pytest.raises(ValueError, match=r"has no value; there are \+ - \* //, and m$"):
        layers.evaluate_formula(expression, {"m": 5})


def test_unknown_layer_is_refused():
    network = {"n": (layers.Layer("conv", (3, 3), bias=True, affine=False),)}
    chosen = {"c": layers.Configuration("", "", "", {"n": 1})}
    with pytest.raises(ValueError, match=r"no layer is described by conv = \[3, 3\]"):
        layers.Descriptions(network, chosen).count("c", 2)


# --- the table


def test_rows_are_the_papers_with_totals_over_all_models():
    listed, code = lines(kind="as listed"), lines(kind="as implemented")
    implemented = {line["method"]: int(line["total"]) for line in code}
    found = {
        line["method"]: (
            int(line["models"]),
            line["listed_millions"],
            int(line["total"]),
            implemented.get(line["method"]),
        )
        for line in listed
    }
    assert found == ROWS


def test_configuration_as_listed_rounds_to_the_listed_figure_and_near_misses_do_not():
    assert {line["fits_listed"] for line in lines(kind="as listed")} == {"yes"}
    missing = {line["name"] for line in lines() if line["fits_listed"] == "no"}
    assert missing == NEAR


def test_listed_figure_stands_beside_both_counts():
    expected = ["CycleGAN", "28", "52.6", "1,472.8", "52,562,496", "yes", "1,471,749,888"]
    text = tables.paper_markdown(table())
    main = text.split("\n## ")[0]
    assert cells(main, "CycleGAN") == [*expected, "28,285,832", "792,003,296"]
    assert cells(main, "ContrastGAN")[-2:] == ["", ""]
    assert "- No published code was found: ContrastGAN." in text


@pytest.mark.parametrize("num_domains", [2, 3, 5, 20])
def test_totals_follow_the_formulas(num_domains):
    m = num_domains
    needed = {"Pix2pix": m * (m - 1), "CycleGAN": m * (m - 1) // 2, "ComboGAN": m, "StarGAN": 1}
    for line in lines(num_domains, kind="as listed"):
        assert int(line["models"]) == needed.get(line["method"], int(line["models"]))
        assert int(line["total"]) == int(line["models"]) * int(line["parameters"])


def test_only_labelled_networks_depend_on_the_number_of_domains():
    eight, five = (
        {
            (line["method"], line["name"]): line["parameters"]
            for line in lines(num_domains)
            if line["kind"] != "installed"
        }
        for num_domains in (8, 5)
    )
    changed = {name for (method, name), count in eight.items() if five[method, name] != count}
    labelled = {"labelled", "labelled-with-mask", "labelled-less-one"}
    told = {"stargan", "contrastgan", "attentiongan-multi", "attentiongan-multi-256"}
    assert changed == labelled | told
    assert int(five["AttentionGAN", "attentiongan-multi"]) == 53_195_712


def test_whether_a_figure_fits_is_told_for_the_papers_domains():
    assert [line["fits_listed"] for line in lines(1000)] == [
        line["fits_listed"] for line in lines()
    ]
    assert "- fits is told for 8 domains, as printed." in tables.paper_markdown(table(1000))
    assert "fits is told" not in tables.paper_markdown(table(8))


# --- installed models


def test_installed_two_domain_model_is_needed_for_each_pair():
    asked = []

    def count(name, num_domains):
        asked.append((name, num_domains))
        return 1000

    found = {line["name"]: line for line in lines(kind="installed", count=count)}
    assert found["attentiongan"]["parameters"] == "1000"
    assert found["attentiongan"]["models_formula"] == "m(m-1)/2"
    assert found["attentiongan"]["total"] == "28000"
    two = {("attentiongan", 2), ("attentiongan-v1", 2), ("cyclegan", 2)}
    assert two < set(asked)
    many = {"attentiongan-multi", "combogan", "contrastgan", "stargan"}
    assert {name for name, number in asked if number != 2} == many


@pytest.mark.parametrize(
    ("name", "num_domains", "parameters"),
    [
        ("stargan", 8, 53_226_560),
        ("attentiongan-multi", 8, 53_229_696),
        ("stargan", 5, 53_192_576),
        ("attentiongan-multi", 5, 53_195_712),
        ("contrastgan", 8, 10_688_011),
    ],
)
def test_models_of_labels_are_counted_as_their_authors_are(name, num_domains, parameters):
    found = lines(num_domains, kind="installed", count=count_published)
    (line,) = (line for line in found if line["name"] == name)
    assert (line["parameters"], line["models"]) == (str(parameters), "1")
    assert line["total"] == str(parameters)


def test_diat_is_counted_with_all_that_it_trains():
    transform, mask, critic, denoiser = 7_937_715, 183_489, 4_331_969, 114_794
    assert count_published("diat", 2) == 2 * transform + mask + critic + denoiser


def install_only(monkeypatch, *names):
    """Have no model installed but these."""
    entries = [SimpleNamespace(name=name) for name in names]
    monkeypatch.setattr(registry, "find_entries", lambda: entries)


def test_model_that_is_not_installed_has_an_empty_cell_with_the_reason(monkeypatch):
    install_only(monkeypatch)
    (line,) = (line for line in lines(kind="installed") if line["name"] == "pix2pix")
    assert (line["parameters"], line["total"], line["reason"]) == ("", "", "not installed")
    assert "| pix2pix: not installed " in tables.paper_markdown(table())


def test_model_that_cannot_be_counted_says_why_and_breaks_nothing_else():
    def count(name, num_domains):
        if name == "cyclegan":
            raise BrokenModel("model 'cyclegan' is broken: " + "x" * 200)
        return 1000

    found = {line["name"]: line for line in lines(kind="installed", count=count)}
    assert found["cyclegan"]["parameters"] == ""
    assert found["cyclegan"]["reason"].endswith("x" * 200)
    assert found["attentiongan"]["parameters"] == "1000"
    text = tables.paper_markdown(table(count=count))
    assert "| cyclegan: model 'cyclegan' is broken: xxx" in text
    assert "x" * 101 not in text


def test_command_counts_installed_models(cli, places):
    text = cli("table", "v").split("## Table V, installed models")[1].split("\n## ")[0]
    cyclegan = [line for line in text.splitlines() if line.startswith("| CycleGAN")]
    assert [part.strip() for part in cyclegan[0].split("|")[3:7]] == [
        "cyclegan",
        "28,285,832",
        "28",
        "792,003,296",
    ]
    assert re.search(r"\| +29,175,372 \| +28 \| +816,910,416 \|", text)  # Scheme II


def test_command_says_beside_its_output_that_counting_takes_time(places):
    result = CliRunner().invoke(main, ["table", "v", "--format", "csv"])
    sentence = "counting the networks of installed models; this takes some seconds\n"
    assert result.stderr == sentence and result.output.startswith(sentence)
    assert result.stdout.startswith("method,venue,")


PLUGIN = """
from dataclasses import dataclass
from torch import nn
from i2i_bench.model import Model, ModelCard, Settings

@dataclass(frozen=True)
class Config:
    labels: int

class Third(Model):
    card = ModelCard("Third", "A. Nobody", "nowhere", 2026, "0000.00000", "MIT")
    Config = Config

    def __init__(self, config):
        self.networks = nn.ModuleDict({"g": nn.Conv2d(3 + config.labels, 3, 1, bias=False)})
        self.optimizers, self.state = {}, {}

    @classmethod
    def settings(cls, preset, task):
        return Settings(Config(len(task.num_train)), 1, 1, 256, 256)

    def training_step(self, batch, random): ...

    def translate(self, batch, direction, random): ...
"""


def install(name, text, places, monkeypatch):
    """Install a distribution with one model, and nothing else of its name."""
    find = registry.find_entries
    monkeypatch.setattr(
        registry,
        "find_entries",
        lambda: [each for each in find() if each.name != name or each.distribution == "i2i-third"],
    )
    information = places / "i2i_third-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: i2i-third\nVersion: 1.0\n")
    points = f"[i2i_bench.models]\n{name} = i2i_labelled:Third\n"
    (information / "entry_points.txt").write_text(points)
    (places / "i2i_labelled.py").write_text(text)
    monkeypatch.syspath_prepend(places)
    monkeypatch.delitem(sys.modules, "i2i_labelled", raising=False)


def test_model_of_one_way_is_needed_twice_for_each_pair_and_said_to_be(monkeypatch):
    install_only(monkeypatch, "cyclegan")
    assert "One way only" not in tables.paper_markdown(table())
    install_only(monkeypatch, "pix2pix")
    text = tables.paper_markdown(table())
    assert "One way only, so that m domains need m(m-1): pix2pix." in text
    (line,) = (line for line in lines(kind="installed") if line["name"] == "pix2pix")
    assert (line["models"], line["total"]) == ("56", "56000")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (PLUGIN, r"\| contrastgan +\| +24 \| +1 \| +24 \|"),  # 3 colours, 5 labels, 3 channels
        ("1 / 0", r"\| contrastgan: .* is broken: ZeroDivisionError: .* \| +\| +\| +\|"),
        (PLUGIN.replace("1, 1, 256", "1, 1 / 0"), r"\| contrastgan: .*: ZeroDivisionError: "),
    ],
    ids=["of all domains", "import fails", "settings fail"],
)
def test_model_installed_by_a_third_party_is_counted_or_says_why(
    cli, places, monkeypatch, text, shown
):
    install("contrastgan", text, places, monkeypatch)
    text = cli("table", "v", "--m", 5)
    section = text.split("## Table V, installed models")[1].split("\n## ")[0]
    (line,) = (line for line in section.splitlines() if line.startswith("| ContrastGAN "))
    assert re.search(shown, line), line
    assert "28,285,832" in section


# --- text


def test_markdown_fits_a_terminal():
    text = tables.paper_markdown(table())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert max(map(len, rows)) <= 120
    for section in text.split("\n## "):
        block = [line for line in section.splitlines() if line.startswith("|")]
        assert len({len(line) for line in block}) == 1


def test_csv_has_the_source_of_every_count_and_figure():
    found = lines()
    assert all(line["source"] for line in found if line["kind"] != "installed")
    assert all("Table V" in line["listed_source"] for line in found)


def test_latex_is_balanced_and_holds_every_row():
    text = tables.paper_latex(table())
    assert text.startswith("% needs \\usepackage{booktabs}\n\\begin{table}[t]\n")
    for kind in ("table", "tabular"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") == 3
    for block in text.split("\\begin{tabular}{")[1:]:
        alignment, _, body = block.partition("}")
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert {line.count(" & ") for line in rows} == {len(alignment) - 1}
        assert len(rows) > len(ROWS)


def test_command_refuses_fewer_than_two_domains(cli, places):
    sentence = cli("table", "v", "--m", 1, code=2)
    assert "'--m': 1 is not in the range 2<=x<=1000" in sentence


def test_records_play_no_part(cli, places):
    path = places / "results" / "stripes" / "cyclegan" / "seed0.json"
    path.parent.mkdir(parents=True)
    path.write_text("damaged")
    assert "52,562,496" in cli("table", "v")


def test_one_method_under_two_names_is_one():
    methods = published.layout().methods
    assert methods["EncDecoder"] is methods["Encoder-Decoder"]
