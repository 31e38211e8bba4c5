output "cluster_name" {
  description = "Name of the cluster; both capacity providers are attached to it."
  value       = aws_ecs_cluster_capacity_providers.this.cluster_name
}

output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.this.arn
}

output "namespace_id" {
  description = "Cloud Map namespace of the services."
  value       = aws_service_discovery_private_dns_namespace.this.id
}

output "namespace_name" {
  description = "Private DNS name of the namespace."
  value       = aws_service_discovery_private_dns_namespace.this.name
}

output "log_group_names" {
  description = "Container -> log group: webserver, daemon, code, run, and exec for sessions in containers."
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.name }
}

output "log_group_arns" {
  description = "Container -> ARN of its log group."
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.arn }
}
