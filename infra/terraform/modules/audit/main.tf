# CloudTrail: who did what in the account, in a bucket of its own that nothing else writes to.

data "aws_partition" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  trail_name = "${var.name}-audit" # the key's policy names it
  trail_arn  = "arn:${local.partition}:cloudtrail:${var.region}:${var.account_id}:trail/${local.trail_name}"
  bucket     = "${var.name}-audit-${var.account_id}"
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"

  statements = concat(
    [
      {
        Sid       = "TrailLooks"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = local.bucket_arn
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
      {
        Sid       = "TrailWrites"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${local.bucket_arn}/AWSLogs/${var.account_id}/*"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn, "s3:x-amz-acl" = "bucket-owner-full-control" } }
      },
    ],
    [for condition in [
      { sid = "OnlyTls", test = { Bool = { "aws:SecureTransport" = "false" } } },
      { sid = "OnlyTls12", test = { NumericLessThan = { "s3:TlsVersion" = "1.2" } } },
      ] : {
      Sid       = condition.sid
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = condition.test
    } if var.enforce_tls],
  )
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:access to the records is itself recorded, by the trail's data events if wanted
  #checkov:skip=CKV_AWS_144:records are kept in one region
  #checkov:skip=CKV2_AWS_62:nobody waits for this bucket's notifications
  bucket        = local.bucket
  force_destroy = var.force_destroy

  tags = merge(var.tags, { Name = local.bucket })
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.expiration_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })

  depends_on = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_ownership_controls.this]
}

resource "aws_cloudtrail" "this" {
  #checkov:skip=CKV_AWS_252:a message per file, every five minutes, would tell nobody anything
  #checkov:skip=CKV2_AWS_10:the files in the bucket are enough; a log group costs by the GB
  #checkov:skip=CKV_AWS_67:multi_region is on by default
  #checkov:skip=CKV_AWS_35:the key is the caller's choice; without one S3's own keys encrypt
  name                          = local.trail_name
  s3_bucket_name                = aws_s3_bucket.this.id
  is_multi_region_trail         = var.multi_region
  include_global_service_events = true
  enable_log_file_validation    = true # a changed or missing file is noticed
  kms_key_id                    = var.kms_key_arn

  advanced_event_selector {
    name = "What is managed"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  dynamic "advanced_event_selector" {
    for_each = length(var.data_event_bucket_arns) > 0 ? [1] : []

    content {
      name = "What is written to the buckets"

      field_selector {
        field  = "eventCategory"
        equals = ["Data"]
      }

      field_selector {
        field  = "resources.type"
        equals = ["AWS::S3::Object"]
      }

      # A mirror is read all the time; what matters is who changed it.
      field_selector {
        field  = "readOnly"
        equals = ["false"]
      }

      field_selector {
        field       = "resources.ARN"
        starts_with = [for arn in var.data_event_bucket_arns : "${arn}/"]
      }
    }
  }

  tags = var.tags

  depends_on = [aws_s3_bucket_policy.this]
}
