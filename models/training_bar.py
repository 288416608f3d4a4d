"""The progress bar of an epoch."""

from tqdm import tqdm

from utils.terminal_text import drawing_stream


def names_bar(title: str, num_names: int, is_off: bool | None) -> tqdm:
    """Return a bar on stderr that counts names; `is_off` None draws it on a terminal only."""
    looks = {"unit": " names", "unit_scale": True, "leave": False, "dynamic_ncols": True}
    looks["file"] = drawing_stream()
    return tqdm(total=num_names, desc=title, disable=is_off, **looks)
