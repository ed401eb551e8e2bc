"""Small metrics of a plugin; installed where this folder is on the path."""

from i2i_bench.metric import Metric, each


def red_error(image, truth):
    """Return how far the mean of the red channel is from the truth's, in levels of 255."""
    return abs(float(image[..., 0].mean()) - float(truth[..., 0].mean()))


def brightness(images):
    """Return mean and standard deviation of the mean levels of images."""
    means = images.mean((1, 2, 3))
    return means.mean(), means.std()


def contrast(image):
    """Return the standard deviation of the levels of an image."""
    return image.std()


RED_ERROR = Metric(
    "red_error",
    "red error",
    unit="levels",
    digits=1,
    better="lower",
    meaning="of the mean of the red channel",
    needs=("fake", "truth"),
    by_image=each(red_error),
    bounds=(0.0, 255.0),
    place=55,
    version=2,
)
LIGHT = (
    Metric(
        "brightness",
        "brightness",
        digits=1,
        needs=("fake",),
        of_set=brightness,
        bounds=(0.0, 255.0),
        spreads=("brightness_sd",),
        is_default=False,
    ),
    Metric(
        "contrast_error",
        "contrast",
        digits=1,
        needs=("fake",),
        by_image=each(contrast),
        bounds=(0.0, 255.0),
        is_default=False,
    ),
)
