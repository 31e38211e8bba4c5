output "bus_name" {
  description = "Name of the event bus."
  value       = local.bus_name
}

output "bus_arn" {
  description = "ARN of the event bus."
  value       = local.bus_arn
}

output "queue_url" {
  description = "Queue of the events that start syncs: the setting TRIGGER_QUEUE_URL."
  value       = aws_sqs_queue.triggers.url
}

output "queue_arn" {
  description = "ARN of that queue."
  value       = aws_sqs_queue.triggers.arn
}

output "dead_letter_queue_url" {
  description = "Queue of events that cannot be understood or delivered: the setting TRIGGER_DEAD_LETTER_QUEUE_URL."
  value       = aws_sqs_queue.dead_letters.url
}

output "dead_letter_queue_arn" {
  description = "ARN of that queue."
  value       = aws_sqs_queue.dead_letters.arn
}

output "dead_letter_queue_name" {
  description = "Name of that queue: the dimension of its metrics."
  value       = aws_sqs_queue.dead_letters.name
}

output "rule_arns" {
  description = "ARNs of the rules: manual-sync, manual-sync-trigger, selective-sync, and other where it is on."
  value       = { for key, rule in aws_cloudwatch_event_rule.this : key => rule.arn }
}
