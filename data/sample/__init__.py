"""The embedded sample: data files, and the scripts that rebuild them (README.md beside this file)."""
