"""Files of domain names to normalised, de-duplicated, split and encoded arrays."""
