# Enhanced monitoring: figures of the operating system, which RDS writes into the log group RDSOSMetrics with a role
# of ours. AWS's own policy for it covers every account and region; this one covers the database's.

locals {
  arn_parts  = split(":", aws_db_subnet_group.this.arn) # arn, partition, rds, region, account, …
  log_prefix = "arn:${local.arn_parts[1]}:logs:${local.arn_parts[3]}:${local.arn_parts[4]}:log-group:RDSOSMetrics"
}

resource "aws_iam_role" "monitoring" {
  count = var.monitoring_interval > 0 ? 1 : 0

  name        = "${var.name}-database-monitoring"
  description = "RDS writes enhanced monitoring of ${local.identifier}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EnhancedMonitoring"
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.arn_parts[4] } }
    }]
  })

  tags = var.tags
}

resource "aws_iam_role_policy" "monitoring" {
  count = var.monitoring_interval > 0 ? 1 : 0

  name = "write"
  role = aws_iam_role.monitoring[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "MakeLogGroup"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:PutRetentionPolicy"]
        Resource = [local.log_prefix, "${local.log_prefix}:*"]
      },
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"]
        Resource = "${local.log_prefix}:*"
      },
    ]
  })
}
