"""Every performance figure of the project; each script prints machine, medians and spread."""
