terraform {
  # 1.11: write-only arguments, which keep secrets out of plan and state. One floor for all modules.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}
