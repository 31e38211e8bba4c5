mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                   = "mirror-test"
  region                 = "us-west-2"
  environment            = "test"
  alerts_topic_arn       = "arn:aws:sns:us-west-2:123456789012:alerts"
  security_topic_arn     = "arn:aws:sns:us-west-2:123456789012:security"
  cluster_name           = "mirror-test"
  service_names          = { webserver = "mirror-test-webserver", daemon = "mirror-test-daemon", code = "mirror-test-code" }
  run_task_family        = "mirror-test-run"
  function_name          = "mirror-test-sync-worker"
  log_group_names        = { webserver = "/webserver", daemon = "/daemon", code = "/code", run = "/run", lambda = "/lambda" }
  database_identifier    = "mirror-test"
  trigger_queue_name     = "mirror-test-triggers"
  dead_letter_queue_name = "mirror-test-dead-letters"
  bucket_name            = "bottles"
  monthly_budget_limit   = 500
}

run "everything" {
  variables {
    enable_xray_tracing = true
    region              = "us-east-1"
  }

  assert {
    condition = toset(keys(output.alarm_arns)) == toset([
      "all", "charges", "code-cpu", "code-memory", "daemon-cpu", "daemon-memory", "daemon-silent", "database-storage",
      "dead-letters", "events-waiting", "lambda-errors", "no-sync", "run-memory", "security", "sync-failed",
      "sync-partial", "webserver-cpu", "webserver-memory",
    ])
    error_message = "An alarm is missing or new."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_sync[0].threshold == 691200 && aws_cloudwatch_metric_alarm.no_sync[0].treat_missing_data == "breaching"
    error_message = "Eight days without a good sync, or silence, is an alarm."
  }

  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.project) : alarm.namespace == "HomebrewSync" && alarm.dimensions == tomap({ Environment = "test" })])
    error_message = "Alarms look at the project's metrics of this environment."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.lambda_errors.threshold == 5 && aws_cloudwatch_metric_alarm.service["daemon-cpu"].threshold == 80
    error_message = "Thresholds must reach their alarms."
  }

  assert {
    condition = length(setsubtract(
      ["Lambda Sync Worker Metrics", "ECS Task Resource Utilization", "Recent Downloads"],
      [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.title],
    )) == 0
    error_message = "The dashboard must show Lambda, ECS and recent downloads."
  }

  assert {
    condition     = length(aws_budgets_budget.this) == 1 && length(aws_xray_group.this) == 1 && length(aws_cloudwatch_query_definition.this) == 6
    error_message = "What is switched on must be there."
  }

  assert {
    condition     = aws_xray_group.this[0].group_name == "mirror-test"
    error_message = "A name that fits stands as it is."
  }

  assert {
    condition     = length(aws_cloudwatch_composite_alarm.this[0].alarm_rule) > 0 && strcontains(aws_cloudwatch_composite_alarm.this[0].alarm_rule, "ALARM(\"mirror-test-no-sync\")")
    error_message = "The composite alarm must name single ones."
  }
}

run "switched_off" {
  variables {
    enable_metrics           = false
    enable_budget            = false
    enable_composite_alarm   = false
    enable_query_definitions = false
    enable_task_metrics      = false
    database_engine          = "aurora-postgresql"
  }

  assert {
    condition     = length(setintersection(keys(output.alarm_arns), ["all", "charges", "no-sync", "run-memory", "sync-failed", "sync-partial"])) == 0
    error_message = "Alarms without their metric would say nothing, or cry wolf."
  }

  assert {
    condition     = length(aws_budgets_budget.this) + length(aws_xray_group.this) + length(aws_cloudwatch_query_definition.this) == 0
    error_message = "What is switched off must not be there."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.database_storage.metric_name == "FreeLocalStorage"
    error_message = "Aurora's metric has another name."
  }
}

run "long_name" {
  command = plan

  variables {
    name                = "homebrew-bottles-sync-for-all-staging"
    enable_xray_tracing = true
  }

  assert {
    # Its first 32 characters may be another deployment's too.
    condition     = length(aws_xray_group.this[0].group_name) <= 32 && aws_xray_group.this[0].group_name != substr("homebrew-bottles-sync-for-all-staging", 0, 32)
    error_message = "A group's name must fit, and must not be another deployment's: ${aws_xray_group.this[0].group_name}"
  }
}

run "threshold_above_all" {
  command         = plan
  expect_failures = [var.ecs_cpu_utilization_threshold]
  variables {
    ecs_cpu_utilization_threshold = 120
  }
}

run "negative_budget" {
  command         = plan
  expect_failures = [var.monthly_budget_limit]
  variables {
    monthly_budget_limit = -1
  }
}
