"""DistanceGAN in three forms: distances of pairs, with cycles, distances of halves."""
