"""How good a model is on labelled files: `evaluate(model, source, labels) -> Evaluation`, and its report."""
