"""Appraisal policy: Rego policies, reference values, their store, and decisions that fail closed."""
