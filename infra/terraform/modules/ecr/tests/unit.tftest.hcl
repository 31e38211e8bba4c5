mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name       = "mirror-test"
  region     = "us-west-2"
  account_id = "123456789012"
  tags       = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = aws_ecr_repository.this.name == "mirror-test-image" && aws_ecr_repository.this.tags["Team"] == "test"
    error_message = "Name and tags must be ours."
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push && !aws_ecr_repository.this.force_delete
    error_message = "Tags must not move, images must be scanned, and stay."
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "AES256"
    error_message = "Images must be encrypted."
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this.policy).rules[1].selection.countNumber == 30
    error_message = "The last 30 images must stay."
  }

  assert {
    condition     = jsondecode(aws_ecr_repository_policy.this.policy).Statement[0].Condition.ArnLike["aws:SourceArn"] == "arn:aws:lambda:us-west-2:123456789012:function:mirror-test-*"
    error_message = "Only our Lambdas may pull."
  }
}

run "with_a_key" {
  command = apply

  variables {
    kms_key_arn  = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    force_delete = true
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "KMS" && aws_ecr_repository.this.force_delete
    error_message = "The key must encrypt."
  }
}

run "nothing_to_roll_back_to" {
  command = plan

  variables {
    keep_images = 1
  }

  expect_failures = [var.keep_images]
}

run "name_with_two_hyphens" {
  command = plan

  variables {
    name = "mirror--test"
  }

  expect_failures = [var.name]
}
