"""What a run will cost: jobs, core-hours, GPU-hours, disk, memory, wall time, before it
is started.
"""
