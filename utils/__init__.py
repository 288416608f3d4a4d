"""Configuration, evaluation and figures."""
