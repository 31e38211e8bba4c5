# A shared file system for scratch of what runs beside the engine, which streams and needs none.

resource "aws_efs_file_system" "this" {
  #checkov:skip=CKV_AWS_184:the key is the caller's choice; without one AWS's own key encrypts
  creation_token                  = "${var.name}-efs"
  encrypted                       = true
  kms_key_id                      = var.kms_key_arn
  performance_mode                = var.performance_mode
  throughput_mode                 = var.throughput_mode
  provisioned_throughput_in_mibps = var.throughput_mode == "provisioned" ? var.provisioned_throughput : null

  dynamic "lifecycle_policy" {
    for_each = var.transition_to_ia == "" ? [] : [var.transition_to_ia]

    content {
      transition_to_ia = lifecycle_policy.value
    }
  }

  tags = merge(var.tags, { Name = "${var.name}-efs" })
}

resource "aws_efs_mount_target" "this" {
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [var.security_group_id]
}

# Tasks see this folder as their root and act as this user, whatever they say.
resource "aws_efs_access_point" "this" {
  file_system_id = aws_efs_file_system.this.id

  posix_user {
    uid = var.posix_id
    gid = var.posix_id
  }

  root_directory {
    path = "/${var.name}"

    creation_info {
      owner_uid   = var.posix_id
      owner_gid   = var.posix_id
      permissions = "0750"
    }
  }

  tags = merge(var.tags, { Name = "${var.name}-efs" })
}

# It only refuses. What a role's own policy does not allow is refused as well: with a policy here, even this one,
# nobody mounts without a name any more.
resource "aws_efs_file_system_policy" "this" {
  count = var.enforce_tls ? 1 : 0

  file_system_id = aws_efs_file_system.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTls"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "*"
      Resource  = aws_efs_file_system.this.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_efs_backup_policy" "this" {
  count = var.enable_backup ? 1 : 0

  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "ENABLED"
  }
}
