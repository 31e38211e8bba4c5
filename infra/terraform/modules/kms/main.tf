# One customer-managed key for logs, topics, queues, secrets, database and trail, and for the bucket if wanted. Who
# in the account may use it is said by IAM policies; services that act by themselves are named here, each bound to
# this deployment's names by what it encrypts.

data "aws_partition" "current" {}

locals {
  partition = data.aws_partition.current.partition
  root_arn  = "arn:${local.partition}:iam::${var.account_id}:root"
  topic_arn = "arn:${local.partition}:sns:${var.region}:${var.account_id}:${var.name}-*"
  queue_arn = "arn:${local.partition}:sqs:${var.region}:${var.account_id}:${var.name}-*"
  log_arn   = "arn:${local.partition}:logs:${var.region}:${var.account_id}:log-group:*"
  trail_arn = "arn:${local.partition}:cloudtrail:${var.region}:${var.account_id}:trail/${var.name}-audit"

  # In a key's policy Resource "*" means this key.
  statements = [
    {
      # Without this the key obeys no IAM policy, and a mistake in this one locks everybody out.
      Sid       = "AccountByIamPolicies"
      Effect    = "Allow"
      Principal = { AWS = local.root_arn }
      Action    = "kms:*"
      Resource  = "*"
    },
    {
      Sid       = "LogGroups"
      Effect    = "Allow"
      Principal = { Service = "logs.${var.region}.amazonaws.com" }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
      Resource  = "*"
      Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = local.log_arn } }
    },
    {
      Sid       = "AlarmsAndBudgetsToTopics"
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = "*"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account_id }
        ArnLike      = { "kms:EncryptionContext:aws:sns:topicArn" = local.topic_arn }
      }
    },
    {
      # No aws:SourceAccount or aws:SourceArn: AWS does not support them in a key's policy for events that go to an
      # encrypted topic, and drops the events. The context names our topics, and their policies the rules.
      Sid       = "EventsToTopics"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = "*"
      Condition = { ArnLike = { "kms:EncryptionContext:aws:sns:topicArn" = local.topic_arn } }
    },
    {
      Sid       = "EventsToQueues"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = "*"
      Condition = { ArnLike = { "kms:EncryptionContext:aws:sqs:arn" = local.queue_arn } }
    },
    {
      Sid       = "TrailEncrypts"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "kms:GenerateDataKey"
      Resource  = "*"
      Condition = {
        StringEquals = { "aws:SourceArn" = local.trail_arn, "kms:EncryptionContext:aws:cloudtrail:arn" = local.trail_arn }
      }
    },
    {
      # Decrypt: CloudTrail reads its bucket's own key.
      Sid       = "TrailReads"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = ["kms:Decrypt", "kms:DescribeKey"]
      Resource  = "*"
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
    },
  ]
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: logs, topics, queues, secrets, database, trail"
  deletion_window_in_days = var.deletion_window_days
  enable_key_rotation     = true
  policy                  = jsonencode({ Version = "2012-10-17", Statement = local.statements })

  tags = merge(var.tags, { Name = var.name })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
