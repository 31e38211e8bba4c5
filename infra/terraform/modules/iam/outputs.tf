output "role_arns" {
  description = "Role -> ARN: webserver, daemon, code, run, execution, lambda."
  value       = { for key, role in aws_iam_role.this : key => role.arn }

  # Whoever starts a task with a role may count on its policy.
  depends_on = [aws_iam_role_policy.this]
}

output "role_names" {
  description = "Role -> name."
  value       = { for key, role in aws_iam_role.this : key => role.name }
}

output "policies_json" {
  description = "Role -> its policy, as JSON."
  value       = local.policies
}
