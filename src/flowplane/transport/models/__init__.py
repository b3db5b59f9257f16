"""Other people's generative models as flows: Gaussian paths, what a network predicts, adapters to libraries (§E1)."""
