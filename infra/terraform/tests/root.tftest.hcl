# The root with mocked providers: what variables become, which of them are refused, what switches switch.
# envs/*.tfvars.example are applied for real, against a local AWS, by the project's own tests.

mock_provider "aws" {
  source = "./tests/mocks"
}

# Mocks give every bucket the same ARN, and policies are kept by it.
override_resource {
  target = module.s3.aws_s3_bucket.logs
  values = { arn = "arn:aws:s3:::test-bucket-logs" }
}

variables {
  s3_bucket_name = "homebrew-bottles-test"
  # Ephemeral: `terraform test` wants one that is given at plan or apply to be given at both.
  slack_webhook_url = ""
}

# The spec's production file as it stands there, and what Terraform needs to know of a webhook.
run "spec_prod" {
  variables {
    project_name                          = "homebrew-bottles-sync"
    environment                           = "prod"
    aws_region                            = "us-east-1"
    lambda_layer_zip_path                 = "../build/layer.zip"
    lambda_orchestrator_zip_path          = "../build/orchestrator.zip"
    lambda_sync_zip_path                  = "../build/sync.zip"
    lambda_orchestrator_memory_size       = 1024
    lambda_sync_memory_size               = 3008
    lambda_orchestrator_timeout           = 300
    lambda_sync_timeout                   = 900
    ecs_container_image                   = "123456789012.dkr.ecr.us-east-1.amazonaws.com/homebrew-bottles-sync:latest"
    ecs_task_cpu                          = 4096
    ecs_task_memory                       = 16384
    ecs_ephemeral_storage_size_gb         = 200
    ecs_enable_fargate_spot               = false
    s3_bucket_name                        = "homebrew-bottles-prod"
    enable_s3_versioning                  = true
    s3_lifecycle_expiration_days          = 365
    s3_noncurrent_version_expiration_days = 90
    enable_efs_storage                    = true
    efs_performance_mode                  = "generalPurpose"
    efs_throughput_mode                   = "provisioned"
    efs_provisioned_throughput            = 500
    schedule_expression                   = "cron(0 3 ? * SUN *)"
    schedule_enabled                      = true
    size_threshold_gb                     = 20
    target_platforms                      = ["arm64_sonoma", "arm64_ventura", "monterey"]
    max_concurrent_downloads              = 10
    download_timeout_seconds              = 300
    retry_attempts                        = 3
    slack_webhook_url                     = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
    slack_webhook_version                 = 1
    slack_channel                         = "#homebrew-sync"
    slack_username                        = "Homebrew Sync Bot"
    enable_sns_notifications              = true
    notification_email_addresses          = ["devops@company.com", "alerts@company.com"]
    enable_detailed_monitoring            = true
    enable_xray_tracing                   = true
    log_retention_days                    = 30
    lambda_error_rate_threshold           = 5
    ecs_cpu_utilization_threshold         = 80
    monthly_budget_limit                  = 500
    enable_vpc_endpoints                  = true
    enable_secrets_rotation               = false
    kms_key_id                            = ""
    tags                                  = { Environment = "prod", Team = "devops" }
  }

  assert {
    condition = alltrue([for setting, value in {
      S3_SSE                   = "AES256"
      TARGET_PLATFORMS         = "arm64_sonoma,arm64_ventura,monterey"
      SIZE_THRESHOLD_GB        = "20"
      MAX_CONCURRENT_DOWNLOADS = "10"
      DOWNLOAD_TIMEOUT_SECONDS = "300"
      RETRY_ATTEMPTS           = "3"
      SCHEDULE_EXPRESSION      = "cron(0 3 ? * SUN *)"
      SCHEDULE_ENABLED         = "true"
      SLACK_CHANNEL            = "#homebrew-sync"
      SLACK_USERNAME           = "Homebrew Sync Bot"
      ENVIRONMENT              = "prod"
      AWS_REGION               = "us-east-1"
      ECS_CLUSTER_NAME         = "homebrew-bottles-sync-prod"
      ECS_TASK_DEFINITION      = "homebrew-bottles-sync-prod-run"
      ECS_TASK_SIZES           = "25:1024:2048:21,100:2048:4096:21,*:4096:16384:200"
      ECS_SPOT_PERCENT         = "0"
      LAMBDA_SYNC_FUNCTION     = "homebrew-bottles-sync-prod-sync-worker"
      TMPDIR                   = "/mnt/efs"
      PGSSLMODE                = "require"
    } : output.environment[setting] == value])
    error_message = "A variable does not reach its setting."
  }

  assert {
    condition     = contains(keys(output.environment), "SLACK_WEBHOOK_SECRET_NAME") && contains(keys(output.environment), "SNS_TOPIC_ARN") && !contains(keys(output.environment), "SLACK_WEBHOOK_URL")
    error_message = "Messages go to Slack by a secret, and to SNS."
  }

  assert {
    condition = length(setsubtract(keys(output.lambda_environment), [
      "S3_BUCKET_NAME", "S3_SSE", "S3_KMS_KEY_ID", "S3_ACCELERATE", "TARGET_PLATFORMS", "MAX_CONCURRENT_DOWNLOADS",
      "DOWNLOAD_TIMEOUT_SECONDS", "RETRY_ATTEMPTS", "RETRY_DELAY_SECONDS", "BATCH_SIZE", "INCLUDE_DISABLED", "LOG_LEVEL",
      "LOG_FORMAT",
    ])) == 0 && output.lambda_environment["RETRY_ATTEMPTS"] == "3"
    error_message = "The Lambda gets the mirror's settings and no others."
  }

  assert {
    condition     = output.repository_url == null && output.image == "123456789012.dkr.ecr.us-east-1.amazonaws.com/homebrew-bottles-sync:latest" && strcontains(output.policies_json["execution"], "arn:aws:ecr:us-east-1:123456789012:repository/homebrew-bottles-sync\"")
    error_message = "An image that is named needs no repository, and tasks may pull it."
  }

  assert {
    condition     = contains(keys(output.alarm_arns), "charges") && contains(keys(output.alarm_arns), "all") && output.trail_arn != null
    error_message = "Production has everything on."
  }
}

