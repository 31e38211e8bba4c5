# What runs, with which roles, and what watches over it.

module "ecs" {
  source = "./modules/ecs"

  name                      = local.name
  kms_key_arn               = local.kms_key_arn
  vpc_id                    = module.network.vpc_id
  namespace_name            = "${local.name}.internal"
  log_retention_days        = var.log_retention_days
  enable_container_insights = var.enable_detailed_monitoring
}

module "iam" {
  source = "./modules/iam"

  name                  = local.name
  partition             = local.partition
  region                = var.aws_region
  account_id            = local.account_id
  bucket_arn            = module.s3.bucket_arn
  cluster_name          = local.name
  run_task_family       = local.run_task_family
  lambda_function_name  = local.function_name
  repository_arns       = [local.repository_arn]
  log_group_arns        = module.ecs.log_group_arns
  database_secret_arn   = module.database.secret_arn
  slack_secret_arn      = module.notifications.slack_secret_arn
  messages_topic_arn    = module.notifications.messages_topic_arn
  security_topic_arn    = module.notifications.security_topic_arn
  trigger_queue_arn     = module.eventbridge.queue_arn
  dead_letter_queue_arn = module.eventbridge.dead_letter_queue_arn
  kms_key_arn           = local.kms_key_arn
  s3_kms_key_arn        = local.s3_kms_key_arn

  container_secret_arns    = values(local.secret_settings)
  lambda_secret_arns       = [for arn in values(local.lambda_secrets) : arn if arn != ""]
  registry_secret_arn      = var.bottle_registry_secret_arn == "" ? null : var.bottle_registry_secret_arn
  own_secrets_kms_key_arns = var.own_secrets_kms_key_arns
  enable_lambda_vpc        = local.proxy_port != null

  external_hash_file = var.external_hash_file_s3_bucket == "" ? null : {
    bucket = var.external_hash_file_s3_bucket
    key    = var.external_hash_file_s3_key
  }
  efs = !var.enable_efs_storage ? null : {
    file_system_arn  = module.efs[0].file_system_arn
    access_point_arn = module.efs[0].access_point_arn
  }

  enable_execute_command = var.enable_execute_command
  webserver_may_end_runs = var.webserver_may_end_runs
  enable_xray_tracing    = var.enable_xray_tracing
}

module "lambda" {
  source = "./modules/lambda"

  name          = local.name
  function_name = local.function_name
  kms_key_arn   = local.kms_key_arn
  image_uri     = local.image
  architecture  = { X86_64 = "x86_64", ARM64 = "arm64" }[var.cpu_architecture]
  role_arn      = module.iam.role_arns["lambda"]
  environment   = merge(local.mirror_settings, local.lambda_secrets)
  vpc = local.proxy_port == null ? null : {
    subnet_ids         = module.network.private_subnet_ids
    security_group_ids = [module.network.security_group_ids["lambda"]]
  }
  memory_size          = var.lambda_sync_memory_size
  timeout              = var.lambda_sync_timeout
  reserved_concurrency = var.lambda_reserved_concurrency
  log_retention_days   = var.log_retention_days
  enable_xray_tracing  = var.enable_xray_tracing
}

module "dagster" {
  source = "./modules/dagster"

  name               = local.name
  region             = var.aws_region
  cluster_name       = module.ecs.cluster_name
  namespace_id       = module.ecs.namespace_id
  namespace_name     = module.ecs.namespace_name
  subnet_ids         = module.network.private_subnet_ids
  security_group_ids = module.network.security_group_ids
  role_arns          = module.iam.role_arns
  log_group_names    = module.ecs.log_group_names
  image              = local.image
  cpu_architecture   = var.cpu_architecture
  run_task_family    = local.run_task_family
  settings           = local.settings
  secret_settings    = local.secret_settings

  database = {
    host       = module.database.endpoint
    port       = module.database.port
    name       = module.database.database_name
    username   = module.database.username
    secret_arn = module.database.secret_arn
  }
  compute_logs_bucket = module.s3.bucket

  efs = !var.enable_efs_storage ? null : {
    file_system_id  = module.efs[0].file_system_id
    access_point_id = module.efs[0].access_point_id
  }

  service_sizes             = var.service_sizes
  enable_execute_command    = var.enable_execute_command
  read_only_root_filesystem = var.read_only_root_filesystem
  keep_task_definitions     = var.keep_task_definitions
  enable_autoscaling        = var.enable_autoscaling
  autoscaling_max_count     = var.autoscaling_max_count
}

module "monitoring" {
  source = "./modules/monitoring"

  name                   = local.name
  region                 = var.aws_region
  environment            = var.environment
  alerts_topic_arn       = module.notifications.alerts_topic_arn
  security_topic_arn     = module.notifications.security_topic_arn
  cluster_name           = module.ecs.cluster_name
  service_names          = module.dagster.service_names
  run_task_family        = module.dagster.run_task_family
  function_name          = module.lambda.function_name
  log_group_names        = merge(module.ecs.log_group_names, { lambda = module.lambda.log_group_name })
  database_identifier    = module.database.identifier
  database_engine        = var.database_engine
  trigger_queue_name     = element(split(":", module.eventbridge.queue_arn), 5)
  dead_letter_queue_name = module.eventbridge.dead_letter_queue_name
  bucket_name            = module.s3.bucket

  enable_metrics                     = var.enable_metrics
  schedule_enabled                   = var.schedule_enabled
  enable_task_metrics                = var.enable_detailed_monitoring
  sync_age_limit_hours               = var.sync_age_limit_hours
  lambda_error_rate_threshold        = var.lambda_error_rate_threshold
  ecs_cpu_utilization_threshold      = var.ecs_cpu_utilization_threshold
  ecs_memory_utilization_threshold   = var.ecs_memory_utilization_threshold
  database_free_storage_threshold_gb = var.database_free_storage_threshold_gb
  monthly_budget_limit               = var.monthly_budget_limit
  budget_emails                      = slice(var.notification_email_addresses, 0, min(10, length(var.notification_email_addresses)))
  enable_budget                      = var.enable_budget
  enable_composite_alarm             = var.enable_composite_alarm
  enable_query_definitions           = var.enable_query_definitions
  enable_xray_tracing                = var.enable_xray_tracing
}
