"""A local page to listen to recordings, to see what a classifier says, and to label windows."""
