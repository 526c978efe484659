"""The gRPC interfaces, generated from proto/*.proto by proto/generate.py."""
