"""What tests share. No test file imports another one: what two need lies here (tests/test_support.py holds it)."""
