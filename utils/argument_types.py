"""Types for argparse: text of the command line to values, or one line that says what was expected."""

import argparse
import math

from utils.config import FORMATS
from utils.prediction_formats import OUTPUT_FORMATS


def output_format_name(text: str) -> str:
    """Read --format of predict.py, which was the input's once."""
    if text in FORMATS and text not in OUTPUT_FORMATS:
        raise argparse.ArgumentTypeError(f"is the output's format; the input's is --input-format {text}")
    if text not in OUTPUT_FORMATS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(OUTPUT_FORMATS)}. Got {text}")
    return text


def class_shares(text: str) -> dict[str, float]:
    """Read benign=0.999,phishing=0.0007,…"""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must look like benign=0.99,phishing=0.005,… Got {text}") from None


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1. Got {text}")
    return number


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0. Got {text}")
    return int(text)
