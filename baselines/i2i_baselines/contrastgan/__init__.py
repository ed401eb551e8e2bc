"""ContrastGAN: one generator told a category, which translates objects within their masks."""
