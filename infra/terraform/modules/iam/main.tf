# One role per task and function. Policies are plain jsonencode, so that tests with mocked providers can read
# them. Names of cluster, family and function come in as text: the roles are made before what uses them.

locals {
  account  = "${var.region}:${var.account_id}"
  ecs      = "arn:${var.partition}:ecs:${local.account}"
  cluster  = "${local.ecs}:cluster/${var.cluster_name}"
  tasks    = "${local.ecs}:task/${var.cluster_name}/*"
  function = "arn:${var.partition}:lambda:${local.account}:function:${var.lambda_function_name}"

  lambda_log_group = "arn:${var.partition}:logs:${local.account}:log-group:/aws/lambda/${var.lambda_function_name}"

  principals = {
    webserver = "ecs-tasks.amazonaws.com"
    daemon    = "ecs-tasks.amazonaws.com"
    code      = "ecs-tasks.amazonaws.com"
    run       = "ecs-tasks.amazonaws.com"
    execution = "ecs-tasks.amazonaws.com"
    lambda    = "lambda.amazonaws.com"
  }

  descriptions = {
    webserver = "Dagster's webserver: looks, and ends runs"
    daemon    = "Dagster's daemon: starts runs and watches over them"
    code      = "The code server: sensors, messages, metrics, events"
    run       = "A run: plans, copies, folds"
    execution = "ECS, to start a task: image, logs, the database's password"
    lambda    = "The Lambda: copies a batch"
  }

  # A role is written out rather than looked up where policies need its ARN: they would depend on themselves.
  role_arns = { for key in keys(local.principals) : key => "arn:${var.partition}:iam::${var.account_id}:role/${var.name}-${key}" }
}

resource "aws_iam_role" "this" {
  for_each = local.principals

  name        = "${var.name}-${each.key}"
  description = local.descriptions[each.key]
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = each.value }
      },
      # ECS says for whom it asks; without the condition another account's tasks could be given this role.
      each.value != "ecs-tasks.amazonaws.com" ? null : {
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account_id }
          ArnLike      = { "aws:SourceArn" = "${local.ecs}:*" }
        }
      },
    )]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = "${var.name}-${each.key}"
  role   = aws_iam_role.this[each.key].id
  policy = each.value
}
