"""Studies: encoders by seeds and folds, evaluated alike for one table and one verdict."""
