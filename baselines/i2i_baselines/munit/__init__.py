"""MUNIT (Huang, Liu, Belongie, Kautz: Multimodal Unsupervised I2I Translation, ECCV 2018)."""
