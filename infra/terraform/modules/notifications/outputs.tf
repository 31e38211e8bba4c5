output "slack_secret_name" {
  description = "Name of the webhook's secret: the setting SLACK_WEBHOOK_SECRET_NAME."
  value       = aws_secretsmanager_secret.slack.name
}

output "slack_secret_arn" {
  description = "ARN of the webhook's secret."
  value       = aws_secretsmanager_secret.slack.arn
}

output "slack_secret_has_value" {
  description = "Whether Terraform wrote a webhook. Without one, Slack messages stay off unless somebody puts it in."
  value       = var.slack_webhook_version > 0
}

output "api_key_secret_arns" {
  description = "ARNs of the places for further keys, by name."
  value       = { for key, secret in aws_secretsmanager_secret.api_key : key => secret.arn }
}

output "alerts_topic_arn" {
  description = "Topic of alarms and costs."
  value       = aws_sns_topic.this["alerts"].arn

  depends_on = [aws_sns_topic_policy.this]
}

output "messages_topic_arn" {
  description = "Topic of the messages about syncs: the setting SNS_TOPIC_ARN."
  value       = aws_sns_topic.this["messages"].arn
}

output "security_topic_arn" {
  description = "Topic of security events: the setting SNS_SECURITY_TOPIC_ARN."
  value       = aws_sns_topic.this["security"].arn

  depends_on = [aws_sns_topic_policy.this]
}
