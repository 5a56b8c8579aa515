"""What each study compares; configs/study.py runs them."""
