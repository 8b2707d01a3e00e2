"""The studio: films drawn actors in the layouts of HDTF, MEAD and RAVDESS, so that the
demo runs the real corpus readers.
"""
