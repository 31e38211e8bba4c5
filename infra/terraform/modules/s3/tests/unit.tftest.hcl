mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name        = "mirror-test"
  account_id  = "123456789012"
  bucket_name = "mirror-test-bottles"
  tags        = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = alltrue([for block in [aws_s3_bucket_public_access_block.this, aws_s3_bucket_public_access_block.logs[0]] : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "Both buckets must be closed to the public."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Objects must be encrypted."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "Versions must be kept, and the bucket must not go with what is in it."
  }

  assert {
    condition     = toset([for s in jsondecode(aws_s3_bucket_policy.this[0].policy).Statement : "${s.Effect} ${s.Sid}"]) == toset(["Deny OnlyTls", "Deny OnlyTls12"])
    error_message = "The policy must refuse requests without TLS, and allow nothing."
  }

  assert {
    condition     = output.logs_bucket == "mirror-test-bottles-logs" && aws_s3_bucket_logging.this[0].target_bucket == "mirror-test-bottles-logs"
    error_message = "Access logs must go to a bucket of their own."
  }

  assert {
    condition     = length(aws_s3_bucket_accelerate_configuration.this) == 0 && length(aws_s3_bucket_replication_configuration.this) == 0 && output.replication_role_arn == null
    error_message = "Acceleration and replication must be off."
  }

  assert {
    condition     = aws_s3_bucket.this.tags["Team"] == "test" && aws_s3_bucket.logs[0].tags["Team"] == "test"
    error_message = "Tags must be everywhere."
  }
}

run "nothing_held_expires" {
  command = apply

  variables {
    key_prefix = "brew"
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id if length([for e in rule.expiration : e if try(e.days, 0) > 0]) > 0] == ["expire-superseded"]
    error_message = "Only one rule may let current objects expire."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : "${rule.filter[0].tag[0].key}=${rule.filter[0].tag[0].value}" if rule.id == "expire-superseded"]) == "mirror-superseded=true"
    error_message = "That rule must be for objects that are tagged as superseded."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : "${rule.filter[0].prefix} ${one(rule.transition).days} ${one(rule.transition).storage_class}" if rule.id == "move-older-bottles"]) == "brew/20 30 INTELLIGENT_TIERING"
    error_message = "Only date folders may move, to storage that is read at once."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : "${rule.noncurrent_version_expiration[0].noncurrent_days} ${rule.abort_incomplete_multipart_upload[0].days_after_initiation}" if rule.id == "clear-up"]) == "90 7"
    error_message = "Old versions and unfinished uploads must be cleared up."
  }
}

run "flags_the_other_way" {
  command = apply

  variables {
    enforce_tls           = false
    versioning            = false
    transfer_acceleration = true
    force_destroy         = true
    transition_days       = 0
    kms_key_id            = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = length(aws_s3_bucket_policy.this) == 0 && length([for s in jsondecode(aws_s3_bucket_policy.logs[0].policy).Statement : s if s.Effect == "Deny"]) == 0
    error_message = "Without enforce_tls nothing is refused."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Suspended"
    error_message = "Versions must be off."
  }

  assert {
    condition     = aws_s3_bucket_accelerate_configuration.this[0].status == "Enabled" && aws_s3_bucket.this.force_destroy
    error_message = "Acceleration and force_destroy must be on."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.status if rule.id == "move-older-bottles"]) == "Disabled"
    error_message = "Bottles must stay where they are."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" && one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    error_message = "The KMS key must encrypt, through a bucket key."
  }
}

run "logs_go_to_a_given_bucket" {
  command = apply

  variables {
    access_log_bucket = "central-logs"
  }

  assert {
    condition     = output.logs_bucket == "central-logs" && length(aws_s3_bucket.logs) == 0 && aws_s3_bucket_logging.this[0].target_bucket == "central-logs"
    error_message = "No bucket must be made for logs."
  }
}

run "no_logs" {
  command = apply

  variables {
    enable_access_logs = false
  }

  assert {
    condition     = output.logs_bucket == "" && length(aws_s3_bucket_logging.this) == 0 && length(aws_s3_bucket.logs) == 0
    error_message = "Nothing must be logged."
  }
}

run "replication" {
  command = apply

  variables {
    kms_key_id  = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    replication = { bucket_arn = "arn:aws:s3:::replica", kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
  }

  assert {
    condition     = aws_iam_role.replication[0].name == "mirror-test-s3-replication" && output.replication_role_arn == aws_iam_role.replication[0].arn
    error_message = "Replication must have a role of its own."
  }

  assert {
    condition     = aws_s3_bucket_replication_configuration.this[0].rule[0].destination[0].bucket == "arn:aws:s3:::replica" && aws_s3_bucket_replication_configuration.this[0].rule[0].delete_marker_replication[0].status == "Disabled"
    error_message = "Deletions must not be replicated."
  }

  assert {
    condition     = alltrue(flatten([for s in jsondecode(aws_iam_role_policy.replication[0].policy).Statement : [for r in flatten([s.Resource]) : r != "*"]])) && toset([for s in jsondecode(aws_iam_role_policy.replication[0].policy).Statement : s.Sid]) == toset(["ReadSettings", "ReadVersions", "WriteReplicas", "Decrypt", "EncryptReplicas"])
    error_message = "The role may do what replication needs, on named things only."
  }
}

run "bucket_name_with_dots" {
  command = plan

  variables {
    bucket_name = "my.bottles"
  }

  expect_failures = [var.bucket_name]
}

run "key_without_arn" {
  command = plan

  variables {
    kms_key_id = "alias/mine"
  }

  expect_failures = [var.kms_key_id]
}

run "archive_is_not_read_at_once" {
  command = plan

  variables {
    transition_storage_class = "DEEP_ARCHIVE"
  }

  expect_failures = [var.transition_storage_class]
}

run "expires_at_once" {
  command = plan

  variables {
    expiration_days = 0
  }

  expect_failures = [var.expiration_days]
}

run "replication_without_versions" {
  command = plan

  variables {
    replication = { bucket_arn = "arn:aws:s3:::replica" }
    versioning  = false
  }

  expect_failures = [var.replication]
}

run "replication_without_the_other_key" {
  command = plan

  variables {
    replication = { bucket_arn = "arn:aws:s3:::replica" }
    kms_key_id  = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  expect_failures = [var.replication]
}

run "infrequent_access_too_early" {
  command = plan

  variables {
    transition_days          = 7
    transition_storage_class = "STANDARD_IA"
  }

  expect_failures = [var.transition_days]
}

run "prefix_with_slash" {
  command = plan

  variables {
    key_prefix = "brew/"
  }

  expect_failures = [var.key_prefix]
}