# The spec's development file, and a bucket.
run "spec_dev" {
  variables {
    project_name                    = "homebrew-bottles-sync"
    environment                     = "dev"
    aws_region                      = "us-west-2"
    lambda_orchestrator_memory_size = 512
    lambda_sync_memory_size         = 1024
    ecs_task_cpu                    = 1024
    ecs_task_memory                 = 4096
    ecs_ephemeral_storage_size_gb   = 50
    ecs_enable_fargate_spot         = true
    schedule_expression             = "cron(0 */6 * * ? *)"
    size_threshold_gb               = 5
    log_retention_days              = 7
    s3_lifecycle_expiration_days    = 30
    enable_detailed_monitoring      = false
    enable_xray_tracing             = false
    enable_efs_storage              = false
    monthly_budget_limit            = 50
    slack_channel                   = "#homebrew-sync-dev"
    enable_sns_notifications        = false
    enable_audit                    = false
    enable_kms_key                  = false
    enable_composite_alarm          = false
  }

  assert {
    condition     = output.environment["ECS_TASK_SIZES"] == "25:1024:2048:21,100:1024:4096:21,*:1024:4096:50" && output.environment["ECS_SPOT_PERCENT"] == "70" && output.environment["SIZE_THRESHOLD_GB"] == "5"
    error_message = "Rows of smaller transfers must not exceed the largest."
  }

  assert {
    condition     = length(setintersection(keys(output.environment), ["SLACK_WEBHOOK_SECRET_NAME", "SNS_TOPIC_ARN", "TMPDIR", "S3_KMS_KEY_ID"])) == 0
    error_message = "What is off must not be set."
  }

  assert {
    # Everything that has a name of its own in the account begins with the prefix, so that two copies fit.
    condition = alltrue([for name in concat(
      [output.cluster_name, output.lambda_function_name, output.run_task_family, output.dashboard_name, output.slack_secret_name],
      values(output.service_names),
      [for name in values(output.log_group_names) : replace(name, "/^/aws/(ecs|lambda)//", "")],
    ) : startswith(name, "homebrew-bottles-sync-dev")])
    error_message = "A name lacks the prefix."
  }

  assert {
    condition     = output.trail_arn == null && !contains(keys(output.alarm_arns), "all") && !contains(keys(output.alarm_arns), "run-memory")
    error_message = "What is switched off must not be there."
  }
}

