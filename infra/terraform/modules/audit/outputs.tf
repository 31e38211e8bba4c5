output "trail_arn" {
  description = "ARN of the trail."
  value       = aws_cloudtrail.this.arn
}

output "bucket" {
  description = "Bucket of the trail's files."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "ARN of that bucket."
  value       = aws_s3_bucket.this.arn
}
