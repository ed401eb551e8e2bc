"""Faces as their publishers hand them out, made up: their lists and names of files."""

import random

from i2i_bench.tasks import faces

NAMES = [  # of CelebA, in its order
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs"),
    *("Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows"),
    *("Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup"),
    *("High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard"),
    *("Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns"),
    *("Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat"),
    *("Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
]


def make_celeba(folder, count, content=b""):
    """Write a set of rows with values from a generator of their own; give the values."""
    values = {
        f"{row:06}.jpg": [random.Random(row * 41 + a).choice((-1, 1)) for a in range(40)]
        for row in range(1, count + 1)
    }
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = [str(count), " ".join(NAMES) + " "]
    lines += [f"{name}  {' '.join(f'{v:2}' for v in row)}" for name, row in values.items()]
    (folder / "list_attr_celeba.txt").write_text("\r\n".join(lines) + "\r\n")
    for name in values:
        (folder / "img_align_celeba" / name).write_bytes(content)
    return values


def make_rafd(folder, persons, content=b""):
    (folder / "images").mkdir(parents=True)
    for person in range(1, persons + 1):
        for expression in faces.RAFD_EXPRESSIONS:
            for gaze in ("frontal", "left"):
                name = f"Rafd090_{person:02}_Caucasian_female_{expression}_{gaze}.jpg"
                (folder / "images" / name).write_bytes(content)
