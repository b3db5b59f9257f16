"""What the layers know: the information plane, its estimators, its bound."""
