"""The audit of the metrics: how each reacts to distortions of known strength."""
