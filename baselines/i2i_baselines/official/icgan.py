"""Say why the files of IcGAN's authors (Guim3/IcGAN) are not read."""

from __future__ import annotations

from pathlib import Path


def refuse_torch7(path: Path) -> ValueError:
    """Make the error for the authors' files, ``celeba_24_G.t7`` and those of both encoders."""
    return ValueError(
        f"{path.name} cannot be read: IcGAN's authors released Torch7 files (.t7), which hold "
        "modules of Lua and no state dict; train it instead, with i2i-bench run --model icgan"
    )
