"""Say why the files of DIAT's authors (limuhit/Caffe_Gan, wdiat) are not read."""

from __future__ import annotations

from pathlib import Path

CAFFE = (".caffemodel", ".solverstate", ".caffemodel.h5", ".solverstate.h5")


def refusal(path: Path) -> str:
    """Give the sentence with which a file or folder is refused, naming Caffe's file in it."""
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    theirs = [file.name for file in files if file.name.lower().endswith(CAFFE)]
    advice = "train it with i2i-bench run --model diat"
    if theirs:
        return f"{theirs[0]} is Caffe's, whose files are not read here; {advice}"
    return (
        f"{path} holds no file of DIAT that can be read: its authors released Caffe's alone "
        f"(.caffemodel), which are not read here; {advice}"
    )
