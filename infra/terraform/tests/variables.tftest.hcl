# What each variable refuses. A validation that looks at a second variable is not reached while that one is wrong:
# such pairs stand in different runs.

mock_provider "aws" {
  source = "./tests/mocks"
}

# Mocks give every bucket the same ARN, and policies are kept by it.
override_resource {
  target = module.s3.aws_s3_bucket.logs
  values = { arn = "arn:aws:s3:::test-bucket-logs" }
}

variables {
  s3_bucket_name    = "homebrew-bottles-test"
  slack_webhook_url = ""
}

run "names_and_addresses" {
  command = plan
  expect_failures = [
    var.tags, var.event_bus, var.external_hash_file_s3_key, var.s3_access_log_bucket,
    var.slack_webhook_url, var.slack_username, var.notification_email_addresses, var.api_keys,
    var.secrets_rotation_lambda_arn, var.vpc_cidr, var.s3_replication, var.database_snapshot_identifier,
  ]
  variables {
    tags                         = { "aws:owner" = "devops" }
    event_bus                    = "Syncs/ours"
    external_hash_file_s3_key    = "known/*"
    s3_access_log_bucket         = "logs/of/ours"
    slack_webhook_url            = "http://hooks.slack.example/services/x"
    slack_username               = "Sync\nBot"
    notification_email_addresses = ["devops"]
    api_keys                     = { "GitHub Token" = "Token for a higher rate" }
    secrets_rotation_lambda_arn  = "rotate-webhook"
    vpc_cidr                     = "10.40.0.0"
    s3_replication               = { bucket_arn = "my-replica" }
    database_snapshot_identifier = "last monday's"
  }
}

run "words_and_sizes" {
  command = plan
  expect_failures = [
    var.s3_transition_storage_class, var.nat_mode, var.az_count, var.efs_performance_mode, var.database_engine,
    var.service_sizes, var.database_allocated_storage,
  ]
  variables {
    s3_transition_storage_class = "DEEP_ARCHIVE"
    nat_mode                    = "double"
    az_count                    = 1
    efs_performance_mode        = "nonsense"
    database_engine             = "mysql"
    database_allocated_storage  = 5
    service_sizes = {
      webserver = { cpu = 512, memory = 512 }
      daemon    = { cpu = 512, memory = 1024 }
      code      = { cpu = 512, memory = 1024 }
    }
  }
}

run "numbers" {
  command = plan
  expect_failures = [
    var.ecr_keep_images, var.s3_transition_days, var.autoscaling_max_count, var.lambda_reserved_concurrency,
    var.lambda_sync_timeout, var.efs_throughput_mode, var.database_instance_class,
    var.database_max_allocated_storage, var.database_backup_retention_days,
    var.database_password_rotation_days, var.database_free_storage_threshold_gb, var.slack_webhook_version,
    var.secret_recovery_days, var.sync_age_limit_hours, var.kms_deletion_window_days,
  ]
  variables {
    ecr_keep_images                    = 0
    s3_transition_days                 = -1
    autoscaling_max_count              = 1.5
    lambda_reserved_concurrency        = 0
    lambda_sync_timeout                = 60.5
    efs_throughput_mode                = "nonsense"
    database_instance_class            = "t4g.micro"
    database_max_allocated_storage     = -1
    database_backup_retention_days     = 0
    database_password_rotation_days    = 0
    database_free_storage_threshold_gb = 0
    slack_webhook_version              = -1
    secret_recovery_days               = 3
    sync_age_limit_hours               = 0
    kms_deletion_window_days           = 1
  }
}

# They have no effect; a wrong value is a mistake all the same.
run "variables_that_were_replaced" {
  command = plan
  expect_failures = [
    var.lambda_layer_zip_path, var.lambda_orchestrator_zip_path, var.lambda_sync_zip_path,
    var.lambda_orchestrator_memory_size, var.lambda_orchestrator_timeout,
  ]
  variables {
    lambda_layer_zip_path           = "../build/layer"
    lambda_orchestrator_zip_path    = "../build/orchestrator.tar.gz"
    lambda_sync_zip_path            = ""
    lambda_orchestrator_memory_size = 64
    lambda_orchestrator_timeout     = -1
  }
}

