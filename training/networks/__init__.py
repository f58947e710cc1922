"""The fixed networks: ResNet-50, whole or truncated, and EfficientNet-Lite0."""
