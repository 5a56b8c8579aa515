"""Side-by-side measurements; results in docs/benchmarks.md."""