# Each by itself right, wrong together.
run "values_that_need_others" {
  command = plan
  expect_failures = [
    var.slack_webhook_url, var.s3_replication, var.s3_transition_days, var.efs_throughput_mode,
    var.database_instance_class, var.database_max_allocated_storage, var.database_free_storage_threshold_gb,
    var.secrets_rotation_lambda_arn, var.external_hash_file_s3_bucket,
  ]
  variables {
    external_hash_file_s3_key          = "known.json"
    external_hash_file_s3_bucket       = "Known_Hashes"
    slack_webhook_url                  = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
    slack_webhook_version              = 0
    s3_replication                     = { bucket_arn = "arn:aws:s3:::my-replica" }
    enable_s3_versioning               = false
    s3_transition_days                 = 7
    s3_transition_storage_class        = "STANDARD_IA"
    efs_throughput_mode                = "elastic"
    efs_performance_mode               = "maxIO"
    database_instance_class            = "db.serverless"
    database_allocated_storage         = 200
    database_max_allocated_storage     = 210
    database_free_storage_threshold_gb = 200
    enable_secrets_rotation            = true
  }
}

run "less_than_no_throughput" {
  command         = plan
  expect_failures = [var.efs_provisioned_throughput]
  variables {
    efs_provisioned_throughput = -5
  }
}

run "provisioned_without_throughput" {
  command         = plan
  expect_failures = [var.efs_provisioned_throughput]
  variables {
    efs_throughput_mode = "provisioned"
  }
}

run "an_address_in_the_middle_of_a_network" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.40.7.0/16"
  }
}

run "a_large_disk_grows_too" {
  command = plan
  variables {
    database_allocated_storage = 200
  }
  assert {
    condition     = output.database_identifier == "homebrew-bottles-sync-prod-database"
    error_message = "A disk of 200 GiB needs no second variable."
  }
}

run "settings" {
  command = plan
  expect_failures = [
    var.aws_region, var.download_concurrency, var.download_timeout_seconds, var.retry_delay_seconds, var.batch_size,
    var.max_download_size_gb, var.progress_update_interval, var.s3_noncurrent_version_expiration_days, var.ecs_task_cpu,
    var.dagster_url, var.slack_channel, var.ecs_cpu_utilization_threshold, var.ecs_memory_utilization_threshold,
  ]
  variables {
    aws_region                            = "Oregon"
    download_concurrency                  = 1000
    download_timeout_seconds              = 0
    retry_delay_seconds                   = -1
    batch_size                            = 0
    max_download_size_gb                  = -1
    progress_update_interval              = 0
    s3_noncurrent_version_expiration_days = 0
    ecs_task_cpu                          = 1000
    dagster_url                           = "127.0.0.1:3000"
    slack_channel                         = "#homebrew sync"
    ecs_cpu_utilization_threshold         = 0
    ecs_memory_utilization_threshold      = 101
  }
}

run "what_clients_are_served" {
  command = plan
  expect_failures = [
    var.publish, var.publish_max_upstream, var.publish_max_missing, var.api_tags, var.api_public_key,
    var.api_consistency_wait_seconds,
  ]
  variables {
    publish                      = "always"
    publish_max_upstream         = 1.5
    publish_max_missing          = -1
    api_tags                     = ["sonoma", "sonoma"]
    api_public_key               = ["homebrew-1.pem"]
    api_consistency_wait_seconds = 3601
  }
}

run "a_webserver_that_only_reads" {
  variables {
    webserver_may_end_runs = false
  }
  assert {
    condition     = !strcontains(output.policies_json["webserver"], "ecs:StopTask") && strcontains(output.policies_json["daemon"], "ecs:StopTask")
    error_message = "The switch must reach the webserver's role, and no other."
  }
}

run "a_restored_database" {
  variables {
    database_snapshot_identifier = "rds:homebrew-bottles-sync-prod-database-2026-11-22-22-05"
    database_deletion_protection = false
  }
  assert {
    condition     = output.database_identifier == "homebrew-bottles-sync-prod-database"
    error_message = "A snapshot's name must be taken as RDS writes it."
  }
}

run "the_network_around_it" {
  command = plan
  expect_failures = [
    var.https_proxy, var.http_proxy, var.no_proxy, var.ca_bundle_secret_arn, var.ca_bundle_file,
    var.bottle_registry_secret_arn, var.own_secrets_kms_key_arns, var.exclude_formulae, var.mirror_formulae,
  ]
  variables {
    https_proxy                = "http://user:password@proxy.example:3128"
    http_proxy                 = "proxy.example"
    no_proxy                   = ["a.example, b.example"]
    ca_bundle_secret_arn       = "company-ca"
    ca_bundle_file             = "certs/ca.pem"
    bottle_registry_secret_arn = "registry"
    own_secrets_kms_key_arns   = ["alias/ours"]
    exclude_formulae           = ["node,deno"]
    mirror_formulae            = ["git node"]
  }
}

run "a_proxys_secret_without_its_address" {
  command         = plan
  expect_failures = [var.https_proxy_secret_arn]
  variables {
    https_proxy_secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:proxy-AbCdEf"
  }
}
