# Who may not: requests without TLS. Who may is said by the roles' own policies.

data "aws_partition" "current" {}

locals {
  partition = data.aws_partition.current.partition

  create_logs_bucket = var.enable_access_logs && var.access_log_bucket == ""
  logs_bucket = (
    !var.enable_access_logs ? "" :
    local.create_logs_bucket ? one(aws_s3_bucket.logs[*].bucket) :
    var.access_log_bucket
  )

  bucket_arns = { mirror = aws_s3_bucket.this.arn, logs = one(aws_s3_bucket.logs[*].arn) }
  tls_statements = { for bucket, arn in local.bucket_arns : bucket => [
    {
      Sid       = "OnlyTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [arn, "${arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      Sid       = "OnlyTls12"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [arn, "${arn}/*"]
      Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
    },
  ] if var.enforce_tls && arn != null }
}

resource "aws_s3_bucket_policy" "this" {
  count = var.enforce_tls ? 1 : 0

  bucket = aws_s3_bucket.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.tls_statements["mirror"] })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

# Access logs

resource "aws_s3_bucket_logging" "this" {
  count = var.enable_access_logs ? 1 : 0

  bucket        = aws_s3_bucket.this.id
  target_bucket = local.logs_bucket
  target_prefix = "${var.bucket_name}/"

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_s3_bucket" "logs" {
  #checkov:skip=CKV_AWS_18:this is the bucket of the access logs
  #checkov:skip=CKV_AWS_21:logs are written once and expire
  #checkov:skip=CKV_AWS_144:logs are kept in one region
  #checkov:skip=CKV_AWS_145:S3 delivers access logs to buckets with its own keys only
  #checkov:skip=CKV2_AWS_62:nobody waits for this bucket's notifications
  count = local.create_logs_bucket ? 1 : 0

  bucket        = "${var.bucket_name}-logs"
  force_destroy = var.force_destroy

  tags = merge(var.tags, { Name = "${var.bucket_name}-logs" })
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  count = local.create_logs_bucket ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  count = local.create_logs_bucket ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  count = local.create_logs_bucket ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  count = local.create_logs_bucket ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.access_log_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  count = local.create_logs_bucket ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "AccessLogs"
        Effect    = "Allow"
        Principal = { Service = "logging.s3.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.logs[0].arn}/${var.bucket_name}/*"
        Condition = {
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:s3:::${var.bucket_name}" }
          StringEquals = { "aws:SourceAccount" = var.account_id }
        }
      }],
      var.enforce_tls ? local.tls_statements["logs"] : [],
    )
  })

  depends_on = [aws_s3_bucket_public_access_block.logs, aws_s3_bucket_ownership_controls.logs]
}
