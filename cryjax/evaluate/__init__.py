"""An encoder in, numbers and pictures out."""
