#!/usr/bin/env bash
# A scheduler with "trailing" spacing has one step more than it was asked for, at timestep -1, for some numbers of steps.
# Seen with diffusers 0.42.1, all schedulers tried: of 1 to 200 steps over 1000 of the training, 61, 103, 121 and 122 give one
# more. np.arange(1000, 0, -1000 / n) has n + 1 entries there, by rounding; the last rounds to 0 and becomes -1, which
# indexes the noise level of the last, noisiest step.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 diffusers==0.42.1 "numpy<3"
"$folder/venv/bin/python" - <<'PY'
import sys

import diffusers

print("diffusers", diffusers.__version__)
found = {}
for kind in (diffusers.DDIMScheduler, diffusers.DPMSolverMultistepScheduler, diffusers.UniPCMultistepScheduler, diffusers.EulerDiscreteScheduler):
    scheduler = kind(num_train_timesteps=1000, timestep_spacing="trailing")
    more = []
    for steps in range(1, 201):
        scheduler.set_timesteps(steps)
        if len(scheduler.timesteps) != steps:
            more.append((steps, len(scheduler.timesteps), int(scheduler.timesteps[-1])))
    found[kind.__name__] = more
    print(kind.__name__, "(asked, got, last timestep):", more)
wanted = [(61, 62, -1), (103, 104, -1), (121, 122, -1), (122, 123, -1)]
sys.exit(0 if all(more == wanted for more in found.values()) else "the behaviour has changed")
PY
