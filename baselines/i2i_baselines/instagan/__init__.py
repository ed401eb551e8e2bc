"""InstaGAN: images translated together with the masks of their instances."""
