output "run_task_definition_arn" {
  description = "Newest revision of the runs' task definition."
  value       = aws_ecs_task_definition.run.arn
}

output "run_task_family" {
  description = "Family of the runs' task definition."
  value       = aws_ecs_task_definition.run.family
}

output "service_names" {
  description = "Service -> its name in ECS: webserver, daemon, code."
  value = {
    webserver = aws_ecs_service.webserver.name
    daemon    = aws_ecs_service.daemon.name
    code      = aws_ecs_service.code.name
  }
}

output "environment" {
  description = "Environment of the run container, without its secrets."
  value       = local.run_environment
}

output "secrets" {
  description = "Secrets of every container: variable -> where its value comes from."
  value       = { for secret in local.secrets : secret.name => secret.valueFrom }
}
