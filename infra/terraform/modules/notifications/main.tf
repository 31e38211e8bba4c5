# Secrets for messages and further keys, and the topics: alerts, messages, security.

data "aws_partition" "current" {}

locals {
  slack_secret_name = coalesce(var.slack_secret_name, "${var.name}/slack-webhook")

  topics = {
    alerts   = "alarms and costs"
    messages = "start and end of each sync"
    security = "digests, hosts and manifests that are not what they must be"
  }

  # Services that publish by themselves. The project's own tasks publish by their roles' policies.
  publishers = {
    alerts   = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"]
    messages = []
    security = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
  }

  # Only what happens in this account. EventBridge tells the rule but not the account.
  publish_conditions = {
    "budgets.amazonaws.com"    = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    "cloudwatch.amazonaws.com" = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    "events.amazonaws.com"     = { ArnLike = { "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:events:*:${var.account_id}:rule/*" } }
  }

  subscriptions = {
    for pair in setproduct(var.email_topics, toset(var.emails)) : "${pair[0]} ${pair[1]}" => { topic = pair[0], address = pair[1] }
  }
}

# Secrets

resource "aws_secretsmanager_secret" "slack" {
  #checkov:skip=CKV2_AWS_57:Slack offers no way to change a webhook by itself; enable_rotation takes your own Lambda
  name                    = local.slack_secret_name
  description             = "Slack's webhook for the messages of ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days

  tags = var.tags
}

# Write-only: the webhook is in no plan and no state. An ephemeral value cannot decide whether a resource exists, so
# slack_webhook_version does.
resource "aws_secretsmanager_secret_version" "slack" {
  count = var.slack_webhook_version > 0 ? 1 : 0

  secret_id                = aws_secretsmanager_secret.slack.id
  secret_string_wo         = var.slack_webhook_url
  secret_string_wo_version = var.slack_webhook_version
}

resource "aws_secretsmanager_secret" "api_key" {
  #checkov:skip=CKV2_AWS_57:enable_rotation takes your own Lambda
  for_each = var.api_keys

  name                    = "${var.name}/api-keys/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days

  tags = var.tags
}

resource "aws_secretsmanager_secret_rotation" "this" {
  for_each = var.enable_rotation ? merge(
    { slack = aws_secretsmanager_secret.slack.id },
    { for key, secret in aws_secretsmanager_secret.api_key : "api-keys/${key}" => secret.id },
  ) : {}

  secret_id           = each.value
  rotation_lambda_arn = var.rotation_lambda_arn
  rotate_immediately  = false # the first one comes when it is due, not while Terraform waits

  rotation_rules {
    automatically_after_days = var.rotation_days
  }

  depends_on = [aws_secretsmanager_secret_version.slack]
}

# Topics

resource "aws_sns_topic" "this" {
  for_each = local.topics

  name         = "${var.name}-${each.key}"
  display_name = "${var.name} ${each.key}"
  # Never alias/aws/sns: alarms cannot use that key, and fail without a word to anybody.
  kms_master_key_id = var.kms_key_arn

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

# Roles of this account publish and subscribe by their own policies, for which this one need say nothing.
resource "aws_sns_topic_policy" "this" {
  for_each = { for topic, services in local.publishers : topic => services if length(services) > 0 || var.enforce_tls }

  arn = aws_sns_topic.this[each.key].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for service in each.value : {
        Sid       = "Publish${title(split(".", service)[0])}"
        Effect    = "Allow"
        Principal = { Service = service }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this[each.key].arn
        Condition = local.publish_conditions[service]
      }],
      [for topic in [each.key] : {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this[topic].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      } if var.enforce_tls],
    )
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = local.subscriptions

  topic_arn = aws_sns_topic.this[each.value.topic].arn
  protocol  = "email"
  endpoint  = each.value.address
}
