"""Endpoints: who may bind them, who reaches them, and how they are found."""
