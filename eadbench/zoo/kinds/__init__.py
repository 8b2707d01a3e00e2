"""One module per kind of artefact: ``load`` and, where it can be, ``train`` or
``random``.
"""
