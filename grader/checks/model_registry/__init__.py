"""Registering a model with MLflow."""
