# The mirror in one account and one region. What each module makes: its README.md.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  name       = "${var.project_name}-${var.environment}"
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  tags = merge({ Project = var.project_name, Environment = var.environment, ManagedBy = "terraform" }, var.tags)

  # Names that several modules need before the thing itself is made.
  function_name   = "${local.name}-sync-worker"
  run_task_family = "${local.name}-run"

  own_repository = var.ecs_container_image == ""
  image          = local.own_repository ? "${module.ecr[0].repository_url}:${var.image_tag}" : var.ecs_container_image
  image_parts    = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com/([^:@]+)", var.ecs_container_image), [])
  repository_arn = local.own_repository ? module.ecr[0].repository_arn : format("arn:%s:ecr:%s:%s:repository/%s",
  local.partition, local.image_parts[1], local.image_parts[0], local.image_parts[2])

  # Of everything but the bucket.
  kms_key_arn = var.enable_kms_key ? module.kms[0].key_arn : null
  # Of the bucket.
  s3_kms_key_arn = var.kms_key_id == "" ? null : (
    startswith(var.kms_key_id, "arn:") ? var.kms_key_id
    : "arn:${local.partition}:kms:${var.aws_region}:${local.account_id}:key/${var.kms_key_id}"
  )
}

module "kms" {
  source = "./modules/kms"
  count  = var.enable_kms_key ? 1 : 0

  name                 = local.name
  region               = var.aws_region
  account_id           = local.account_id
  deletion_window_days = var.kms_deletion_window_days
}

module "network" {
  source = "./modules/network"

  name                    = local.name
  region                  = var.aws_region
  account_id              = local.account_id
  kms_key_arn             = local.kms_key_arn
  vpc_cidr                = var.vpc_cidr
  az_count                = var.az_count
  nat_mode                = var.nat_mode
  enable_vpc_endpoints    = var.enable_vpc_endpoints
  enable_flow_logs        = var.enable_flow_logs
  flow_log_retention_days = var.log_retention_days
  proxy_port              = local.proxy_port
}

module "s3" {
  source = "./modules/s3"

  name                     = local.name
  account_id               = local.account_id
  bucket_name              = var.s3_bucket_name
  kms_key_id               = local.s3_kms_key_arn == null ? "" : local.s3_kms_key_arn
  enforce_tls              = var.enforce_tls
  versioning               = var.enable_s3_versioning
  expiration_days          = var.s3_lifecycle_expiration_days
  noncurrent_days          = var.s3_noncurrent_version_expiration_days
  transition_days          = var.s3_transition_days
  transition_storage_class = var.s3_transition_storage_class
  transfer_acceleration    = var.enable_s3_transfer_acceleration
  replication              = var.s3_replication
  access_log_bucket        = var.s3_access_log_bucket
  force_destroy            = var.s3_force_destroy
}

module "ecr" {
  source = "./modules/ecr"
  count  = local.own_repository ? 1 : 0

  name         = local.name
  region       = var.aws_region
  account_id   = local.account_id
  kms_key_arn  = local.kms_key_arn
  keep_images  = var.ecr_keep_images
  force_delete = var.ecr_force_delete
}

module "efs" {
  source = "./modules/efs"
  count  = var.enable_efs_storage ? 1 : 0

  name                   = local.name
  kms_key_arn            = local.kms_key_arn
  subnet_ids             = module.network.private_subnet_ids
  security_group_id      = module.network.security_group_ids["efs"]
  performance_mode       = var.efs_performance_mode
  throughput_mode        = var.efs_throughput_mode
  provisioned_throughput = var.efs_provisioned_throughput
  enforce_tls            = var.enforce_tls
  enable_backup          = var.enable_efs_backup
}

module "database" {
  source = "./modules/database"

  name                        = local.name
  kms_key_arn                 = local.kms_key_arn
  subnet_ids                  = module.network.private_subnet_ids
  security_group_id           = module.network.security_group_ids["database"]
  engine                      = var.database_engine
  instance_class              = var.database_instance_class
  allocated_storage           = var.database_allocated_storage
  max_allocated_storage       = coalesce(var.database_max_allocated_storage, max(100, 2 * var.database_allocated_storage))
  snapshot_identifier         = var.database_snapshot_identifier == "" ? null : var.database_snapshot_identifier
  multi_az                    = var.database_multi_az
  deletion_protection         = var.database_deletion_protection
  skip_final_snapshot         = var.database_skip_final_snapshot
  backup_retention_days       = var.database_backup_retention_days
  password_rotation_days      = var.database_password_rotation_days
  log_retention_days          = var.log_retention_days
  enable_performance_insights = var.enable_detailed_monitoring
  monitoring_interval         = var.enable_detailed_monitoring ? 60 : 0
}

module "notifications" {
  source = "./modules/notifications"

  name                  = local.name
  account_id            = local.account_id
  kms_key_arn           = local.kms_key_arn
  slack_webhook_url     = var.slack_webhook_url
  slack_webhook_version = var.slack_webhook_version
  api_keys              = var.api_keys
  secret_recovery_days  = var.secret_recovery_days
  enable_rotation       = var.enable_secrets_rotation
  rotation_lambda_arn   = var.secrets_rotation_lambda_arn
  emails                = var.notification_email_addresses
  email_topics          = var.enable_sns_notifications ? ["alerts", "messages", "security"] : ["alerts", "security"]
  enforce_tls           = var.enforce_tls
}

module "eventbridge" {
  source = "./modules/eventbridge"

  name        = local.name
  region      = var.aws_region
  account_id  = local.account_id
  kms_key_arn = local.kms_key_arn
  bus         = var.event_bus
  enforce_tls = var.enforce_tls
}

module "audit" {
  source = "./modules/audit"
  count  = var.enable_audit ? 1 : 0

  name                   = local.name
  region                 = var.aws_region
  account_id             = local.account_id
  kms_key_arn            = local.kms_key_arn
  data_event_bucket_arns = [module.s3.bucket_arn]
  enforce_tls            = var.enforce_tls
  force_destroy          = var.s3_force_destroy
}
