"""Tests: fast, deterministic, independent of order and network."""
