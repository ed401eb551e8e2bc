"""``python -m i2i_bench`` is ``i2i-bench``."""

from i2i_bench.cli.main import main

if __name__ == "__main__":
    main(prog_name="i2i-bench")
