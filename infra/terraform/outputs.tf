output "bucket" {
  description = "The mirror's bucket."
  value       = module.s3.bucket
}

output "environment" {
  description = "Environment of the runs' container, without its secrets: the settings of this deployment."
  value       = module.dagster.environment
}

output "secrets" {
  description = "Secrets of every container: variable -> where its value comes from."
  value       = module.dagster.secrets
}

output "lambda_environment" {
  description = "Environment of the Lambda."
  value       = module.lambda.environment
}

output "lambda_function_name" {
  description = "The Lambda that copies batches."
  value       = module.lambda.function_name
}

output "cluster_name" {
  description = "ECS cluster."
  value       = module.ecs.cluster_name
}

output "run_task_family" {
  description = "Family of the runs' task definition."
  value       = module.dagster.run_task_family
}

output "run_task_definition_arn" {
  description = "Its newest revision."
  value       = module.dagster.run_task_definition_arn
}

output "service_names" {
  description = "ECS services: webserver, daemon, code."
  value       = module.dagster.service_names
}

output "image" {
  description = "Image of tasks and Lambda; it has to be there before they are made."
  value       = local.image
}

output "repository_url" {
  description = "Where to push the image; null where ecs_container_image names one."
  value       = one(module.ecr[*].repository_url)
}

output "trigger_queue_url" {
  description = "Queue of the events that start syncs."
  value       = module.eventbridge.queue_url
}

output "trigger_dead_letter_queue_url" {
  description = "Queue of the events that cannot be understood."
  value       = module.eventbridge.dead_letter_queue_url
}

output "event_bus_name" {
  description = "Bus on which events are heard."
  value       = module.eventbridge.bus_name
}

output "rule_arns" {
  description = "Rules that send events to the queue."
  value       = module.eventbridge.rule_arns
}

output "topic_arns" {
  description = "SNS topics: alerts, messages, security."
  value = {
    alerts   = module.notifications.alerts_topic_arn
    messages = module.notifications.messages_topic_arn
    security = module.notifications.security_topic_arn
  }
}

output "slack_secret_name" {
  description = "Secret for Slack's webhook."
  value       = module.notifications.slack_secret_name
}

output "api_key_secret_arns" {
  description = "Places for further keys."
  value       = module.notifications.api_key_secret_arns
}

output "database_secret_arn" {
  description = "Secret with the database's password, which RDS keeps."
  value       = module.database.secret_arn
}

output "database_identifier" {
  description = "The database."
  value       = module.database.identifier
}

output "role_arns" {
  description = "Roles: webserver, daemon, code, run, execution, lambda."
  value       = module.iam.role_arns
}

output "policies_json" {
  description = "Their policies, as JSON."
  value       = module.iam.policies_json
}

output "log_group_names" {
  description = "Log groups: webserver, daemon, code, run, exec, lambda."
  value       = merge(module.ecs.log_group_names, { lambda = module.lambda.log_group_name })
}

output "dashboard_name" {
  description = "CloudWatch dashboard."
  value       = module.monitoring.dashboard_name
}

output "alarm_arns" {
  description = "Alarms."
  value       = module.monitoring.alarm_arns
}

output "private_subnet_ids" {
  description = "Subnets of tasks and database."
  value       = module.network.private_subnet_ids
}

output "security_group_ids" {
  description = "Security groups by role."
  value       = module.network.security_group_ids
}

output "trail_arn" {
  description = "CloudTrail's trail; null without enable_audit."
  value       = one(module.audit[*].trail_arn)
}
