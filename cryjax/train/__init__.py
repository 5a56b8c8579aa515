"""The loop and what it needs: state and step, optimisers, mesh, checkpoints, logs."""
