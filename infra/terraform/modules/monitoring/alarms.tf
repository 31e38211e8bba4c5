locals {
  own = { Environment = var.environment }

  # What the project's metrics tell. Silence is no failure, except of the age of the last good sync.
  project_alarms = !var.enable_metrics ? {} : {
    sync-failed = {
      metric      = "SyncsFailed"
      description = "A sync failed. Its message and Dagster's UI say why."
    }
    sync-partial = {
      metric      = "SyncsPartial"
      description = "A sync ended with bottles that failed or were left; the next one goes on from there."
    }
  }

  services = { for pair in setproduct(keys(var.service_names), ["cpu", "memory"]) : "${pair[0]}-${pair[1]}" => {
    service = var.service_names[pair[0]]
    metric  = { cpu = "CPUUtilization", memory = "MemoryUtilization" }[pair[1]]
    threshold = {
      cpu    = var.ecs_cpu_utilization_threshold
      memory = var.ecs_memory_utilization_threshold
    }[pair[1]]
  } }

  free_storage = {
    postgres          = { metric = "FreeStorageSpace", dimension = "DBInstanceIdentifier" }
    aurora-postgresql = { metric = "FreeLocalStorage", dimension = "DBClusterIdentifier" }
  }[var.database_engine]

  # Billing's metrics stand in one region only.
  billed_here = var.monthly_budget_limit > 0 && var.region == "us-east-1"

  alarm_arns = merge(
    { for key, alarm in aws_cloudwatch_metric_alarm.project : key => alarm.arn },
    { for key, alarm in aws_cloudwatch_metric_alarm.service : key => alarm.arn },
    { for key, alarm in {
      no-sync          = one(aws_cloudwatch_metric_alarm.no_sync[*].arn)
      lambda-errors    = aws_cloudwatch_metric_alarm.lambda_errors.arn
      daemon-silent    = aws_cloudwatch_metric_alarm.daemon_silent.arn
      run-memory       = one(aws_cloudwatch_metric_alarm.run_memory[*].arn)
      database-storage = aws_cloudwatch_metric_alarm.database_storage.arn
      dead-letters     = aws_cloudwatch_metric_alarm.dead_letters.arn
      events-waiting   = aws_cloudwatch_metric_alarm.events_waiting.arn
      security         = aws_cloudwatch_metric_alarm.security.arn
      charges          = one(aws_cloudwatch_metric_alarm.charges[*].arn)
      all              = one(aws_cloudwatch_composite_alarm.this[*].arn)
    } : key => alarm if alarm != null },
  )
}

resource "aws_cloudwatch_metric_alarm" "project" {
  for_each = local.project_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = local.namespace
  metric_name         = each.value.metric
  dimensions          = local.own
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags
}

