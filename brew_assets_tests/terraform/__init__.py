"""The Terraform root: checked as text, tested with a mocked provider, and applied against moto."""
