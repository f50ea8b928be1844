"""The version of this package, for those of its files that the package itself needs."""

__version__ = "0.1.0"
