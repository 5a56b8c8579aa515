"""One file an experiment family; see each docstring for its command."""
