output "alarm_arns" {
  description = "Alarm -> ARN."
  value       = local.alarm_arns
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "query_names" {
  description = "Queries in CloudWatch Logs Insights."
  value       = [for query in aws_cloudwatch_query_definition.this : query.name]
}
