output "file_system_id" {
  description = "Id of the file system."
  value       = aws_efs_file_system.this.id

  # A task that starts earlier fails to mount it.
  depends_on = [aws_efs_mount_target.this]
}

output "file_system_arn" {
  description = "ARN of the file system."
  value       = aws_efs_file_system.this.arn
}

output "access_point_id" {
  description = "Id of the access point through which tasks mount."
  value       = aws_efs_access_point.this.id

  depends_on = [aws_efs_mount_target.this]
}

output "access_point_arn" {
  description = "ARN of the access point, for the roles' policies."
  value       = aws_efs_access_point.this.arn
}
