# Dagster's database: runs, events, schedules. The mirror itself does not need it. Aurora stands in
# aurora.tf, enhanced monitoring in monitoring.tf.

locals {
  aurora     = var.engine == "aurora-postgresql"
  identifier = "${var.name}-database"
  port       = 5432
  family     = "${local.aurora ? "aurora-postgresql" : "postgres"}${var.engine_version}"

  secret_arn = local.aurora ? one(aws_rds_cluster.this[*].master_user_secret[0].secret_arn) : one(aws_db_instance.this[*].master_user_secret[0].secret_arn)

  log_exports = !var.enable_log_export ? [] : local.aurora ? ["postgresql"] : ["postgresql", "upgrade"]

  parameters = {
    "rds.force_ssl"              = "1"    # no connection without TLS
    "log_min_duration_statement" = "1000" # ms: slow statements appear in the log
  }
}

resource "aws_db_subnet_group" "this" {
  name        = local.identifier
  description = "Private subnets of ${var.name}"
  subnet_ids  = var.subnet_ids

  tags = var.tags
}

# RDS would make the log groups itself, without a key and for ever.
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:how long the log is kept is the operator's choice
  for_each = toset(local.log_exports)

  name              = "/aws/rds/${local.aurora ? "cluster" : "instance"}/${local.identifier}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  tags = var.tags
}

resource "aws_db_parameter_group" "this" {
  count = local.aurora ? 0 : 1

  name        = "${local.identifier}-${local.family}"
  description = "${var.name}: TLS only, slow statements logged"
  family      = local.family

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  tags = var.tags

  # A new major version needs another family while the old one is still in use.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_157:a standby doubles the price; multi_az is the operator's choice
  #checkov:skip=CKV_AWS_118:enhanced monitoring costs; monitoring_interval is the operator's choice
  #checkov:skip=CKV_AWS_161:Dagster signs in with a password, which RDS makes and keeps
  #checkov:skip=CKV_AWS_353:Performance Insights is the operator's choice
  #checkov:skip=CKV_AWS_293:deletion_protection is on by default
  count = local.aurora ? 0 : 1

  identifier     = local.identifier
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = var.database_name
  username       = var.username
  port           = local.port

  snapshot_identifier = var.snapshot_identifier

  # RDS makes the password and keeps it in a secret: it is never in Terraform's state.
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  storage_type          = "gp3"
  allocated_storage     = var.allocated_storage
  max_allocated_storage = var.max_allocated_storage
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [var.security_group_id]
  publicly_accessible    = false
  multi_az               = var.multi_az
  parameter_group_name   = aws_db_parameter_group.this[0].name

  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = var.allow_major_version_upgrade
  backup_retention_period     = var.backup_retention_days
  backup_window               = var.backup_window
  maintenance_window          = var.maintenance_window
  copy_tags_to_snapshot       = true
  delete_automated_backups    = false # they outlive the instance for as long as they are kept

  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = var.skip_final_snapshot
  final_snapshot_identifier = var.skip_final_snapshot ? null : "${local.identifier}-final"

  enabled_cloudwatch_logs_exports       = local.log_exports
  performance_insights_enabled          = var.enable_performance_insights
  performance_insights_retention_period = var.enable_performance_insights ? 7 : null
  performance_insights_kms_key_id       = var.enable_performance_insights ? var.kms_key_arn : null
  monitoring_interval                   = var.monitoring_interval
  monitoring_role_arn                   = one(aws_iam_role.monitoring[*].arn)

  tags = merge(var.tags, { Name = local.identifier })

  lifecycle {
    # Where the database came from is history: another snapshot, or none any more, must not make an empty one.
    ignore_changes = [snapshot_identifier]
  }

  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.monitoring]
}

# Services read the password when they start and then keep it: every change of it needs new tasks.
resource "aws_secretsmanager_secret_rotation" "this" {
  #checkov:skip=CKV_AWS_304:how often is the operator's choice
  count = var.password_rotation_days == null ? 0 : 1

  secret_id          = local.secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.password_rotation_days
  }
}
