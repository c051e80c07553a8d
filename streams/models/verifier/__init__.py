"""The verifier: predicts whether a worker's answer is right, or would be, from checks that are plain code."""
