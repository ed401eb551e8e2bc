"""Building blocks that several models share; the harness imports none of them."""
