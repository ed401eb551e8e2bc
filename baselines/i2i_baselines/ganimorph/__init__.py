"""GANimorph, with the settings of the paper's branch and of the last revision."""
