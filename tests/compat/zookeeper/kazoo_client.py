#!/usr/bin/python3
"""Debian's kazoo: its calls, and its recipes."""
import checks
import kazoo_basics
import kazoo_recipes

assert kazoo_basics and kazoo_recipes

if __name__ == "__main__":
    checks.main()
