# The mirror's bucket. Its policy and the access logs' bucket stand in access.tf, replication in replication.tf.

locals {
  # Date folders (YYYY-MM-DD/) are the only keys that begin so; the manifest, backups/, state/, published/, v2/ and
  # api/ do not.
  bottles_prefix = var.key_prefix == "" ? "20" : "${var.key_prefix}/20"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:replication is the variable replication
  #checkov:skip=CKV_AWS_19:encrypted by the resource below, whose algorithm depends on kms_key_id
  #checkov:skip=CKV_AWS_145:S3's own keys encrypt by default; kms_key_id is the operator's choice
  #checkov:skip=CKV2_AWS_62:nobody waits for this bucket's notifications
  bucket        = var.bucket_name
  force_destroy = var.force_destroy

  tags = merge(var.tags, { Name = var.bucket_name })
}

# No ACLs: policies alone say who may do what.
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
    # A bucket that had versions once can only suspend them.
    status = var.versioning ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.kms_key_id != "" # one call to KMS for many objects

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_id == "" ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_id == "" ? null : var.kms_key_id
    }
  }
}

# What is held must stay held: of current objects only those expire that the project itself has tagged as superseded.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "expire-superseded"
    status = "Enabled"

    filter {
      tag {
        key   = "mirror-superseded"
        value = "true"
      }
    }

    expiration {
      days = var.expiration_days
    }
  }

  rule {
    id     = "move-older-bottles"
    status = var.transition_days > 0 ? "Enabled" : "Disabled"

    filter {
      prefix = local.bottles_prefix
    }

    transition {
      days          = var.transition_days > 0 ? var.transition_days : 30 # a rule that is off needs a number too
      storage_class = var.transition_storage_class
    }
  }

  rule {
    id     = "clear-up"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    # Markers of deletion that have no version left behind them, as those of folded receipts.
    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = var.abort_multipart_days
    }
  }

  # Rules about versions are refused until the bucket has them.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_accelerate_configuration" "this" {
  count = var.transfer_acceleration ? 1 : 0

  bucket = aws_s3_bucket.this.id
  status = "Enabled"
}
