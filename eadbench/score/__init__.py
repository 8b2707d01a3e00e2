"""``eadbench score``: folders of videos against a folder of real ones, measured, summed
up and printed as the benchmark's own tables are.
"""
