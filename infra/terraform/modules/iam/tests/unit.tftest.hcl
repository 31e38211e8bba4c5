# Policies are plain text: plans show them whole. What each role may do is compared both ways with a table: what is
# missing stops a deployment, what is too much is a hole.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                  = "mirror-test"
  region                = "us-west-2"
  account_id            = "123456789012"
  bucket_arn            = "arn:aws:s3:::bottles"
  cluster_name          = "mirror-test"
  run_task_family       = "mirror-test-run"
  lambda_function_name  = "mirror-test-sync-worker"
  repository_arns       = ["arn:aws:ecr:us-west-2:123456789012:repository/mirror-test"]
  database_secret_arn   = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-AbCdEf"
  slack_secret_arn      = "arn:aws:secretsmanager:us-west-2:123456789012:secret:slack-AbCdEf"
  messages_topic_arn    = "arn:aws:sns:us-west-2:123456789012:messages"
  security_topic_arn    = "arn:aws:sns:us-west-2:123456789012:security"
  trigger_queue_arn     = "arn:aws:sqs:us-west-2:123456789012:triggers"
  dead_letter_queue_arn = "arn:aws:sqs:us-west-2:123456789012:dead-letters"
  log_group_arns = {
    webserver = "arn:aws:logs:us-west-2:123456789012:log-group:/webserver"
    daemon    = "arn:aws:logs:us-west-2:123456789012:log-group:/daemon"
    code      = "arn:aws:logs:us-west-2:123456789012:log-group:/code"
    run       = "arn:aws:logs:us-west-2:123456789012:log-group:/run"
    exec      = "arn:aws:logs:us-west-2:123456789012:log-group:/exec"
  }

  # Role -> rows of actions, each allowed on each of the resources under the condition.
  expected = {
    webserver = [
      { actions = ["ecs:DescribeTaskDefinition"], resources = ["*"] },
      { actions = ["ecs:DescribeTasks"], resources = ["arn:aws:ecs:us-west-2:123456789012:task/mirror-test/*"], condition = {
        ArnEquals = { "ecs:cluster" = "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test" }
      } },
      { actions = ["ecs:StopTask"], resources = ["arn:aws:ecs:us-west-2:123456789012:task/mirror-test/*"], condition = {
        ArnEquals = { "ecs:cluster" = "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test" }
        Null      = { "aws:ResourceTag/dagster/run_id" = "false" }
      } },
      { actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::bottles"], condition = { StringLike = { "s3:prefix" = ["state/compute-logs/*"] } } },
      { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::bottles/state/compute-logs/*"] },
    ]
    daemon = [
      { actions = ["ecs:DescribeTaskDefinition"], resources = ["*"] },
      { actions = ["ecs:RunTask"], resources = ["arn:aws:ecs:us-west-2:123456789012:task-definition/mirror-test-run:*"], condition = {
        ArnEquals = { "ecs:cluster" = "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test" }
      } },
      { actions = ["ecs:TagResource"], resources = ["arn:aws:ecs:us-west-2:123456789012:task/mirror-test/*"], condition = {
        StringEquals = { "ecs:CreateAction" = "RunTask" }
      } },
      {
        actions   = ["iam:PassRole"]
        resources = ["arn:aws:iam::123456789012:role/mirror-test-run", "arn:aws:iam::123456789012:role/mirror-test-execution"]
        condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
      { actions = ["ecs:DescribeTasks"], resources = ["arn:aws:ecs:us-west-2:123456789012:task/mirror-test/*"], condition = {
        ArnEquals = { "ecs:cluster" = "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test" }
      } },
      { actions = ["ecs:StopTask"], resources = ["arn:aws:ecs:us-west-2:123456789012:task/mirror-test/*"], condition = {
        ArnEquals = { "ecs:cluster" = "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test" }
        Null      = { "aws:ResourceTag/dagster/run_id" = "false" }
      } },
      { actions = ["ec2:DescribeNetworkInterfaces"], resources = ["*"] },
      { actions = ["logs:GetLogEvents"], resources = ["arn:aws:logs:us-west-2:123456789012:log-group:/run:log-stream:*"] },
      { actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::bottles"], condition = { StringLike = { "s3:prefix" = ["state/compute-logs/*"] } } },
      { actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], resources = ["arn:aws:s3:::bottles/state/compute-logs/*"] },
    ]
    code = [
      { actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::bottles"] },
      { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::bottles/state/plans/*", "arn:aws:s3:::bottles/state/reports/*"] },
      { actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], resources = ["arn:aws:s3:::bottles/state/compute-logs/*"] },
      { actions = ["cloudwatch:PutMetricData"], resources = ["*"], condition = { StringEquals = { "cloudwatch:namespace" = "HomebrewSync" } } },
      { actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage"], resources = ["arn:aws:sqs:us-west-2:123456789012:triggers"] },
      { actions = ["sqs:SendMessage"], resources = ["arn:aws:sqs:us-west-2:123456789012:dead-letters"] },
    ]
    run = [
      { actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::bottles"] },
      { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::bottles/*"] },
      { actions = ["s3:PutObject", "s3:AbortMultipartUpload"], resources = [
        "arn:aws:s3:::bottles/????-??-??/*", "arn:aws:s3:::bottles/bottles_hash.json", "arn:aws:s3:::bottles/backups/*",
        "arn:aws:s3:::bottles/state/*", "arn:aws:s3:::bottles/v2/*", "arn:aws:s3:::bottles/api/*",
      ] },
      { actions = ["s3:PutObject"], resources = ["arn:aws:s3:::bottles/published/*"], condition = { Null = { "s3:if-none-match" = "false" } } },
      { actions = ["s3:PutObject"], resources = ["arn:aws:s3:::bottles/published/current.json"], condition = { Null = { "s3:if-match" = "false" } } },
      { actions = ["s3:DeleteObject"], resources = ["arn:aws:s3:::bottles/state/receipts/*", "arn:aws:s3:::bottles/backups/bottles_hash/*"] },
      { actions = ["lambda:InvokeFunction"], resources = ["arn:aws:lambda:us-west-2:123456789012:function:mirror-test-sync-worker"] },
    ]
    execution = [
      { actions = ["ecr:GetAuthorizationToken"], resources = ["*"] },
      {
        actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        resources = ["arn:aws:ecr:us-west-2:123456789012:repository/mirror-test"]
      },
      { actions = ["logs:CreateLogStream", "logs:PutLogEvents"], resources = [
        "arn:aws:logs:us-west-2:123456789012:log-group:/webserver:*", "arn:aws:logs:us-west-2:123456789012:log-group:/daemon:*",
        "arn:aws:logs:us-west-2:123456789012:log-group:/code:*", "arn:aws:logs:us-west-2:123456789012:log-group:/run:*",
      ] },
      { actions = ["secretsmanager:GetSecretValue"], resources = ["arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-AbCdEf"] },
    ]
    lambda = [
      { actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::bottles"] },
      { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::bottles/*"] },
      { actions = ["s3:PutObject", "s3:AbortMultipartUpload"], resources = [
        "arn:aws:s3:::bottles/????-??-??/*", "arn:aws:s3:::bottles/bottles_hash.json", "arn:aws:s3:::bottles/backups/*",
        "arn:aws:s3:::bottles/state/*", "arn:aws:s3:::bottles/v2/*", "arn:aws:s3:::bottles/api/*",
      ] },
      { actions = ["s3:DeleteObject"], resources = ["arn:aws:s3:::bottles/state/receipts/*", "arn:aws:s3:::bottles/backups/bottles_hash/*"] },
      {
        actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        resources = ["arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/mirror-test-sync-worker:*"]
      },
    ]
  }

  # What is added where it is there, or wanted.
  added = {}
}

run "least_privilege" {
  command = plan

  variables {
    added = {
      webserver = [
        { actions = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"], resources = ["*"] },
        { actions = ["logs:DescribeLogGroups"], resources = ["*"] },
        { actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], resources = ["arn:aws:logs:us-west-2:123456789012:log-group:/exec:*"] },
      ]
      code = [
        { actions = ["secretsmanager:GetSecretValue"], resources = ["arn:aws:secretsmanager:us-west-2:123456789012:secret:slack-AbCdEf"] },
        { actions = ["sns:Publish"], resources = ["arn:aws:sns:us-west-2:123456789012:messages", "arn:aws:sns:us-west-2:123456789012:security"] },
      ]
    }
  }

  assert {
    condition     = length(output.policies_json) == 6 && alltrue([for role in values(aws_iam_role.this) : startswith(role.name, "mirror-test-")])
    error_message = "There must be six roles, with the prefix."
  }

  assert {
    condition = toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]])) == toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
        for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
    ]]]]))
    error_message = "Missing: ${jsonencode(setsubtract(toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
      for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
      ]]]])), toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]]))))}. Too much: ${jsonencode(setsubtract(toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]])), toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
        for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
    ]]]]))))}."
  }

  assert {
    condition = alltrue(flatten([for policy in values(output.policies_json) : [
      for statement in jsondecode(policy).Statement : [
        for action in statement.Action : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))
      ]
    ]]))
    error_message = "An action has a wildcard."
  }

  assert {
    # Actions that take no resource, and no others.
    condition = length(setsubtract(flatten([for policy in values(output.policies_json) : [
      for statement in jsondecode(policy).Statement : statement.Action if contains(statement.Resource, "*")
      ]]), [
      "cloudwatch:PutMetricData", "ec2:DescribeNetworkInterfaces", "ecr:GetAuthorizationToken",
      "ecs:DescribeTaskDefinition", "logs:DescribeLogGroups", "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])) == 0
    error_message = "An action that takes a resource is allowed on all."
  }

  assert {
    condition = { for role, made in aws_iam_role.this : role => jsondecode(made.assume_role_policy).Statement } == {
      for role in ["webserver", "daemon", "code", "run", "execution", "lambda"] : role => [merge(
        { Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = role == "lambda" ? "lambda.amazonaws.com" : "ecs-tasks.amazonaws.com" } },
        role == "lambda" ? {} : { Condition = {
          StringEquals = { "aws:SourceAccount" = "123456789012" }
          ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:us-west-2:123456789012:*" }
        } },
      )]
    }
    error_message = "A role is for ECS of this account, or for Lambda, and for nobody else."
  }
}

run "nothing_optional" {
  command = plan

  variables {
    slack_secret_arn       = null
    messages_topic_arn     = null
    security_topic_arn     = null
    enable_execute_command = false
  }

  assert {
    condition = toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]])) == toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
        for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
    ]]]]))
    error_message = "Missing: ${jsonencode(setsubtract(toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
      for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
      ]]]])), toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]]))))}. Too much: ${jsonencode(setsubtract(toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]])), toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
        for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
    ]]]]))))}."
  }
}

run "everything_optional" {
  command = plan

  variables {
    enable_xray_tracing = true
    kms_key_arn         = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    s3_kms_key_arn      = "arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"
    external_hash_file  = { bucket = "other", key = "hashes/known.json" }
    efs = {
      file_system_arn  = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"
      access_point_arn = "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0"
    }
    added = {
      webserver = [
        { actions = ["ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"], resources = ["*"] },
        { actions = ["logs:DescribeLogGroups"], resources = ["*"] },
        { actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], resources = ["arn:aws:logs:us-west-2:123456789012:log-group:/exec:*"] },
        { actions = ["kms:Decrypt"], resources = ["arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"] },
        { actions = ["kms:Decrypt"], resources = ["arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = "s3.us-west-2.amazonaws.com" } } },
      ]
      daemon = [
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = ["arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = "s3.us-west-2.amazonaws.com" } } },
      ]
      code = [
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = ["arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = "s3.us-west-2.amazonaws.com" } } },
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = ["arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = [
          "secretsmanager.us-west-2.amazonaws.com", "sns.us-west-2.amazonaws.com", "sqs.us-west-2.amazonaws.com",
        ] } } },
        { actions = ["secretsmanager:GetSecretValue"], resources = ["arn:aws:secretsmanager:us-west-2:123456789012:secret:slack-AbCdEf"] },
        { actions = ["sns:Publish"], resources = ["arn:aws:sns:us-west-2:123456789012:messages", "arn:aws:sns:us-west-2:123456789012:security"] },
      ]
      run = [
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = ["arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = "s3.us-west-2.amazonaws.com" } } },
        { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::other/hashes/known.json"] },
        { actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::other"], condition = { StringEquals = { "s3:prefix" = "hashes/known.json" } } },
        {
          actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
          resources = ["arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"]
          condition = { ArnEquals = {
            "elasticfilesystem:AccessPointArn" = "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0"
          } }
        },
      ]
      execution = [
        { actions = ["kms:Decrypt"], resources = ["arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = "secretsmanager.us-west-2.amazonaws.com" } } },
      ]
      lambda = [
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = ["arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"], condition = { StringEquals = { "kms:ViaService" = "s3.us-west-2.amazonaws.com" } } },
        { actions = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources = ["*"] },
      ]
    }
  }

  assert {
    condition = toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]])) == toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
        for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
    ]]]]))
    error_message = "Missing: ${jsonencode(setsubtract(toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
      for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
      ]]]])), toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]]))))}. Too much: ${jsonencode(setsubtract(toset(flatten([for role, policy in output.policies_json : [for statement in jsondecode(policy).Statement : [
      for pair in setproduct(statement.Action, statement.Resource) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(statement.Condition, {}))} ${statement.Effect}"
      ]]])), toset(flatten([for table in [var.expected, var.added] : [for role, rows in table : [for row in rows : [
        for pair in setproduct(row.actions, row.resources) : "${role} ${pair[0]} ${pair[1]} ${jsonencode(try(row.condition, {}))} Allow"
    ]]]]))))}."
  }
}

run "wrong_account" {
  command         = plan
  expect_failures = [var.account_id]
  variables {
    account_id = "1234"
  }
}
