# A second copy in another region. The other bucket is not made here: it needs a provider of its own.

locals {
  replicate   = var.replication != null
  replica_arn = try(var.replication.bucket_arn, "")
  replica_key = try(var.replication.kms_key_arn, null)

  replication_statements = concat(
    [
      {
        Sid      = "ReadSettings"
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = aws_s3_bucket.this.arn
      },
      {
        Sid      = "ReadVersions"
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = "${aws_s3_bucket.this.arn}/*"
      },
      {
        Sid      = "WriteReplicas"
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateTags"]
        Resource = "${local.replica_arn}/*"
      },
    ],
    [for key in [var.kms_key_id] : {
      Sid      = "Decrypt"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = key
    } if key != ""],
    [for key in [local.replica_key] : {
      Sid      = "EncryptReplicas"
      Effect   = "Allow"
      Action   = ["kms:Encrypt", "kms:GenerateDataKey"]
      Resource = key
    } if key != null],
  )
}

resource "aws_iam_role" "replication" {
  count = local.replicate ? 1 : 0

  name        = "${var.name}-s3-replication"
  description = "S3 copies ${var.bucket_name} to another region"
  # As in AWS's own example: whether S3 says for whom it asks, as other services do, is not documented, and a condition
  # that it does not fulfil would stop replication without a word.
  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Replication"
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })

  tags = var.tags
}

resource "aws_iam_role_policy" "replication" {
  count = local.replicate ? 1 : 0

  name   = "replicate"
  role   = aws_iam_role.replication[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.replication_statements })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  count = local.replicate ? 1 : 0

  bucket = aws_s3_bucket.this.id
  role   = aws_iam_role.replication[0].arn

  rule {
    id       = "everything"
    status   = "Enabled"
    priority = 1

    filter {}

    # What is deleted here stays there: the copy is there for accidents.
    delete_marker_replication {
      status = "Disabled"
    }

    destination {
      bucket        = local.replica_arn
      storage_class = var.replication.storage_class

      dynamic "encryption_configuration" {
        for_each = local.replica_key == null ? [] : [local.replica_key]

        content {
          replica_kms_key_id = encryption_configuration.value
        }
      }
    }

    dynamic "source_selection_criteria" {
      for_each = local.replica_key == null ? [] : [1]

      content {
        sse_kms_encrypted_objects {
          status = "Enabled"
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this, aws_iam_role_policy.replication]
}
