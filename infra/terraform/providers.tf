provider "aws" {
  region = var.aws_region

  # Tags of everything; modules add none of their own.
  default_tags {
    tags = local.tags
  }
}
