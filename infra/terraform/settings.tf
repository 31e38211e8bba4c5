# Variables -> settings: the environment of containers and Lambda. Names: brew_assets/settings.py. An empty value
# counts as not set.

locals {
  # Rows for smaller transfers never ask for more than the largest may have.
  task_sizes = join(",", [for row in [
    { up_to = "25", cpu = 1024, memory = 2048, storage = 21 },
    { up_to = "100", cpu = 2048, memory = 4096, storage = 21 },
    { up_to = "*", cpu = var.ecs_task_cpu, memory = var.ecs_task_memory, storage = var.ecs_ephemeral_storage_size_gb },
    ] : join(":", [
      row.up_to, min(row.cpu, var.ecs_task_cpu), min(row.memory, var.ecs_task_memory), row.storage,
  ])])

  to_slack = coalesce(var.enable_slack_notifications, var.slack_webhook_version > 0)

  # What no proxy has to carry, or could: the own machine, the credentials and metadata of tasks and instances, the
  # code server's name (gRPC heeds proxies too), and what has an endpoint in the VPC.
  endpoint_hosts = [for service in sort(tolist(module.network.interface_endpoints)) :
    join(".", concat(reverse(split(".", service)), [var.aws_region, "amazonaws.com"]))
  ]
  no_proxy = var.https_proxy == "" && var.http_proxy == "" ? [] : concat(
    ["localhost", "127.0.0.1", "169.254.170.2", "169.254.169.254", ".${module.ecs.namespace_name}"],
    ["s3.${var.aws_region}.amazonaws.com", ".s3.${var.aws_region}.amazonaws.com"],
    flatten([for host in local.endpoint_hosts : startswith(host, "dkr.") ? [".${host}"] : [host]]),
    var.no_proxy,
  )
  proxy_port = var.https_proxy == "" ? null : tonumber(regex(":([0-9]+)/?$", var.https_proxy)[0])

  # Variables whose values ECS takes out of secrets, and the image's entry point for the Lambda.
  secret_settings = { for name, arn in {
    HTTPS_PROXY   = var.https_proxy_secret_arn
    CA_BUNDLE_PEM = var.ca_bundle_secret_arn
  } : name => arn if arn != "" }
  lambda_secrets = {
    HTTPS_PROXY_SECRET_NAME = var.https_proxy_secret_arn
    CA_BUNDLE_SECRET_NAME   = var.ca_bundle_secret_arn
  }

  # All that the Lambda needs.
  mirror_settings = merge(var.extra_settings, {
    AWS_REGION               = var.aws_region
    S3_BUCKET_NAME           = module.s3.bucket
    S3_SSE                   = local.s3_kms_key_arn == null ? "AES256" : "aws:kms"
    S3_KMS_KEY_ID            = local.s3_kms_key_arn == null ? "" : local.s3_kms_key_arn
    S3_ACCELERATE            = tostring(var.enable_s3_transfer_acceleration)
    TARGET_PLATFORMS         = join(",", var.target_platforms)
    MAX_CONCURRENT_DOWNLOADS = tostring(var.max_concurrent_downloads)
    DOWNLOAD_TIMEOUT_SECONDS = tostring(var.download_timeout_seconds)
    RETRY_ATTEMPTS           = tostring(var.retry_attempts)
    RETRY_DELAY_SECONDS      = tostring(var.retry_delay_seconds)
    BATCH_SIZE               = tostring(var.batch_size)
    INCLUDE_DISABLED         = tostring(var.include_disabled)
    EXCLUDE_FORMULAE         = join(",", var.exclude_formulae)
    LOG_LEVEL                = var.log_level
    LOG_FORMAT               = var.log_format

    # The network
    HTTPS_PROXY                 = var.https_proxy_secret_arn == "" ? var.https_proxy : ""
    HTTP_PROXY                  = var.http_proxy
    NO_PROXY                    = join(",", local.no_proxy)
    CA_BUNDLE_FILE              = var.ca_bundle_file
    BOTTLE_REGISTRY_SECRET_NAME = var.bottle_registry_secret_arn
  })

  # The same for webserver, daemon, code server and runs. Sensors, and with them messages and metrics, are
  # evaluated by the code server; who may do what is the roles' matter.
  settings = merge(local.mirror_settings, {
    ENVIRONMENT = var.environment

    # What plans are for
    MIRROR_FORMULAE      = join(",", var.mirror_formulae)
    INCLUDE_DEPENDENCIES = tostring(var.include_dependencies)

    # What clients are served. The Lambda copies and publishes nothing.
    PUBLISH                      = var.publish
    PUBLISH_MAX_UPSTREAM         = tostring(var.publish_max_upstream)
    PUBLISH_MAX_MISSING          = tostring(var.publish_max_missing)
    API_TAGS                     = join(",", var.api_tags)
    API_PUBLIC_KEY               = join(",", var.api_public_key)
    API_CONSISTENCY_WAIT_SECONDS = tostring(var.api_consistency_wait_seconds)

    # Routes
    SIZE_THRESHOLD_GB    = tostring(var.size_threshold_gb)
    LAMBDA_SYNC_FUNCTION = local.function_name
    LAMBDA_CONCURRENCY   = tostring(var.lambda_concurrency)
    ECS_CLUSTER_NAME     = module.ecs.cluster_name
    ECS_SUBNETS          = join(",", module.network.private_subnet_ids)
    ECS_SECURITY_GROUPS  = module.network.security_group_ids["run"]
    ECS_TASK_SIZES       = var.ecs_task_sizes != "" ? var.ecs_task_sizes : local.task_sizes
    ECS_SPOT_PERCENT     = var.ecs_enable_fargate_spot ? tostring(var.ecs_spot_percent) : "0"
    DOWNLOAD_CONCURRENCY = tostring(var.download_concurrency)
    MAX_DOWNLOAD_SIZE_GB = tostring(var.max_download_size_gb)

    # What is held elsewhere
    EXTERNAL_HASH_FILE_S3_BUCKET = var.external_hash_file_s3_bucket
    EXTERNAL_HASH_FILE_S3_KEY    = var.external_hash_file_s3_key
    EXTERNAL_HASH_FILE_URL       = var.external_hash_file_url

    # When
    SCHEDULE_EXPRESSION           = var.schedule_expression
    SCHEDULE_ENABLED              = tostring(var.schedule_enabled)
    SYNC_WINDOW_HOURS             = tostring(var.sync_window_hours)
    TRIGGER_QUEUE_URL             = module.eventbridge.queue_url
    TRIGGER_DEAD_LETTER_QUEUE_URL = module.eventbridge.dead_letter_queue_url

    # Messages and metrics
    ENABLE_NOTIFICATIONS      = tostring(var.enable_notifications)
    SLACK_WEBHOOK_SECRET_NAME = local.to_slack ? module.notifications.slack_secret_name : ""
    SLACK_CHANNEL             = var.slack_channel
    SLACK_USERNAME            = var.slack_username
    SNS_TOPIC_ARN             = var.enable_sns_notifications ? module.notifications.messages_topic_arn : ""
    SNS_SECURITY_TOPIC_ARN    = module.notifications.security_topic_arn
    ENABLE_METRICS            = tostring(var.enable_metrics)
    PROGRESS_UPDATE_INTERVAL  = tostring(var.progress_update_interval)
    DAGSTER_URL               = var.dagster_url
    LOG_GROUP_NAME            = module.ecs.log_group_names["run"]
  })
}
