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
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30 && aws_kms_key.this.tags["Team"] == "test"
    error_message = "The key must rotate, and be kept for 30 days after its deletion."
  }

  assert {
    condition     = aws_kms_alias.this.name == "alias/mirror-test" && output.key_arn == aws_kms_key.this.arn
    error_message = "The alias must be the prefix."
  }

  assert {
    condition = jsonencode({ for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid => statement }) == jsonencode({
      for sid, statement in {
        # Without it the key obeys no IAM policy; only the account itself may do everything.
        AccountByIamPolicies = {
          Principal = { AWS = "arn:aws:iam::123456789012:root" }
          Action    = "kms:*"
        }
        LogGroups = {
          Principal = { Service = "logs.us-west-2.amazonaws.com" }
          Action = [
            "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey",
          ]
          Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:us-west-2:123456789012:log-group:*" } }
        }
        AlarmsAndBudgetsToTopics = {
          Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Condition = {
            StringEquals = { "aws:SourceAccount" = "123456789012" }
            ArnLike      = { "kms:EncryptionContext:aws:sns:topicArn" = "arn:aws:sns:us-west-2:123456789012:mirror-test-*" }
          }
        }
        # Bound by the topic alone: AWS drops events under other conditions.
        EventsToTopics = {
          Principal = { Service = "events.amazonaws.com" }
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Condition = { ArnLike = { "kms:EncryptionContext:aws:sns:topicArn" = "arn:aws:sns:us-west-2:123456789012:mirror-test-*" } }
        }
        EventsToQueues = {
          Principal = { Service = "events.amazonaws.com" }
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Condition = { ArnLike = { "kms:EncryptionContext:aws:sqs:arn" = "arn:aws:sqs:us-west-2:123456789012:mirror-test-*" } }
        }
        TrailEncrypts = {
          Principal = { Service = "cloudtrail.amazonaws.com" }
          Action    = "kms:GenerateDataKey"
          Condition = { StringEquals = {
            "aws:SourceArn"                            = "arn:aws:cloudtrail:us-west-2:123456789012:trail/mirror-test-audit"
            "kms:EncryptionContext:aws:cloudtrail:arn" = "arn:aws:cloudtrail:us-west-2:123456789012:trail/mirror-test-audit"
          } }
        }
        TrailReads = {
          Principal = { Service = "cloudtrail.amazonaws.com" }
          Action    = ["kms:Decrypt", "kms:DescribeKey"]
          Condition = { StringEquals = { "aws:SourceArn" = "arn:aws:cloudtrail:us-west-2:123456789012:trail/mirror-test-audit" } }
        }
      } : sid => merge(statement, { Effect = "Allow", Resource = "*", Sid = sid })
    })
    error_message = "Each service that acts by itself has what it needs, and nobody else: ${aws_kms_key.this.policy}"
  }
}

run "key_gone_too_soon" {
  command = plan

  variables {
    deletion_window_days = 3
  }

  expect_failures = [var.deletion_window_days]
}

run "name_too_long" {
  command = plan

  variables {
    name = "a2345678901234567890123456789012345678901"
  }

  expect_failures = [var.name]
}
