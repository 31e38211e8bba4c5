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
    condition     = aws_cloudtrail.this.name == "mirror-test-audit" && aws_s3_bucket.this.bucket == "mirror-test-audit-123456789012" && aws_cloudtrail.this.tags["Team"] == "test" && aws_s3_bucket.this.tags["Team"] == "test"
    error_message = "Names and tags must be ours."
  }

  assert {
    condition     = aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.enable_log_file_validation && length(aws_cloudtrail.this.advanced_event_selector) == 1
    error_message = "All regions must be recorded, management events only."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets && !aws_s3_bucket.this.force_destroy
    error_message = "Records must be private, and stay."
  }

  assert {
    condition     = toset([for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : "${s.Effect} ${s.Sid}"]) == toset(["Allow TrailLooks", "Allow TrailWrites", "Deny OnlyTls", "Deny OnlyTls12"])
    error_message = "Only the trail may write, and only with TLS."
  }

  assert {
    condition     = alltrue([for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : s.Condition.StringEquals["aws:SourceArn"] == "arn:aws:cloudtrail:us-west-2:123456789012:trail/mirror-test-audit" if s.Effect == "Allow"])
    error_message = "No other trail may write."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Records must be encrypted."
  }
}

run "flags_the_other_way" {
  command = apply

  variables {
    enforce_tls            = false
    multi_region           = false
    force_destroy          = true
    data_event_bucket_arns = ["arn:aws:s3:::mirror-test-bottles"]
    kms_key_arn            = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = length([for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : s if s.Effect == "Deny"]) == 0 && !aws_cloudtrail.this.is_multi_region_trail && aws_s3_bucket.this.force_destroy
    error_message = "Flags must reach trail and bucket."
  }

  assert {
    condition     = one(flatten([for s in aws_cloudtrail.this.advanced_event_selector : [for f in s.field_selector : f.starts_with if f.field == "resources.ARN"]])) == "arn:aws:s3:::mirror-test-bottles/"
    error_message = "Writes to the mirror must be recorded."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" && aws_cloudtrail.this.kms_key_id != null
    error_message = "The key must encrypt."
  }
}

run "records_gone_too_soon" {
  command = plan

  variables {
    expiration_days = 30
  }

  expect_failures = [var.expiration_days]
}

run "bucket_name_instead_of_arn" {
  command = plan

  variables {
    data_event_bucket_arns = ["mirror"]
  }

  expect_failures = [var.data_event_bucket_arns]
}

run "account_with_letters" {
  command = plan

  variables {
    account_id = "abc"
  }

  expect_failures = [var.account_id]
}
