"""ComboGAN: an encoder, a decoder and a discriminator for each of many domains."""
