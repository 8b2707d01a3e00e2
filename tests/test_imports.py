"""Which heavy libraries a command may load: a job that sums up needs no torch, one that
measures no torchvision.
"""

import pytest
from command_line import imports

TABLES = {"pandas", "pyarrow"}
TRAINING = {*TABLES, "torch", "av", "accelerate", "diffusers", "requests"}
MAY_LOAD = [
    (["clips merge", "captions merge", "features merge"], TABLES),
    (["scores summarise", "tables build"], {*TABLES, "scipy", "jinja2", "duckdb", "cv2"}),
    (["scores measure"], {*TABLES, "torch", "scipy", "av", "cv2"}),
    # The moving average and AutoencoderKL, which a run imports when it has them, bring
    # transformers and scipy.stats.
    (["training run eadnet"], {*TRAINING, "cv2"}),
    (["training run wav2lip"], TRAINING),
    (["samples make wav2lip"], {*TABLES, "torch", "av", "cv2", "requests"}),
]


@pytest.mark.parametrize(
    ("commands", "allowed"), MAY_LOAD, ids=lambda value: ", ".join(value) if isinstance(value, list) else ""
)
def test_a_command_loads_no_heavy_module_that_it_does_not_need(commands, allowed):
    found = set(imports.loaded(commands))
    assert "pandas" in found, "the imports took place"
    assert found <= allowed, (
        f"{', '.join(commands)}: {', '.join(sorted(found - allowed))} should be imported where it is used"
    )


def test_every_heavy_module_in_the_table_is_looked_for():
    assert set().union(*(allowed for _, allowed in MAY_LOAD)) <= set(imports.HEAVY)