# Every switch that the two above leave alone.
run "switches" {
  variables {
    environment                     = "staging"
    kms_key_id                      = "11111111-2222-3333-4444-555555555555"
    enable_s3_transfer_acceleration = true
    enable_autoscaling              = true
    enable_execute_command          = false
    enable_slack_notifications      = true
    external_hash_file_s3_key       = "known.json"
    external_hash_file_s3_bucket    = "another-bucket"
    external_hash_file_url          = "https://hashes.example/known.json"
    enable_notifications            = false
    enable_metrics                  = false
    nat_mode                        = "per_az"
    event_bus                       = "syncs"
    s3_replication                  = { bucket_arn = "arn:aws:s3:::replica", kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
    extra_settings                  = { FORMULAE_API_URL = "https://formulae.example/api" }
    api_keys                        = { github = "Token for a higher rate" }
  }

  assert {
    condition = alltrue([for setting, value in {
      S3_SSE                       = "aws:kms"
      S3_KMS_KEY_ID                = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
      S3_ACCELERATE                = "true"
      ENABLE_NOTIFICATIONS         = "false"
      ENABLE_METRICS               = "false"
      EXTERNAL_HASH_FILE_S3_KEY    = "known.json"
      EXTERNAL_HASH_FILE_S3_BUCKET = "another-bucket"
      EXTERNAL_HASH_FILE_URL       = "https://hashes.example/known.json"
      FORMULAE_API_URL             = "https://formulae.example/api"
    } : output.environment[setting] == value]) && contains(keys(output.environment), "SLACK_WEBHOOK_SECRET_NAME")
    error_message = "A variable does not reach its setting."
  }

  assert {
    condition     = output.lambda_environment["S3_SSE"] == "aws:kms" && output.lambda_environment["S3_ACCELERATE"] == "true"
    error_message = "The Lambda must encrypt as the bucket wants it."
  }

  assert {
    condition     = strcontains(output.policies_json["run"], "arn:aws:s3:::another-bucket/known.json") && !strcontains(output.policies_json["webserver"], "ssmmessages")
    error_message = "Roles must follow the switches."
  }

  assert {
    condition     = length(setintersection(keys(output.alarm_arns), ["no-sync", "sync-failed", "sync-partial"])) == 0
    error_message = "Without metrics there is no alarm on them."
  }
}

run "refused_basics" {
  command = plan
  expect_failures = [
    var.project_name, var.environment, var.s3_bucket_name, var.image_tag, var.cpu_architecture, var.target_platforms,
    var.schedule_expression, var.kms_key_id, var.log_format, var.log_level, var.log_retention_days,
    var.external_hash_file_url, var.external_hash_file_s3_bucket, var.extra_settings,
  ]
  variables {
    project_name                 = "Homebrew_Sync"
    environment                  = "a-very-long-environment"
    s3_bucket_name               = "Bottles.example"
    image_tag                    = "latest"
    cpu_architecture             = "riscv"
    target_platforms             = ["arm64_sonoma", "arm64_sonoma"]
    schedule_expression          = "rate(7 days)"
    kms_key_id                   = "alias/bottles"
    log_format                   = "xml"
    log_level                    = "LOUD"
    log_retention_days           = 31
    external_hash_file_url       = "https://hashes.example/known.json?signature=secret"
    external_hash_file_s3_bucket = "another-bucket"
    extra_settings               = { SLACK_WEBHOOK_URL = "https://hooks.slack.example/x" }
  }
}

run "refused_sizes" {
  command = plan
  expect_failures = [
    var.ecs_task_memory, var.ecs_ephemeral_storage_size_gb, var.ecs_spot_percent, var.ecs_task_sizes,
    var.lambda_sync_memory_size, var.lambda_sync_timeout, var.lambda_concurrency, var.size_threshold_gb,
    var.max_concurrent_downloads, var.retry_attempts, var.monthly_budget_limit, var.lambda_error_rate_threshold,
    var.s3_lifecycle_expiration_days, var.sync_window_hours,
  ]
  variables {
    ecs_task_cpu                  = 1024
    ecs_task_memory               = 16384
    ecs_ephemeral_storage_size_gb = 500
    ecs_spot_percent              = 0
    ecs_task_sizes                = "25:1024:2048"
    lambda_sync_memory_size       = 64
    lambda_sync_timeout           = 1800
    lambda_concurrency            = 0
    size_threshold_gb             = -1
    max_concurrent_downloads      = 1000
    retry_attempts                = -1
    monthly_budget_limit          = -1
    lambda_error_rate_threshold   = 0
    s3_lifecycle_expiration_days  = 0
    sync_window_hours             = 0
  }
}

run "refused_image_of_another_region" {
  command         = plan
  expect_failures = [var.ecs_container_image]
  variables {
    ecs_container_image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mirror:0.1.0"
  }
}
