"""Rows -> student."""
