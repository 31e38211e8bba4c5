# The spec's three widgets (Lambda, use of ECS, recent downloads) with the names of what took the orchestrator's
# place, and ours. Widgets stand in rows of three, in the order of the list.

locals {
  run_logs   = "SOURCE '${var.log_group_names["run"]}' | SOURCE '${var.log_group_names["lambda"]}'"
  own_metric = "{${local.namespace},Environment"

  metric_widgets = [
    {
      title = "Syncs"
      stat  = "Sum"
      metrics = [for metric in ["SyncsSucceeded", "SyncsPartial", "SyncsFailed"] :
      [local.namespace, metric, "Environment", var.environment]]
    },
    {
      title = "Bottles Downloaded"
      stat  = "Sum"
      # One metric for each date: a search finds them all.
      metrics = [[{ expression = "SEARCH('${local.own_metric},SyncDate} MetricName=\"BottlesDownloaded\" Environment=\"${var.environment}\"', 'Sum')", id = "downloaded", label = "" }]]
    },
    {
      title = "Pending and Failed Bottles"
      stat  = "Maximum"
      metrics = [for metric in ["PendingBottles", "BottlesFailed"] :
      [local.namespace, metric, "Environment", var.environment]]
    },
    {
      title   = "Download Size"
      stat    = "Sum"
      metrics = [[local.namespace, "DownloadSize", "Environment", var.environment]]
    },
    {
      title   = "Download Rate"
      stat    = "Average"
      metrics = [[local.namespace, "DownloadRate", "Environment", var.environment]]
    },
    {
      title = "Sync Duration"
      stat  = "Maximum"
      metrics = [for route in ["ecs", "lambda"] :
      [local.namespace, "SyncDuration", "Environment", var.environment, "SyncType", route]]
    },
    {
      title   = "Age of the Last Good Sync"
      stat    = "Maximum"
      metrics = [[local.namespace, "LastGoodSyncAge", "Environment", var.environment]]
    },
    {
      title = "Lambda Sync Worker Metrics"
      stat  = "Sum"
      metrics = concat(
        [for metric in ["Invocations", "Errors", "Throttles"] : ["AWS/Lambda", metric, "FunctionName", var.function_name]],
        [["AWS/Lambda", "Duration", "FunctionName", var.function_name, { stat = "Average", yAxis = "right" }]],
      )
    },
    {
      title = "ECS Task Resource Utilization"
      stat  = "Average"
      metrics = concat(
        [for service in values(var.service_names) : ["AWS/ECS", "CPUUtilization", "ServiceName", service, "ClusterName", var.cluster_name]],
        [for service in values(var.service_names) : ["AWS/ECS", "MemoryUtilization", "ServiceName", service, "ClusterName", var.cluster_name]],
      )
    },
    {
      title = "Runs: CPU and Memory"
      stat  = "Sum"
      metrics = [for metric in ["CpuUtilized", "CpuReserved", "MemoryUtilized", "MemoryReserved"] :
      ["ECS/ContainerInsights", metric, "TaskDefinitionFamily", var.run_task_family, "ClusterName", var.cluster_name]]
    },
    {
      title = "Events"
      stat  = "Maximum"
      metrics = [for queue in [var.trigger_queue_name, var.dead_letter_queue_name] :
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]]
    },
    {
      title = "Database"
      stat  = "Average"
      metrics = [
        ["AWS/RDS", "CPUUtilization", local.free_storage.dimension, var.database_identifier],
        ["AWS/RDS", "DatabaseConnections", local.free_storage.dimension, var.database_identifier],
        ["AWS/RDS", local.free_storage.metric, local.free_storage.dimension, var.database_identifier, { yAxis = "right" }],
      ]
    },
    {
      title = "Bucket"
      stat  = "Average"
      metrics = [
        ["AWS/S3", "BucketSizeBytes", "BucketName", var.bucket_name, "StorageType", "StandardStorage", { period = 86400 }],
        ["AWS/S3", "NumberOfObjects", "BucketName", var.bucket_name, "StorageType", "AllStorageTypes", { period = 86400, yAxis = "right" }],
      ]
    },
    {
      title = "Errors in Logs"
      stat  = "Sum"
      metrics = concat(
        [for program in sort(local.programs) : [local.log_namespace, "Errors-${program}"]],
        [[local.log_namespace, "SecurityEvents"], [local.log_namespace, "FailedBottleLines"]],
      )
    },
  ]

  log_widgets = [
    {
      title = "Recent Downloads"
      query = "${local.run_logs}\n| fields @timestamp, platform, bottle, how, bytes, sync_id\n| filter message = \"stored\"\n| sort @timestamp desc\n| limit 20"
    },
    {
      title = "Recent Failures"
      query = "${local.run_logs}\n| fields @timestamp, platform, bottle, reason, error, sync_id\n| filter level = \"ERROR\"\n| sort @timestamp desc\n| limit 20"
    },
  ]

  # jsondecode makes one list of widgets whose attributes differ.
  widgets = concat(
    [for number, widget in local.metric_widgets : jsonencode({
      type   = "metric"
      x      = 8 * (number % 3)
      y      = 6 * floor(number / 3)
      width  = 8
      height = 6
      properties = {
        title   = widget.title
        metrics = widget.metrics
        period  = 300
        stat    = widget.stat
        region  = var.region
        view    = "timeSeries"
      }
    })],
    [for number, widget in local.log_widgets : jsonencode({
      type   = "log"
      x      = 12 * number
      y      = 6 * ceil(length(local.metric_widgets) / 3)
      width  = 12
      height = 8
      properties = {
        title  = widget.title
        query  = widget.query
        region = var.region
        view   = "table"
      }
    })],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-dashboard"
  dashboard_body = jsonencode({ widgets = [for widget in local.widgets : jsondecode(widget)] })
}
