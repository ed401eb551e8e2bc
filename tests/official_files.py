"""Files of networks as their authors write them, for the fixtures of ``runs/conftest.py``."""

from pathlib import Path

import torch

from i2i_bench.records.folders import Places

PAIR = {f"latest_net_{name}.pth": name for name in ("G_A", "G_B", "D_A", "D_B")}
SCHEME1 = {f"{name}.pth": name for name in ("netG_A2B", "netG_B2A", "netD_A", "netD_B")}
COMBOGAN = (*(f"G{i}" for i in range(6)), *(f"D{i}" for i in range(3)))
DISCOGAN = {f"model_{name}-7.pth": name for name in ("gen_A", "gen_B", "dis_A", "dis_B")}
FILES = {  # where they are not those of a pair
    "attentiongan_v1": SCHEME1,
    "attentiongan_v2_geo": {"latest_net_G.pth": "G_A"},
    "combogan": {f"1150_net_{name}.pth": name for name in COMBOGAN},
    "discogan": DISCOGAN,
}
DRIT = ("enc_c", "enc_a", "gen", "disA", "disA2", "disB", "disB2", "disContent")
UGATIT = ("genA2B", "genB2A", "disGA", "disGB", "disLA", "disLB")
TINY = ("--preset", "tiny", "--budget", 2)


def write_official(golden, fixture: str, folder: Path) -> Path:
    """Write the files of one family into a folder that is there."""
    numbers = golden(fixture)
    if fixture in ("unit", "munit"):
        for kind in ("gen", "dis"):
            both = {domain: numbers.network(f"{kind}_{domain}") for domain in ("a", "b")}
            torch.save(both, folder / f"{kind}_00000007.pt")
        return folder
    if fixture == "drit":
        torch.save({name: numbers.network(name) for name in DRIT}, folder / "00001.pth")
        return folder
    if fixture == "ganimorph":  # all variables in one file
        named = {k.partition("/")[2]: t for k, t in numbers.init.items() if k[3] == "_"}
        torch.save(named, folder / "ganimorph.pt")
        return folder
    if fixture.startswith("ugatit"):
        networks = {name: golden("ugatit_light").network(name) for name in UGATIT}
        if fixture == "ugatit_full":
            for name in ("genA2B", "genB2A"):
                tensors = numbers.network("genA2B")
                networks[name] = {key: tensor.clone() for key, tensor in tensors.items()}
        torch.save(networks, folder / "selfie2anime_params_latest.pt")
        return folder
    return numbers.save(folder, FILES.get(fixture, PAIR))


def here() -> Places:
    """Name the folders that commands use by default."""
    return Places(Path("results"), Path("runs"), Path("data"))


def same(first, second) -> bool:
    """Tell whether two dictionaries hold the same tensors."""
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
