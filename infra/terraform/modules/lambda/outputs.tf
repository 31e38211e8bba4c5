output "function_name" {
  description = "Name of the function, for LAMBDA_SYNC_FUNCTION."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

output "log_group_name" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.this.name
}

output "environment" {
  description = "Environment of the function."
  value       = aws_lambda_function.this.environment[0].variables
}
