output "endpoint" {
  description = "Host of the database, without the port."
  value       = local.aurora ? one(aws_rds_cluster.this[*].endpoint) : one(aws_db_instance.this[*].address)

  # An Aurora cluster answers only when it has an instance.
  depends_on = [aws_rds_cluster_instance.this]
}

output "port" {
  description = "Port of the database."
  value       = local.port
}

output "database_name" {
  description = "Name of Dagster's database."
  value       = var.database_name
}

output "username" {
  description = "Role that owns the database."
  value       = var.username
}

output "secret_arn" {
  description = "ARN of the secret that RDS keeps: JSON with username and password."
  value       = local.secret_arn
}

output "identifier" {
  description = "Identifier of the instance, or of the Aurora cluster: the dimension of its metrics."
  value       = local.identifier
}

output "arn" {
  description = "ARN of the instance or cluster."
  value       = local.aurora ? one(aws_rds_cluster.this[*].arn) : one(aws_db_instance.this[*].arn)
}

output "log_group_names" {
  description = "Log groups of PostgreSQL's log; empty without enable_log_export."
  value       = [for group in aws_cloudwatch_log_group.this : group.name]
}
