"""An encoder in, something to use out."""
