"""Tests of the local KMS: through boto3 on loopback, with a manual clock, and of its rules alone."""
