"""DualGAN, with the networks of 2017 and the last published ones."""
