"""Test reports as people and machines read them; each is a pure function to text."""
