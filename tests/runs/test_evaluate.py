"""Whether a run is scored already: in every direction that its model translates."""

import pytest
from sound_records import make_record, make_score

from i2i_bench.runs.evaluate import is_scored
from i2i_bench.scoring.protocols import find_protocol
from i2i_bench.tasks.catalogue import EMBEDDED


@pytest.mark.parametrize(
    ("stated", "scored", "absent", "expected"),
    [
        (["a2b"], ["a2b"], [], True),
        (["b2a"], ["a2b"], [], False),
        ([], ["a2b"], [], False),
        ([], ["a2b", "b2a"], [], True),
        ([], ["a2b"], ["generators.b2a"], True),
        (["a2b", "b2a"], ["a2b"], ["generators.b2a"], True),
        (["b2a"], ["a2b"], ["generators.b2a"], False),
    ],
)
def test_run_is_scored_in_every_direction_that_its_model_translates(
    stated, scored, absent, expected
):
    scores = [make_score(direction=direction) for direction in scored]
    record = make_record(*scores, directions=stated, absent=absent)
    assert is_scored(record, find_protocol("i2i"), EMBEDDED["stripes"]) is expected
    assert not is_scored(record, find_protocol("clean"), EMBEDDED["stripes"])
