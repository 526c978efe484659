"""Appraisal policy: Rego policies, reference values, their store, and decisions that fail closed.

A policy is Rego of package ``policy``; its rule ``allow`` must be exactly ``true`` to let a peer in. A reference is a
JSON object whose members the policy sees as ``data.<name>``. `PolicyStore` keeps both and says which are in force,
`DecisionService` decides under them, `evaluate_once` without a store. Everything that touches the engine happens in
worker processes (`PolicyRunner`), which can be cut off.
"""
