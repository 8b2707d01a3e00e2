"""The factorial study: does each module of EAD-Net do what the paper says, over seeds
and speakers.
"""
