mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name           = "mirror-test"
  vpc_id         = "vpc-0123456789abcdef0"
  namespace_name = "mirror-test.internal"
}

run "cluster" {
  command = plan

  assert {
    condition     = aws_ecs_cluster.this.name == "mirror-test" && alltrue([for group in values(aws_cloudwatch_log_group.this) : startswith(group.name, "/aws/ecs/mirror-test/")])
    error_message = "Names must have the prefix."
  }

  assert {
    condition     = toset(aws_ecs_cluster_capacity_providers.this.capacity_providers) == toset(["FARGATE", "FARGATE_SPOT"])
    error_message = "Transfers ask for Fargate or Fargate Spot."
  }

  assert {
    condition     = alltrue([for group in values(aws_cloudwatch_log_group.this) : group.retention_in_days == 30])
    error_message = "Logs are kept 30 days unless somebody says otherwise."
  }

  assert {
    condition     = one(aws_ecs_cluster.this.setting).value == "enabled"
    error_message = "Container Insights is on unless somebody says otherwise."
  }
}

run "without_insights" {
  command = plan
  variables {
    enable_container_insights = false
    log_retention_days        = 7
  }

  assert {
    condition     = one(aws_ecs_cluster.this.setting).value == "disabled"
    error_message = "Container Insights must be off."
  }
}

run "odd_retention" {
  command         = plan
  expect_failures = [var.log_retention_days]
  variables {
    log_retention_days = 31
  }
}

run "no_dns_name" {
  command         = plan
  expect_failures = [var.namespace_name]
  variables {
    namespace_name = "internal"
  }
}
