"""AttentionGAN (Tang et al.), Scheme II and Scheme I, for i2i-bench."""