# The age is published every five minutes: when it is missing, nothing works. That also holds between a first
# deployment and the end of its first sync.
resource "aws_cloudwatch_metric_alarm" "no_sync" {
  count = var.enable_metrics && var.schedule_enabled ? 1 : 0

  alarm_name          = "${var.name}-no-sync"
  alarm_description   = "No good sync for ${var.sync_age_limit_hours} hours, or nobody tells. Begin with the daemon and its log."
  namespace           = local.namespace
  metric_name         = "LastGoodSyncAge"
  dimensions          = local.own
  statistic           = "Maximum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = var.sync_age_limit_hours * 3600
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "lambda_errors" {
  alarm_name          = "${var.name}-lambda-errors"
  alarm_description   = "More than ${var.lambda_error_rate_threshold} % of the Lambda's invocations fail. Its batches are given out once more, then copied by the run."
  evaluation_periods  = 1
  threshold           = var.lambda_error_rate_threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags

  metric_query {
    id          = "rate"
    expression  = "IF(invocations > 0, 100 * errors / invocations, 0)"
    label       = "Errors in percent"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", invocations = "Invocations" }
    content {
      id = metric_query.key
      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = { FunctionName = var.function_name }
        period      = 300
        stat        = "Sum"
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "service" {
  for_each = local.services

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.service}: ${each.value.metric} above ${each.value.threshold} % for 15 minutes."
  namespace           = "AWS/ECS"
  metric_name         = each.value.metric
  dimensions          = { ClusterName = var.cluster_name, ServiceName = each.value.service }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 3
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags
}

# A task reports its CPU every minute. Without the daemon nothing starts, and nobody would tell.
resource "aws_cloudwatch_metric_alarm" "daemon_silent" {
  alarm_name          = "${var.name}-daemon-silent"
  alarm_description   = "Dagster's daemon does not run: no schedule, no sensor, no message."
  namespace           = "AWS/ECS"
  metric_name         = "CPUUtilization"
  dimensions          = { ClusterName = var.cluster_name, ServiceName = var.service_names["daemon"] }
  statistic           = "SampleCount"
  period              = 300
  evaluation_periods  = 3
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]
  tags                = var.tags
}

# A transfer uses all the CPU it has; memory is what ends it.
resource "aws_cloudwatch_metric_alarm" "run_memory" {
  count = var.enable_task_metrics ? 1 : 0

  alarm_name          = "${var.name}-run-memory"
  alarm_description   = "Runs use more than ${var.ecs_memory_utilization_threshold} % of their memory: give them a larger row in ECS_TASK_SIZES."
  evaluation_periods  = 3
  threshold           = var.ecs_memory_utilization_threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags

  metric_query {
    id          = "share"
    expression  = "100 * used / reserved"
    label       = "Memory in percent"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { used = "MemoryUtilized", reserved = "MemoryReserved" }
    content {
      id = metric_query.key
      metric {
        namespace   = "ECS/ContainerInsights"
        metric_name = metric_query.value
        dimensions  = { ClusterName = var.cluster_name, TaskDefinitionFamily = var.run_task_family }
        period      = 300
        stat        = "Sum"
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "database_storage" {
  alarm_name          = "${var.name}-database-storage"
  alarm_description   = "Less than ${var.database_free_storage_threshold_gb} GB are free on the database's disk."
  namespace           = "AWS/RDS"
  metric_name         = local.free_storage.metric
  dimensions          = { (local.free_storage.dimension) = var.database_identifier }
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 3
  threshold           = var.database_free_storage_threshold_gb * 1000 * 1000 * 1000
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "missing"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "An event that should start a sync could not be understood; the message's attribute `reason` says why."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = var.dead_letter_queue_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags
}

# The sensor looks every 30 seconds.
resource "aws_cloudwatch_metric_alarm" "events_waiting" {
  alarm_name          = "${var.name}-events-waiting"
  alarm_description   = "Nobody takes the events that should start syncs: is the sensor take_sync_events on?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = var.trigger_queue_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1800
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "security" {
  alarm_name          = "${var.name}-security"
  alarm_description   = "A digest, a size, a host or a file of the signed API is not what it must be. Look for lines with \"security\": true."
  namespace           = local.log_namespace
  metric_name         = "SecurityEvents"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.security_topic_arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "charges" {
  count = local.billed_here ? 1 : 0

  alarm_name          = "${var.name}-charges"
  alarm_description   = "The account's charges of this month are above ${var.monthly_budget_limit} USD."
  namespace           = "AWS/Billing"
  metric_name         = "EstimatedCharges"
  dimensions          = { Currency = "USD" }
  statistic           = "Maximum"
  period              = 21600
  evaluation_periods  = 1
  threshold           = var.monthly_budget_limit
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  tags                = var.tags
}

# One light for a wall: whatever stops syncs.
resource "aws_cloudwatch_composite_alarm" "this" {
  count = var.enable_composite_alarm ? 1 : 0

  alarm_name        = "${var.name}-all"
  alarm_description = "Something stops syncs of ${var.name}; the single alarms say what."
  alarm_rule = join(" OR ", [for alarm in concat(
    [for alarm in values(aws_cloudwatch_metric_alarm.project) : alarm.alarm_name],
    aws_cloudwatch_metric_alarm.no_sync[*].alarm_name,
    [aws_cloudwatch_metric_alarm.daemon_silent.alarm_name, aws_cloudwatch_metric_alarm.database_storage.alarm_name],
  ) : "ALARM(\"${alarm}\")"])
  tags = var.tags
}
