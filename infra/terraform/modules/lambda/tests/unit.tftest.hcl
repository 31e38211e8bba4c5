mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name          = "mirror-test"
  function_name = "mirror-test-sync-worker"
  image_uri     = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mirror:0.1.0"
  role_arn      = "arn:aws:iam::123456789012:role/mirror-test-lambda"
  environment   = { AWS_REGION = "us-west-2", S3_BUCKET_NAME = "bottles", S3_KMS_KEY_ID = "" }
}

run "function" {
  command = plan

  assert {
    condition     = aws_lambda_function.this.environment[0].variables == tomap({ S3_BUCKET_NAME = "bottles" })
    error_message = "AWS_REGION is Lambda's own, and an empty variable counts as not set."
  }

  assert {
    condition     = aws_lambda_function.this.image_config[0].command == tolist(["lambda"]) && aws_lambda_function.this.timeout == 900
    error_message = "The image's command is lambda; batches are cut for 900 s."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/mirror-test-sync-worker" && aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "The log group must be the function's own, with a retention."
  }

  assert {
    condition     = aws_lambda_function.this.tracing_config[0].mode == "PassThrough"
    error_message = "Tracing costs: off unless asked for."
  }
}

run "too_little_memory" {
  command         = plan
  expect_failures = [var.memory_size]
  variables {
    memory_size = 128
  }
}

run "too_long" {
  command         = plan
  expect_failures = [var.timeout]
  variables {
    timeout = 1200
  }
}

run "switched_off" {
  command         = plan
  expect_failures = [var.reserved_concurrency]
  variables {
    reserved_concurrency = 0
  }
}

run "in_the_vpc" {
  command = plan
  variables {
    vpc = { subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-0123456789abcdef0"] }
  }

  assert {
    condition     = aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-0123456789abcdef0"]) && aws_lambda_function.this.vpc_config[0].security_group_ids == toset(["sg-0123456789abcdef0"])
    error_message = "A function whose way out is a proxy stands in its network."
  }
}
