output "bucket" {
  description = "Name of the mirror's bucket."
  value       = aws_s3_bucket.this.bucket

  # Whoever writes there finds encryption and the ban on public access in place.
  depends_on = [
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_public_access_block.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "bucket_arn" {
  description = "ARN of the mirror's bucket."
  value       = aws_s3_bucket.this.arn
}

output "bucket_domain" {
  description = "Regional host name of the mirror's bucket."
  value       = aws_s3_bucket.this.bucket_regional_domain_name
}

output "logs_bucket" {
  description = "Bucket of the access logs; empty without them."
  value       = local.logs_bucket
}

output "replication_role_arn" {
  description = "Role under which S3 replicates, for the other bucket's policy; null without replication."
  value       = one(aws_iam_role.replication[*].arn)
}
