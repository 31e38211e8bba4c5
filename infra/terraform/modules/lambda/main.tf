# The function that copies batches. It is invoked by runs and waits for nothing: no event source, no queue
# of its own. It talks to the registry and to S3 only, so it needs no network of ours, unless the way out is a proxy
# that stands in one.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.function_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  function_name = var.function_name
  description   = "Copies a batch of bottles for ${var.name}"
  role          = var.role_arn
  tags          = var.tags

  package_type  = "Image"
  image_uri     = var.image_uri
  architectures = [var.architecture]
  image_config {
    command = ["lambda"] # the image's entry point takes it
  }

  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrency

  # Settings only, nothing secret: AWS's own key is enough.
  environment {
    variables = { for key, value in var.environment : key => value if key != "AWS_REGION" && value != "" }
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  tracing_config {
    mode = var.enable_xray_tracing ? "Active" : "PassThrough"
  }

  # Otherwise Lambda makes the group itself at the first invocation, without retention.
  depends_on = [aws_cloudwatch_log_group.this]
}
