"""What each layer knows: estimators of mutual information, arrays in, numbers out."""
